//! Who may do what: the access rules of calls and of management. Who somebody is, `identity` knows.

use std::sync::Arc;

use domain::{Caller, Error, ErrorCode, FunctionVersion, Namespace, Scope};

use crate::Platform;
use crate::identity::unknown_namespace;
use crate::lease::Lease;

impl Platform {
    /// May `caller` use `scope` in `namespace`? A foreign namespace looks as if it did not exist, and one that does not exist
    /// is not there for operators either. What follows and may wait holds the lease, so that it is about this namespace and no later
    /// one of its name.
    pub(crate) fn manage(&self, caller: &Caller, scope: Scope, namespace: &Namespace) -> Result<Arc<Lease>, Error> {
        permitted(caller, scope, namespace)?;
        let lease = self.identity.lease_of(namespace);
        lease.check().map_err(|_| unknown_namespace(namespace))?;
        Ok(lease)
    }

    /// What concerns the node and no namespace is for operators.
    pub(crate) fn operate(&self, caller: &Caller) -> Result<(), Error> {
        match caller {
            _ if caller.is_anonymous() => Err(nobody()),
            _ if caller.scopes.allow(Scope::Operator) => Ok(()),
            _ => Err(lacks(Scope::Operator)),
        }
    }
}

fn permitted(caller: &Caller, scope: Scope, namespace: &Namespace) -> Result<(), Error> {
    if caller.is_anonymous() {
        return Err(nobody());
    }
    let at_home = caller.namespace.as_ref() == Some(namespace) || caller.scopes.allow(Scope::Operator);
    match (at_home, caller.may(scope, namespace)) {
        (false, _) => Err(unknown_namespace(namespace)),
        (true, false) => Err(lacks(scope)),
        (true, true) => Ok(()),
    }
}

/// Nobody presented a credential, or none that is valid.
pub(crate) fn nobody() -> Error {
    Error::of(ErrorCode::Unauthorized).hint("send an API key as `X-API-Key`, or run `orama login`")
}

pub(crate) fn lacks(scope: Scope) -> Error {
    Error::new(ErrorCode::Forbidden, format!("the key lacks the scope `{}`", scope.as_str()))
}

/// May `caller` call this version from outside? (`orama.md` 1.6)
pub(crate) fn call(caller: &Caller, version: &FunctionVersion) -> Result<(), Error> {
    let manifest = &version.manifest;
    if manifest.public && !manifest.internal {
        return Ok(());
    }
    if caller.is_anonymous() {
        return Err(
            Error::new(ErrorCode::Unauthorized, "unauthorized").hint("the function is private; send an API key")
        );
    }
    let scope = if manifest.internal { Scope::Admin } else { Scope::Invoke };
    match permitted(caller, scope, &version.namespace) {
        // To a stranger a private function looks like one that does not exist.
        Err(refused) if refused.code == ErrorCode::NotFound => Err(unknown_function(version.name.as_str())),
        decided => decided,
    }
}

pub(crate) fn unknown_function(name: &str) -> Error {
    Error::not_found(format!("function `{name}` not found"))
}
