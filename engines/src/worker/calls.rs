//! The calls that a process answers at this moment, each under a token that only the two of us know.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use domain::Level;
use ports::{CallContext, Observed, Services};
use serde::Serialize;
use tokio::sync::watch;

use super::locked;
use crate::host::Host;

/// A call, as the engine sees it while a process answers it.
pub(super) struct LiveCall {
    pub(super) token: String,
    pub(super) services: Arc<Services>,
    pub(super) observed: Observed,
    context: CallContext,
    /// For host calls: one at a time.
    host: tokio::sync::Mutex<Host>,
    /// For lines of the log, which come while a host call waits.
    log: Mutex<Host>,
    threw: Mutex<Option<String>>,
    /// Is there work that the reply does not wait for?
    waiting: watch::Sender<bool>,
    /// Did it become a WebSocket? Then each thing that it asks has the time of a call.
    upgraded: AtomicBool,
}

impl LiveCall {
    fn new(token: String, context: CallContext, services: Arc<Services>, observed: Observed) -> Self {
        let host = || Host::new(context.clone(), services.clone(), observed.clone());
        let (host, log) = (host(), host());
        Self {
            token,
            observed,
            host: tokio::sync::Mutex::new(host),
            log: Mutex::new(log),
            services,
            context,
            threw: Mutex::default(),
            waiting: watch::Sender::new(false),
            upgraded: AtomicBool::new(false),
        }
    }

    /// The host of this call, with as much time as the call has.
    pub(super) async fn host(&self) -> tokio::sync::MutexGuard<'_, Host> {
        let mut host = self.host.lock().await;
        host.context.deadline = self.deadline();
        host
    }

    pub(super) fn context(&self) -> CallContext {
        CallContext { deadline: self.deadline(), ..self.context.clone() }
    }

    pub(super) fn deadline(&self) -> Instant {
        match self.upgraded.load(Ordering::Relaxed) {
            true => Instant::now() + self.services.version.manifest.timeout,
            false => self.context.deadline,
        }
    }

    pub(super) fn upgraded(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    /// What its code threw, if it did.
    pub(super) fn threw(&self) -> Option<String> {
        locked(&self.threw).clone()
    }

    /// Waits until nothing goes on behind the reply, but not for longer than the call may run.
    pub(super) async fn settled(&self) {
        let mut waiting = self.waiting.subscribe();
        let settled = waiting.wait_for(|waiting| !waiting);
        // The sender is ours: only the time can end this otherwise.
        let _ = tokio::time::timeout_at(self.deadline().into(), settled).await;
    }

    pub(super) fn is_settled(&self) -> bool {
        !*self.waiting.borrow()
    }

    /// What the code says through its output: a word and a text.
    pub(super) fn told(&self, word: &str, text: &str) {
        match word {
            "waiting" => drop(self.waiting.send_replace(true)),
            "done" => drop(self.waiting.send_replace(false)),
            "threw" => {
                self.log(Level::Error, text);
                let masked = locked(&self.log).masked(text, false);
                *locked(&self.threw) = Some(masked);
            }
            level => {
                if let Some(level) = Level::parse(level) {
                    self.log(level, text);
                }
            }
        }
    }

    fn log(&self, level: Level, text: &str) {
        locked(&self.log).log_bytes(level, text.as_bytes());
    }

    /// What the code is to know of its call: a JSON text without any letter beyond ASCII, for a header.
    pub(super) fn facts(&self) -> String {
        let CallContext { request_id, caller, socket, .. } = &self.context;
        let facts = Facts {
            token: &self.token,
            request_id: request_id.as_str(),
            caller: Who { claims: &caller.claims, subject: caller.subject.as_deref(), wallet: caller.wallet() },
            socket: socket.as_deref(),
        };
        ascii(serde_json::to_string(&facts).expect("names and texts are JSON"))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts<'a> {
    token: &'a str,
    request_id: &'a str,
    caller: Who<'a>,
    socket: Option<&'a str>,
}

#[derive(Serialize)]
struct Who<'a> {
    claims: &'a BTreeMap<String, String>,
    subject: Option<&'a str>,
    wallet: &'a str,
}

/// The same JSON, with escapes for every letter beyond ASCII.
fn ascii(json: String) -> String {
    if json.is_ascii() {
        return json;
    }
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter.is_ascii() {
            true => text.push(letter),
            false => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    text
}

/// The live calls of a process.
#[derive(Default)]
pub(super) struct Calls(Mutex<HashMap<String, Arc<LiveCall>>>);

impl Calls {
    /// Begins a call; it is known until what this returns is dropped.
    pub(super) fn begin(
        self: &Arc<Self>,
        context: CallContext,
        services: Arc<Services>,
        observed: Observed,
    ) -> Result<Begun, getrandom::Error> {
        let live = Arc::new(LiveCall::new(super::random_name()?, context, services, observed));
        self.all().insert(live.token.clone(), live.clone());
        Ok(Begun { calls: self.clone(), live })
    }

    pub(super) fn find(&self, token: &str) -> Option<Arc<LiveCall>> {
        self.all().get(token).cloned()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<LiveCall>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropping it ends the call: from then on its token opens nothing.
pub(super) struct Begun {
    calls: Arc<Calls>,
    pub(super) live: Arc<LiveCall>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.calls.all().remove(&self.live.token);
    }
}

#[cfg(test)]
mod tests {
    use ports::memory::TestServices;

    use super::*;
    use crate::host::tests::idle;

    fn calls() -> (Arc<Calls>, Begun, Observed) {
        let (context, services) = idle(&TestServices::default());
        let (calls, observed) = (Arc::new(Calls::default()), Observed::default());
        let begun = calls.begin(context, services, observed.clone()).expect("begun");
        (calls, begun, observed)
    }

    #[tokio::test]
    async fn a_token_ends_with_its_call() {
        let (calls, begun, _observed) = calls();
        let token = begun.live.token.clone();
        assert!(calls.find(&token).is_some() && calls.find("other").is_none());
        drop(begun);
        assert!(calls.find(&token).is_none());
    }

    #[tokio::test]
    async fn what_is_told_becomes_lines_and_facts() {
        let (_calls, begun, observed) = calls();
        let live = &begun.live;
        live.told("warn", "careful");
        live.told("nonsense", "ignored");
        live.told("waiting", "");
        assert!(!live.is_settled());
        live.told("done", "");
        live.told("threw", "Error: boom");
        assert!(live.is_settled());
        live.settled().await;
        assert_eq!(live.threw().as_deref(), Some("Error: boom"));
        let lines: Vec<_> = observed.take().logs.into_iter().map(|line| (line.level, line.message)).collect();
        assert_eq!(lines, [(Level::Warn, "careful".to_owned()), (Level::Error, "Error: boom".to_owned())]);
        assert_eq!(ascii("\"é😀\"".into()), "\"\\u00e9\\ud83d\\ude00\"");
    }
}
