//! Who calls, and what the call was given.

use serde_json::json;

use super::Host;

impl Host {
    /// The unique id of this invocation: the `X-Request-ID` of the reply and the key of its record.
    pub(crate) fn request_id(&self) -> &str {
        self.context.request_id.as_str()
    }

    /// The wallet of the caller; the namespace when the caller used an API key; empty when nobody is known.
    pub(crate) fn caller_wallet(&self) -> &str {
        self.context.caller.wallet()
    }

    /// The `sub` claim of the caller's token; empty without a token.
    pub(crate) fn caller_jwt_subject(&self) -> &str {
        self.context.caller.subject.as_deref().unwrap_or_default()
    }

    /// A custom claim of the caller's token; empty when there is none.
    pub(crate) fn caller_claim(&self, name: &[u8]) -> &str {
        let claim = std::str::from_utf8(name).ok().and_then(|name| self.context.caller.claims.get(name));
        claim.map(String::as_str).unwrap_or_default()
    }

    /// A variable of `env` in the manifest; empty when it is not set.
    pub(crate) fn env(&self, key: &[u8]) -> &str {
        let variable = std::str::from_utf8(key).ok().and_then(|key| self.services.version.manifest.env.get(key));
        variable.map(String::as_str).unwrap_or_default()
    }

    /// Credentials for a TURN server: there is none yet.
    pub(crate) fn turn_credentials(&self) -> String {
        json!({"configured": false, "namespace": self.services.version.namespace.as_str()}).to_string()
    }
}
