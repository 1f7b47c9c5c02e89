//! Calls that run at the same time see nothing of each other: two hundred by twenty callers, all of them under way at once.
//!
//! Each waits for a word in its namespace's cache, which nobody writes before the server itself counts them all as running.

use std::collections::BTreeMap;
use std::thread::{JoinHandle, spawn};

use serde_json::{Value, json};

use crate::support::{Http, Reply, Server, Tenant, Wallet, compiled};

const CALLERS: usize = 20;
const CALLS_EACH: usize = 10;
const CALLS: usize = CALLERS * CALLS_EACH;

/// Somebody who calls, and what the function must see of them.
struct Caller {
    http: Http,
    namespace: String,
    wallet: String,
    subject: String,
    tier: String,
    secret: String,
}

/// A call as its client saw it.
struct Seen {
    caller: usize,
    token: String,
    reply: Reply,
}

#[test]
fn two_hundred_calls_of_twenty_callers_see_only_their_own() {
    let server = Server::start();
    let (tenants, callers) = callers(&server);
    let calls = begin(&callers);
    server.wait_for_running(CALLS);
    for tenant in &tenants {
        tenant.ask("POST", "/v1/cache/put", &json!({ "dmap": "serverless_cache", "key": "go", "value": 1 }));
    }
    let calls: Vec<Seen> = calls.into_iter().map(|thread| thread.join().expect("a call is answered")).collect();
    for call in &calls {
        check_reply(call, &callers[call.caller]);
    }
    for tenant in &tenants {
        check_records(tenant, &calls, &callers);
    }
}

/// Ten wallets at home in one namespace, of both chains, and the admins of ten others.
fn callers(server: &Server) -> (Vec<Tenant>, Vec<Caller>) {
    let crowd = tenant(server, "crowd");
    let mut callers: Vec<Caller> = (1..=10).map(|seed| with_wallet(server, &crowd, seed)).collect();
    let mut tenants = vec![crowd];
    for number in 1..=10 {
        let name = format!("tenant-{number}");
        let tenant = tenant(server, &name);
        callers.push(Caller {
            http: tenant.http(),
            wallet: name.clone(),
            subject: String::new(),
            tier: String::new(),
            secret: secret_of(&name),
            namespace: name,
        });
        tenants.push(tenant);
    }
    assert_eq!(callers.len(), CALLERS);
    (tenants, callers)
}

fn tenant(server: &Server, name: &str) -> Tenant {
    let tenant = Tenant::found(server, name);
    tenant.set_secret("WHO", &secret_of(name));
    let variables = json!({ "env_vars": { "MY_VAR": format!("variable of {name}") } });
    let metadata = json!({ "concurrency": CALLS, "timeout": 60, "env_vars": variables["env_vars"] }).to_string();
    tenant.deploy("who", &compiled(include_str!("guests/callers.wat")), &[("metadata", &metadata)]);
    tenant
}

fn secret_of(namespace: &str) -> String {
    format!("secret of {namespace}")
}

fn with_wallet(server: &Server, home: &Tenant, seed: u8) -> Caller {
    let wallet = if seed.is_multiple_of(2) { Wallet::ethereum(seed) } else { Wallet::solana(seed) };
    let (address, tier) = (wallet.address(), format!("tier {seed}"));
    home.ask("PUT", &format!("/v1/auth/claims/{address}/tier"), &json!({ "value": tier }));
    let token = home.token_of(&wallet, &["invoke"]);
    Caller {
        http: Http::new(server.address(), Some(&token)),
        namespace: home.name.clone(),
        wallet: address.clone(),
        subject: address,
        tier,
        secret: secret_of(&home.name),
    }
}

fn begin(callers: &[Caller]) -> Vec<JoinHandle<Seen>> {
    let numbers = (0..CALLERS).flat_map(|caller| (0..CALLS_EACH).map(move |call| (caller, call)));
    let begin = |(caller, call): (usize, usize)| {
        let (http, token) = (callers[caller].http.clone(), format!("call {call} of caller {caller}"));
        // A header names nobody, whatever it says.
        let headers = [("x-wallet", "0x1111111111111111111111111111111111111111"), ("x-namespace", "crowd")];
        spawn(move || {
            let reply = http.send("POST", "/v1/functions/who/invoke", &headers, token.as_bytes());
            Seen { caller, token, reply }
        })
    };
    numbers.map(begin).collect()
}

fn check_reply(call: &Seen, caller: &Caller) {
    assert_eq!(call.reply.status, 200, "{:?}", call.reply);
    let document = call.reply.json();
    let output = document["output"].as_str().expect("text");
    let id = call.reply.header("x-request-id").expect("an id");
    let variable = format!("variable of {}", caller.namespace);
    let want = [id, &caller.wallet, &caller.subject, &caller.tier, &caller.secret, &variable, &call.token, ""];
    assert_eq!(output.split('\n').collect::<Vec<_>>(), want);
}

/// Every call has one record with one log line and one wallet, its own, in its own namespace.
fn check_records(tenant: &Tenant, calls: &[Seen], callers: &[Caller]) {
    let own = |call: &&Seen| callers[call.caller].namespace == tenant.name;
    let made: BTreeMap<String, (Value, Value)> = calls
        .iter()
        .filter(own)
        .map(|call| {
            let id = call.reply.header("x-request-id").expect("an id").to_owned();
            (id, (json!(call.token), json!(callers[call.caller].wallet)))
        })
        .collect();
    let recorded: BTreeMap<String, (Value, Value)> = tenant.records("who", made.len()).iter().map(recorded).collect();
    assert_eq!(recorded, made, "{}", tenant.name);
}

fn recorded(record: &Value) -> (String, (Value, Value)) {
    let lines = record["wasm_logs"].as_array().expect("a list");
    assert_eq!(lines.len(), 1, "{record}");
    let id = record["request_id"].as_str().expect("an id").to_owned();
    (id, (lines[0]["message"].clone(), record["caller_wallet"].clone()))
}
