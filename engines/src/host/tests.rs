//! A call that nobody makes, for the tests of this crate.

use std::time::{Duration, Instant};

use domain::{Caller, Cid, FunctionVersion, Manifest, Namespace, RequestId, Timestamp, TriggerKind, VersionNumber};
use ports::memory::TestServices;

use super::*;

/// The context of the call and what it may use.
pub(crate) fn idle(services: &TestServices) -> (CallContext, Arc<Services>) {
    let manifest = Manifest::parse("name: idle").expect("a valid manifest");
    let version = FunctionVersion {
        id: String::new(),
        namespace: Namespace::default_namespace(),
        name: manifest.name.clone(),
        version: VersionNumber::new(1).expect("from 1"),
        code: Cid::of(b""),
        code_bytes: 0,
        manifest,
        created_at: Timestamp::UNIX_EPOCH,
        created_by: String::new(),
    };
    let context = CallContext {
        request_id: RequestId::new("idle"),
        caller: Arc::new(Caller::anonymous()),
        trigger: TriggerKind::Http,
        depth: 0,
        trigger_depth: 0,
        socket: None,
        job: None,
        deadline: Instant::now() + Duration::from_secs(60),
    };
    (context, services.of(Arc::new(version)))
}

/// The call, and where its log lines are seen.
pub(crate) fn idle_host(services: &TestServices) -> (Host, Observed) {
    let (context, services) = idle(services);
    let observed = Observed::default();
    (Host::new(context, services, observed.clone()), observed)
}
