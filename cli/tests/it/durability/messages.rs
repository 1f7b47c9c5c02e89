//! Messages that are published until the server is gone, to a function that notes each call.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::sent::{Sent, Writers};
use crate::support::{Http, PATIENCE, compiled};

const TOPIC: &str = "numbers";
/// Reads its event, finds the number that is the message, and notes it; fails when it cannot.
const NOTE: &str = r#"(module
    (import "env" "db_execute" (func $execute (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 512) "INSERT INTO calls VALUES (?)")
    (func (export "_start") (local $at i32) (local $out i32) (local $byte i32)
        (i32.store (i32.const 0) (i32.const 4096))
        (i32.store (i32.const 4) (i32.const 60000))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $at (i32.const 4096))
        (loop $find ;; what follows `"data":`
            (if (i64.ne (i64.and (i64.load (local.get $at)) (i64.const 0x00ffffffffffffff)) (i64.const 0x003a226174616422))
                (then
                    (if (i32.gt_u (local.get $at) (i32.const 64000)) (then unreachable))
                    (local.set $at (i32.add (local.get $at) (i32.const 1)))
                    (br $find))))
        (local.set $at (i32.add (local.get $at) (i32.const 7)))
        (i32.store8 (i32.const 2048) (i32.const 91))
        (local.set $out (i32.const 2049))
        (block $end
            (loop $digit
                (local.set $byte (i32.load8_u (local.get $at)))
                (br_if $end (i32.gt_u (i32.sub (local.get $byte) (i32.const 48)) (i32.const 9)))
                (i32.store8 (local.get $out) (local.get $byte))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (local.set $out (i32.add (local.get $out) (i32.const 1)))
                (br $digit)))
        (i32.store8 (local.get $out) (i32.const 93))
        (local.set $out (i32.add (local.get $out) (i32.const 1)))
        (if (i32.ne (i32.const 1)
                (call $execute (i32.const 512) (i32.const 28) (i32.const 2048) (i32.sub (local.get $out) (i32.const 2048))))
            (then unreachable))))"#;

/// Every message that was ever sent: the n-th is the number n.
#[derive(Clone, Default)]
pub struct Messages(Sent);

impl Messages {
    /// The table, the function and its trigger, made before anything may break.
    pub fn create(http: &Http) -> Self {
        let table = json!({"schema": "CREATE TABLE calls (number INTEGER NOT NULL)"});
        assert_eq!(http.post("/v1/rqlite/create-table", table.to_string().as_bytes()).status, 201);
        let deployed = http.deploy("note", &compiled(NOTE), &[("memory_limit_mb", "1")]).expect("an answer");
        assert_eq!(deployed.status, 201, "{}", deployed.body);
        let trigger = json!({"topic": TOPIC}).to_string();
        let added = http.post("/v1/functions/note/triggers", trigger.as_bytes());
        assert_eq!(added.status, 201, "{}", added.body);
        Self::default()
    }

    pub fn acknowledged(&self) -> usize {
        self.0.acknowledged()
    }

    /// Starts publishers. They end when the server no longer answers.
    pub fn publish(&self, http: &Http) -> Writers {
        let (sent, http) = (self.0.clone(), http.clone());
        self.0.write(move || {
            let number = sent.take(1);
            let body = json!({"topic": TOPIC, "data_base64": STANDARD.encode(number.to_string())}).to_string();
            sent.send(&http, "/v1/pubsub/publish", &body, &[number])
        })
    }

    /// Messages that were acknowledged and whose function was not called, after all the time that it may take; and calls for
    /// messages that nobody sent.
    pub fn wrongs(&self, http: &Http) -> Vec<String> {
        let patience = Instant::now() + PATIENCE;
        loop {
            let called = called(http);
            let sent = self.0.numbers();
            let odd = called.iter().filter(|number| !sent.contains_key(number));
            let odd: Vec<String> = odd.map(|number| format!("message {number} was never sent")).collect();
            let owed = sent.iter().filter(|(number, at)| at.is_some() && !called.contains(number));
            let owed: Vec<String> =
                owed.map(|(number, _)| format!("message {number} called nobody")).take(10).collect();
            if !odd.is_empty() || owed.is_empty() {
                return odd;
            }
            if Instant::now() > patience {
                return owed;
            }
            drop(sent);
            std::thread::sleep(Duration::from_millis(20)); // a bounded poll: calls come when there is room
        }
    }
}

fn called(http: &Http) -> BTreeSet<u64> {
    let mut all = BTreeSet::new();
    loop {
        let behind = all.last().map_or(-1, |number: &u64| number.cast_signed());
        let sql = "SELECT DISTINCT number FROM calls WHERE number > ? ORDER BY number LIMIT 5000";
        let query = json!({"sql": sql, "args": [behind]});
        let page = http.post("/v1/rqlite/query", query.to_string().as_bytes()).json();
        let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}")).clone();
        all.extend(items.iter().map(|item| item["number"].as_u64().expect("a number")));
        if items.len() < 5000 {
            return all;
        }
    }
}
