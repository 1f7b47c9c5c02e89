//! Schedules, timers and background jobs of a real server: its clock, its disk, its verbs.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Server, check_failure, fixture};

fn job(server: &Server, id: &str) -> Value {
    server.http().get(&format!("/v1/jobs/{id}")).json()
}

/// The job once it has this status.
#[track_caller]
fn once(server: &Server, id: &str, status: &str) -> Value {
    let begun = Instant::now();
    loop {
        let job = job(server, id);
        if job["status"] == status {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not {status}: {job}");
        // The pause of a bounded poll.
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn enqueue(server: &Server, function: &str, body: Value) -> String {
    let reply = server.http().post(&format!("/v1/functions/{function}/jobs"), body.to_string().as_bytes());
    assert_eq!(reply.status, 202, "{reply:?}");
    reply.json()["id"].as_str().expect("an id").to_owned()
}

#[test]
fn jobs_are_asked_for_seen_and_cancelled_by_verbs() {
    let server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    let id = server.orama(["function", "jobs", "enqueue", "echo", "--data", "[1]"]).ok().trim().to_owned();
    once(&server, &id, "completed");
    let shown = server.orama(["function", "jobs", "get", &id]).ok().to_owned();
    assert!(shown.contains("status:      completed\nprogress:    100\n") && shown.contains("result: [1]\n"), "{shown}");
    let later = server.orama(["function", "jobs", "enqueue", "echo", "--at", "1h"]).ok().trim().to_owned();
    let listed = server.orama(["function", "jobs", "list", "--status", "pending"]).ok().to_owned();
    assert!(listed.contains(&later) && !listed.contains(&id), "{listed}");
    assert_eq!(server.orama(["function", "jobs", "cancel", &later]).ok(), format!("cancelled {later}\n"));
    check_failure(
        &server,
        &["function", "jobs", "cancel", &later],
        1,
        expect![[r#"
        error: the job was cancelled before (CONFLICT)
    "#]],
    );
    check_failure(
        &server,
        &["function", "jobs", "get", "unknown"],
        1,
        expect![[r#"
        error: no such job (NOT_FOUND)
        hint: jobs that ended are forgotten after a while; see `orama function jobs list`
    "#]],
    );
    check_failure(
        &server,
        &["function", "jobs", "enqueue", "echo", "--at", "soon"],
        2,
        expect![[r#"
        error: `soon` is no duration such as `15m` and no time such as `2026-01-31T12:00:00Z`
    "#]],
    );
    check_failure(
        &server,
        &["function", "jobs", "enqueue", "nobody"],
        1,
        expect![[r#"
        error: function `nobody` not found (NOT_FOUND)
    "#]],
    );
}

#[test]
fn what_was_accepted_survives_a_kill() {
    let mut server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    server.deploy("sleeps", &fixture("sleeps"), []);
    let soon = (domain::Timestamp::now() + Duration::from_secs(2)).to_string();
    let timer = enqueue(&server, "echo", json!({ "payload": "late", "run_at": soon }));
    let done = enqueue(&server, "echo", json!({ "payload": "early" }));
    let before = once(&server, &done, "completed");
    let runs = enqueue(&server, "sleeps", json!({ "payload_base64": STANDARD.encode(1500u32.to_le_bytes()) }));
    once(&server, &runs, "running");
    // Its record is written moments behind the end.
    server.records("echo", 1);
    server.kill();
    server.restart();
    assert_eq!(job(&server, &done), before, "what has ended stays as it was");
    assert_eq!(once(&server, &timer, "completed")["result"], "\"late\"");
    once(&server, &runs, "completed");
    assert_eq!(server.records("echo", 2).len(), 2, "nothing that has ended ran again");
}

#[test]
fn a_job_that_runs_is_ended_when_it_is_cancelled() {
    let server = Server::start();
    server.deploy("loop", &fixture("infinite_loop"), [("timeout_seconds", "300")]);
    let id = enqueue(&server, "loop", json!({}));
    server.wait_for_running(1);
    let begun = Instant::now();
    let cancelled = server.http().send("DELETE", &format!("/v1/jobs/{id}"), &[], b"");
    assert_eq!((cancelled.status, cancelled.json()["status"].as_str()), (200, Some("cancelled")));
    let record = &server.records("loop", 1)[0];
    assert_eq!(record["error_message"], "the job was cancelled before the function finished", "{record}");
    assert!(begun.elapsed() < Duration::from_secs(60), "it would have run for five minutes");
}

#[test]
fn a_schedule_fires_by_the_clock_and_goes_on_after_a_kill() {
    let mut server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    let every_second = json!({ "cron_expression": "* * * * * *" }).to_string();
    let added = server.http().post("/v1/functions/echo/triggers", every_second.as_bytes());
    assert_eq!(added.status, 201, "{added:?}");
    at_least(&server, 2);
    server.kill();
    server.restart();
    let known = at_least(&server, 2).len();
    let records = at_least(&server, known + 2);
    assert!(records.iter().all(|record| record["trigger_type"] == "cron"), "{records:?}");
}

/// The records of `echo` once there are so many.
fn at_least(server: &Server, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let document = server.http().get("/v1/functions/echo/logs?limit=500").json();
        let records = document["invocations"].as_array().expect("a list");
        if records.len() >= count {
            return records.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{} of {count} records", records.len());
        // The pause of a bounded poll.
        std::thread::sleep(Duration::from_millis(20));
    }
}
