//! Calls that run at the same time see nothing of each other: two hundred of one function, most of them at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};
use std::time::Instant;

use crate::support::{Http, Reply, Server, compiled};

const CALLS: usize = 200;
/// How many must have run at the same moment; with fewer, this shows nothing.
const OVERLAPPING_MIN: usize = 150;

/// A call as its client saw it.
struct Seen {
    token: String,
    began: Instant,
    ended: Instant,
    reply: Reply,
}

#[test]
fn two_hundred_calls_at_once_see_only_their_own() {
    let server = Server::start();
    let code = compiled(include_str!("guests/slow_context.wat"));
    let metadata = r#"{"env_vars": {"MY_VAR": "of this function"}, "concurrency": 200}"#;
    server.deploy("slow", &code, [("metadata", metadata)]);
    let calls = call_at_once(&server.http());
    let overlapping = most_at_once(&calls);
    println!("{overlapping} of {CALLS} calls overlapped");
    assert!(overlapping >= OVERLAPPING_MIN, "only {overlapping} of {CALLS} calls overlapped");

    let mut wallets: Vec<String> = calls.iter().map(check_reply).collect();
    wallets.dedup();
    assert_eq!(wallets.len(), 1, "the same key is the same caller: {wallets:?}");
    check_records(&server, &calls);
}

fn call_at_once(http: &Http) -> Vec<Seen> {
    let start = Arc::new(Barrier::new(CALLS));
    let threads: Vec<_> = (0..CALLS)
        .map(|number| {
            let (http, start) = (http.clone(), start.clone());
            std::thread::spawn(move || {
                let token = format!("token {number} of {CALLS}");
                start.wait();
                let began = Instant::now();
                let reply = http.post("/v1/functions/slow/invoke", token.as_bytes());
                Seen { token, began, ended: Instant::now(), reply }
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().expect("a call is answered")).collect()
}

/// The most calls that were under way at one moment.
fn most_at_once(calls: &[Seen]) -> usize {
    let mut changes: Vec<(Instant, isize)> =
        calls.iter().flat_map(|call| [(call.began, 1), (call.ended, -1)]).collect();
    changes.sort();
    let mut under_way = 0;
    let counts = changes.iter().map(|(_, change)| {
        under_way += change;
        under_way
    });
    counts.max().unwrap_or(0).cast_unsigned()
}

/// Returns the wallet that the call saw.
fn check_reply(call: &Seen) -> String {
    assert_eq!(call.reply.status, 200, "{:?}", call.reply);
    let document = call.reply.json();
    let output = document["output"].as_str().expect("text");
    let [id, wallet, variable, token, ""] = output.split('\n').collect::<Vec<_>>()[..] else {
        panic!("four lines, not {output:?}");
    };
    assert_eq!(Some(id), call.reply.header("x-request-id"));
    assert_eq!((variable, token), ("of this function", &*call.token));
    wallet.to_owned()
}

/// Every call has one record with one log line, its own.
fn check_records(server: &Server, calls: &[Seen]) {
    let records = server.records("slow", CALLS);
    let line = |record: &serde_json::Value| {
        let lines = record["wasm_logs"].as_array().expect("a list");
        assert_eq!(lines.len(), 1, "{record}");
        (record["request_id"].as_str().expect("an id").to_owned(), lines[0]["message"].clone())
    };
    let recorded: BTreeMap<_, _> = records.iter().map(line).collect();
    let made = |call: &Seen| (call.reply.header("x-request-id").expect("an id").to_owned(), call.token.clone().into());
    assert_eq!(recorded, calls.iter().map(made).collect());
}
