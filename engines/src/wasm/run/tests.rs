use domain::{Caller, Cid, FunctionVersion, Namespace, RequestId, Timestamp, TriggerKind, VersionNumber};
use ports::CallContext;

use super::*;

/// The state of a call that nobody makes.
pub(crate) fn idle_state() -> State {
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
        deadline: Instant::now(),
    };
    state(Call { context, http: None, input: Bytes::new() }, Arc::new(Services { version: Arc::new(version) }))
}
