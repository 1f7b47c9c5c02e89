//! What every control plane must do; a file for each of its traits.

mod audit;
mod chain;
mod contents;
mod deliveries;
mod domains;
mod ends;
mod functions;
mod identities;
mod jobs;
mod namespaces;
mod push;
mod refresh;
mod secrets;
mod triggers;

use domain::{FunctionName, Namespace, NamespaceSettings, Scope, Scopes, Timestamp};

use crate::{Registry, StoredKey, StoredNamespace};

/// Panics when `registry`, which must be empty, does not behave as the control plane.
pub async fn registry(registry: &dyn Registry) {
    namespaces::namespaces(registry).await;
    functions::functions(registry).await;
    identities::identities(registry).await;
    refresh::refresh(registry).await;
    secrets::secrets(registry).await;
    contents::contents(registry).await;
    chain::chain(registry).await;
    push::push(registry).await;
    triggers::triggers(registry).await;
    deliveries::deliveries(registry).await;
    jobs::jobs(registry).await;
    audit::audit(registry).await;
    domains::domains(registry).await;
    ends::ends(registry).await;
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).expect("a date within range")
}

fn namespace(text: &str) -> Namespace {
    Namespace::parse(text).expect("a valid namespace")
}

fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).expect("a valid name")
}

fn new_namespace(name: &str) -> StoredNamespace {
    StoredNamespace {
        name: namespace(name),
        created_at: at(0),
        created_by: "key:k0".to_owned(),
        settings: NamespaceSettings::default(),
        ending: false,
    }
}

async fn create(registry: &dyn Registry, name: &str) {
    registry.create_namespace(new_namespace(name), None).await.expect("create a namespace");
}

fn key(id: &str, ns: &str, second: i64) -> StoredKey {
    StoredKey {
        id: id.to_owned(),
        name: "laptop".to_owned(),
        namespace: namespace(ns),
        scopes: Scopes::of([Scope::Deploy, Scope::Invoke]),
        hash: [7; 32],
        created_at: at(second),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
        wallet: None,
    }
}

/// The call must be refused, and in this way.
macro_rules! refused {
    ($answer:expr, $kind:pat) => {{
        let answer = $answer.await;
        assert!(matches!(answer, Err($kind)), "{answer:?} is not {}", stringify!($kind));
    }};
}
use refused;
