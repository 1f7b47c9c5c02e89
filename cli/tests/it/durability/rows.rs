//! Rows that are written until the server is gone.

use std::collections::BTreeMap;

use serde_json::json;

use super::sent::{Sent, Writers};
use crate::support::Http;

const PAGE: usize = 5_000;

/// Every row that was ever sent, by its id. A pair is sent in one transaction.
#[derive(Clone, Default)]
pub struct Rows(Sent);

impl Rows {
    /// The table, made before anything may break.
    pub fn create(http: &Http) -> Self {
        let table = json!({"schema": "CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"});
        let reply = http.post("/v1/rqlite/create-table", table.to_string().as_bytes());
        assert_eq!(reply.status, 201, "{}", reply.body);
        Self::default()
    }

    pub fn acknowledged(&self) -> usize {
        self.0.acknowledged()
    }

    /// What was acknowledged and is not there, what is there and was never sent, and pairs of which one is there.
    pub fn wrongs(&self, http: &Http) -> Vec<String> {
        let there = match read_all(http) {
            Ok(there) => there,
            Err(said) => return vec![said],
        };
        let sent = self.0.numbers();
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
        let (sent, http) = (self.0.clone(), http.clone());
        self.0.write(move || {
            let first = sent.take(2) * 2;
            let ids = if is_first_of_pair(first) { vec![first, first + 1] } else { vec![first] };
            let insert =
                |id: &u64| json!({"kind": "exec", "sql": "INSERT INTO rows VALUES (?, ?)", "args": [id, text_of(*id)]});
            let body = json!({"ops": ids.iter().map(insert).collect::<Vec<_>>()}).to_string();
            sent.send(&http, "/v1/rqlite/transaction", &body, &ids)
        })
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
