//! The log of calls on a real file.

mod common;

use std::path::Path;
use std::time::Duration;

use backends::records;
use common::{all, at, line, name, record, scratch};
use domain::{Level, Record, RecordQuery, RequestId, Status};
use ports::{Records, Retention, conformance, memory::MemoryRecords};

const KEEP_NOTHING: Retention = Retention { age_max: Duration::MAX, bytes_max: 0 };

async fn open(folder: &Path) -> records::SqliteRecords {
    records::open(&folder.join("logs.db")).await.expect("open")
}

#[tokio::test]
async fn behaves_as_a_log() {
    let folder = scratch();
    conformance::records(&open(folder.path()).await).await;
}

#[tokio::test]
async fn records_are_there_after_opening_again() {
    let folder = scratch();
    let batch = [record("a", "one", 1), record("b", "one", 2)];
    open(folder.path()).await.append(&batch).await.expect("append");
    assert_eq!(open(folder.path()).await.query(&all("one")).await.expect("query").len(), 2);
}

#[tokio::test]
async fn a_position_is_never_used_again() {
    let folder = scratch();
    let records = open(folder.path()).await;
    records.append(&[record("a", "one", 1)]).await.expect("append");
    let position = records.query(&all("one")).await.expect("query")[0].position;
    assert_eq!(records.prune(&KEEP_NOTHING, at(2)).await.expect("prune"), 1);
    drop(records);

    let records = open(folder.path()).await;
    records.append(&[record("b", "one", 3)]).await.expect("append");
    let followed = records.query(&RecordQuery { after: Some(position), ..all("one") }).await.expect("query");
    assert_eq!(followed.len(), 1, "whoever follows sees what was written since");
}

/// Every kind of record and query, against the version in memory.
#[tokio::test]
async fn answers_every_query_as_the_log_in_memory_does() {
    let folder = scratch();
    let (file, memory) = (open(folder.path()).await, MemoryRecords::default());
    let batch: Vec<Record> = (0..200).map(various).collect();
    for part in batch.chunks(30) {
        file.append(part).await.expect("append");
        memory.append(part).await.expect("append");
    }
    compare(&file, &memory).await;

    let keep = Retention { age_max: Duration::from_secs(120), bytes_max: 20_000 };
    let pruned = memory.prune(&keep, at(190)).await.expect("prune");
    assert!(pruned > 0);
    assert_eq!(file.prune(&keep, at(190)).await.expect("prune"), pruned);
    compare(&file, &memory).await;
}

fn various(number: i64) -> Record {
    let namespace = if number % 3 == 0 { "two" } else { "one" };
    let level = Level::ALL[number as usize % 4];
    Record {
        function: name(if number % 5 == 0 { "other" } else { "hello" }),
        status: if number % 7 == 0 { Status::Timeout } else { Status::Success },
        error_message: (number % 7 == 0).then(|| "x".repeat(number as usize)),
        logs: if number % 2 == 0 { vec![line(level, format!("line {number}"))] } else { Vec::new() },
        ..record(&format!("r{}", number % 150), namespace, (number * 37) % 200)
    }
}

async fn compare(file: &dyn Records, memory: &dyn Records) {
    let mut queries = vec![all("one"), all("two"), all("three")];
    for base in queries.clone() {
        let function = RecordQuery { function: Some(name("hello")), ..base.clone() };
        queries.extend([
            RecordQuery { limit: 7, ..function.clone() },
            RecordQuery { since: Some(at(100)), ..function.clone() },
            RecordQuery { since: Some(at(100)), after: Some(50), limit: 9, ..base.clone() },
            RecordQuery { request_id: Some(RequestId::new("r4")), ..function.clone() },
            RecordQuery { request_id: Some(RequestId::new("r4")), since: Some(at(150)), ..base.clone() },
            RecordQuery { after: Some(120), limit: 5, ..function },
            RecordQuery { limit: 0, ..base.clone() },
        ]);
        queries.extend(Level::ALL.map(|level| RecordQuery { level: Some(level), ..base.clone() }));
    }
    for query in queries {
        let (found, wanted) = (file.query(&query).await, memory.query(&query).await);
        assert_eq!(found.expect("query the file"), wanted.expect("query the memory"), "{query:?}");
    }
}

#[tokio::test]
async fn pruning_takes_many_slices_and_gives_the_space_back() {
    let folder = scratch();
    let records = open(folder.path()).await;
    let long = "y".repeat(2000);
    for batch in 0..10 {
        let one =
            |id: i64| Record { logs: vec![line(Level::Info, long.clone())], ..record(&format!("{id}"), "one", id) };
        records.append(&(batch * 500..(batch + 1) * 500).map(one).collect::<Vec<_>>()).await.expect("append");
    }
    drop(records);
    let before = std::fs::metadata(folder.path().join("logs.db")).expect("metadata").len();

    let records = open(folder.path()).await;
    let keep = Retention { age_max: Duration::from_secs(99), bytes_max: u64::MAX };
    assert_eq!(records.prune(&keep, at(4999)).await.expect("prune"), 4900);
    assert_eq!(records.query(&all("one")).await.expect("query").len(), 100);
    drop(records);
    let after = std::fs::metadata(folder.path().join("logs.db")).expect("metadata").len();
    assert!(after < before / 3, "{before} bytes became {after}");
}

/// A reader that stands in the middle of a query does not stop the writer.
#[tokio::test]
async fn writing_goes_on_while_somebody_reads() {
    let folder = scratch();
    let records = open(folder.path()).await;
    records.append(&[record("a", "one", 1), record("b", "one", 2)]).await.expect("append");
    let reader = rusqlite::Connection::open(folder.path().join("logs.db")).expect("open a reader");
    let mut statement = reader.prepare("SELECT request_id FROM records").expect("prepare");
    let mut rows = statement.query([]).expect("query");
    rows.next().expect("step").expect("a first row");

    records.append(&[record("c", "one", 3)]).await.expect("append beside the reader");
    assert_eq!(records.prune(&KEEP_NOTHING, at(4)).await.expect("prune beside the reader"), 3);
    rows.next().expect("step").expect("the reader still sees the second row");
    assert!(rows.next().expect("step").is_none(), "and not what was written since");
}

#[tokio::test]
async fn behaves_as_a_store_of_receipts() {
    let folder = scratch();
    conformance::receipts(&open(folder.path()).await).await;
    conformance::receipts(&MemoryRecords::default()).await;
}
