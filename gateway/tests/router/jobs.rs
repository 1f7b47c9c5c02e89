//! Timers and background jobs as clients see them.

use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use http::Method;
use ports::memory::Script;
use serde_json::{Value, json};

use crate::support::{House, Seen, request, with_key};

const JOBS: &str = "/v1/functions/echo/jobs";

async fn house() -> House {
    let house = House::open().await;
    house.deploy("echo", &Script::Echo.code(), &[]).await;
    house
}

async fn ask(house: &House, body: Value) -> Seen {
    house.send(with_key(request(Method::POST, JOBS, body.to_string()), &house.invoker)).await
}

/// The job once it has ended.
async fn ended(house: &House, id: &str) -> Seen {
    let begun = Instant::now();
    loop {
        let seen = house.admin(Method::GET, &format!("/v1/jobs/{id}"), "").await;
        if !["pending", "running"].contains(&seen.text("status").as_str()) {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{seen:?}");
        // The pause of a bounded poll.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[track_caller]
fn check(seen: &Seen, want: Expect) {
    want.assert_eq(&seen.snapshot());
}

#[tokio::test]
async fn a_job_is_accepted_and_its_result_can_be_fetched() {
    let house = house().await;
    let accepted = ask(&house, json!({ "payload": { "n": 1.0, "text": "ü" } })).await;
    check(
        &accepted,
        expect![[r#"
        202
        {
          "completed_at": null,
          "created_at": "2026-01-01T00:00:00Z",
          "error": null,
          "function": "echo",
          "id": "<id>",
          "progress": 0,
          "run_at": "2026-01-01T00:00:00Z",
          "started_at": null,
          "status": "pending"
        }
    "#]],
    );
    let done = ended(&house, &accepted.text("id")).await;
    check(
        &done,
        expect![[r#"
        200
        {
          "completed_at": "2026-01-01T00:00:00Z",
          "created_at": "2026-01-01T00:00:00Z",
          "error": null,
          "function": "echo",
          "id": "<id>",
          "progress": 100,
          "result": "{\"n\":1.0,\"text\":\"ü\"}",
          "run_at": "2026-01-01T00:00:00Z",
          "started_at": "2026-01-01T00:00:00Z",
          "status": "completed"
        }
    "#]],
    );
    let bytes = ask(&house, json!({ "payload_base64": "AP8=" })).await;
    let done = ended(&house, &bytes.text("id")).await.json();
    assert_eq!((&done["result_base64"], done.get("result")), (&json!("AP8="), None));
    let nothing = ask(&house, json!({})).await;
    assert_eq!(ended(&house, &nothing.text("id")).await.text("result"), "");
}

#[tokio::test]
async fn jobs_are_listed_page_by_page_and_by_what_they_are() {
    let house = house().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.insert(0, ask(&house, json!({ "run_at": "2030-01-01T00:00:00Z" })).await.text("id"));
        house.clock.advance(Duration::from_secs(1));
    }
    let list = async |query: &str| house.admin(Method::GET, &format!("/v1/jobs{query}"), "").await.json();
    let found = |listed: &Value| -> Vec<String> {
        let jobs = listed["jobs"].as_array().expect("a list");
        jobs.iter().map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
    };
    let all = list("").await;
    assert_eq!((found(&all), &all["count"], &all["next"]), (ids.clone(), &json!(3), &Value::Null));
    let first = list("?limit=2").await;
    assert_eq!((found(&first), &first["next"]), (ids[..2].to_vec(), &json!(ids[1])));
    assert_eq!(found(&list(&format!("?limit=2&after={}", ids[1])).await), ids[2..]);
    house.admin(Method::DELETE, &format!("/v1/jobs/{}", ids[0]), "").await;
    assert_eq!(found(&list("?status=cancelled").await), ids[..1]);
    assert_eq!(found(&list("?status=pending&function=echo").await), ids[1..]);
    assert_eq!(found(&list("?function=other").await), [""; 0]);
    for wrong in ["?status=done", "?function=a%20b", "?limit=0"] {
        let refused = house.admin(Method::GET, &format!("/v1/jobs{wrong}"), "").await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "VALIDATION_FAILED"), "{wrong}");
    }
}

#[tokio::test]
async fn a_job_is_cancelled_once() {
    let house = house().await;
    let id = ask(&house, json!({ "run_at": "2030-01-01T00:00:00+01:00" })).await.text("id");
    let cancel = async || house.admin(Method::DELETE, &format!("/v1/jobs/{id}"), "").await;
    assert_eq!(cancel().await.text("status"), "cancelled");
    check(
        &cancel().await,
        expect![[r#"
        409
        {
          "code": "CONFLICT",
          "error": {
            "code": "CONFLICT",
            "message": "the job was cancelled before",
            "request_id": "<id>",
            "retryable": false
          },
          "message": "the job was cancelled before",
          "ok": false
        }
    "#]],
    );
    let audit = house.admin(Method::GET, "/v1/audit", "").await.json();
    let events = audit["events"].as_array().expect("a list").iter();
    let of_jobs: Vec<_> =
        events.filter(|event| event["action"].as_str().is_some_and(|action| action.starts_with("job."))).collect();
    assert_eq!(of_jobs.len(), 3, "asked for, cancelled, and cancelled in vain: {of_jobs:?}");
    assert!(of_jobs.iter().all(|event| event["resource"].as_str().is_some_and(|about| about.contains(&id))));
}

#[tokio::test]
async fn what_cannot_be_a_job_is_refused_and_the_field_is_named() {
    let house = house().await;
    let refusal = async |body: Value| {
        let seen = ask(&house, body).await;
        format!("{} {}", seen.status.as_u16(), seen.json()["error"]["message"].as_str().unwrap_or_default())
    };
    let check = |got: String, want: Expect| want.assert_eq(&got);
    check(
        refusal(json!({ "run_at": "tomorrow" })).await,
        expect!["400 `run_at` must be a moment, such as `2026-03-01T03:00:00Z`"],
    );
    check(refusal(json!({ "run_at": 5 })).await, expect!["400 `run_at` must be a text"]);
    check(
        refusal(json!({ "run_at": "2036-02-01T00:00:00Z" })).await,
        expect!["400 `run_at` lies more than ten years ahead"],
    );
    check(
        refusal(json!({ "payload": 1, "payload_base64": "" })).await,
        expect!["400 send `payload` or `payload_base64`, not both"],
    );
    check(refusal(json!({ "payload_base64": "?" })).await, expect!["400 `payload_base64` is not base64"]);
    check(refusal(json!({ "playload": 1 })).await, expect!["400 unknown field `playload`; did you mean `payload`?"]);
    check(
        refusal(json!({ "payload": "x".repeat((1 << 20) - 1) })).await,
        expect!["413 the payload is 1048577 bytes, the limit is 1048576"],
    );
    assert_eq!(refusal(json!({ "payload": "x".repeat((1 << 20) - 2) })).await, "202 ", "two quotes make it full");
    let unknown = house.admin(Method::POST, "/v1/functions/nobody/jobs", "").await;
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (404, "NOT_FOUND"));
}
