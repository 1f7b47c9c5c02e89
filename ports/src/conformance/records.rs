use std::time::Duration;

use domain::{
    Attempt, ErrorCode, FunctionName, Level, LogLine, Namespace, Record, RecordQuery, RequestId, Status, Timestamp,
    TriggerKind, VersionNumber,
};

use crate::{Gap, Records, Retention};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).expect("a date within range")
}

fn record(id: &str, namespace: &str, second: i64) -> Record {
    Record {
        request_id: RequestId::new(id),
        client_request_id: None,
        trace_id: None,
        namespace: Namespace::parse(namespace).expect("a valid namespace"),
        function: FunctionName::parse("hello").expect("a valid name"),
        version: VersionNumber::new(3).expect("from 1"),
        trigger: TriggerKind::Http,
        caller_wallet: None,
        input_bytes: 5,
        output_bytes: 7,
        started_at: at(second),
        duration_us: 1234,
        cpu_us: 99,
        memory_peak_bytes: 65_536,
        status: Status::Success,
        error_code: None,
        error_message: None,
        attempts: Vec::new(),
        logs: Vec::new(),
    }
}

fn failed(id: &str, namespace: &str, second: i64) -> Record {
    let attempt = Attempt { started_at: at(second), duration_ms: 1, status: Status::Error, error: Some("boom".into()) };
    Record {
        client_request_id: Some("mine".into()),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
        caller_wallet: Some("default".into()),
        status: Status::Error,
        error_code: Some(ErrorCode::FunctionExecutionFailed),
        error_message: Some("exit code 3".into()),
        attempts: vec![attempt.clone(), attempt],
        logs: vec![
            LogLine { level: Level::Info, message: "first\u{1b}[31m".into(), at: at(second) },
            LogLine { level: Level::Warn, message: "second\n\0".into(), at: at(second) },
        ],
        ..record(id, namespace, second)
    }
}

fn all(namespace: &str) -> RecordQuery {
    RecordQuery {
        namespace: Namespace::parse(namespace).expect("a valid namespace"),
        function: None,
        request_id: None,
        since: None,
        after: None,
        level: None,
        limit: 100,
    }
}

async fn ids(records: &dyn Records, query: RecordQuery) -> Vec<String> {
    let found = records.query(&query).await.expect("query");
    found.into_iter().map(|stored| stored.record.request_id.to_string()).collect()
}

/// Panics when `records`, which must be empty, does not behave as the log of calls.
pub async fn records(records: &dyn Records) {
    let other = Record { function: FunctionName::parse("other").expect("valid"), ..record("d", "one", 3) };
    let batch = [record("a", "one", 0), failed("b", "one", 1), record("c", "two", 2), other];
    records.append(&batch).await.expect("append");
    records.append(&[]).await.expect("an empty batch is fine");

    // What went in comes out, the newest first, and never another namespace's.
    let found = records.query(&all("one")).await.expect("query");
    let seen: Vec<&Record> = found.iter().map(|stored| &stored.record).collect();
    assert_eq!(seen, [&batch[3], &batch[1], &batch[0]]);
    assert_eq!(ids(records, all("three")).await, [""; 0]);

    let hello = FunctionName::parse("hello").expect("valid");
    assert_eq!(ids(records, RecordQuery { function: Some(hello), ..all("one") }).await, ["b", "a"]);
    assert_eq!(ids(records, RecordQuery { request_id: Some(RequestId::new("a")), ..all("one") }).await, ["a"]);
    assert_eq!(ids(records, RecordQuery { request_id: Some(RequestId::new("c")), ..all("one") }).await, [""; 0]);
    assert_eq!(ids(records, RecordQuery { since: Some(at(1)), ..all("one") }).await, ["d", "b"]);
    assert_eq!(ids(records, RecordQuery { level: Some(Level::Warn), ..all("one") }).await, ["b"]);
    assert_eq!(ids(records, RecordQuery { level: Some(Level::Error), ..all("one") }).await, ["b"]);
    assert_eq!(ids(records, RecordQuery { limit: 2, ..all("one") }).await, ["d", "b"]);

    // Following reads forward from a position.
    let oldest = found.last().expect("three records").position;
    assert_eq!(ids(records, RecordQuery { after: Some(oldest), ..all("one") }).await, ["b", "d"]);
    assert_eq!(ids(records, RecordQuery { after: Some(oldest), limit: 1, ..all("one") }).await, ["b"]);

    let gap = Gap { namespace: all("one").namespace, from: at(4), until: at(9), calls: 12 };
    records.append_gap(&gap).await.expect("append a gap");
    assert_eq!(records.gaps(&gap.namespace, None).await.expect("gaps"), std::slice::from_ref(&gap));
    assert_eq!(records.gaps(&gap.namespace, Some(at(10))).await.expect("gaps"), []);
    assert_eq!(records.gaps(&all("two").namespace, None).await.expect("gaps"), []);

    // Retention by age, then by size: the oldest go first, each namespace for itself.
    let keep = Retention { age_max: Duration::from_secs(2), bytes_max: u64::MAX };
    assert_eq!(records.prune(&keep, at(3)).await.expect("prune"), 1);
    assert_eq!(ids(records, all("one")).await, ["d", "b"]);
    let keep = Retention { age_max: Duration::from_secs(3600), bytes_max: batch[3].text_bytes() };
    assert_eq!(records.prune(&keep, at(3)).await.expect("prune"), 1);
    assert_eq!(ids(records, all("one")).await, ["d"]);
    assert_eq!(ids(records, all("two")).await, ["c"]);

    // A namespace that ends takes its records and gaps along, and nobody else's.
    let others = Gap { namespace: all("two").namespace, ..gap.clone() };
    records.append_gap(&others).await.expect("append a gap");
    records.remove(&gap.namespace).await.expect("remove");
    assert_eq!(ids(records, all("one")).await, [""; 0]);
    assert_eq!(records.gaps(&gap.namespace, None).await.expect("gaps"), []);
    assert_eq!(ids(records, all("two")).await, ["c"]);
    assert_eq!(records.gaps(&others.namespace, None).await.expect("gaps"), [others]);
    records.remove(&gap.namespace).await.expect("there is nothing left to remove");
    records.append(&batch[..1]).await.expect("append");
    assert_eq!(ids(records, all("one")).await, ["a"], "a new bearer of the name starts with its own");
}
