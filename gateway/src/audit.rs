//! The audit log as the edge writes it: one event for each request that manages something, refused ones too.
//!
//! The event is on disk before the reply is sent. Who goes away while waiting neither stops the change nor its event.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use domain::{AuditEvent, Caller, Credential, Error, ErrorCode, Namespace, RequestId, Scope, Timestamp};
use futures_util::FutureExt;

use crate::Gateway;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::routes::BoxedAnswer;

/// The longest name of an object that is kept.
const RESOURCE_CHARS_MAX: usize = 200;
/// Events of refused requests without a credential, or over a limit, that are written a minute: nobody shall fill the disk,
/// or keep it busy, by being refused.
const REFUSED_EVENTS_PER_MINUTE: u32 = 60;

/// What a handler adds to the event of its request.
#[derive(Debug, Default)]
pub(crate) struct Note(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    resource: Option<String>,
    /// Whoever a request without a credential turned out to come from.
    wallet: Option<(String, Namespace)>,
}

impl Note {
    /// Names what the request is about, where its path does not. Never a value.
    pub(crate) fn concerns(&self, resource: &str) {
        self.0.lock().expect("no holder panics").resource = Some(shortened(resource));
    }

    /// Names the wallet that proved itself.
    pub(crate) fn signed_by(&self, wallet: &str, namespace: &Namespace) {
        self.0.lock().expect("no holder panics").wallet = Some((shortened(wallet), namespace.clone()));
    }
}

/// Keeps refused strangers from writing too much.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    minute: i64,
    written: u32,
    left_out: u64,
}

impl Budget {
    /// May one more be written? What was left out is told once it is over.
    fn take(&self, now: Timestamp) -> bool {
        let minute = now.as_second().div_euclid(60);
        let mut spent = self.0.lock().expect("no holder panics");
        if spent.minute != minute {
            if spent.left_out > 0 {
                tracing::warn!(requests = spent.left_out, "refused requests were left out of the audit log");
            }
            *spent = Spent { minute, ..Spent::default() };
        }
        let within = spent.written < REFUSED_EVENTS_PER_MINUTE;
        if within {
            spent.written += 1
        } else {
            spent.left_out += 1
        }
        within
    }
}

/// The event of one request, until its outcome is known.
pub(crate) struct Trail {
    event: AuditEvent,
    note: Arc<Note>,
}

impl Trail {
    pub(crate) fn begin(gateway: &Gateway, exchange: &Exchange, action: &'static str) -> Self {
        let event = AuditEvent {
            at: gateway.platform.clock().now(),
            namespace: namespace_of(exchange),
            actor: actor(&exchange.caller),
            action: action.to_owned(),
            resource: resource_of(exchange),
            ip: text_of(exchange.client),
            request_id: exchange.request_id.clone(),
            outcome: String::new(),
        };
        Self { event, note: exchange.note.clone().unwrap_or_default() }
    }

    /// `refused` is the code of the refusal, if it was one.
    pub(crate) async fn end(mut self, gateway: &Gateway, refused: Option<ErrorCode>) {
        self.take_note();
        let cheap = self.event.actor == ANONYMOUS || refused == Some(ErrorCode::RateLimited);
        if refused.is_some() && cheap && !gateway.audit_budget.take(self.event.at) {
            return;
        }
        self.event.outcome = refused.map_or("ok", ErrorCode::as_str).to_owned();
        gateway.platform.record_audit(self.event).await;
    }

    fn take_note(&mut self) {
        let Noted { resource, wallet } = std::mem::take(&mut *self.note.0.lock().expect("no holder panics"));
        if let Some(resource) = resource {
            self.event.resource = resource;
        }
        if let Some((wallet, namespace)) = wallet {
            self.event.actor = format!("wallet:{wallet}");
            self.event.namespace = Some(namespace);
        }
    }
}

/// Runs a handler to its end and writes down what became of it, whether the client waits or not.
pub(crate) async fn audited(
    gateway: Arc<Gateway>,
    exchange: Exchange,
    action: &'static str,
    handler: fn(Arc<Gateway>, Exchange) -> BoxedAnswer,
) -> Answer {
    let trail = Trail::begin(&gateway, &exchange, action);
    let request_id = exchange.request_id.clone();
    to_its_end(async move {
        let answer = unpanicked(handler(gateway.clone(), exchange), &request_id).await;
        let refused = answer.as_ref().err().map(Refusal::code);
        trail.end(&gateway, refused).await;
        answer
    })
    .await
}

/// Runs a change to its end although the client may go away: half a change is worse than one that nobody hears of.
pub(crate) async fn to_its_end(change: impl Future<Output = Answer> + Send + 'static) -> Answer {
    tokio::spawn(change).await.unwrap_or_else(|cause| {
        tracing::error!(cause = &cause as &dyn std::error::Error, "failed to finish a change");
        Err(Error::of(ErrorCode::Internal).into())
    })
}

/// Even a panic is an answer.
pub(crate) fn unpanicked(answer: impl Future<Output = Answer>, request_id: &RequestId) -> impl Future<Output = Answer> {
    // Not an `async fn`, which would have room for the answer twice.
    AssertUnwindSafe(answer).catch_unwind().map(move |answered| {
        answered.unwrap_or_else(|panic| {
            tracing::error!(%request_id, panic = panic_text(&*panic), "failed to answer a request: a handler panicked");
            Err(Error::of(ErrorCode::Internal).into())
        })
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

const ANONYMOUS: &str = "anonymous";

/// Who, as [`AuditEvent::actor`] names them.
fn actor(caller: &Caller) -> String {
    match (&caller.credential, &caller.subject) {
        (Credential::None, _) => ANONYMOUS.to_owned(),
        (Credential::Platform, _) => "platform".to_owned(),
        (Credential::Key { id }, _) => format!("key:{id}"),
        // A token that was made from a key has the key as its subject.
        (Credential::Token { .. }, Some(subject)) if subject.contains(':') => subject.clone(),
        (Credential::Token { .. }, Some(subject)) => format!("wallet:{subject}"),
        (Credential::Token { session }, None) => format!("session:{session}"),
    }
}

/// The namespace whose log gets the event: the one that is concerned, if the caller has anything to say there. Otherwise the
/// caller's own: nobody writes into the log of others, or learns from theirs who tried.
fn namespace_of(exchange: &Exchange) -> Option<Namespace> {
    let caller = &exchange.caller;
    let concerned = exchange.concerned_namespace();
    match caller.scopes.allow(Scope::Operator) {
        true => concerned.or_else(|| caller.namespace.clone()),
        false => caller.namespace.clone(),
    }
}

/// The variable parts of the path, without the namespace.
fn resource_of(exchange: &Exchange) -> String {
    let parts: Vec<String> =
        exchange.named_captures().filter(|(name, _)| *name != "namespace").map(|(_, value)| value).collect();
    shortened(&parts.join("/"))
}

fn shortened(text: &str) -> String {
    text.chars().take(RESOURCE_CHARS_MAX).collect()
}

fn text_of(address: IpAddr) -> String {
    address.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_strangers_are_written_down_up_to_a_point() {
        let budget = Budget::default();
        let at = |second| Timestamp::from_second(second).expect("a time");
        let written = (0..1000).filter(|_| budget.take(at(60))).count();
        assert_eq!(written, REFUSED_EVENTS_PER_MINUTE as usize);
        assert!(!budget.take(at(119)));
        assert!(budget.take(at(120)));
    }

    #[test]
    fn actors_are_keys_and_wallets() {
        let home = Namespace::default_namespace();
        let key = Caller::key("k1", home, domain::Scopes::default());
        let token = |subject: &str| Caller {
            credential: Credential::Token { session: "k1".to_owned() },
            subject: Some(subject.to_owned()),
            ..key.clone()
        };
        assert_eq!(actor(&key), "key:k1");
        assert_eq!(actor(&token("0xabc")), "wallet:0xabc");
        assert_eq!(actor(&token("key:k1")), "key:k1");
        assert_eq!(actor(&Caller::anonymous()), "anonymous");
    }
}
