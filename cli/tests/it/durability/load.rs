//! Deploys and calls without a pause, until the server is gone; and the book of what it acknowledged.
//!
//! Every program that is deployed answers with a text that no other one has, its marker. So what a function answers tells
//! which deploy is there, and that all of it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Http, PATIENCE, Reply, compiled};

/// Who deploys to each function; two at once also on the same.
const DEPLOYERS: [&str; 3] = ["alone", "shared", "shared"];
/// Above the size of one block of stored code.
const LARGE_BYTES: usize = 280_000;

/// What was sent, and what of it was acknowledged.
#[derive(Clone)]
pub struct Book(Arc<Mutex<BTreeMap<&'static str, History>>>);

#[derive(Default)]
struct History {
    /// Markers whose deploy was sent and never acknowledged: each may be there or not.
    unacknowledged: BTreeSet<String>,
    /// By version.
    acknowledged: BTreeMap<u64, Acknowledged>,
    sent: usize,
}

#[derive(Clone, PartialEq, Eq)]
struct Acknowledged {
    marker: String,
    cid: String,
    at: Instant,
}

impl Book {
    pub fn new(functions: [&'static str; 2]) -> Self {
        Self(Arc::new(Mutex::new(functions.map(|name| (name, History::default())).into())))
    }

    fn with<T>(&self, name: &str, look: impl FnOnce(&mut History) -> T) -> T {
        let mut functions = self.0.lock().expect("nobody panics with the book");
        look(functions.get_mut(name).expect("every function is in the book"))
    }

    /// Number and marker of the next deploy of a function.
    fn next(&self, name: &str) -> (usize, String) {
        self.with(name, |history| {
            history.sent += 1;
            let marker = format!("{name}-{}", history.sent);
            history.unacknowledged.insert(marker.clone());
            (history.sent, marker)
        })
    }

    fn acknowledge(&self, name: &str, marker: String, function: &Value) {
        let version = function["version"].as_u64().expect("a number");
        let cid = function["wasm_cid"].as_str().expect("a text").to_owned();
        self.with(name, |history| {
            history.unacknowledged.remove(&marker);
            let before = history.acknowledged.insert(version, Acknowledged { marker, cid, at: Instant::now() });
            assert!(before.is_none(), "version {version} of `{name}` was given twice");
        });
    }

    /// What was acknowledged since a cut began counts as unanswered: see [`super::cut_power`].
    pub fn doubt_since(&self, cut_at: Instant) {
        for name in self.names() {
            self.with(name, |history| {
                let doubtful = history.acknowledged.extract_if(.., |_, acknowledged| acknowledged.at >= cut_at);
                history.unacknowledged.extend(doubtful.map(|(_, acknowledged)| acknowledged.marker));
            });
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.names().iter().map(|name| self.with(name, |history| history.acknowledged.len())).sum()
    }

    fn names(&self) -> Vec<&'static str> {
        self.0.lock().expect("nobody panics with the book").keys().copied().collect()
    }

    /// What was acknowledged and is not there, or not right.
    pub fn losses(&self, http: &Http) -> Vec<String> {
        self.names().into_iter().flat_map(|name| self.losses_of(name, http)).collect()
    }

    fn losses_of(&self, name: &str, http: &Http) -> Vec<String> {
        let acknowledged = self.with(name, |history| history.acknowledged.clone());
        let Some(newest) = acknowledged.keys().last() else { return Vec::new() };
        let (there, active) = versions(name, http);
        let mut losses = Vec::new();
        for (version, Acknowledged { cid, .. }) in &acknowledged {
            if there.get(version) != Some(cid) {
                losses.push(format!("{name}@{version} is {:?} instead of {cid}", there.get(version)));
            }
        }
        match active {
            None => losses.push(format!("no version of {name} is active")),
            Some(active) if active < *newest => losses.push(format!("{name} went back from {newest} to {active}")),
            Some(active) => losses.extend(self.loss_of_answer(name, active, http)),
        }
        losses
    }

    /// A function answers as its active version does, whole.
    fn loss_of_answer(&self, name: &str, active: u64, http: &Http) -> Option<String> {
        let reply = http.post(&invoke(name), b"{}");
        let right = marker_of(&reply).is_some_and(|marker| {
            self.with(name, |history| match history.acknowledged.get(&active) {
                Some(acknowledged) => acknowledged.marker == marker,
                None => history.unacknowledged.contains(&marker),
            })
        });
        (!right).then(|| format!("{name}, at version {active}, answers {reply:?}"))
    }

    /// The same for every version that was ever acknowledged.
    pub fn losses_of_every_version(&self, http: &Http) -> Vec<String> {
        let mut losses = Vec::new();
        for name in self.names() {
            for (version, Acknowledged { marker, .. }) in self.with(name, |history| history.acknowledged.clone()) {
                let reply = http.post(&invoke(&format!("{name}@{version}")), b"{}");
                if marker_of(&reply).as_deref() != Some(&*marker) {
                    losses.push(format!("{name}@{version} answers {reply:?} instead of {marker}"));
                }
            }
        }
        losses
    }
}

/// The code of each version, and which one is active.
fn versions(name: &str, http: &Http) -> (BTreeMap<u64, String>, Option<u64>) {
    let document = http.get(&format!("/v1/functions/{name}/versions")).json();
    let versions = document["versions"].as_array().cloned().unwrap_or_default();
    let number = |version: &Value| version["version"].as_u64().expect("a number");
    let active = versions.iter().find(|version| version["active"] == true).map(number);
    let cid = |version: &Value| version["wasm_cid"].as_str().expect("a text").to_owned();
    (versions.iter().map(|version| (number(version), cid(version))).collect(), active)
}

fn invoke(name: &str) -> String {
    format!("/v1/functions/{name}/invoke")
}

fn marker_of(reply: &Reply) -> Option<String> {
    let document: Value = serde_json::from_str(&reply.body).ok()?;
    (reply.status == 200).then(|| document["marker"].as_str().map(str::to_owned))?
}

/// Answers with its marker; every second one is larger than a block.
fn program(number: usize, marker: &str) -> Vec<u8> {
    let text = format!("{{\"marker\":\"{marker}\"}}");
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
    let head = [16u32.to_le_bytes(), u32::try_from(text.len()).expect("it is short").to_le_bytes()].concat();
    let padding = "x".repeat(if number.is_multiple_of(2) { LARGE_BYTES } else { 0 });
    compiled(&format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 8)
            (data (i32.const 0) "{}{}") (data (i32.const 1024) "{padding}")
            (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
        bytes(&head),
        format_args!("{}{}", "\\00".repeat(8), bytes(text.as_bytes())),
    ))
}

/// Deployers and callers at work. They end when the server no longer answers.
pub struct Load {
    deployers: Vec<JoinHandle<Option<Instant>>>,
    callers: Vec<JoinHandle<()>>,
    acknowledgements: Receiver<()>,
}

impl Load {
    pub fn start(http: &Http, book: &Book) -> Self {
        let (sender, acknowledgements) = mpsc::channel();
        let deployers = DEPLOYERS.map(|name| {
            let (http, book, sender) = (http.clone(), book.clone(), sender.clone());
            std::thread::spawn(move || deploy_until_gone(name, &http, &book, &sender))
        });
        let callers = book.names().into_iter().map(|name| {
            let (http, book) = (http.clone(), book.clone());
            std::thread::spawn(move || call_until_gone(name, &http, &book))
        });
        Self { deployers: deployers.into(), callers: callers.collect(), acknowledgements }
    }

    /// Returns some time after a number of deploys was acknowledged.
    pub fn wait_for(&self, count: u64, longer: Duration) {
        for _ in 0..count {
            self.acknowledgements.recv_timeout(PATIENCE).expect("deploys are acknowledged");
        }
        let end = Instant::now() + longer;
        while let Ok(()) | Err(RecvTimeoutError::Disconnected) =
            self.acknowledgements.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            assert!(self.deployers.iter().any(|thread| !thread.is_finished()), "every deployer gave up");
        }
    }

    /// After the server has ended: how many deploys had been sent and not answered at its end.
    pub fn join(self, end: Instant) -> usize {
        self.callers.into_iter().for_each(|thread| thread.join().expect("what callers see is right"));
        let deployers = self.deployers.into_iter().map(|thread| thread.join().expect("what deployers see is right"));
        deployers.flatten().filter(|sent_at| *sent_at < end).count()
    }
}

/// Returns when the deploy that got no answer was sent; nothing if the last one could not be sent.
fn deploy_until_gone(name: &str, http: &Http, book: &Book, acknowledgements: &Sender<()>) -> Option<Instant> {
    loop {
        let (number, marker) = book.next(name);
        let exchange = http.open_deploy(name, &program(number, &marker), &[]).ok()?;
        let sent_at = Instant::now();
        match exchange.reply() {
            Ok(reply) if reply.status == 201 => {
                book.acknowledge(name, marker, &reply.json()["function"]);
                let _ = acknowledgements.send(());
            }
            // A server whose disk is gone says that it failed.
            Ok(reply) => {
                assert!(reply.status >= 500, "{reply:?}");
                return Some(sent_at);
            }
            Err(_) => return Some(sent_at),
        }
    }
}

/// What a function answers was deployed, whole, whatever is going on.
fn call_until_gone(name: &str, http: &Http, book: &Book) {
    let call = || http.try_send("POST", &invoke(name), &[("content-type", "application/json")], b"{}");
    loop {
        let must_be_there = book.with(name, |history| !history.acknowledged.is_empty());
        let Ok(reply) = call() else { return };
        // Without its disk a server can still answer what it has in memory, or say that it failed.
        if reply.status >= 500 || (reply.status == 404 && !must_be_there) {
            continue;
        }
        let marker = marker_of(&reply).unwrap_or_else(|| panic!("{name} answers {reply:?}"));
        let was_sent = book.with(name, |history| {
            history.unacknowledged.contains(&marker)
                || history.acknowledged.values().any(|acknowledged| acknowledged.marker == marker)
        });
        assert!(was_sent, "{name} answers with {marker}, which nobody deployed");
    }
}
