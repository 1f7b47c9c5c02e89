//! A namespace that is deleted while something goes on in it, and whose name is taken again at once: what was begun in the old one
//! never reaches the new one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Caller, Cid, Error, ErrorCode, FunctionName, FunctionRef, RequestId, Scope, SqlStatement, TriggerKind};
use platform::{Invoke, LogsQuery, Outcome};
use ports::memory::Script;
use ports::{CacheError, CacheKey, CallContext, EgressError, FetchRequest, SqlBounds, SqlError, Storage};
use tokio::task::JoinHandle;

use crate::gate::Point;
use crate::node::*;

const KEY: CacheKey<'_> = CacheKey { map: "map", key: "key" };
const DELETED: &str = "NOT_FOUND: the namespace was deleted";

async fn with_abroad() -> Node {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    node
}

/// Deletes the namespace, and makes it again for somebody else.
async fn pass_on(node: &Node) {
    node.delete_namespace(&abroad()).await;
    node.create_namespace(&abroad()).await;
}

/// A call that is running when this returns.
async fn running(node: &Node, invoke: Invoke) -> JoinHandle<Outcome> {
    let (platform, before) = (node.platform.clone(), node.engine.inner.running());
    let call = tokio::spawn(async move { platform.invoke(invoke).await });
    while node.engine.inner.running() == before {
        tokio::task::yield_now().await;
    }
    call
}

async fn blocking(node: &Node) {
    node.platform.deploy(&operator(), node.upload(&abroad(), Script::Block)).await.expect("deployed");
}

fn context() -> CallContext {
    CallContext {
        request_id: RequestId::new("late"),
        caller: Arc::new(Caller::anonymous()),
        trigger: TriggerKind::Http,
        depth: 0,
        trigger_depth: 0,
        socket: None,
        job: None,
        deadline: std::time::Instant::now() + Duration::from_secs(60),
    }
}

fn failed<T>(result: Result<T, EgressError>) -> String {
    result.err().map_or("it was not refused".to_owned(), |error| error.to_string())
}

/// An engine may keep what a call had for longer than the call lives.
#[tokio::test]
async fn the_services_of_a_function_end_with_its_namespace() {
    let node = with_abroad().await;
    let old = node.services(&abroad()).await;
    old.secrets.get("TOKEN").expect("readable");
    old.storage.put("old", Bytes::from_static(b"old content")).await.expect("stored");
    pass_on(&node).await;

    let heir = node.services(&abroad()).await;
    node.platform.set_secret(&operator(), &abroad(), "TOKEN", Bytes::from_static(b"the heir's")).await.expect("set");
    let theirs = heir.storage.put("theirs", Bytes::from_static(b"their content")).await.expect("stored").cid;
    heir.cache.set(KEY, "theirs".into(), None).await.expect("set");

    assert_eq!(refusal(old.secrets.get("TOKEN")), DELETED);
    assert_eq!(old.secrets.mask("is it the heir's?").as_deref(), Some("***"), "a mask tells what it looks for");
    assert_eq!(refusal(old.storage.put("late", Bytes::from_static(b"late content")).await), DELETED);
    assert_eq!(refusal(old.storage.get(&theirs, 1000).await), DELETED);
    assert_eq!(refusal(old.storage.head(&theirs).await), DELETED);
    assert!(matches!(old.cache.get(KEY).await, Err(CacheError::Removed)));
    assert!(matches!(old.cache.set(KEY, "late".into(), None).await, Err(CacheError::Removed)));
    let (statement, bounds) = (SqlStatement::new("INSERT", vec![]), SqlBounds::until(context().deadline));
    assert!(matches!(old.database.execute(statement, bounds).await, Err(SqlError::Removed)));
    let function = FunctionRef::parse("f").expect("a valid reference");
    assert_eq!(refusal(old.invoker.invoke(&context(), &function, Bytes::new()).await), DELETED);
    assert_eq!(refusal(old.invoker.invoke_async(&context(), &function, Bytes::new()).await), DELETED);
    let fetched = old.fetcher.fetch(&context(), FetchRequest::default()).await;
    assert_eq!(failed(fetched), "the namespace was deleted");

    assert_eq!(heir.cache.get(KEY).await.expect("readable").expect("kept").value, "theirs");
    let listed = node.platform.list_contents(&operator(), &abroad(), None, 10).await.expect("listed");
    assert_eq!(listed.iter().map(|info| info.cid).collect::<Vec<_>>(), [theirs]);
}

#[tokio::test]
async fn a_call_that_runs_is_cut_before_the_name_is_free() {
    let node = with_abroad().await;
    blocking(&node).await;
    let call = running(&node, node.call(&abroad())).await;
    node.delete_namespace(&abroad()).await;
    assert_eq!(node.engine.inner.running(), 0, "it is over when the deletion is");
    assert_eq!(refusal(call.await.expect("no panic").result), DELETED);
    assert_eq!(node.platform.metrics().calls_error, 1);
    assert_eq!(node.platform.metrics().records_written, 1, "it has its record, until that goes with the others");

    node.create_namespace(&abroad()).await;
    node.platform.deploy(&operator(), node.upload(&abroad(), Script::Echo)).await.expect("deployed");
    let query = LogsQuery {
        namespace: abroad(),
        function: FunctionName::parse("f").expect("a valid name"),
        request_id: None,
        since: None,
        after: None,
        level: None,
        limit: 10,
    };
    assert_eq!(node.platform.logs(&operator(), query).await.expect("readable").records, []);
}

#[tokio::test]
async fn a_call_with_a_key_leaves_no_claim_to_the_heir() {
    let node = with_abroad().await;
    blocking(&node).await;
    let keyed = || Invoke { idempotency_key: Some("once".to_owned()), ..node.call(&abroad()) };
    let call = running(&node, keyed()).await;
    pass_on(&node).await;
    assert_eq!(refusal(call.await.expect("no panic").result), DELETED);
    node.platform.deploy(&operator(), node.upload(&abroad(), Script::Echo)).await.expect("deployed");
    let outcome = node.platform.invoke(keyed()).await;
    assert!(outcome.result.is_ok() && !outcome.replayed, "{outcome:?}");
}

#[tokio::test]
async fn calls_that_wait_are_cut_like_those_that_run() {
    let node = with_abroad().await;
    let settings = domain::NamespaceSettings { concurrency: Some(1), ..Default::default() };
    node.set(&abroad(), settings).await;
    blocking(&node).await;
    let (platform, waiting) = (node.platform.clone(), node.call(&abroad()));
    let running = running(&node, node.call(&abroad())).await;
    let waiting = tokio::spawn(async move { platform.invoke(waiting).await });
    while node.platform.metrics().calls_queued == 0 {
        tokio::task::yield_now().await;
    }
    pass_on(&node).await;
    for call in [running, waiting] {
        assert_eq!(refusal(call.await.expect("no panic").result), DELETED);
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_cut_too() {
    let node = with_abroad().await;
    let services = node.services(&abroad()).await;
    blocking(&node).await;
    let function = FunctionRef::parse("f").expect("a valid reference");
    services.invoker.invoke_async(&context(), &function, Bytes::new()).await.expect("accepted");
    while node.engine.inner.running() == 0 {
        tokio::task::yield_now().await;
    }
    pass_on(&node).await;
    assert_eq!(node.engine.inner.running(), 0);
}

#[tokio::test]
async fn calls_of_other_namespaces_go_on() {
    let node = with_abroad().await;
    node.platform.deploy(&operator(), node.upload(&home(), Script::Block)).await.expect("deployed");
    let call = running(&node, node.call(&home())).await;
    pass_on(&node).await;
    node.engine.inner.release();
    assert!(call.await.expect("no panic").result.is_ok());
}

#[tokio::test]
async fn an_upload_ends_with_the_namespace_that_it_began_in() {
    let node = with_abroad().await;
    let begun = async || {
        let mut upload = node.platform.upload(&operator(), &abroad()).await.expect("begun");
        upload.write(Bytes::from_static(b"content")).await.expect("written");
        upload
    };
    let (mut writing, finishing) = (begun().await, begun().await);
    pass_on(&node).await;
    assert_eq!(refusal(writing.write(Bytes::from_static(b"more")).await), DELETED);
    assert_eq!(refusal(finishing.finish("late", true).await), DELETED);
    nothing_is_there(&node).await;
}

/// It counts for the quota of the old namespace alone, however long its client keeps it open.
#[tokio::test]
async fn an_upload_takes_no_room_from_the_heir() {
    let node = with_abroad().await;
    let quota = || domain::NamespaceSettings { storage_bytes_max: Some(10), ..Default::default() };
    node.set(&abroad(), quota()).await;
    let mut old = node.platform.upload(&operator(), &abroad()).await.expect("begun");
    old.write(Bytes::from_static(b"10 bytes..")).await.expect("within the quota");
    pass_on(&node).await;
    node.set(&abroad(), quota()).await;
    let mut new = node.platform.upload(&operator(), &abroad()).await.expect("begun");
    new.write(Bytes::from_static(b"10 bytes..")).await.expect("within the quota");
    drop(old);
}

#[tokio::test]
async fn the_name_is_not_free_while_something_is_stored_under_it() {
    let node = with_abroad().await;
    let stored = node.gates.hold(Point::Stored);
    let mut upload = node.platform.upload(&operator(), &abroad()).await.expect("begun");
    upload.write(Bytes::from_static(b"content")).await.expect("written");
    let deletion = async {
        stored.reached().await;
        node.delete_namespace(&abroad()).await;
    };
    let impatience = async {
        while node.platform.namespace(&operator(), &abroad()).is_ok() {
            tokio::task::yield_now().await;
        }
        let early = node.platform.create_namespace(&operator(), &abroad()).await;
        assert_eq!(early.expect_err("it is still in use").code, ErrorCode::Conflict);
        stored.release();
    };
    let (finished, (), ()) = tokio::join!(upload.finish("late", true), deletion, impatience);
    assert_eq!(refusal(finished), "NOT_FOUND: namespace `abroad` not found");
    node.create_namespace(&abroad()).await;
    nothing_is_there(&node).await;
}

async fn nothing_is_there(node: &Node) {
    assert_eq!(node.platform.list_contents(&operator(), &abroad(), None, 10).await.expect("listed"), []);
    assert_eq!(node.platform.storage_usage(&operator(), &abroad()).await.expect("counted").0, 0);
    assert!(node.content.get(&Cid::of(b"content")).await.is_err());
}

/// The database and the cache that a request was given when it began, before its body arrived.
#[tokio::test]
async fn what_a_client_was_given_ends_too() {
    let node = with_abroad().await;
    let caller = key_of(&abroad(), Scope::Data);
    let database = node.platform.database(&caller, &abroad()).expect("allowed");
    let cache = node.platform.cache(&caller, &abroad()).expect("allowed");
    pass_on(&node).await;
    let bounds = SqlBounds::until(context().deadline);
    let imported = database.script("CREATE TABLE t (a);".to_owned(), bounds).await;
    assert!(matches!(imported.expect_err("it is over").error, SqlError::Removed));
    assert!(matches!(cache.set(KEY, "late".into(), None).await, Err(CacheError::Removed)));
    let heir = node.platform.cache(&caller, &abroad()).expect("allowed");
    assert_eq!(heir.get(KEY).await.expect("readable"), None);
}

#[tokio::test]
async fn a_deploy_that_is_compiled_meanwhile_makes_no_version() {
    let node = with_abroad().await;
    let prepared = node.gates.hold(Point::Prepared);
    let (caller, upload) = (key_of(&abroad(), Scope::Deploy), node.upload(&abroad(), Script::Echo));
    let pass_on = async {
        prepared.reached().await;
        pass_on(&node).await;
        prepared.release();
    };
    let (deployed, ()) = tokio::join!(node.platform.deploy(&caller, upload), pass_on);
    let deployed: Result<_, Error> = deployed.map(drop);
    assert_eq!(refusal(deployed), DELETED);
    assert!(node.platform.list(&operator(), &abroad()).expect("listed").is_empty());
}
