//! Writers of rows at work until the server is gone, and the book of what was acknowledged to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Http, PATIENCE};

/// More than fit one group of a group commit that begins with the first of them.
const WRITERS: usize = 8;
const PAGE: usize = 5_000;

/// Every row that was ever sent, by its id, and when it was acknowledged. A pair is sent in one transaction.
#[derive(Clone, Default)]
pub struct Rows {
    sent: Arc<Mutex<BTreeMap<u64, Option<Instant>>>>,
    next: Arc<AtomicU64>,
}

impl Rows {
    /// The table, made before anything may break.
    pub fn create(http: &Http) -> Self {
        let table = json!({"schema": "CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"});
        let reply = http.post("/v1/rqlite/create-table", table.to_string().as_bytes());
        assert_eq!(reply.status, 201, "{}", reply.body);
        Self::default()
    }

    pub fn acknowledged(&self) -> usize {
        self.sent
            .lock()
            .expect("nobody panics with the book")
            .values()
            .filter(|acknowledged| acknowledged.is_some())
            .count()
    }

    /// What was acknowledged since a cut began counts as unanswered: see [`super::cut_power`].
    pub fn doubt_since(&self, cut_at: Instant) {
        let mut sent = self.sent.lock().expect("nobody panics with the book");
        sent.values_mut().filter(|at| at.is_some_and(|at| at >= cut_at)).for_each(|at| *at = None);
    }

    /// What was acknowledged and is not there, what is there and was never sent, and pairs of which one is there.
    pub fn wrongs(&self, http: &Http) -> Vec<String> {
        let there = match read_all(http) {
            Ok(there) => there,
            Err(said) => return vec![said],
        };
        let sent = self.sent.lock().expect("nobody panics with the book");
        let lost = sent.iter().filter(|(id, acknowledged)| acknowledged.is_some() && !there.contains_key(id));
        let lost = lost.map(|(id, _)| format!("row {id} was acknowledged and is gone"));
        let odd = there.iter().filter(|(id, text)| !sent.contains_key(id) || **text != text_of(**id));
        let odd = odd.map(|(id, text)| format!("row {id} {text:?} was never sent"));
        let halves =
            sent.keys().filter(|id| is_first_of_pair(**id) && there.contains_key(id) != there.contains_key(&(*id + 1)));
        let halves = halves.map(|id| format!("of the pair {id} and {} one is there", id + 1));
        lost.chain(odd).chain(halves).take(10).collect()
    }

    /// Starts writers. They end when the server no longer answers.
    pub fn write(&self, http: &Http) -> Writers {
        let write = |_| {
            let (rows, http) = (self.clone(), http.clone());
            std::thread::spawn(move || rows.write_until_gone(&http))
        };
        Writers { rows: self.clone(), before: self.acknowledged(), threads: (0..WRITERS).map(write).collect() }
    }

    /// Returns when the request that got no answer was sent; nothing if the last one could not be sent.
    fn write_until_gone(&self, http: &Http) -> Option<Instant> {
        loop {
            let first = self.next.fetch_add(2, Ordering::Relaxed) * 2;
            let ids = if is_first_of_pair(first) { vec![first, first + 1] } else { vec![first] };
            let insert =
                |id: &u64| json!({"kind": "exec", "sql": "INSERT INTO rows VALUES (?, ?)", "args": [id, text_of(*id)]});
            let body = json!({"ops": ids.iter().map(insert).collect::<Vec<_>>()}).to_string();
            self.note(&ids, None);
            let headers = [("content-type", "application/json")];
            let exchange = http.open("POST", "/v1/rqlite/transaction", &headers, body.as_bytes()).ok()?;
            let sent_at = Instant::now();
            match exchange.reply() {
                Ok(reply) if reply.status == 200 => self.note(&ids, Some(Instant::now())),
                // A server whose disk is gone says that it failed.
                Ok(reply) => {
                    assert!(reply.status >= 500, "{reply:?}");
                    return Some(sent_at);
                }
                Err(_) => return Some(sent_at),
            }
        }
    }

    fn note(&self, ids: &[u64], acknowledged: Option<Instant>) {
        let mut sent = self.sent.lock().expect("nobody panics with the book");
        sent.extend(ids.iter().map(|id| (*id, acknowledged)));
    }
}

/// Every eighth number begins a pair; all numbers that are sent are multiples of four, or the second of a pair.
fn is_first_of_pair(id: u64) -> bool {
    id.is_multiple_of(8)
}

fn text_of(id: u64) -> String {
    format!("the text of row {id}")
}

/// The error is what the server said instead.
fn read_all(http: &Http) -> Result<BTreeMap<u64, String>, String> {
    let mut all = BTreeMap::new();
    loop {
        let behind = all.last_key_value().map_or(-1, |(id, _): (&u64, _)| id.cast_signed());
        let query =
            json!({"sql": "SELECT id, text FROM rows WHERE id > ? ORDER BY id LIMIT ?", "args": [behind, PAGE]});
        let page = http.post("/v1/rqlite/query", query.to_string().as_bytes()).json();
        let items = page["items"].as_array().ok_or_else(|| page.to_string())?;
        for item in items {
            let text = item["text"].as_str().expect("a text").to_owned();
            all.insert(item["id"].as_u64().expect("a number"), text);
        }
        if items.len() < PAGE {
            return Ok(all);
        }
    }
}

pub struct Writers {
    rows: Rows,
    before: usize,
    threads: Vec<JoinHandle<Option<Instant>>>,
}

impl Writers {
    /// Returns some time after a number of rows was acknowledged.
    pub fn wait_for(&self, count: usize, longer: Duration) {
        let deadline = Instant::now() + PATIENCE;
        while self.rows.acknowledged() < self.before + count {
            assert!(Instant::now() < deadline, "rows are acknowledged");
            assert!(self.threads.iter().any(|thread| !thread.is_finished()), "every writer gave up");
            std::thread::yield_now();
        }
        let end = Instant::now() + longer;
        while Instant::now() < end {
            std::thread::yield_now();
        }
    }

    /// After the server has ended: how many requests had been sent and not answered at its end.
    pub fn join(self, end: Instant) -> usize {
        let sent = self.threads.into_iter().map(|thread| thread.join().expect("what writers see is right"));
        sent.flatten().filter(|sent_at| *sent_at < end).count()
    }
}
