//! Triggers of functions over HTTP.

use expect_test::{Expect, expect};
use http::{Method, StatusCode};
use ports::memory::Script;
use serde_json::{Value, json};

use crate::support::{House, Seen};

const TRIGGERS: &str = "/v1/functions/hello/triggers";

#[track_caller]
fn check(seen: &Seen, want: &Expect) {
    want.assert_eq(&seen.snapshot());
}

async fn with_function() -> House {
    let house = House::open().await;
    house.deploy("hello", &Script::Echo.code(), &[]).await;
    house
}

async fn add(house: &House, body: Value) -> Seen {
    house.admin(Method::POST, TRIGGERS, body.to_string()).await
}

#[tokio::test]
async fn a_trigger_is_added_in_the_way_of_existing_clients() {
    let house = with_function().await;
    check(
        &add(&house, json!({ "topic": "calls:invite", "cron_expression": "" })).await,
        &expect![[r#"
            201
            {
              "function": "hello",
              "topic": "calls:invite",
              "trigger_id": "<id>"
            }
        "#]],
    );
    let cron = add(&house, json!({ "topic": "", "cron_expression": "0 3 * * *" })).await.json();
    assert_eq!((&cron["function"], &cron["cron_expression"]), (&json!("hello"), &json!("0 3 * * *")));
    for body in [json!({}), json!({ "topic": "" }), json!({ "topic": "a", "cron_expression": "0 3 * * *" })] {
        let seen = add(&house, body).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST);
        assert_eq!(seen.code(), "VALIDATION_FAILED");
    }
    let unknown = house.admin(Method::POST, "/v1/functions/nobody/triggers", r#"{"topic":"a"}"#).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn triggers_are_listed_with_their_kinds() {
    let house = with_function().await;
    check(
        &house.admin(Method::GET, TRIGGERS, "").await,
        &expect![[r#"
            200
            {
              "count": 0,
              "triggers": []
            }
        "#]],
    );
    add(&house, json!({ "topic": "a:*", "aggregation_window_ms": 500, "aggregation_max_batch_size": 10 })).await;
    add(&house, json!({ "table": "orders", "on": ["DELETE", "insert"] })).await;
    add(&house, json!({ "once": "2030-01-01T03:00:00+01:00" })).await;
    check(
        &house.admin(Method::GET, TRIGGERS, "").await,
        &expect![[r#"
            200
            {
              "count": 3,
              "triggers": [
                {
                  "aggregation_max_batch_size": 10,
                  "aggregation_window_ms": 500,
                  "created_at": "2026-01-01T00:00:00Z",
                  "enabled": true,
                  "from_manifest": false,
                  "function": "hello",
                  "id": "<id>",
                  "kind": "pubsub",
                  "topic": "a:*"
                },
                {
                  "created_at": "2026-01-01T00:00:00Z",
                  "enabled": true,
                  "from_manifest": false,
                  "function": "hello",
                  "id": "<id>",
                  "kind": "database",
                  "on": [
                    "insert",
                    "delete"
                  ],
                  "table": "orders"
                },
                {
                  "created_at": "2026-01-01T00:00:00Z",
                  "enabled": true,
                  "from_manifest": false,
                  "function": "hello",
                  "id": "<id>",
                  "kind": "timer",
                  "last_run_at": null,
                  "next_run_at": "2030-01-01T02:00:00Z",
                  "once": "2030-01-01T02:00:00Z"
                }
              ]
            }
        "#]],
    );
    let everywhere = house.admin(Method::GET, "/v1/triggers", "").await.json();
    assert_eq!(everywhere["count"], 3);
}

#[tokio::test]
async fn a_cron_trigger_says_when_it_runs() {
    let house = with_function().await;
    let options =
        json!({ "cron_expression": "0 3 * * *", "tz": "Europe/Paris", "overlap": "queue", "catch_up": "all" });
    add(&house, options).await;
    let listed = house.admin(Method::GET, TRIGGERS, "").await.json();
    let trigger = &listed["triggers"][0];
    assert_eq!((&trigger["kind"], &trigger["cron_expression"]), (&json!("cron"), &json!("0 3 * * *")));
    assert_eq!(
        (&trigger["tz"], &trigger["overlap"], &trigger["catch_up"]),
        (&json!("Europe/Paris"), &json!("queue"), &json!("all"))
    );
    assert!(trigger.get("last_run_at").is_some() && trigger.get("next_run_at").is_some());
}

#[tokio::test]
async fn triggers_are_paused_resumed_and_deleted() {
    let house = with_function().await;
    let id = add(&house, json!({ "topic": "a" })).await.text("trigger_id");
    let paused = house.admin(Method::POST, &format!("{TRIGGERS}/{id}/pause"), "").await;
    assert_eq!((paused.status, &paused.json()["enabled"]), (StatusCode::OK, &json!(false)));
    let resumed = house.admin(Method::POST, &format!("{TRIGGERS}/{id}/resume"), "").await;
    assert_eq!(resumed.json()["enabled"], true);
    check(
        &house.admin(Method::DELETE, &format!("{TRIGGERS}/{id}"), "").await,
        &expect![[r#"
            200
            {
              "message": "Trigger removed"
            }
        "#]],
    );
    let gone = house.admin(Method::DELETE, &format!("{TRIGGERS}/{id}"), "").await;
    assert_eq!((gone.status, gone.json()["message"].clone()), (StatusCode::NOT_FOUND, json!("Trigger not found")));
}

#[tokio::test]
async fn what_a_deploy_asks_for_takes_effect() {
    let house = House::open().await;
    let fields = [
        ("pubsub_topics", r#"["a","b","a"]"#),
        ("cron_expressions", r#"["0 3 * * *"]"#),
        ("db_triggers", r#"[{"table":"users","operation":"INSERT"}]"#),
    ];
    house.deploy("hello", &Script::Echo.code(), &fields).await;
    let listed = house.admin(Method::GET, TRIGGERS, "").await.json();
    let kinds: Vec<&str> =
        listed["triggers"].as_array().into_iter().flatten().filter_map(|trigger| trigger["kind"].as_str()).collect();
    assert_eq!(kinds.len(), 4, "{listed}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "pubsub").count(), 2);
    assert!(kinds.contains(&"cron") && kinds.contains(&"database"));
    assert_eq!(house.databases.watches(&crate::support::home()).len(), 1);

    house.deploy("hello", &Script::Echo.code(), &[]).await;
    assert_eq!(house.admin(Method::GET, TRIGGERS, "").await.json()["count"], 0, "the next deploy replaces them");
    let refused = house.deploy("hello", &Script::Echo.code(), &[("pubsub_topics", r#"["a["]"#)]).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::BAD_REQUEST, "VALIDATION_FAILED".to_owned()));
}

#[tokio::test]
async fn calls_that_were_given_up_are_shown_driven_again_and_forgotten() {
    let house = House::open().await;
    house.deploy("hello", &Script::Fail.code(), &[("pubsub_topics", r#"["calls"]"#)]).await;
    house.post("/v1/pubsub/publish", json!({ "topic": "calls", "data_base64": "eyJuIjoxfQ==" })).await;
    let dlq = format!("{TRIGGERS}/dlq");
    let dead = loop {
        // poll: the call is made behind the publish
        let seen = house.admin(Method::GET, &dlq, "").await;
        if seen.json()["count"] == 1 {
            break seen.json();
        }
        tokio::task::yield_now().await;
    };
    let letter = &dead["deliveries"][0];
    assert_eq!(letter["error"], "FUNCTION_EXECUTION_FAILED: the code says `fail`");
    assert_eq!(
        (&letter["kind"], &letter["attempts"], &letter["trigger_depth"]),
        (&json!("pubsub"), &json!(1), &json!(1))
    );
    assert!(letter["input"].as_str().is_some_and(|input| input.starts_with(r#"{"topic":"calls","data":{"n":1}"#)));
    let id = letter["id"].as_str().expect("an id");

    let other = house.admin(Method::POST, &format!("{dlq}/redrive"), r#"{"ids":["other"]}"#).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    let forgotten = house.admin(Method::DELETE, &format!("{dlq}/{id}"), "").await;
    assert_eq!(forgotten.json(), json!({ "deleted": 1 }));
    let again = house.admin(Method::DELETE, &format!("{dlq}/{id}"), "").await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    assert_eq!(house.admin(Method::DELETE, &dlq, "").await.json(), json!({ "deleted": 0 }));
    assert_eq!(house.admin(Method::POST, &format!("{dlq}/redrive"), "").await.json(), json!({ "redriven": 0 }));
}

#[tokio::test]
async fn schedules_are_run_by_hand() {
    let house = with_function().await;
    let id = add(&house, json!({ "once": "2030-01-01T00:00:00Z" })).await.text("trigger_id");
    let run = format!("{TRIGGERS}/run");
    let fired = house.admin(Method::POST, &run, r#"{"at":"2030-01-01T00:00:00Z"}"#).await.json();
    assert_eq!((&fired["count"], &fired["fired"][0]["trigger_id"]), (&json!(1), &json!(id)));
    let early = house.admin(Method::POST, &run, r#"{"at":"2029-01-01T00:00:00Z"}"#).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn bad_input_is_refused_by_the_name_of_its_field() {
    let house = with_function().await;
    let refused = async |body: Value| {
        let seen = add(&house, body).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST);
        seen.text("message")
    };
    let mut told = String::new();
    for body in [
        json!({}),
        json!([]),
        json!({ "topic": 7 }),
        json!({ "topic": "a", "tz": "UTC" }),
        json!({ "topic": "a", "aggregation_window_ms": -1 }),
        json!({ "topic": "a", "aggregation_window_ms": 60_001 }),
        json!({ "topic": "a", "aggregation_max_batch_size": 5_000_000_000_u64 }),
        json!({ "topic": "a[" }),
        json!({ "topic": "a", "trigger_depth": 0 }),
        json!({ "cron_expression": "0 3 * * *", "overlap": "never" }),
        json!({ "once": "tomorrow" }),
        json!({ "table": "t", "on": "insert" }),
        json!({ "table": "t", "on": ["drop"] }),
    ] {
        told += &format!("{body} -> {}\n", refused(body.clone()).await);
    }
    expect![[r#"
        {} -> send exactly one of `topic`, `cron_expression`, `once`, `table`
        [] -> the body must be a JSON object
        {"topic":7} -> `topic` must be a text
        {"topic":"a","tz":"UTC"} -> `tz` has no meaning for a trigger with `topic`
        {"aggregation_window_ms":-1,"topic":"a"} -> `aggregation_window_ms` must be a whole number from 0
        {"aggregation_window_ms":60001,"topic":"a"} -> `aggregation_window_ms` must be 0 to 60000
        {"aggregation_max_batch_size":5000000000,"topic":"a"} -> `aggregation_max_batch_size` is too large
        {"topic":"a["} -> `topic` is refused: character 2 of the pattern opens a `[` that no `]` closes; write `[[]` for the character itself
        {"topic":"a","trigger_depth":0} -> unknown field `trigger_depth`; known are `topic`, `cron_expression`, `cron`, `once`, `table`, `aggregation_window_ms`, `aggregation_max_batch_size`, `tz`, `overlap`, `catch_up`, `day_rule`, `on`
        {"cron_expression":"0 3 * * *","overlap":"never"} -> `overlap` must be one of `skip`, `queue`, `allow`
        {"once":"tomorrow"} -> `once` must be a moment before the year 9999, such as `2026-03-01T03:00:00Z`
        {"on":"insert","table":"t"} -> `on` must be a list of texts
        {"on":["drop"],"table":"t"} -> `on` names "drop"; use any of `insert`, `update`, `delete`
    "#]]
    .assert_eq(&told);
}
