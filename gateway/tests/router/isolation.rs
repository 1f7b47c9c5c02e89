//! Every route of the table, tried by every kind of caller, and by an admin of another namespace on what exists and on what
//! does not. A route without a row here fails the tests.

use std::fmt::Write;
use std::sync::Arc;

use domain::{Caller, Cid, FunctionName, Scope, Scopes, SqlChanged, SqlRows, SqlValue};
use expect_test::expect;
use gateway::{Access, ROUTES, RequestBody, Route, Verb};
use http::{Method, Request};
use platform::{Attached, NewSocket};
use ports::SchemaObject;
use ports::memory::Script;
use serde_json::{Value, json};

use crate::support::wallet::{TestWallet, with_host};
use crate::support::{Form, House, PEER, Seen, home, request, with_header, with_key};

/// The things of the namespace `default`, which is foreign to the stranger.
struct Things {
    key: String,
    job: String,
    /// A call that left a receipt.
    request: String,
    trigger: String,
    /// A WebSocket, which lives as long as the last field.
    client: String,
    wallet: String,
    cid: String,
    /// Names of what exists, or of what does not.
    function: &'static str,
    secret: &'static str,
    claim: &'static str,
    map: &'static str,
    table: &'static str,
    domain: &'static str,
    _socket: Option<Attached>,
}

impl Things {
    fn missing() -> Self {
        Self {
            key: "0190f7a1-0000-7000-8000-000000000000".to_owned(),
            job: "0190f7a1-0000-7000-8000-000000000001".to_owned(),
            request: "0190f7a1-0000-7000-8000-000000000004".to_owned(),
            trigger: "0190f7a1-0000-7000-8000-000000000002".to_owned(),
            client: "0190f7a1-0000-7000-8000-000000000003".to_owned(),
            wallet: TestWallet::new(99).address(),
            cid: Cid::of(b"missing").to_string(),
            function: "fn-missing",
            secret: "SECRET_MISSING",
            claim: "claim-missing",
            map: "map-missing",
            table: "table_missing",
            domain: "missing.example.com",
            _socket: None,
        }
    }
}

/// A house in which everything exists that a route could be about.
async fn furnished() -> (House, Things) {
    let house = House::open().await;
    for (name, http) in [("fn-known", "false"), ("fn-known", "false"), ("speaks", "true")] {
        house.deploy(name, &Script::Echo.code(), &[("http", http)]).await;
    }
    let wallet = TestWallet::new(8);
    wallet.own(&house, Scopes::of([Scope::Data])).await;
    let wallet = wallet.address();
    let key = house.admin(Method::POST, "/v1/auth/keys", json!({ "name": "k", "scopes": ["data"] }).to_string()).await;
    let set = async |path: &str, body: Value| house.admin(Method::PUT, path, body.to_string()).await;
    set("/v1/functions/secrets", json!({ "name": "SECRET_KNOWN", "value": "v" })).await;
    set(&format!("/v1/auth/claims/{wallet}/claim-known"), json!({ "value": "gold" })).await;
    house.post("/v1/cache/put", json!({ "dmap": "map-known", "key": "k", "value": 1 })).await;
    let cid = house.post("/v1/storage/upload", json!({ "name": "a", "data": "aGVsbG8=" })).await.text("cid");
    // One that waits for long.
    let job = json!({ "payload": 1, "run_at": "2030-01-01T00:00:00Z" }).to_string();
    let job = house.admin(Method::POST, "/v1/functions/fn-known/jobs", job).await;
    let trigger = json!({ "once": "2030-01-01T00:00:00Z" }).to_string();
    let trigger = house.admin(Method::POST, "/v1/functions/fn-known/triggers", trigger).await;
    let socket = house.gateway.platform().attach_socket(NewSocket {
        namespace: home(),
        function: FunctionName::parse("fn-known").expect("a name"),
        version: None,
        caller: Arc::new(Caller::anonymous()),
        address: PEER.parse().expect("an address"),
    });
    house.deploy("signs", &Script::Echo.code(), &[("sign", "true")]).await;
    let signed = house.admin(Method::POST, "/v1/functions/signs/invoke", "{}").await;
    let domain = json!({ "domain": "known.example.com", "function": "fn-known" }).to_string();
    let domain = house.admin(Method::POST, "/v1/domains", domain).await;
    house.names.set(&domain.text("record"), &[&domain.text("token")]);
    answer_sql(&house);
    let things = Things {
        client: socket.id().to_string(),
        key: key.text("id"),
        job: job.text("id"),
        request: signed.header("x-request-id").to_owned(),
        trigger: trigger.text("trigger_id"),
        wallet,
        cid,
        function: "fn-known",
        secret: "SECRET_KNOWN",
        claim: "claim-known",
        map: "map-known",
        table: "table_known",
        domain: "known.example.com",
        _socket: Some(socket),
    };
    (house, things)
}

fn answer_sql(house: &House) {
    let row = SqlRows { columns: ["n".to_owned()].into(), rows: vec![vec![SqlValue::Integer(1)]] };
    for sql in ["SELECT 1", r#"SELECT * FROM "table_known""#, r#"SELECT * FROM "table_known" LIMIT ? OFFSET ?"#] {
        house.databases.answer(sql, row.clone());
    }
    for sql in ["INSERT", "CREATE TABLE table_known(id)", r#"DROP TABLE "table_known""#] {
        house.databases.answer(sql, SqlChanged::default());
    }
    let table = SchemaObject { name: "table_known".to_owned(), kind: "table".to_owned(), sql: String::new() };
    house.databases.set_schema(&home(), vec![table]);
    house.databases.set_file(&home(), "-- SQL");
}

/// A request for the namespace `default`, wherever the caller is at home.
fn sample(route: &Route, things: &Things) -> Request<RequestBody> {
    let Things {
        key,
        job,
        request: signed,
        trigger,
        client,
        wallet,
        cid,
        function,
        secret,
        claim,
        map,
        table,
        domain,
        ..
    } = things;
    let method = match &route.verb {
        Verb::Any => Method::POST,
        Verb::One(method) => method.clone(),
    };
    let none = Value::Null;
    let speaks = if *function == "fn-known" { "speaks" } else { function };
    let (path, body) = match (route.path, method.as_str()) {
        ("/v1/invoke/{namespace}/{function}", _) => (format!("/v1/invoke/default/{function}"), none),
        ("/v1/invoke/{namespace}/{function}/{*path}", _) => (format!("/v1/invoke/default/{speaks}/a/b"), none),
        ("/v1/functions/{function}/invoke/{*path}", _) => (format!("/v1/functions/{speaks}/invoke/a/b"), none),
        ("/v1/functions", "POST") => {
            return Form::default().file("wasm", b"echo").text("name", "new").post("/v1/functions?namespace=default");
        }
        ("/v1/functions/secrets", "PUT") => (route.path.to_owned(), json!({ "name": secret, "value": "v" })),
        ("/v1/receipts", _) => {
            let path = format!("/v1/receipts?function={function}&namespace=default");
            return with_host(request(method, &path, ""));
        }
        ("/v1/auth/challenge", _) => (route.path.to_owned(), json!({ "wallet": wallet })),
        ("/v1/auth/verify" | "/v1/auth/api-key" | "/v1/auth/register", _) => {
            (route.path.to_owned(), json!({ "message": "m", "signature": "s", "wallet": wallet, "name": "app" }))
        }
        ("/v1/auth/refresh", _) => (route.path.to_owned(), json!({ "refresh_token": "r" })),
        ("/v1/auth/keys", "POST") => (route.path.to_owned(), json!({ "name": "new", "scopes": ["data"] })),
        ("/v1/auth/claims/{wallet}/{claim}", "PUT") => {
            (format!("/v1/auth/claims/{wallet}/{claim}"), json!({ "value": "v" }))
        }
        ("/v1/namespaces", "POST") => (route.path.to_owned(), json!({ "name": "new" })),
        ("/v1/namespace/rate-limit", "PUT") => (route.path.to_owned(), json!({ "requests_per_minute": 1 })),
        ("/v1/namespaces/{namespace}/settings", "PUT") => ("/v1/namespaces/default/settings".to_owned(), json!({})),
        ("/v1/rqlite/query", _) => (route.path.to_owned(), json!({ "sql": "SELECT 1" })),
        ("/v1/rqlite/exec", _) => (route.path.to_owned(), json!({ "sql": "INSERT" })),
        ("/v1/rqlite/find" | "/v1/rqlite/find-one" | "/v1/rqlite/select", _) => {
            (route.path.to_owned(), json!({ "table": table }))
        }
        ("/v1/rqlite/transaction", _) => (route.path.to_owned(), json!({ "statements": ["INSERT"] })),
        ("/v1/rqlite/create-table", _) => (route.path.to_owned(), json!({ "schema": "CREATE TABLE table_known(id)" })),
        ("/v1/rqlite/drop-table", _) => (route.path.to_owned(), json!({ "table": table })),
        ("/v1/rqlite/migrate", _) => (route.path.to_owned(), json!({ "migrations": [] })),
        ("/v1/rqlite/import", _) => (route.path.to_owned(), json!("INSERT")),
        ("/v1/cache/mget", _) => (route.path.to_owned(), json!({ "dmap": map, "keys": ["k"] })),
        ("/v1/cache/scan", _) => (route.path.to_owned(), json!({ "dmap": map })),
        ("/v1/cache/incr" | "/v1/cache/get" | "/v1/cache/delete", _) => {
            (route.path.to_owned(), json!({ "dmap": map, "key": "k" }))
        }
        ("/v1/cache/put" | "/v1/cache/cas", _) => {
            (route.path.to_owned(), json!({ "dmap": map, "key": "k", "value": 2 }))
        }
        ("/v1/storage/upload", _) => (route.path.to_owned(), json!({ "name": "b", "data": "" })),
        ("/v1/storage/pin", _) => (route.path.to_owned(), json!({ "cid": cid })),
        ("/v1/pubsub/publish", _) => (route.path.to_owned(), json!({ "topic": "t", "data_base64": "eA==" })),
        ("/v1/pubsub/publish-batch", _) => {
            (route.path.to_owned(), json!({ "messages": [{ "topic": "t", "data_base64": "eA==" }] }))
        }
        ("/v1/push/config" | "/v1/namespace/push-credentials", "PUT" | "POST") => {
            (route.path.to_owned(), json!({ "ntfy_base_url": "https://ntfy.example" }))
        }
        ("/v1/namespace/push-credentials/{provider}", "PUT") => {
            ("/v1/namespace/push-credentials/ntfy".to_owned(), json!({ "ntfy_base_url": "https://ntfy.example" }))
        }
        ("/v1/push/devices", "POST") => {
            (route.path.to_owned(), json!({ "device_id": "d", "provider": "ntfy", "token": "t" }))
        }
        ("/v1/push/send" | "/v1/notify", _) => (route.path.to_owned(), json!({ "user_id": "u", "body": "b" })),
        ("/v1/functions/{function}/jobs", _) => (format!("/v1/functions/{function}/jobs"), json!({ "payload": 1 })),
        ("/v1/functions/{function}/triggers", "POST") => {
            (format!("/v1/functions/{function}/triggers"), json!({ "topic": "orders:*" }))
        }
        ("/v1/functions/{function}/triggers/run", _) => {
            (format!("/v1/functions/{function}/triggers/run"), json!({ "at": "2030-01-01T00:00:00Z" }))
        }
        ("/v1/domains", "POST") => (route.path.to_owned(), json!({ "domain": domain, "function": function })),
        ("/v1/network/connect", _) => (route.path.to_owned(), json!({ "multiaddr": "/ip4/198.51.100.1" })),
        ("/v1/network/disconnect", _) => (route.path.to_owned(), json!({ "peer_id": "p" })),
        ("/v1/proxy/anon", _) => (route.path.to_owned(), json!({ "url": "https://example.com/" })),
        (path, _) => {
            let names = [
                ("{namespace}", "default"),
                ("{function}", function),
                ("{secret}", secret),
                ("{claim}", claim),
                ("{map}", map),
                ("{key}", if path.starts_with("/v1/cache") { "k" } else { key.as_str() }),
                ("{wallet}", wallet),
                ("{cid}", cid),
                ("{provider}", "ntfy"),
                ("{device}", key),
                ("{message}", key),
                ("{job}", job),
                ("{request}", signed),
                ("{trigger}", trigger),
                ("{client}", client),
                ("{delivery}", key),
                ("{domain}", domain),
            ];
            let filled = names.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
            assert!(!filled.contains('{'), "the route {path} has no row in the isolation matrix");
            (filled, none)
        }
    };
    // SQL text goes in as it is; everything else is JSON.
    let body = match body {
        Value::Null => String::new(),
        Value::String(text) => text,
        document => document.to_string(),
    };
    let in_query = !path.starts_with("/v1/invoke") && !path.starts_with("/v1/namespaces");
    let path = if in_query { format!("{path}?namespace=default") } else { path };
    with_host(with_header(request(method, &path, body), "content-type", "application/json"))
}

fn verb_of(route: &Route) -> &str {
    match &route.verb {
        Verb::Any => "*",
        Verb::One(method) => method.as_str(),
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should() {
    let mut matrix = String::from("nobody wrong stranger invoke deploy data admin operator\n");
    for route in ROUTES {
        let mut row = String::new();
        for caller in 0..8 {
            // Fresh each time: some of the routes change things.
            let (house, things) = furnished().await;
            let (nobody, wrong) = (String::new(), "ak_wrong:default".to_owned());
            let House { stranger, invoker, deployer, client, admin, operator, .. } = &house;
            let key = [&nobody, &wrong, stranger, invoker, deployer, client, admin, operator][caller];
            let plain = sample(route, &things);
            let seen = house.send(if key.is_empty() { plain } else { with_key(plain, key) }).await;
            assert!(!seen.header("x-request-id").is_empty());
            assert_eq!(seen.header("x-content-type-options"), "nosniff");
            write!(row, "{} ", seen.status.as_u16()).expect("writing to a string works");
        }
        writeln!(matrix, "{row} {} {}", verb_of(route), route.path).expect("writing to a string works");
        match route.access {
            Access::Scope(Scope::Invoke) => {
                assert!(row.starts_with("401 401 404 20"), "{} {}: {row}", verb_of(route), route.path)
            }
            Access::Scope(_) => {
                assert!(row.starts_with("401 401 404 403 "), "{} {}: {row}", verb_of(route), route.path)
            }
            Access::Operator => assert!(
                row.starts_with("401 401 40") && row.contains(" 403 403 403 403 2"),
                "{} {}: {row}",
                verb_of(route),
                route.path
            ),
            _ => {}
        }
    }
    expect![[r#"
        nobody wrong stranger invoke deploy data admin operator
        401 401 404 200 403 403 200 200  * /v1/invoke/{namespace}/{function}
        401 401 404 200 403 403 200 200  * /v1/invoke/{namespace}/{function}/{*path}
        401 401 404 403 200 403 200 200  GET /v1/functions
        401 401 404 403 201 403 201 201  POST /v1/functions
        401 401 404 403 200 403 200 200  GET /v1/functions/secrets
        401 401 404 403 200 403 200 200  PUT /v1/functions/secrets
        401 401 403 403 403 403 403 200  POST /v1/functions/secrets/rotate
        401 401 404 403 200 403 200 200  DELETE /v1/functions/secrets/{secret}
        401 401 404 200 403 403 200 200  * /v1/functions/{function}/invoke
        401 401 404 200 403 403 200 200  * /v1/functions/{function}/invoke/{*path}
        401 401 404 426 403 403 426 426  GET /v1/functions/{function}/ws
        401 401 404 403 200 403 200 200  GET /v1/functions/{function}
        401 401 404 403 200 403 200 200  DELETE /v1/functions/{function}
        401 401 404 403 200 403 200 200  GET /v1/functions/{function}/versions
        401 401 404 403 200 403 200 200  GET /v1/functions/{function}/logs
        401 401 404 403 200 403 200 200  POST /v1/functions/{function}/rollback
        401 401 404 403 200 403 200 200  POST /v1/functions/{function}/enable
        401 401 404 403 200 403 200 200  POST /v1/functions/{function}/disable
        401 401 404 403 200 403 200 200  GET /v1/functions/{function}/triggers
        401 401 404 403 201 403 201 201  POST /v1/functions/{function}/triggers
        401 401 404 403 200 403 200 200  POST /v1/functions/{function}/triggers/run
        401 401 404 403 200 403 200 200  GET /v1/functions/{function}/triggers/dlq
        401 401 404 403 200 403 200 200  POST /v1/functions/{function}/triggers/dlq/redrive
        401 401 404 403 200 403 200 200  DELETE /v1/functions/{function}/triggers/dlq
        401 401 404 403 404 403 404 404  DELETE /v1/functions/{function}/triggers/dlq/{delivery}
        401 401 404 403 200 403 200 200  POST /v1/functions/{function}/triggers/{trigger}/pause
        401 401 404 403 200 403 200 200  POST /v1/functions/{function}/triggers/{trigger}/resume
        401 401 404 403 200 403 200 200  DELETE /v1/functions/{function}/triggers/{trigger}
        401 401 404 403 200 403 200 200  GET /v1/triggers
        401 401 404 202 403 403 202 202  POST /v1/functions/{function}/jobs
        401 401 404 403 200 403 200 200  GET /v1/jobs
        401 401 404 200 200 403 200 200  GET /v1/jobs/{job}
        401 401 404 403 200 403 200 200  DELETE /v1/jobs/{job}
        401 401 404 403 200 403 200 200  GET /v1/serverless/ws/connections
        401 401 404 403 200 403 200 200  GET /v1/serverless/ws/connections/{client}
        401 401 404 403 200 403 200 200  DELETE /v1/serverless/ws/connections/{client}
        200 200 200 200 200 200 200 200  POST /v1/auth/challenge
        400 400 400 400 400 400 400 400  POST /v1/auth/verify
        400 400 400 400 400 400 400 400  POST /v1/auth/api-key
        400 400 400 400 400 400 400 400  POST /v1/auth/register
        404 404 404 404 404 404 404 404  POST /v1/auth/simple-key
        200 200 200 200 200 200 200 200  GET /v1/auth/login
        401 401 200 200 200 200 200 200  POST /v1/auth/token
        401 401 401 401 401 401 401 401  POST /v1/auth/refresh
        200 200 200 200 200 200 200 200  POST /v1/auth/logout
        401 401 200 200 200 200 200 200  GET /v1/auth/whoami
        200 200 200 200 200 200 200 200  GET /v1/auth/jwks
        200 200 200 200 200 200 200 200  GET /.well-known/jwks.json
        401 401 403 403 403 403 403 200  POST /v1/auth/signing-keys/rotate
        200 200 200 200 200 200 200 200  GET /.well-known/orama-keys.json
        401 401 403 403 403 403 403 200  POST /v1/auth/receipt-keys/rotate
        401 401 404 403 403 403 200 200  GET /v1/auth/keys
        401 401 404 403 403 403 201 201  POST /v1/auth/keys
        401 401 404 403 403 403 200 200  DELETE /v1/auth/keys/{key}
        401 401 404 403 403 403 200 200  GET /v1/auth/claims/{wallet}
        401 401 404 403 403 403 200 200  PUT /v1/auth/claims/{wallet}/{claim}
        401 401 404 403 403 403 200 200  DELETE /v1/auth/claims/{wallet}/{claim}
        401 401 200 200 200 200 200 200  GET /v1/namespaces
        401 401 403 403 403 403 403 201  POST /v1/namespaces
        401 401 404 200 200 200 200 200  GET /v1/namespaces/{namespace}
        401 401 404 403 403 403 409 409  DELETE /v1/namespaces/{namespace}
        401 401 404 200 200 200 200 200  GET /v1/namespaces/{namespace}/settings
        401 401 404 403 403 403 403 200  PUT /v1/namespaces/{namespace}/settings
        401 401 404 403 403 403 200 200  GET /v1/namespaces/{namespace}/owners
        401 401 404 403 403 403 200 200  PUT /v1/namespaces/{namespace}/owners/{wallet}
        401 401 404 403 403 403 200 200  DELETE /v1/namespaces/{namespace}/owners/{wallet}
        401 401 404 200 200 200 200 200  GET /v1/namespace/rate-limit
        401 401 404 403 403 403 403 200  PUT /v1/namespace/rate-limit
        401 401 404 403 403 403 403 200  DELETE /v1/namespace/rate-limit
        401 401 404 403 200 403 200 200  GET /v1/receipts
        401 401 404 403 200 403 200 200  GET /v1/receipts/{request}
        401 401 404 403 403 403 200 200  GET /v1/audit
        401 401 404 403 403 200 200 200  POST /v1/rqlite/query
        401 401 404 403 403 200 200 200  POST /v1/rqlite/exec
        401 401 404 403 403 200 200 200  POST /v1/rqlite/find
        401 401 404 403 403 200 200 200  POST /v1/rqlite/find-one
        401 401 404 403 403 200 200 200  POST /v1/rqlite/select
        401 401 404 403 403 200 200 200  POST /v1/rqlite/transaction
        401 401 404 403 403 200 200 200  GET /v1/rqlite/schema
        401 401 404 403 403 201 201 201  POST /v1/rqlite/create-table
        401 401 404 403 403 200 200 200  POST /v1/rqlite/drop-table
        401 401 404 403 403 200 200 200  GET /v1/rqlite/migrations
        401 401 404 403 403 200 200 200  POST /v1/rqlite/migrate
        401 401 404 403 403 200 200 200  POST /v1/rqlite/import
        401 401 404 403 403 200 200 200  GET /v1/rqlite/export
        401 401 404 403 403 200 200 200  GET /v1/rqlite/backup
        401 401 200 200 200 200 200 200  GET /v1/cache/health
        401 401 404 403 403 200 200 200  POST /v1/cache/put
        401 401 404 403 403 200 200 200  POST /v1/cache/get
        401 401 404 403 403 200 200 200  POST /v1/cache/mget
        401 401 404 403 403 200 200 200  POST /v1/cache/delete
        401 401 404 403 403 200 200 200  POST /v1/cache/scan
        401 401 404 403 403 200 200 200  POST /v1/cache/incr
        401 401 404 403 403 200 200 200  POST /v1/cache/cas
        401 401 404 403 403 200 200 200  DELETE /v1/cache/dmap/{map}
        401 401 404 403 403 200 200 200  DELETE /v1/cache/dmap/{map}/key/{key}
        401 401 404 403 403 200 200 200  POST /v1/storage/upload
        401 401 404 403 403 200 200 200  POST /v1/storage/pin
        401 401 404 403 403 200 200 200  GET /v1/storage/status/{cid}
        401 401 404 403 403 200 200 200  GET /v1/storage/get/{cid}
        401 401 404 403 403 200 200 200  DELETE /v1/storage/unpin/{cid}
        401 401 404 403 403 200 200 200  GET /v1/storage/list
        401 401 404 403 403 200 200 200  POST /v1/storage/gc
        401 401 404 403 403 200 200 200  POST /v1/pubsub/publish
        401 401 404 403 403 200 200 200  POST /v1/pubsub/publish-batch
        401 401 404 403 403 200 200 200  GET /v1/pubsub/topics
        401 401 404 403 403 400 400 400  GET /v1/pubsub/ws
        401 401 404 403 403 400 400 400  GET /v1/pubsub/presence
        401 401 404 403 403 400 400 400  GET /v1/pubsub/sse
        401 401 404 403 200 403 200 200  GET /v1/push/config
        401 401 404 403 200 403 200 200  PUT /v1/push/config
        401 401 404 403 200 403 200 200  POST /v1/push/config
        401 401 404 403 200 403 200 200  DELETE /v1/push/config
        401 401 404 403 201 403 201 201  POST /v1/push/vapid-key
        401 401 503 503 503 503 503 503  GET /v1/push/vapid-public-key
        401 401 401 401 401 401 401 401  GET /v1/push/devices
        401 401 401 401 401 401 401 401  POST /v1/push/devices
        401 401 401 401 401 401 401 401  DELETE /v1/push/devices/{device}
        401 401 404 403 403 503 503 503  POST /v1/push/send
        401 401 404 403 200 403 200 200  GET /v1/namespace/push-credentials
        401 401 404 403 200 403 200 200  PUT /v1/namespace/push-credentials
        401 401 404 403 200 403 200 200  DELETE /v1/namespace/push-credentials
        401 401 404 403 200 403 200 200  GET /v1/namespace/push-credentials/{provider}
        401 401 404 403 200 403 200 200  PUT /v1/namespace/push-credentials/{provider}
        401 401 404 403 200 403 200 200  DELETE /v1/namespace/push-credentials/{provider}
        401 401 404 403 403 200 200 200  POST /v1/notify
        401 401 401 401 401 401 401 401  GET /v1/inbox
        401 401 401 401 401 401 401 401  DELETE /v1/inbox/{message}
        401 401 404 403 403 403 200 200  GET /v1/domains
        401 401 404 403 403 403 201 201  POST /v1/domains
        401 401 404 403 403 403 200 200  POST /v1/domains/{domain}/verify
        401 401 404 403 403 403 200 200  DELETE /v1/domains/{domain}
        200 200 200 200 200 200 200 200  GET /v1/network/status
        200 200 200 200 200 200 200 200  GET /v1/network/peers
        401 401 503 503 503 503 503 503  POST /v1/network/connect
        401 401 404 404 404 404 404 404  POST /v1/network/disconnect
        401 401 404 403 403 503 503 503  POST /v1/proxy/anon
        200 200 200 200 200 200 200 200  GET /health
        200 200 200 200 200 200 200 200  GET /v1/health
        200 200 200 200 200 200 200 200  GET /status
        200 200 200 200 200 200 200 200  GET /v1/status
        200 200 200 200 200 200 200 200  GET /ready
        200 200 200 200 200 200 200 200  GET /v1/version
        200 200 200 200 200 200 200 200  GET /v1/limits
        401 401 403 403 403 403 403 200  GET /v1/certificates
        200 200 200 200 200 200 200 200  GET /v1/openapi.json
        401 401 403 403 403 403 403 200  GET /metrics
    "#]]
    .assert_eq(&matrix);
}

/// A reply without what differs by itself: the ids, and the names that the request had.
fn faceless(seen: &Seen, things: &Things) -> String {
    let Things { key, job, trigger, client, wallet, cid, function, secret, claim, map, table, .. } = things;
    let text = String::from_utf8_lossy(&seen.body).into_owned();
    // What is drawn anew each time.
    let drawn: Value = serde_json::from_str(&text).unwrap_or_default();
    let drawn = ["nonce", "access_token"].map(|key| drawn[key].as_str().unwrap_or("speaks").to_owned());
    let names = [
        key.as_str(),
        job,
        client,
        trigger,
        wallet,
        cid,
        function,
        secret,
        claim,
        map,
        table,
        "speaks",
        &drawn[0],
        &drawn[1],
    ];
    let text = names.iter().fold(text, |text, name| text.replace(name, "<name>"));
    let mut headers: Vec<String> = seen.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.retain(|line| !line.starts_with("x-request-id") && !line.starts_with("x-duration"));
    format!("{} {headers:?} {}", seen.status, crate::support::without_ids(&text))
}

#[tokio::test]
async fn a_method_tells_a_stranger_nothing_about_functions() {
    let (house, _) = furnished().await;
    for method in [Method::GET, Method::PUT, Method::OPTIONS, Method::POST] {
        let ask = async |function: &str| {
            let ask = request(method.clone(), &format!("/v1/invoke/default/{function}"), "");
            let seen = house.send(with_key(ask, &house.stranger)).await;
            seen.snapshot().replace(function, "<name>")
        };
        assert_eq!(ask("speaks").await, ask("fn-missing").await, "{method}");
        assert_eq!(ask("fn-known").await, ask("fn-missing").await, "{method}");
    }
}

#[tokio::test]
async fn to_a_stranger_what_exists_and_what_does_not_are_the_same() {
    let (house, things) = furnished().await;
    let missing = Things::missing();
    let token =
        house.send(with_key(request(Method::POST, "/v1/auth/token", ""), &house.stranger)).await.text("access_token");
    for route in ROUTES {
        let of_a_namespace = route.path.contains("{namespace}") && route.access != Access::Operator;
        let theirs = matches!(route.access, Access::Scope(_) | Access::Function) || of_a_namespace;
        for credential in [&house.stranger, &token] {
            let there = house.send(with_key(sample(route, &things), credential)).await;
            let not_there = house.send(with_key(sample(route, &missing), credential)).await;
            let (verb, path) = (verb_of(route), route.path);
            assert_eq!(faceless(&there, &things), faceless(&not_there, &missing), "{verb} {path}");
            if theirs {
                assert_eq!((there.status.as_u16(), there.code().as_str()), (404, "NOT_FOUND"), "{verb} {path}");
            }
        }
    }
    // And nothing has changed.
    assert_eq!(house.admin(Method::GET, "/v1/functions/fn-known", "").await.status, 200);
    assert_eq!(house.admin(Method::GET, "/v1/functions/secrets", "").await.json()["secrets"], json!(["SECRET_KNOWN"]));
    assert_eq!(house.post("/v1/cache/get", json!({ "dmap": "map-known", "key": "k" })).await.json()["value"], 1);
    assert_eq!(
        house.client(Method::GET, &format!("/v1/storage/status/{}", things.cid), "").await.text("status"),
        "pinned"
    );
    let keys = house.admin(Method::GET, "/v1/auth/keys", "").await.json();
    let known = keys["keys"].as_array().and_then(|keys| keys.iter().find(|key| key["id"] == things.key.as_str()));
    assert!(known.is_some_and(|key| key.get("revoked_at").is_none()));
    let claims = house.admin(Method::GET, &format!("/v1/auth/claims/{}", things.wallet), "").await.json();
    assert_eq!(claims["claims"], json!({ "claim-known": "gold" }));
    let foreign = house.databases.asked().into_iter().find(|(namespace, _)| *namespace != home());
    assert!(foreign.is_none(), "{foreign:?}");
}

/// The same names at home are the stranger's own: they never meet those of others.
#[tokio::test]
async fn the_same_name_in_two_namespaces_is_two_things() {
    let (house, things) = furnished().await;
    let own = async |method: Method, path: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        house.send(with_key(request(method, path, body), &house.stranger)).await
    };
    assert_eq!(own(Method::POST, "/v1/cache/get", json!({ "dmap": "map-known", "key": "k" })).await.status, 404);
    assert_eq!(
        own(Method::POST, "/v1/cache/incr", json!({ "dmap": "map-known", "key": "k", "delta": 5 })).await.json()["value"],
        5
    );
    assert_eq!(house.post("/v1/cache/get", json!({ "dmap": "map-known", "key": "k" })).await.json()["value"], 1);
    assert_eq!(own(Method::GET, "/v1/functions/secrets", Value::Null).await.json()["count"], 0);
    assert_eq!(own(Method::GET, &format!("/v1/storage/get/{}", things.cid), Value::Null).await.status, 404);
    assert_eq!(own(Method::GET, "/v1/storage/list", Value::Null).await.json()["used_bytes"], 0);
    assert_eq!(own(Method::GET, "/v1/rqlite/schema", Value::Null).await.json()["count"], 0);
    assert_eq!(own(Method::POST, "/v1/rqlite/drop-table", json!({ "table": "table_known" })).await.status, 404);
    assert_eq!(own(Method::GET, "/v1/functions", Value::Null).await.json()["count"], 0);
    assert_eq!(own(Method::GET, "/v1/auth/keys", Value::Null).await.json()["count"], 1);
    assert_eq!(own(Method::GET, "/v1/namespaces/abroad/owners", Value::Null).await.json()["count"], 0);
    // What a stranger stores is the same content, owned twice; letting it go takes nothing from the first.
    let stored = own(Method::POST, "/v1/storage/upload", json!({ "name": "b", "data": "aGVsbG8=" })).await;
    assert_eq!(stored.text("cid"), things.cid);
    own(Method::DELETE, &format!("/v1/storage/unpin/{}", things.cid), Value::Null).await;
    own(Method::POST, "/v1/storage/gc", Value::Null).await;
    assert_eq!(own(Method::GET, &format!("/v1/storage/get/{}", things.cid), Value::Null).await.status, 404);
    let kept = house.client(Method::GET, &format!("/v1/storage/get/{}", things.cid), "").await;
    assert_eq!((kept.status.as_u16(), &kept.body[..]), (200, &b"hello"[..]));
}
