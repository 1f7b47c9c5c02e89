//! Jobs, each with the delivery that carries it out.

use bytes::Bytes;
use domain::{Timestamp, TriggerKind};

use super::deliveries::{delivery, waiting};
use super::functions::new_version;
use super::{at, create, name, namespace, refused};
use crate::RegistryError::{Conflict, NotFound};
use crate::{Asked, Cancelled, Delivery, DeliveryEnd, JobEnd, JobStatus, JobView, JobsQuery, Registry};

const HOME: &str = "jobs";

pub(super) fn job(id: &str, ns: &str, function: &str, second: i64) -> Delivery {
    Delivery { kind: TriggerKind::Job, ..delivery(id, ns, function, second) }
}

pub(super) async fn view(registry: &dyn Registry, id: &str) -> JobView {
    registry.job(&namespace(HOME), id).await.expect("job").expect("it is there")
}

pub(super) fn all_of(ns: &str) -> JobsQuery {
    JobsQuery { namespace: namespace(ns), function: None, status: None, after: None, limit: 1000 }
}

async fn listed(registry: &dyn Registry, query: JobsQuery) -> Vec<String> {
    registry.jobs(&query).await.expect("jobs").into_iter().map(|view| view.id).collect()
}

async fn begin(registry: &dyn Registry, second: i64) -> Vec<String> {
    let asked =
        ["hello", "other"].map(|function| Asked { namespace: namespace(HOME), function: name(function), limit: 100 });
    let begun = registry.begin_deliveries(asked.to_vec(), at(second)).await.expect("begin");
    begun.deliveries.into_iter().map(|delivery| delivery.id).collect()
}

async fn create_job(registry: &dyn Registry, id: &str, function: &str, second: i64) {
    registry.create_job(job(id, HOME, function, second), 100).await.expect("create a job");
}

async fn end(registry: &dyn Registry, id: &str, end: JobEnd) -> bool {
    registry.end_job(&namespace(HOME), id, end).await.expect("end a job")
}

async fn gone(registry: &dyn Registry, id: &str) {
    registry.write_deliveries(vec![], vec![(id.to_owned(), DeliveryEnd::Done)]).await.expect("end a delivery");
}

fn completed(result: &'static [u8], second: i64) -> JobEnd {
    JobEnd::Completed { result: Some(Bytes::from_static(result)), error: None, at: at(second) }
}

pub(super) async fn jobs(registry: &dyn Registry) {
    create(registry, HOME).await;
    for function in ["hello", "other"] {
        registry.publish_version(new_version(HOME, function, 1)).await.expect("publish");
    }
    written_with_its_delivery(registry).await;
    at_most_so_many(registry).await;
    its_life(registry).await;
    cancelled(registry).await;
    lists(registry).await;
    expired(registry).await;
    of_a_deleted_function(registry).await;
}

async fn written_with_its_delivery(registry: &dyn Registry) {
    let later = Delivery {
        kind: TriggerKind::Timer,
        function: domain::FunctionRef::parse("hello@3").expect("a reference"),
        created_at: at(1),
        ..job("later", HOME, "hello", 9)
    };
    registry.create_job(later, 100).await.expect("create a job");
    let want = JobView {
        id: "later".to_owned(),
        function: domain::FunctionRef::parse("hello@3").expect("a reference"),
        status: JobStatus::Pending,
        progress: 0,
        run_at: at(9),
        created_at: at(1),
        started_at: None,
        completed_at: None,
        result: None,
        error: None,
    };
    assert_eq!(view(registry, "later").await, want);
    assert_eq!(waiting(registry, HOME).await, ["later"]);
    assert_eq!(registry.job(&namespace("one"), "later").await.expect("job"), None, "it is another's");
    assert_eq!(registry.job(&namespace(HOME), "unknown").await.expect("job"), None);

    refused!(registry.create_job(job("later", HOME, "hello", 9), 100), Conflict(_));
    refused!(registry.create_job(job("x", HOME, "nobody", 9), 100), NotFound);
    refused!(registry.create_job(job("x", "nowhere", "hello", 9), 100), NotFound);
    assert_eq!(waiting(registry, HOME).await, ["later"], "what was refused left nothing");
}

async fn at_most_so_many(registry: &dyn Registry) {
    create_job(registry, "second", "other", 9).await;
    refused!(registry.create_job(job("third", HOME, "hello", 9), 2), Conflict(_));
    assert_eq!(registry.job(&namespace(HOME), "third").await.expect("job"), None);
    assert_eq!(waiting(registry, HOME).await, ["later", "second"], "the delivery goes with the job");
    for id in ["later", "second"] {
        let withdrawn = registry.cancel_job(&namespace(HOME), id, at(10)).await.expect("cancel");
        assert_eq!(withdrawn, Cancelled::Withdrawn { bytes: job(id, HOME, "hello", 9).bytes });
    }
    registry.create_job(job("third", HOME, "hello", 1), 1).await.expect("those that ended do not count");
}

async fn its_life(registry: &dyn Registry) {
    let home = namespace(HOME);
    assert_eq!(begin(registry, 1).await, ["third"]);
    assert!(registry.start_job(&home, "third", at(2)).await.expect("start"));
    let running = view(registry, "third").await;
    assert_eq!((running.status, running.started_at), (JobStatus::Running, Some(at(2))));
    assert_eq!(registry.release_jobs().await.expect("release"), 1, "as after a crash");
    assert_eq!(view(registry, "third").await.status, JobStatus::Pending);

    assert!(registry.start_job(&home, "third", at(3)).await.expect("start again"));
    assert!(end(registry, "third", JobEnd::Again { error: Some("no".to_owned()) }).await);
    let again = view(registry, "third").await;
    assert_eq!((again.status, again.error.as_deref()), (JobStatus::Pending, Some("no")));
    assert!(end(registry, "third", JobEnd::Again { error: None }).await);
    assert_eq!(view(registry, "third").await.error.as_deref(), Some("no"), "that of the last attempt that failed");

    assert!(end(registry, "third", completed(b"\0\xff", 4)).await);
    let done = view(registry, "third").await;
    assert_eq!((done.status, done.progress, done.completed_at), (JobStatus::Completed, 100, Some(at(4))));
    assert_eq!((done.result, done.error), (Some(Bytes::from_static(b"\0\xff")), None));
    assert!(!registry.start_job(&home, "third", at(5)).await.expect("start"), "it has ended");
    assert!(!end(registry, "third", completed(b"late", 5)).await);
    assert!(!registry.start_job(&namespace("one"), "third", at(5)).await.expect("start"));
    gone(registry, "third").await;

    create_job(registry, "fails", "hello", 1).await;
    begin(registry, 1).await;
    assert!(end(registry, "fails", JobEnd::Failed { error: "it cannot".to_owned(), progress: 40, at: at(6) }).await);
    let failed = view(registry, "fails").await;
    assert_eq!((failed.status, failed.progress, failed.completed_at), (JobStatus::Failed, 40, Some(at(6))));
    assert_eq!(failed.error.as_deref(), Some("it cannot"));
    gone(registry, "fails").await;
}

async fn cancelled(registry: &dyn Registry) {
    let home = namespace(HOME);
    create_job(registry, "runs", "hello", 1).await;
    refused!(registry.cancel_job(&namespace("one"), "runs", at(2)), NotFound);
    refused!(registry.cancel_job(&home, "unknown", at(2)), NotFound);
    begin(registry, 1).await;
    registry.start_job(&home, "runs", at(1)).await.expect("start");
    assert_eq!(registry.cancel_job(&home, "runs", at(2)).await.expect("cancel"), Cancelled::Begun);
    let twice = registry.cancel_job(&home, "runs", at(3)).await.expect("cancel");
    assert_eq!(twice, Cancelled::Ended(JobStatus::Cancelled));
    assert!(!end(registry, "runs", completed(b"late", 3)).await, "it was cancelled before");
    let view = view(registry, "runs").await;
    assert_eq!((view.status, view.completed_at, view.result), (JobStatus::Cancelled, Some(at(2)), None));
    gone(registry, "runs").await;
    let late = registry.cancel_job(&home, "third", at(9)).await.expect("cancel");
    assert_eq!(late, Cancelled::Ended(JobStatus::Completed));
}

async fn lists(registry: &dyn Registry) {
    create_job(registry, "new", "other", 20).await;
    let all = ["new", "third", "second", "runs", "later", "fails"];
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    let found = listed(registry, all_of(HOME)).await;
    assert_eq!(found[0], "new", "the last first");
    let mut want = all.map(str::to_owned).to_vec();
    want.sort();
    assert_eq!(sorted(found.clone()), want);
    let page = |after: &str| JobsQuery { after: Some(after.to_owned()), limit: 2, ..all_of(HOME) };
    assert_eq!(listed(registry, page(&found[0])).await, found[1..3]);
    assert_eq!(listed(registry, page(&found[5])).await, [""; 0]);
    assert_eq!(listed(registry, page("unknown")).await, [""; 0]);
    assert_eq!(listed(registry, JobsQuery { namespace: namespace("one"), ..page(&found[0]) }).await, [""; 0]);

    let of_function = JobsQuery { function: Some(name("other")), ..all_of(HOME) };
    assert_eq!(sorted(listed(registry, of_function.clone()).await), ["new", "second"]);
    let of_status = JobsQuery { status: Some(JobStatus::Cancelled), ..of_function };
    assert_eq!(listed(registry, of_status).await, ["second"]);
    let with_results = registry.jobs(&all_of(HOME)).await.expect("jobs");
    assert!(with_results.iter().all(|view| view.result.is_none()), "lists have no results");
}

async fn expired(registry: &dyn Registry) {
    let expire =
        async |before: Timestamp, count, bytes| registry.expire_jobs(before, count, bytes).await.expect("expire");
    assert_eq!(expire(at(3), 100, 100).await, 1, "the old one: it ended at 2");
    assert_eq!(registry.job(&namespace(HOME), "runs").await.expect("job"), None);
    assert_eq!(expire(at(3), 3, 100).await, 1, "one too many");
    assert_eq!(registry.job(&namespace(HOME), "third").await.expect("job"), None, "it ended first");
    create_job(registry, "large", "hello", 1).await;
    assert!(end(registry, "large", completed(b"12345", 30)).await);
    gone(registry, "large").await;
    assert_eq!(expire(at(3), 100, 5).await, 0);
    assert_eq!(expire(at(3), 100, 4).await, 4, "a result that is too large, and what ended before it");
    assert_eq!(listed(registry, all_of(HOME)).await, ["new"], "what has not ended stays");
}

async fn of_a_deleted_function(registry: &dyn Registry) {
    create_job(registry, "stays", "hello", 1).await;
    registry.delete_function(&namespace(HOME), &name("other"), at(40)).await.expect("delete");
    assert_eq!(listed(registry, all_of(HOME)).await, ["stays"]);
    assert_eq!(waiting(registry, HOME).await, ["stays"]);
}
