//! Timers and background jobs: what becomes of them, who may ask for them, and what is refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Caller, ErrorCode, FunctionName, FunctionRef, Manifest, RequestId, Scope, TriggerKind};
use expect_test::expect;
use platform::{Config, Deploy, JOBS_WAITING_MAX, LogsQuery, NewJob};
use ports::memory::Script;
use ports::{CallContext, Clock, JOB_INPUT_BYTES_MAX, JobStatus, JobView, JobsQuery, Services};

use crate::node::{Node, abroad, admin, home, key_of, node, refusal};

fn invoker() -> Caller {
    key_of(&home(), Scope::Invoke)
}

fn job(input: impl Into<Bytes>) -> NewJob {
    let function = FunctionRef::parse("f").expect("a reference");
    NewJob { namespace: home(), function, input: input.into(), run_at: None }
}

fn all() -> JobsQuery {
    JobsQuery { namespace: home(), function: None, status: None, after: None, limit: 100 }
}

async fn deploy(node: &Node, manifest: &str, script: Script) {
    let manifest = Manifest::parse(manifest).expect("a valid manifest");
    let deploy = Deploy { namespace: home(), manifest, code: script.code(), if_changed: false, dry_run: false };
    node.platform.deploy(&admin(), deploy).await.expect("deployed");
}

/// A node with the function `f`.
async fn node_with(script: Script) -> Node {
    let node = node().await;
    deploy(&node, "name: f", script).await;
    node
}

async fn enqueue(node: &Node, new: NewJob) -> JobView {
    node.platform.enqueue_job(&invoker(), new).await.expect("accepted")
}

async fn view(node: &Node, id: &str) -> JobView {
    node.platform.job(&invoker(), &home(), id).await.expect("it is there")
}

/// The job once it has this status.
async fn once(node: &Node, id: &str, status: JobStatus) -> JobView {
    let begun = Instant::now();
    loop {
        let view = view(node, id).await;
        if view.status == status {
            return view;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it is {view:?}, and not {status:?}");
        // The pause of a bounded poll.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A call of `f` that stands so deep.
fn call(trigger_depth: u8, job: Option<&str>) -> CallContext {
    CallContext {
        request_id: RequestId::new("r"),
        caller: Arc::new(Caller::anonymous()),
        trigger: TriggerKind::Job,
        depth: 0,
        trigger_depth,
        socket: None,
        job: job.map(Arc::from),
        deadline: Instant::now() + Duration::from_secs(60),
    }
}

async fn runs_of(node: &Node, function: &str) -> Vec<(TriggerKind, Option<String>)> {
    let query = LogsQuery {
        namespace: home(),
        function: FunctionName::parse(function).expect("a valid name"),
        request_id: None,
        since: None,
        after: None,
        level: None,
        limit: 100,
    };
    let logs = node.platform.logs(&admin(), query).await.expect("logs");
    logs.records.into_iter().map(|kept| (kept.record.trigger, kept.record.error_message)).collect()
}

#[tokio::test]
async fn a_job_is_carried_out_and_its_result_is_kept() {
    let node = node_with(Script::Echo).await;
    let accepted = enqueue(&node, job("hello")).await;
    assert_eq!((accepted.status, accepted.progress, accepted.result), (JobStatus::Pending, 0, None));
    let done = once(&node, &accepted.id, JobStatus::Completed).await;
    assert_eq!((done.result, done.progress, done.error), (Some(Bytes::from_static(b"hello")), 100, None));
    assert!(done.started_at.is_some() && done.completed_at.is_some());
    assert_eq!(runs_of(&node, "f").await, [(TriggerKind::Job, None)]);
    let listed = node.platform.jobs(&admin(), &all()).await.expect("listed");
    assert_eq!((listed.len(), listed[0].id == accepted.id, &listed[0].result), (1, true, &None));
    assert_eq!(node.platform.metrics().jobs.completed, 1);
}

#[tokio::test]
async fn a_timer_runs_when_its_time_has_come() {
    let node = node_with(Script::Echo).await;
    let run_at = node.clock.now() + Duration::from_secs(60);
    let timer = enqueue(&node, NewJob { run_at: Some(run_at), ..job("") }).await;
    let past = enqueue(&node, NewJob { run_at: Some(run_at - Duration::from_secs(3600)), ..job("") }).await;
    once(&node, &past.id, JobStatus::Completed).await;
    assert_eq!(past.run_at, node.clock.now(), "a time that has passed means now");
    assert_eq!((view(&node, &timer.id).await.status, timer.run_at), (JobStatus::Pending, run_at));
    node.clock.advance(Duration::from_secs(60));
    // Its lane is looked at again when something is written for it.
    enqueue(&node, job("")).await;
    once(&node, &timer.id, JobStatus::Completed).await;
    assert_eq!(runs_of(&node, "f").await.iter().filter(|(kind, _)| *kind == TriggerKind::Timer).count(), 2);
}

#[tokio::test]
async fn a_job_that_fails_is_tried_as_often_as_the_manifest_says() {
    let node = node_with(Script::Echo).await;
    deploy(&node, "name: fails\nretry:\n  count: 2\n  delay: 0", Script::Fail).await;
    let function = FunctionRef::parse("fails").expect("a reference");
    let failing = enqueue(&node, NewJob { function, ..job("") }).await;
    let failed = once(&node, &failing.id, JobStatus::Failed).await;
    assert_eq!(failed.error.as_deref(), Some("FUNCTION_EXECUTION_FAILED: the code says `fail`"));
    assert_eq!(runs_of(&node, "fails").await.len(), 3);
    assert_eq!(node.platform.metrics().jobs.failed, 1);
}

#[tokio::test]
async fn a_job_of_a_function_that_is_disabled_by_then_fails_and_says_so() {
    let node = node_with(Script::Echo).await;
    let name = FunctionName::parse("f").expect("a valid name");
    node.platform.set_enabled(&admin(), &home(), &name, false).await.expect("disabled");
    let accepted = enqueue(&node, job("")).await;
    let failed = once(&node, &accepted.id, JobStatus::Failed).await;
    assert_eq!(failed.error.as_deref(), Some("FUNCTION_UNAVAILABLE: function `f` is disabled"));
}

#[tokio::test]
async fn a_job_that_waits_is_withdrawn_and_one_that_runs_is_ended() {
    let node = node_with(Script::Block).await;
    let later = node.clock.now() + Duration::from_secs(60);
    let waits = enqueue(&node, NewJob { run_at: Some(later), ..job("") }).await;
    let runs = enqueue(&node, job("")).await;
    once(&node, &runs.id, JobStatus::Running).await;
    while node.engine.inner.running() == 0 {
        tokio::task::yield_now().await;
    }
    for id in [&waits.id, &runs.id] {
        let cancelled = node.platform.cancel_job(&admin(), &home(), id).await.expect("cancelled");
        assert_eq!(cancelled.status, JobStatus::Cancelled);
        let twice = node.platform.cancel_job(&admin(), &home(), id).await;
        assert_eq!(refusal(twice), "CONFLICT: the job was cancelled before");
    }
    while node.engine.inner.running() > 0 {
        tokio::task::yield_now().await;
    }
    let ended = "the job was cancelled before the function finished".to_owned();
    let begun = Instant::now();
    while runs_of(&node, "f").await != [(TriggerKind::Job, Some(ended.clone()))] {
        assert!(begun.elapsed() < Duration::from_secs(30), "its record says why it ended");
        tokio::task::yield_now().await;
    }
    while node.platform.metrics().deliveries.waiting > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is owed any more");
        tokio::task::yield_now().await;
    }
    assert_eq!(view(&node, &runs.id).await.status, JobStatus::Cancelled, "and stays so");
    assert_eq!(node.platform.metrics().jobs.cancelled, 2);
    let unknown = node.platform.cancel_job(&admin(), &home(), "unknown").await;
    assert_eq!(unknown.expect_err("refused").code, ErrorCode::NotFound);
}

/// One life of a node: everything that runs there ends with it, wherever it stands.
fn life<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work)
}

#[test]
fn a_job_that_has_ended_is_not_carried_out_again_after_a_crash() {
    let (mut node, accepted) = life(async {
        let node = node_with(Script::Echo).await;
        // The end of the job is written, that of its delivery is not: the node dies in between.
        node.faults.fail("write_deliveries", usize::MAX);
        let accepted = enqueue(&node, job("hello")).await;
        once(&node, &accepted.id, JobStatus::Completed).await;
        (node, accepted)
    });
    node.faults.heal();
    life(async {
        node.opens_with(Config::default()).await.expect("it starts again");
        let next = enqueue(&node, job("next")).await;
        once(&node, &next.id, JobStatus::Completed).await;
        let begun = Instant::now();
        while node.platform.metrics().deliveries.waiting > 0 {
            assert!(begun.elapsed() < Duration::from_secs(30), "the delivery leaves the queue");
            tokio::task::yield_now().await;
        }
        assert_eq!(runs_of(&node, "f").await.len(), 1, "of the two only the new one ran after the crash");
        assert_eq!(view(&node, &accepted.id).await.status, JobStatus::Completed);
    });
}

#[test]
fn a_job_that_ran_when_the_node_died_runs_again() {
    let (mut node, accepted) = life(async {
        let node = node_with(Script::Block).await;
        let accepted = enqueue(&node, job("hello")).await;
        once(&node, &accepted.id, JobStatus::Running).await;
        (node, accepted)
    });
    life(async {
        node.opens_with(Config::default()).await.expect("it starts again");
        let begun = Instant::now();
        while view(&node, &accepted.id).await.status != JobStatus::Completed {
            assert!(begun.elapsed() < Duration::from_secs(30), "it is carried out at last");
            node.engine.inner.release();
            tokio::task::yield_now().await;
        }
    });
}

#[tokio::test]
async fn a_function_sees_its_jobs_and_says_how_far_they_are() {
    let node = node().await;
    let services = node.services(&home()).await;
    deploy(&node, "name: blocks", Script::Block).await;
    let function = FunctionRef::parse("blocks").expect("a reference");
    let id = services.jobs.enqueue(&call(0, None), &function, Bytes::new(), None).await.expect("accepted");
    once(&node, &id, JobStatus::Running).await;
    services.jobs.report(&call(1, Some(&id)), 40).await.expect("reported");
    assert_eq!(view(&node, &id).await.progress, 40);
    assert_eq!(services.jobs.get(&call(0, None), &id).await.expect("it is there").progress, 40);
    let listed = node.platform.jobs(&admin(), &all()).await.expect("listed");
    assert_eq!(listed[0].progress, 40);
    let report = async |job, percent| refusal(services.jobs.report(&call(0, job), percent).await);
    expect!["VALIDATION_FAILED: 101 is no percentage; use 0 to 100"].assert_eq(&report(Some(id.as_str()), 101).await);
    expect!["VALIDATION_FAILED: the call carries out no job"].assert_eq(&report(None, 1).await);
    expect!["VALIDATION_FAILED: the call carries out no job"].assert_eq(&report(Some("other"), 1).await);
    services.jobs.cancel(&call(0, None), &id).await.expect("cancelled");
    let twice = services.jobs.cancel(&call(0, None), &id).await;
    assert_eq!(refusal(twice), "CONFLICT: the job was cancelled before");
    assert_eq!(view(&node, &id).await.status, JobStatus::Cancelled);
}

async fn asked_at(services: &Services, depth: u8, run_at: Option<domain::Timestamp>) -> String {
    let function = FunctionRef::parse("f").expect("a reference");
    refusal(services.jobs.enqueue(&call(depth, None), &function, Bytes::new(), run_at).await)
}

#[tokio::test]
async fn a_job_that_enqueues_itself_for_ever_is_stopped_unless_it_takes_its_time() {
    let node = node().await;
    let services = node.services(&home()).await;
    for depth in 0..5 {
        assert_eq!(asked_at(&services, depth, None).await, "it was not refused", "{depth}");
    }
    expect!["RATE_LIMITED: jobs and triggers follow each other more than 5 deep"]
        .assert_eq(&asked_at(&services, 5, None).await);
    let now = node.clock.now();
    assert!(asked_at(&services, 5, Some(now)).await.starts_with("RATE_LIMITED"), "a timer that is due is no clock");
    assert!(asked_at(&services, 255, Some(now + Duration::from_millis(999))).await.starts_with("RATE_LIMITED"));
    assert_eq!(asked_at(&services, 5, Some(now + Duration::from_secs(1))).await, "it was not refused");
}

#[tokio::test]
async fn what_cannot_be_a_job_is_refused() {
    let node = node_with(Script::Echo).await;
    let ask = async |new| refusal(node.platform.enqueue_job(&invoker(), new).await);
    let full = vec![0; JOB_INPUT_BYTES_MAX];
    assert_eq!(ask(job(full)).await, "it was not refused");
    expect!["PAYLOAD_TOO_LARGE: the payload is 1048577 bytes, the limit is 1048576"]
        .assert_eq(&ask(job(vec![0; JOB_INPUT_BYTES_MAX + 1])).await);
    let far = node.clock.now() + Duration::from_secs(3654 * 24 * 3600);
    expect!["VALIDATION_FAILED: `run_at` lies more than ten years ahead"]
        .assert_eq(&ask(NewJob { run_at: Some(far), ..job("") }).await);
    let of = |text: &str| NewJob { function: FunctionRef::parse(text).expect("a reference"), ..job("") };
    expect!["NOT_FOUND: function `nobody` not found"].assert_eq(&ask(of("nobody")).await);
    assert!(ask(of("f@9")).await.starts_with("NOT_FOUND"));
    assert_eq!(ask(of("f@1")).await, "it was not refused");
}

#[tokio::test]
async fn only_so_many_jobs_of_a_namespace_wait() {
    let node = node_with(Script::Echo).await;
    let later = Some(node.clock.now() + Duration::from_secs(60));
    let wait = || NewJob { run_at: later, ..job("") };
    for _ in 0..JOBS_WAITING_MAX {
        enqueue(&node, wait()).await;
    }
    let refused = node.platform.enqueue_job(&invoker(), wait()).await;
    assert_eq!(refusal(refused), "RATE_LIMITED: 10000 jobs of the namespace wait, and no more may");
    assert_eq!(node.platform.metrics().deliveries.waiting, JOBS_WAITING_MAX, "what was refused is owed by nobody");
    let one = node.platform.jobs(&admin(), &JobsQuery { limit: 1, ..all() }).await.expect("listed").remove(0);
    node.platform.cancel_job(&admin(), &home(), &one.id).await.expect("cancelled");
    assert_eq!(node.platform.metrics().deliveries.waiting, JOBS_WAITING_MAX - 1);
    enqueue(&node, wait()).await;
}

#[tokio::test]
async fn nobody_reaches_the_jobs_of_another_namespace() {
    let node = node_with(Script::Echo).await;
    let theirs = enqueue(&node, NewJob { run_at: Some(node.clock.now() + Duration::from_secs(60)), ..job("") }).await;
    node.create_namespace(&abroad()).await;
    let services = node.services(&abroad()).await;
    let stranger = key_of(&abroad(), Scope::Admin);
    let (platform, id) = (&node.platform, &theirs.id);
    assert_eq!(services.jobs.get(&call(0, None), id).await.expect_err("refused").code, ErrorCode::NotFound);
    assert_eq!(services.jobs.cancel(&call(0, None), id).await.expect_err("refused").code, ErrorCode::NotFound);
    for namespace in [home(), abroad()] {
        let seen = platform.job(&stranger, &namespace, id).await;
        assert_eq!(seen.expect_err("refused").code, ErrorCode::NotFound);
        let cancelled = platform.cancel_job(&stranger, &namespace, id).await;
        assert_eq!(cancelled.expect_err("refused").code, ErrorCode::NotFound);
    }
    let there = FunctionRef::parse("f").expect("a reference");
    let into = platform.enqueue_job(&stranger, NewJob { function: there, ..job("") }).await;
    assert_eq!(into.expect_err("refused").code, ErrorCode::NotFound);
    assert_eq!(view(&node, id).await.status, JobStatus::Pending);
    node.delete_namespace(&abroad()).await;
    let gone = services.jobs.get(&call(0, None), id).await;
    assert_eq!(refusal(gone), "NOT_FOUND: the namespace was deleted");
}

#[tokio::test]
async fn scopes_say_who_asks_who_looks_and_who_cancels() {
    let node = node_with(Script::Echo).await;
    let accepted = enqueue(&node, NewJob { run_at: Some(node.clock.now() + Duration::from_secs(60)), ..job("") }).await;
    let (platform, id) = (&node.platform, accepted.id.as_str());
    let code = |result: Result<(), domain::Error>| result.err().map(|error| error.code);
    let may = async |scope: Scope| {
        let caller = key_of(&home(), scope);
        let asked = platform.enqueue_job(&caller, job("")).await.map(drop);
        let seen = platform.job(&caller, &home(), id).await.map(drop);
        let listed = platform.jobs(&caller, &all()).await.map(drop);
        let cancelled = platform.cancel_job(&caller, &home(), "unknown").await.map(drop);
        [code(asked), code(seen), code(listed), code(cancelled)]
    };
    let (no, unknown) = (Some(ErrorCode::Forbidden), Some(ErrorCode::NotFound));
    assert_eq!(may(Scope::Invoke).await, [None, None, no, no]);
    assert_eq!(may(Scope::Deploy).await, [no, None, None, unknown]);
    assert_eq!(may(Scope::Data).await, [no, no, no, no]);
    assert_eq!(may(Scope::Admin).await, [None, None, None, unknown]);
    let nobody = platform.job(&Caller::anonymous(), &home(), id).await;
    assert_eq!(code(nobody.map(drop)), Some(ErrorCode::Unauthorized));
}

#[tokio::test]
async fn jobs_go_with_their_function_and_with_their_namespace() {
    let node = node_with(Script::Echo).await;
    let later = Some(node.clock.now() + Duration::from_secs(60));
    let accepted = enqueue(&node, NewJob { run_at: later, ..job("") }).await;
    let function = FunctionRef::parse("f").expect("a reference");
    node.platform.delete(&admin(), &home(), &function).await.expect("deleted");
    let gone = node.platform.job(&admin(), &home(), &accepted.id).await;
    assert_eq!(gone.expect_err("refused").code, ErrorCode::NotFound);
    assert_eq!(node.platform.metrics().deliveries.waiting, 0);
}

#[tokio::test]
async fn a_registry_that_fails_loses_no_job() {
    let node = node_with(Script::Echo).await;
    node.faults.fail("create_job", 1);
    assert_eq!(node.platform.enqueue_job(&invoker(), job("")).await.expect_err("refused").code, ErrorCode::Internal);
    assert_eq!(node.platform.metrics().deliveries.waiting, 0);
    node.faults.fail("end_job", 1);
    let accepted = enqueue(&node, job("hello")).await;
    once(&node, &accepted.id, JobStatus::Completed).await;
    assert_eq!(runs_of(&node, "f").await.len(), 1, "it is made once, and its end is written later");
}
