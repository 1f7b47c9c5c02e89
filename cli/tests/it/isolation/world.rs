//! A namespace in which everything exists that a route or a host call could be about.

use serde_json::{Value, json};

use crate::support::{Http, Server, Tenant, Wallet, compiled, fixture};

/// Stands in every name and value that the other tenant does not send itself.
pub const CANARY: &str = "c4n4ry";
/// The map of the cache that host calls use.
pub const FUNCTION_MAP: &str = "serverless_cache";

/// Names as the other tenant writes them: of what exists, or of what does not. Those of one kind are equally long, so that even
/// the length of an answer must be the same.
#[derive(Clone)]
pub struct Names {
    pub namespace: &'static str,
    pub function: &'static str,
    /// A function that speaks HTTP.
    pub web: &'static str,
    pub secret: &'static str,
    pub table: &'static str,
    pub map: &'static str,
    pub entry: &'static str,
    pub claim: &'static str,
    pub key: String,
    pub wallet: String,
    pub cid: String,
    pub call: String,
    pub job: String,
    pub trigger: String,
}

impl Names {
    pub fn missing() -> Self {
        Self {
            namespace: "nowhere",
            function: "fn-never",
            web: "web-never",
            secret: "SECRET_NEVER",
            table: "table_never",
            map: "map-never",
            entry: "entry-never",
            claim: "claim-never",
            key: "0190f7a1-0000-7000-8000-000000000000".to_owned(),
            wallet: Wallet::solana(99).address(),
            cid: "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".to_owned(),
            call: "0190f7a1-0000-7000-8000-000000000001".to_owned(),
            job: "0190f7a1-0000-7000-8000-000000000002".to_owned(),
            trigger: "0190f7a1-0000-7000-8000-000000000003".to_owned(),
        }
    }

    /// A text without the names.
    pub fn removed_from(&self, text: &str) -> String {
        let Self { namespace, function, web, secret, table, map, entry, claim, key, wallet, cid, call, job, trigger } =
            self;
        let names = [*function, web, secret, table, map, entry, claim, key, wallet, cid, call, job, trigger, namespace];
        names.iter().fold(text.to_owned(), |text, name| text.replace(name, "<name>"))
    }
}

/// The tenant that is there to be spied upon.
pub struct World {
    pub tenant: Tenant,
    pub names: Names,
}

impl World {
    #[track_caller]
    pub fn furnish(server: &Server) -> Self {
        let tenant = Tenant::found(server, "ten-ant");
        let wallet = Wallet::solana(8);
        let token = tenant.token_of(&wallet, &["data"]);
        let mut names = Names {
            namespace: "ten-ant",
            function: "fn-known",
            web: "web-known",
            secret: "SECRET_KNOWN",
            table: "table_known",
            map: "map-known",
            entry: "entry-known",
            claim: "claim-known",
            key: String::new(),
            wallet: wallet.address(),
            cid: String::new(),
            call: String::new(),
            job: String::new(),
            trigger: String::new(),
        };
        furnish_functions(&tenant, &mut names);
        furnish_identity(&tenant, &mut names);
        furnish_data(&tenant, &mut names);
        furnish_push(&tenant, &names, &Http::new(server.address(), Some(&token)));
        Self { tenant, names }
    }

    /// Everything that the tenant owns, as its admin sees it.
    #[track_caller]
    pub fn inventory(&self) -> Vec<String> {
        let Names { namespace, function, web, map, entry, wallet, cid, .. } = &self.names;
        let all = [
            ("GET", "/v1/functions".to_owned(), Value::Null),
            ("GET", format!("/v1/functions/{function}"), Value::Null),
            ("GET", format!("/v1/functions/{function}/versions"), Value::Null),
            ("GET", format!("/v1/functions/{web}/versions"), Value::Null),
            ("GET", format!("/v1/functions/{function}/logs"), Value::Null),
            ("GET", "/v1/functions/secrets".to_owned(), Value::Null),
            ("GET", "/v1/jobs".to_owned(), Value::Null),
            ("GET", "/v1/triggers".to_owned(), Value::Null),
            ("GET", format!("/v1/functions/{function}/triggers/dlq"), Value::Null),
            ("GET", "/v1/auth/keys".to_owned(), Value::Null),
            ("GET", format!("/v1/auth/claims/{wallet}"), Value::Null),
            ("GET", format!("/v1/namespaces/{namespace}"), Value::Null),
            ("GET", format!("/v1/namespaces/{namespace}/owners"), Value::Null),
            ("GET", format!("/v1/namespaces/{namespace}/settings"), Value::Null),
            ("GET", "/v1/namespace/rate-limit".to_owned(), Value::Null),
            ("GET", "/v1/audit?limit=1000".to_owned(), Value::Null),
            ("GET", "/v1/rqlite/export".to_owned(), Value::Null),
            ("GET", "/v1/rqlite/migrations".to_owned(), Value::Null),
            ("POST", "/v1/cache/scan".to_owned(), json!({ "dmap": map })),
            ("POST", "/v1/cache/scan".to_owned(), json!({ "dmap": FUNCTION_MAP })),
            ("POST", "/v1/cache/get".to_owned(), json!({ "dmap": map, "key": entry })),
            ("POST", "/v1/cache/get".to_owned(), json!({ "dmap": FUNCTION_MAP, "key": entry })),
            ("GET", "/v1/storage/list".to_owned(), Value::Null),
            ("GET", format!("/v1/storage/get/{cid}"), Value::Null),
            ("GET", "/v1/push/config".to_owned(), Value::Null),
            ("GET", format!("/v1/push/devices?user_id={wallet}"), Value::Null),
        ];
        let shown = |(method, path, body): &(&str, String, Value)| {
            format!("{path}: {}", without_last_use(&self.tenant.reply(method, path, body).body))
        };
        all.iter().map(shown).collect()
    }
}

/// Looking at the keys uses one.
fn without_last_use(body: &str) -> String {
    let Ok(mut document) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    let keys = document.get_mut("keys").and_then(Value::as_array_mut);
    for key in keys.into_iter().flatten().filter_map(Value::as_object_mut) {
        key.remove("last_used_at");
    }
    document.to_string()
}

/// A function that prints and logs a text.
pub fn speaker(text: &str) -> Vec<u8> {
    let length = text.len();
    compiled(&format!(
        r#"(module
             (import "env" "log_info" (func $info (param i32 i32)))
             (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
             (memory (export "memory") 1)
             (data (i32.const 64) "{text}")
             (func (export "_start")
               (i32.store (i32.const 0) (i32.const 64))
               (i32.store (i32.const 4) (i32.const {length}))
               (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
               (call $info (i32.const 64) (i32.const {length}))))"#
    ))
}

fn furnish_functions(tenant: &Tenant, names: &mut Names) {
    let variables = json!({ "env_vars": { "PLACE": format!("{CANARY} variable") } }).to_string();
    tenant.deploy(names.function, &speaker(&format!("{CANARY} first")), &[("metadata", &variables)]);
    tenant.deploy(names.function, &speaker(&format!("{CANARY} second")), &[("metadata", &variables)]);
    tenant.deploy(names.web, &fixture("raw_response"), &[("http", "true")]);
    tenant.deploy(&format!("hidden-{CANARY}"), &speaker("hidden"), &[]);
    let reply = tenant.invoke(names.function, b"");
    assert!(reply.body.contains(CANARY), "{reply:?}");
    names.call = reply.header("x-request-id").expect("an id").to_owned();
    tenant.records(names.function, 1);
    // It waits for longer than any test runs.
    let in_a_year = domain::Timestamp::now() + std::time::Duration::from_secs(365 * 24 * 3600);
    let job = json!({ "payload": format!("{CANARY} payload"), "run_at": in_a_year.to_string() });
    let path = format!("/v1/functions/{}/jobs", names.function);
    names.job = tenant.ask("POST", &path, &job)["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/functions/{}/triggers", names.function);
    let trigger = tenant.ask("POST", &path, &json!({ "topic": format!("{CANARY} topic") }));
    names.trigger = trigger["trigger_id"].as_str().expect("an id").to_owned();
}

fn furnish_identity(tenant: &Tenant, names: &mut Names) {
    tenant.set_secret(names.secret, &format!("{CANARY} secret"));
    tenant.set_secret(&format!("HIDDEN_{CANARY}"), "hidden");
    let new = json!({ "name": format!("key {CANARY}"), "scopes": ["data"] });
    names.key = tenant.ask("POST", "/v1/auth/keys", &new)["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/auth/claims/{}/{}", names.wallet, names.claim);
    tenant.ask("PUT", &path, &json!({ "value": format!("{CANARY} claim") }));
}

fn furnish_data(tenant: &Tenant, names: &mut Names) {
    let table = names.table;
    let migration = json!({ "name": format!("0001_{CANARY}"), "sql": format!("CREATE TABLE hidden_{CANARY}(a)") });
    tenant.ask("POST", "/v1/rqlite/migrate", &json!({ "migrations": [migration] }));
    for sql in [format!("CREATE TABLE {table}(a TEXT)"), format!("INSERT INTO {table} VALUES ('{CANARY} row')")] {
        tenant.ask("POST", "/v1/rqlite/exec", &json!({ "sql": sql }));
    }
    for map in [names.map, FUNCTION_MAP] {
        for key in [names.entry, &format!("hidden-{CANARY}")] {
            let entry = json!({ "dmap": map, "key": key, "value": format!("{CANARY} value") });
            tenant.ask("POST", "/v1/cache/put", &entry);
        }
    }
    let content = json!({ "name": format!("file-{CANARY}"), "data": "YzRuNHJ5IGNvbnRlbnQ=" });
    names.cid = tenant.ask("POST", "/v1/storage/upload", &content)["cid"].as_str().expect("a CID").to_owned();
}

/// The message first, while nothing can be pushed.
fn furnish_push(tenant: &Tenant, names: &Names, user: &Http) {
    let message = json!({ "user_id": names.wallet, "body": format!("{CANARY} message") });
    assert_eq!(tenant.ask("POST", "/v1/notify", &message)["via"], "inbox");
    let settings = json!({ "ntfy_base_url": format!("https://{CANARY}.example"), "ntfy_auth_token": CANARY });
    tenant.ask("PUT", "/v1/push/config", &settings);
    let device = json!({ "device_id": format!("phone {CANARY}"), "provider": "ntfy", "token": CANARY });
    let reply = user.post("/v1/push/devices", device.to_string().as_bytes());
    assert_eq!(reply.status, 200, "{reply:?}");
}
