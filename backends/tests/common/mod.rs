//! What the tests of several stores need.
#![allow(dead_code, reason = "every test program uses its part of this")]

use std::path::Path;

use backends::registry::{self, SqlRegistry};
use bytes::Bytes;
use domain::{
    Cid, FunctionName, Level, LogLine, Manifest, Namespace, NamespaceSettings, Record, RecordQuery, RequestId, Status,
    Timestamp, TriggerKind, VersionNumber,
};
use ports::{Namespaces, NewVersion, StoredNamespace};

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).expect("a date within range")
}

pub(crate) fn namespace(text: &str) -> Namespace {
    Namespace::parse(text).expect("a valid namespace")
}

pub(crate) fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).expect("a valid name")
}

pub(crate) fn code() -> Bytes {
    Bytes::from_static(b"\0asm the code of hello")
}

/// A new control plane with the namespace `one`, which [`new_version`] is for.
pub(crate) async fn registry_with_one(path: &Path) -> SqlRegistry {
    let registry = registry::open(path).await.expect("open the registry");
    create_namespace(&registry, "one").await;
    registry
}

pub(crate) async fn create_namespace(registry: &SqlRegistry, name: &str) {
    let new = StoredNamespace {
        name: namespace(name),
        created_at: at(0),
        created_by: "key:k0".to_owned(),
        settings: NamespaceSettings::default(),
        ending: false,
    };
    registry.create_namespace(new, None).await.expect("create a namespace");
}

pub(crate) fn new_version(function: &str, id: impl Into<String>) -> NewVersion {
    NewVersion {
        id: id.into(),
        namespace: namespace("one"),
        code: Cid::of(&code()),
        code_bytes: code().len() as u64,
        manifest: Manifest::parse(&format!("name: {function}")).expect("a valid manifest"),
        triggers: Vec::new(),
        created_at: at(1),
        created_by: "one".to_owned(),
    }
}

pub(crate) fn record(id: &str, ns: &str, second: i64) -> Record {
    Record {
        request_id: RequestId::new(id),
        client_request_id: None,
        trace_id: None,
        namespace: namespace(ns),
        function: name("hello"),
        version: VersionNumber::new(1).expect("from 1"),
        trigger: TriggerKind::Http,
        caller_wallet: None,
        input_bytes: 1,
        output_bytes: 2,
        started_at: at(second),
        duration_us: 3,
        cpu_us: 4,
        memory_peak_bytes: 5,
        status: Status::Success,
        error_code: None,
        error_message: None,
        attempts: Vec::new(),
        logs: Vec::new(),
    }
}

pub(crate) fn line(level: Level, message: impl Into<String>) -> LogLine {
    LogLine { level, message: message.into(), at: at(0) }
}

pub(crate) fn all(ns: &str) -> RecordQuery {
    RecordQuery {
        namespace: namespace(ns),
        function: None,
        request_id: None,
        since: None,
        after: None,
        level: None,
        limit: usize::MAX,
    }
}

/// A folder that is gone at the end of the test.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for the test")
}
