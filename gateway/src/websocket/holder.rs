//! Who holds a socket. A socket outlives its credential: so the credential is kept, and looked at again whenever the socket does
//! something, and with every ping.

use std::net::IpAddr;
use std::sync::Arc;

use domain::{Caller, Error, Namespace};
use platform::InvalidToken;
use serde::Serialize;
use serde_json::Value;

use super::frame::{self, Frame, Goodbye};
use crate::exchange::Exchange;
use crate::{Gateway, credential};

/// Whose socket it is, and what it showed.
pub(crate) struct Holder {
    gateway: Arc<Gateway>,
    /// That of what the socket speaks to.
    namespace: Namespace,
    caller: Arc<Caller>,
    /// `None` for nobody: then nothing can expire.
    credential: Option<Box<str>>,
    client: IpAddr,
}

/// What a client says about the socket itself.
#[derive(Debug)]
pub(crate) struct Control {
    kind: Value,
    jwt: Option<Value>,
}

#[derive(Serialize)]
struct Ack<'a> {
    #[serde(rename = "__orama_ack")]
    kind: &'a str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

const REFRESH: &str = "auth.refresh";
/// The longest kind that an answer repeats.
const KIND_BYTES_MAX: usize = 64;

impl Control {
    /// A text that is a JSON object with `__orama`: nothing else is meant for us.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        // Nearly every message ends here.
        memchr::memmem::find(text, b"\"__orama\"")?;
        let Ok(Value::Object(mut object)) = serde_json::from_slice(text) else { return None };
        let kind = object.remove("__orama")?;
        Some(Self { kind, jwt: object.remove("jwt") })
    }
}

impl Holder {
    pub(crate) fn of(gateway: &Arc<Gateway>, exchange: &Exchange, namespace: Namespace) -> Self {
        // Nobody has none: not even one that opens something elsewhere.
        let shown = (!exchange.caller.is_anonymous()).then(|| credential::valid_one(gateway, &exchange.parts));
        let credential = shown.flatten().map(String::into_boxed_str);
        let (gateway, caller, client) = (gateway.clone(), exchange.caller.clone(), exchange.client);
        Self { gateway, namespace, caller, credential, client }
    }

    /// The caller as the credential says at this moment, or why it says nothing any more.
    pub(crate) fn caller(&mut self) -> Result<Arc<Caller>, Goodbye> {
        if let Some(credential) = &self.credential {
            self.caller = credential::caller_of(&self.gateway, credential).map_err(no_longer)?;
        }
        Ok(self.caller.clone())
    }

    /// As it was when it was last looked at.
    pub(crate) fn last_caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// Counts a message as a request.
    pub(crate) fn count(&self) -> Result<(), Error> {
        self.gateway.platform.count_request(&self.caller, self.client)?;
        self.gateway.platform.count_call_from_elsewhere(&self.caller, &self.namespace).map(drop)
    }

    /// Does what the client says, and answers it. It counts like every other message: a token costs us more than most.
    pub(crate) fn obey(&mut self, control: &Control) -> Result<Frame, Goodbye> {
        self.count().map_err(|error| Goodbye::new(frame::POLICY, error.message))?;
        let kind = control.kind.as_str().filter(|kind| kind.len() <= KIND_BYTES_MAX).unwrap_or_default();
        let done = match kind {
            REFRESH => self.refresh(control.jwt.as_ref()),
            _ => Err("unknown __orama control type".to_owned()),
        };
        let (subject, error) = (done.as_deref().ok(), done.as_ref().err().map(String::as_str));
        Ok(Frame::json(&Ack { kind, ok: done.is_ok(), subject, error }))
    }

    /// Takes a new token of the same subject for the same namespace in the place of the credential.
    fn refresh(&mut self, jwt: Option<&Value>) -> Result<String, String> {
        let jwt = jwt.and_then(Value::as_str).filter(|jwt| !jwt.is_empty()).ok_or("jwt field required")?;
        let caller = self.gateway.platform.caller_of_token(jwt);
        let caller = caller.map_err(|why| format!("invalid or expired jwt: {}", why_not(why)))?;
        match &caller.namespace {
            None => return Err("jwt missing namespace claim".to_owned()),
            Some(namespace) if *namespace != self.namespace => {
                return Err("jwt namespace does not match websocket namespace".to_owned());
            }
            Some(_) => {}
        }
        let subject = caller.subject.clone().filter(|subject| !subject.is_empty());
        let subject = subject.ok_or("jwt missing subject claim")?;
        if !self.is_of(&subject) {
            return Err("jwt subject does not match websocket subject".to_owned());
        }
        self.caller = caller;
        self.credential = Some(jwt.into());
        Ok(subject)
    }

    /// Is this the subject that opened the socket? A key's own tokens are the key's.
    fn is_of(&self, subject: &str) -> bool {
        if self.caller.is_foreign_to(&self.namespace) {
            return false;
        }
        match (&self.caller.subject, &self.caller.credential) {
            (Some(own), _) => own == subject,
            (None, domain::Credential::Key { id }) => subject.strip_prefix("key:") == Some(id),
            _ => false,
        }
    }
}

fn why_not(why: InvalidToken) -> &'static str {
    match why {
        InvalidToken::Refused => "it is not a token of this server",
        InvalidToken::Expired => "it has expired",
        InvalidToken::Revoked => "it has been revoked",
    }
}

fn no_longer(why: InvalidToken) -> Goodbye {
    let reason = match why {
        InvalidToken::Expired => "the token has expired; refresh it in time, or connect again with a new one",
        InvalidToken::Refused | InvalidToken::Revoked => {
            "the credential has been revoked; connect again with a new one"
        }
    };
    Goodbye::new(frame::UNAUTHORIZED, reason)
}

#[cfg(test)]
mod tests {
    use super::Control;

    #[test]
    fn only_an_object_with_our_key_is_meant_for_us() {
        for ours in [r#"{"__orama":"auth.refresh","jwt":"x"}"#, r#" {"a":1,"__orama":7}"#] {
            assert!(Control::of(ours.as_bytes()).is_some(), "{ours}");
        }
        for not in
            [r#"{"_orama":"x"}"#, r#"["__orama"]"#, r#"{"a":{"__orama":1}}"#, r#"{"__orama":"#, "\"__orama\"", ""]
        {
            assert!(Control::of(not.as_bytes()).is_none(), "{not}");
        }
    }
}
