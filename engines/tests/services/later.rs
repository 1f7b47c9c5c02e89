//! Push, notifications and jobs: what reaches the house, what comes back, and what the author reads.

use std::time::Duration;

use bytes::Bytes;
use domain::{Error, ErrorCode, FunctionRef, Timestamp};
use expect_test::expect;
use ports::memory::HouseAnswers;
use ports::{DeviceResult, JobStatus, JobView, Notified, PushResult};

use crate::realtime::{ask_all, recording, refusing, unavailable};
use crate::support::ask;

fn pushed() -> PushResult {
    let device = |id: &str, success| DeviceResult {
        device_id: id.to_owned(),
        provider: "ntfy".to_owned(),
        success,
        http_status: Some(if success { 200 } else { 410 }),
        reason: None,
        message: None,
        unregistered: !success,
    };
    PushResult {
        ok: true,
        devices_attempted: 2,
        devices_succeeded: 1,
        results: vec![device("a", true), device("b", false)],
    }
}

const MESSAGE: &[u8] = br#"{"title":"Hello"}"#;

#[tokio::test]
async fn push_send() {
    let (bench, house) = recording(HouseAnswers { pushed: pushed(), ..HouseAnswers::default() });
    let larger = format!("{{\"body\":\"{}\"}}", "x".repeat(16 << 10));
    let cases: [&[&[u8]]; 4] = [&[b"ada", MESSAGE], &[b"", MESSAGE], &[b"\xff", MESSAGE], &[b"ada", larger.as_bytes()]];
    ask_all(
        &bench,
        &house,
        "push_send",
        &cases,
        expect![[r#"
        1 | push ada {\"title\":\"Hello\"}
        0 | log warn: `push_send`: the user is empty
        0 | log warn: `push_send`: the user is not valid UTF-8
        0 | log warn: `push_send`: the message is larger than 16384 bytes
    "#]],
    )
    .await;
    let failed = PushResult { ok: false, devices_attempted: 2, ..PushResult::default() };
    let (bench, house) = recording(HouseAnswers { pushed: failed, ..HouseAnswers::default() });
    ask_all(
        &bench,
        &house,
        "push_send",
        &[&[b"ada", MESSAGE]],
        expect![[r#"
        0 | push ada {\"title\":\"Hello\"} | log warn: `push_send`: none of 2 devices took the message
    "#]],
    )
    .await;
}

#[tokio::test]
async fn push_send_v2() {
    let (bench, house) = recording(HouseAnswers { pushed: pushed(), ..HouseAnswers::default() });
    ask_all(&bench, &house, "push_send_v2", &[&[b"ada", MESSAGE], &[b"", MESSAGE]], expect![[r#"
        `{"ok":true,"devices_attempted":2,"devices_succeeded":1,"results":[{"device_id":"a","provider":"ntfy","success":true,"http_status":200},{"device_id":"b","provider":"ntfy","success":false,"http_status":410,"unregistered":true}]}` | push ada {\"title\":\"Hello\"}
        `{"ok":false,"devices_attempted":0,"devices_succeeded":0,"results":[],"error":"the user is empty","code":"VALIDATION_FAILED"}`
    "#]]).await;
    let (bench, house) = recording(unavailable());
    ask_all(&bench, &house, "push_send_v2", &[&[b"ada", MESSAGE]], expect![[r#"
        `{"ok":false,"devices_attempted":0,"devices_succeeded":0,"results":[],"error":"not now","code":"SERVICE_UNAVAILABLE"}` | push ada {\"title\":\"Hello\"}
    "#]]).await;
}

#[tokio::test]
async fn notify() {
    let expires_at = Timestamp::UNIX_EPOCH + Duration::from_secs(86_400);
    let ways = [
        Notified::Socket { sockets: 2 },
        Notified::Push { push: pushed() },
        Notified::Inbox { id: "m-1".to_owned(), expires_at },
    ];
    let mut seen = String::new();
    for way in ways {
        let (bench, _house) = recording(HouseAnswers { notified: Some(way), ..HouseAnswers::default() });
        let reply = ask(&bench, "notify", &[b"ada", MESSAGE]).await.expect("success");
        seen += &format!("{}\n", String::from_utf8_lossy(&reply.body));
    }
    expect![[r#"
        {"via":"socket","sockets":2}
        {"via":"push","push":{"ok":true,"devices_attempted":2,"devices_succeeded":1,"results":[{"device_id":"a","provider":"ntfy","success":true,"http_status":200},{"device_id":"b","provider":"ntfy","success":false,"http_status":410,"unregistered":true}]}}
        {"via":"inbox","id":"m-1","expires_at":"1970-01-02T00:00:00Z"}
    "#]].assert_eq(&seen);
    let (bench, house) = recording(unavailable());
    ask_all(
        &bench,
        &house,
        "notify",
        &[&[b"ada", MESSAGE], &[b"", MESSAGE]],
        expect![[r#"
        `{"error":"not now","code":"SERVICE_UNAVAILABLE"}` | notify ada {\"title\":\"Hello\"}
        `{"error":"the user is empty","code":"VALIDATION_FAILED"}`
    "#]],
    )
    .await;
}

#[tokio::test]
async fn schedule_once() {
    let (bench, house) = recording(HouseAnswers::default());
    let at = |ms: i64| ms.to_le_bytes();
    let (soon, before, never) = (at(1_767_225_600_000), at(-1), at(i64::MAX));
    let larger = vec![b'x'; (1 << 20) + 1];
    let cases: [&[&[u8]]; 6] = [
        &[b"report", b"{\"day\":1}", &soon],
        &[b"report@3", b"", &before],
        &[b"report", b"", &never],
        &[b"", b"", &soon],
        &[b"no such name", b"", &soon],
        &[b"report", &larger, &soon],
    ];
    ask_all(
        &bench,
        &house,
        "schedule_once",
        &cases,
        expect![[r#"
        `job-1` | enqueue report b"{\"day\":1}" at 2026-01-01T00:00:00Z
        `job-1` | enqueue report@3 b"" at 1969-12-31T23:59:59.999Z
        `` | log warn: `schedule_once`: 9223372036854775807 ms since 1970 is no time that can be kept
        `` | log warn: `schedule_once`: the name is empty; use 1 to 63 letters, digits, `-` or `_`
        `` | log warn: `schedule_once`: the name contains ' '; use only letters, digits, `-` and `_`
        `` | log warn: `schedule_once`: the input is larger than 1048576 bytes
    "#]],
    )
    .await;
    let (bench, house) = recording(unavailable());
    ask_all(
        &bench,
        &house,
        "schedule_once",
        &[&[b"report", b"", &soon]],
        expect![[r#"
        `` | enqueue report b"" at 2026-01-01T00:00:00Z | log warn: `schedule_once`: not now
    "#]],
    )
    .await;
}

#[tokio::test]
async fn enqueue_background() {
    let (bench, house) = recording(HouseAnswers::default());
    let cases: [&[&[u8]]; 3] = [&[b"report", b"\0\xff"], &[b"report@2", b""], &[b"-", b""]];
    ask_all(
        &bench,
        &house,
        "enqueue_background",
        &cases,
        expect![[r#"
        `job-1` | enqueue report b"\0\xff" now
        `job-1` | enqueue report@2 b"" now
        `` | log warn: `enqueue_background`: the name starts with `-`; start with a letter, a digit or `_`
    "#]],
    )
    .await;
}

fn job(status: JobStatus) -> JobView {
    let at = |seconds: u64| Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
    JobView {
        id: "job-1".to_owned(),
        function: FunctionRef::parse("report@3").expect("a reference"),
        status,
        progress: 40,
        run_at: at(10),
        created_at: at(1),
        started_at: None,
        completed_at: None,
        result: None,
        error: None,
    }
}

#[tokio::test]
async fn job_status() {
    let at = |seconds: u64| Some(Timestamp::UNIX_EPOCH + Duration::from_secs(seconds));
    let completed = |result: &'static [u8]| JobView {
        started_at: at(11),
        completed_at: at(12),
        result: Some(Bytes::from_static(result)),
        ..job(JobStatus::Completed)
    };
    let failed = JobView { error: Some("it trapped".to_owned()), completed_at: at(12), ..job(JobStatus::Failed) };
    let mut seen = String::new();
    for job in [job(JobStatus::Pending), completed(b"{\"ok\":true}"), completed(b"\0\xff"), failed] {
        let (bench, _house) = recording(HouseAnswers { job: Some(job), ..HouseAnswers::default() });
        let reply = ask(&bench, "job_status", &[b"job-1"]).await.expect("success");
        seen += &format!("{}\n", String::from_utf8_lossy(&reply.body));
    }
    expect![[r#"
        {"id":"job-1","function":"report@3","status":"pending","progress":40,"run_at":"1970-01-01T00:00:10Z","created_at":"1970-01-01T00:00:01Z"}
        {"id":"job-1","function":"report@3","status":"completed","progress":40,"run_at":"1970-01-01T00:00:10Z","created_at":"1970-01-01T00:00:01Z","started_at":"1970-01-01T00:00:11Z","completed_at":"1970-01-01T00:00:12Z","result":"{\"ok\":true}"}
        {"id":"job-1","function":"report@3","status":"completed","progress":40,"run_at":"1970-01-01T00:00:10Z","created_at":"1970-01-01T00:00:01Z","started_at":"1970-01-01T00:00:11Z","completed_at":"1970-01-01T00:00:12Z","result_base64":"AP8="}
        {"id":"job-1","function":"report@3","status":"failed","progress":40,"run_at":"1970-01-01T00:00:10Z","created_at":"1970-01-01T00:00:01Z","completed_at":"1970-01-01T00:00:12Z","error":"it trapped"}
    "#]].assert_eq(&seen);
    let (bench, house) = recording(HouseAnswers::default());
    ask_all(
        &bench,
        &house,
        "job_status",
        &[&[b"other"], &[b""], &[b"\xff"]],
        expect![[r#"
        `{"error":"no such job","code":"NOT_FOUND"}` | get "other"
        `{"error":"no such job","code":"NOT_FOUND"}` | get ""
        `{"error":"the id of the job is not valid UTF-8","code":"VALIDATION_FAILED"}`
    "#]],
    )
    .await;
}

#[tokio::test]
async fn job_cancel() {
    let (bench, house) = recording(HouseAnswers::default());
    ask_all(
        &bench,
        &house,
        "job_cancel",
        &[&[b"job-1"], &[b"\xff"]],
        expect![[r#"
        1 | cancel "job-1"
        0 | log warn: `job_cancel`: the id of the job is not valid UTF-8
    "#]],
    )
    .await;
    let (bench, house) = recording(refusing(Error::new(ErrorCode::Conflict, "the job has ended")));
    ask_all(
        &bench,
        &house,
        "job_cancel",
        &[&[b"job-1"]],
        expect![[r#"
        0 | cancel "job-1" | log warn: `job_cancel`: the job has ended
    "#]],
    )
    .await;
}

#[tokio::test]
async fn job_progress() {
    let (mut bench, house) = recording(HouseAnswers::default());
    let percents = [0i64, 40, 100, 101, -1, 256, i64::from(i32::MIN)].map(i64::to_le_bytes);
    let cases: Vec<[&[u8]; 1]> = percents.iter().map(|percent| [&percent[..]]).collect();
    let cases: Vec<&[&[u8]]> = cases.iter().map(|case| &case[..]).collect();
    ask_all(
        &bench,
        &house,
        "job_progress",
        &cases,
        expect![[r#"
        1 | report 0 of job-1
        1 | report 40 of job-1
        1 | report 100 of job-1
        0 | log warn: `job_progress`: 101 is no percentage; use 0 to 100
        0 | log warn: `job_progress`: -1 is no percentage; use 0 to 100
        0 | log warn: `job_progress`: 256 is no percentage; use 0 to 100
        0 | log warn: `job_progress`: -2147483648 is no percentage; use 0 to 100
    "#]],
    )
    .await;
    bench.job = None;
    ask_all(
        &bench,
        &house,
        "job_progress",
        &cases[..1],
        expect![[r#"
        0 | log warn: `job_progress`: the call carries out no job
    "#]],
    )
    .await;
}
