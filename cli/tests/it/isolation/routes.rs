//! What the other tenant asks of each route. A route of the OpenAPI document that has no line here has no answer.

use serde_json::{Value, json};

use super::world::Names;
use crate::support::{FORM, form};

/// What must come of a request about another's things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// There is no such thing: neither in the namespace that it names, nor at home.
    Nowhere,
    /// There is no such namespace; at home it asks for, or makes, the tenant's own.
    OwnAtHome,
    /// It is for operators.
    Operator,
    /// It is about the caller or the node, and names nothing that is another's.
    NotAbout,
}

pub struct Line {
    pub expected: Expected,
    /// The path with its names filled in.
    pub path: String,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

/// The request that tries a route; `None` for a route that nobody wrote a line for.
pub fn line(method: &str, route: &str, names: &Names) -> Option<Line> {
    use Expected::{NotAbout, Nowhere, Operator, OwnAtHome};
    let Names { namespace, function, secret, table, map, entry, cid, wallet, .. } = names;
    let none = Value::Null;
    let select = format!("SELECT * FROM {table}");
    let insert = format!("INSERT INTO {table} VALUES (1)");
    let place = json!({ "dmap": map, "key": entry });
    let value = json!({ "dmap": map, "key": entry, "value": 2 });
    let proof =
        json!({ "wallet": wallet, "namespace": namespace, "nonce": "n0nce", "signature": "0x00", "name": "app" });
    let (expected, body) = match (method, route) {
        ("POST", "/v1/invoke/{namespace}/{function}" | "/v1/invoke/{namespace}/{function}/{path}") => (Nowhere, none),
        ("POST", "/v1/functions/{function}/invoke" | "/v1/functions/{function}/invoke/{path}") => (Nowhere, none),
        ("GET", "/v1/functions" | "/v1/functions/secrets") => (OwnAtHome, none),
        ("POST", "/v1/functions") => return Some(upload(function)),
        ("PUT", "/v1/functions/secrets") => (OwnAtHome, json!({ "name": secret, "value": "mine" })),
        ("POST", "/v1/functions/secrets/rotate" | "/v1/auth/signing-keys/rotate") => (Operator, none),
        ("POST", "/v1/auth/receipt-keys/rotate") => (Operator, none),
        ("GET", "/v1/receipts") => (OwnAtHome, none),
        ("GET", "/v1/receipts/{request}") => (Nowhere, none),
        ("DELETE", "/v1/functions/secrets/{secret}" | "/v1/functions/{function}") => (Nowhere, none),
        ("GET", "/v1/functions/{function}" | "/v1/functions/{function}/logs") => (Nowhere, none),
        // At home a function that never was has none, as it would after its end.
        ("GET", "/v1/functions/{function}/versions") => (OwnAtHome, none),
        ("POST", "/v1/functions/{function}/rollback") => (Nowhere, json!({ "version": 1 })),
        ("POST", "/v1/functions/{function}/enable" | "/v1/functions/{function}/disable") => (Nowhere, none),

        ("GET", "/v1/functions/{function}/triggers" | "/v1/functions/{function}/triggers/dlq") => (Nowhere, none),
        ("POST", "/v1/functions/{function}/triggers") => (Nowhere, json!({ "topic": function })),
        ("POST", "/v1/functions/{function}/triggers/run") => (Nowhere, json!({ "at": "2030-01-01T00:00:00Z" })),
        ("POST", "/v1/functions/{function}/triggers/dlq/redrive") => (Nowhere, none),
        ("DELETE", "/v1/functions/{function}/triggers/dlq") => (Nowhere, none),
        ("DELETE", "/v1/functions/{function}/triggers/dlq/{delivery}") => (Nowhere, none),
        ("POST", "/v1/functions/{function}/triggers/{trigger}/pause") => (Nowhere, none),
        ("POST", "/v1/functions/{function}/triggers/{trigger}/resume") => (Nowhere, none),
        ("DELETE", "/v1/functions/{function}/triggers/{trigger}") => (Nowhere, none),
        ("GET", "/v1/triggers") => (OwnAtHome, none),

        ("POST", "/v1/functions/{function}/jobs") => (Nowhere, json!({ "payload": 1 })),
        ("GET", "/v1/jobs") => (OwnAtHome, none),
        ("GET" | "DELETE", "/v1/jobs/{job}") => (Nowhere, none),

        ("POST", "/v1/auth/challenge") => (NotAbout, json!({ "wallet": wallet, "namespace": namespace })),
        ("POST", "/v1/auth/verify" | "/v1/auth/api-key" | "/v1/auth/register") => (NotAbout, proof),
        ("POST", "/v1/auth/simple-key") => (NotAbout, json!({ "wallet": wallet, "namespace": namespace })),
        ("POST", "/v1/auth/refresh" | "/v1/auth/logout") => {
            (NotAbout, json!({ "refresh_token": "r3fresh", "namespace": namespace }))
        }
        ("POST", "/v1/auth/token") | ("GET", "/v1/auth/login" | "/v1/auth/whoami") => (NotAbout, none),
        ("GET", "/v1/auth/jwks" | "/.well-known/jwks.json" | "/.well-known/orama-keys.json") => (NotAbout, none),
        ("GET", "/v1/auth/keys") => (OwnAtHome, none),
        ("POST", "/v1/auth/keys") => (OwnAtHome, json!({ "name": "mine", "scopes": ["data"] })),
        ("DELETE", "/v1/auth/keys/{key}" | "/v1/auth/claims/{wallet}/{claim}") => (Nowhere, none),
        ("GET", "/v1/auth/claims/{wallet}") => (OwnAtHome, none),
        ("PUT", "/v1/auth/claims/{wallet}/{claim}") => (OwnAtHome, json!({ "value": "mine" })),

        ("GET", "/v1/namespaces") => (NotAbout, none),
        ("POST", "/v1/namespaces") => (Operator, json!({ "name": namespace })),
        ("GET", "/v1/certificates") => (Operator, none),
        ("GET", "/v1/domains") => (OwnAtHome, none),
        ("POST", "/v1/domains") => (OwnAtHome, json!({ "domain": "known.example.com", "function": function })),
        ("POST", "/v1/domains/{domain}/verify") | ("DELETE", "/v1/domains/{domain}") => (Nowhere, none),
        ("GET" | "DELETE", "/v1/namespaces/{namespace}") => (Nowhere, none),
        ("GET", "/v1/namespaces/{namespace}/settings" | "/v1/namespaces/{namespace}/owners") => (Nowhere, none),
        ("PUT", "/v1/namespaces/{namespace}/settings") => (Nowhere, json!({ "concurrency": 1 })),
        ("PUT", "/v1/namespaces/{namespace}/owners/{wallet}") => (Nowhere, json!({ "scopes": ["admin"] })),
        ("DELETE", "/v1/namespaces/{namespace}/owners/{wallet}") => (Nowhere, none),
        ("GET", "/v1/namespace/rate-limit" | "/v1/audit") => (OwnAtHome, none),
        ("PUT", "/v1/namespace/rate-limit") => (OwnAtHome, json!({ "requests_per_minute": 1 })),
        ("DELETE", "/v1/namespace/rate-limit") => (OwnAtHome, none),

        ("POST", "/v1/rqlite/query") => (OwnAtHome, json!({ "sql": select })),
        ("POST", "/v1/rqlite/exec") => (OwnAtHome, json!({ "sql": insert })),
        ("POST", "/v1/rqlite/find" | "/v1/rqlite/find-one" | "/v1/rqlite/select") => {
            (OwnAtHome, json!({ "table": table }))
        }
        ("POST", "/v1/rqlite/transaction") => (OwnAtHome, json!({ "statements": [insert] })),
        ("POST", "/v1/rqlite/create-table") => {
            (OwnAtHome, json!({ "schema": format!("CREATE TABLE IF NOT EXISTS {table}(mine)") }))
        }
        ("POST", "/v1/rqlite/drop-table") => (Nowhere, json!({ "table": table })),
        ("POST", "/v1/rqlite/migrate") => {
            (OwnAtHome, json!({ "migrations": [{ "name": "0001_mine", "sql": "SELECT 1" }] }))
        }
        ("POST", "/v1/rqlite/import") => (OwnAtHome, Value::String(format!("DELETE FROM {table};"))),
        ("GET", "/v1/rqlite/schema" | "/v1/rqlite/migrations" | "/v1/rqlite/export" | "/v1/rqlite/backup") => {
            (OwnAtHome, none)
        }

        ("GET", "/v1/cache/health") => (NotAbout, none),
        ("POST", "/v1/cache/put" | "/v1/cache/cas") => (OwnAtHome, value),
        ("POST", "/v1/cache/get" | "/v1/cache/delete") => (Nowhere, place),
        ("POST", "/v1/cache/mget") => (OwnAtHome, json!({ "dmap": map, "keys": [entry] })),
        ("POST", "/v1/cache/scan") => (OwnAtHome, json!({ "dmap": map })),
        ("POST", "/v1/cache/incr") => (OwnAtHome, place),
        ("DELETE", "/v1/cache/dmap/{map}") => (OwnAtHome, none),
        ("DELETE", "/v1/cache/dmap/{map}/key/{key}") => (Nowhere, none),

        ("POST", "/v1/storage/upload") => (OwnAtHome, json!({ "name": "mine", "data": "bWluZQ==" })),
        ("POST", "/v1/storage/pin") => (Nowhere, json!({ "cid": cid })),
        ("GET", "/v1/storage/status/{cid}" | "/v1/storage/get/{cid}") => (Nowhere, none),
        ("DELETE", "/v1/storage/unpin/{cid}") => (Nowhere, none),
        ("GET", "/v1/storage/list") | ("POST", "/v1/storage/gc") => (OwnAtHome, none),

        ("POST", "/v1/pubsub/publish") => (OwnAtHome, json!({ "topic": function, "data_base64": "bWluZQ==" })),
        ("POST", "/v1/pubsub/publish-batch") => {
            (OwnAtHome, json!({ "messages": [{ "topic": function, "data_base64": "bWluZQ==" }] }))
        }
        // Without a topic: with one it would never end.
        ("GET", "/v1/pubsub/topics" | "/v1/pubsub/sse" | "/v1/pubsub/ws" | "/v1/pubsub/presence") => (OwnAtHome, none),
        ("GET", "/v1/functions/{function}/ws") => (Nowhere, none),
        ("GET", "/v1/serverless/ws/connections") => (OwnAtHome, none),
        ("GET" | "DELETE", "/v1/serverless/ws/connections/{client}") => (Nowhere, none),

        ("GET" | "DELETE", "/v1/push/config" | "/v1/namespace/push-credentials") => (OwnAtHome, none),
        ("GET" | "DELETE", "/v1/namespace/push-credentials/{provider}") => (OwnAtHome, none),
        ("PUT" | "POST", "/v1/push/config" | "/v1/namespace/push-credentials") => {
            (OwnAtHome, json!({ "ntfy_base_url": format!("https://{function}.example") }))
        }
        ("PUT", "/v1/namespace/push-credentials/{provider}") => {
            (OwnAtHome, json!({ "ntfy_base_url": format!("https://{function}.example") }))
        }
        ("POST", "/v1/push/vapid-key") => (OwnAtHome, none),
        ("POST", "/v1/push/send" | "/v1/notify") => (OwnAtHome, json!({ "user_id": wallet, "body": "mine" })),
        // Whoever signed in has devices and an inbox of their own, in the namespace of their token alone.
        ("GET", "/v1/push/vapid-public-key" | "/v1/push/devices" | "/v1/inbox") => (NotAbout, none),
        ("POST", "/v1/push/devices") => (NotAbout, json!({ "device_id": "mine", "provider": "fcm", "token": "mine" })),
        ("DELETE", "/v1/push/devices/{device}" | "/v1/inbox/{message}") => (NotAbout, none),

        ("GET", "/v1/network/status" | "/v1/network/peers") => (NotAbout, none),
        ("POST", "/v1/network/connect") => (NotAbout, json!({ "multiaddr": "/ip4/198.51.100.1" })),
        ("POST", "/v1/network/disconnect") => (NotAbout, json!({ "peer_id": "p" })),
        ("POST", "/v1/proxy/anon") => (OwnAtHome, json!({ "url": "https://example.com/" })),

        ("GET", "/health" | "/v1/health" | "/status" | "/v1/status" | "/ready" | "/v1/version") => (NotAbout, none),
        ("GET", "/v1/limits" | "/v1/openapi.json") => (NotAbout, none),
        ("GET", "/metrics") => (Operator, none),
        _ => return None,
    };
    // SQL text goes in as it is; everything else is JSON.
    let body = match body {
        Value::Null => Vec::new(),
        Value::String(text) => text.into_bytes(),
        document => document.to_string().into_bytes(),
    };
    Some(Line { expected, path: filled(route, names), content_type: "application/json", body })
}

fn upload(function: &str) -> Line {
    let body = form(&[("name", function)], Some(&super::world::speaker("mine")));
    Line { expected: Expected::OwnAtHome, path: "/v1/functions".to_owned(), content_type: FORM, body }
}

fn filled(route: &str, names: &Names) -> String {
    let function = if route.ends_with("{path}") { names.web } else { names.function };
    let key = if route.starts_with("/v1/cache") { names.entry } else { &names.key };
    let values = [
        ("{namespace}", names.namespace),
        ("{function}", function),
        ("{path}", "a/b"),
        ("{secret}", names.secret),
        ("{wallet}", &names.wallet),
        ("{claim}", names.claim),
        ("{map}", names.map),
        ("{key}", key),
        ("{cid}", &names.cid),
        ("{provider}", "ntfy"),
        ("{device}", &names.key),
        ("{message}", &names.key),
        ("{job}", &names.job),
        ("{request}", &names.job),
        ("{trigger}", &names.trigger),
        ("{delivery}", &names.trigger),
        // No socket is open here: the router's matrix tries one that is.
        ("{client}", &names.job),
    ];
    values.iter().fold(route.to_owned(), |path, (variable, value)| path.replace(variable, value))
}
