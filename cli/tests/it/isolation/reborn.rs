//! A namespace that is deleted and made again by somebody else: nothing of the old one is there.

use serde_json::{Value, json};

use super::world::{CANARY, FUNCTION_MAP, Names, World, speaker};
use crate::support::{Http, Server, Tenant, Wallet, fixture};

#[test]
fn a_name_that_is_taken_again_brings_nothing_back() {
    let mut server = Server::start();
    let world = World::furnish(&server);
    world.tenant.deploy("get_secret", &fixture("get_secret"), &[]);
    let session = old_session(&server, &world.tenant);
    let deleted = server.http().send("DELETE", "/v1/namespaces/ten-ant", &[], b"");
    assert_eq!(deleted.status, 200, "{}", deleted.body);
    let heir = Tenant::found(&server, "ten-ant");
    nothing_is_left(&server, &world, &session, &heir);
    // Nor after a start, which reads everything from disk.
    server.kill();
    server.restart();
    let key = heir.key.clone();
    let heir = Tenant::known(&server, "ten-ant", &key);
    nothing_is_left(&server, &world, &session, &heir);
    let version = heir.deploy(world.names.function, &speaker("of the heir"), &[]);
    assert_eq!(version, 1);
    heir.deploy("get_secret", &fixture("get_secret"), &[]);
    assert_eq!(heir.host_call("get_secret", &[world.names.secret.as_bytes()]), "");
}

/// The tokens of a wallet that owned the old namespace.
fn old_session(server: &Server, tenant: &Tenant) -> Value {
    let wallet = Wallet::solana(21);
    tenant.token_of(&wallet, &["admin"]);
    wallet.sign_in(&server.http().without_key(), &tenant.name)
}

fn nothing_is_left(server: &Server, world: &World, session: &Value, heir: &Tenant) {
    for credential in [&session["access_token"], &session["api_key"], &json!(world.tenant.key)] {
        let old = Http::new(server.address(), credential.as_str());
        for path in ["/v1/auth/whoami", "/v1/functions", "/v1/rqlite/schema", "/v1/namespaces/ten-ant"] {
            let reply = old.get(path);
            assert_eq!(reply.status, 401, "{path}: {reply:?}");
        }
    }
    let refresh = json!({ "refresh_token": session["refresh_token"], "namespace": "ten-ant" }).to_string();
    let reply = server.http().without_key().post("/v1/auth/refresh", refresh.as_bytes());
    assert_eq!(reply.status, 401, "{reply:?}");
    let Names { function, map, entry, cid, key, wallet, secret, table, .. } = &world.names;
    let empty = [
        ("GET", "/v1/functions".to_owned(), Value::Null),
        ("GET", format!("/v1/functions/{function}/versions"), Value::Null),
        ("GET", "/v1/functions/secrets".to_owned(), Value::Null),
        ("GET", "/v1/namespaces/ten-ant/owners".to_owned(), Value::Null),
        ("GET", "/v1/rqlite/schema".to_owned(), Value::Null),
        ("GET", "/v1/rqlite/migrations".to_owned(), Value::Null),
        ("GET", "/v1/storage/list".to_owned(), Value::Null),
        ("GET", format!("/v1/push/devices?user_id={wallet}"), Value::Null),
        ("POST", "/v1/cache/scan".to_owned(), json!({ "dmap": map })),
        ("POST", "/v1/cache/scan".to_owned(), json!({ "dmap": FUNCTION_MAP })),
    ];
    for (method, path, body) in &empty {
        let found = heir.ask(method, path, body);
        assert_eq!(found["count"], 0, "{path}: {found}");
    }
    assert_eq!(heir.ask("GET", "/v1/storage/list", &Value::Null)["used_bytes"], 0);
    assert_eq!(heir.ask("GET", &format!("/v1/auth/claims/{wallet}"), &Value::Null)["claims"], json!({}));
    assert_eq!(heir.ask("GET", "/v1/auth/keys", &Value::Null)["count"], 1);
    assert_eq!(heir.ask("GET", "/v1/namespaces/ten-ant/settings", &Value::Null), json!({}));
    for path in [
        format!("/v1/functions/{function}"),
        format!("/v1/functions/{function}/logs"),
        format!("/v1/storage/get/{cid}"),
        format!("/v1/storage/status/{cid}"),
    ] {
        assert_eq!(heir.http().get(&path).status, 404, "{path}");
    }
    for path in [format!("/v1/auth/keys/{key}"), format!("/v1/functions/secrets/{secret}")] {
        assert_eq!(heir.http().send("DELETE", &path, &[], b"").status, 404, "{path}");
    }
    for body in [json!({ "dmap": map, "key": entry }), json!({ "dmap": FUNCTION_MAP, "key": entry })] {
        assert_eq!(heir.http().post("/v1/cache/get", body.to_string().as_bytes()).status, 404, "{body}");
    }
    let rows = heir.http().post("/v1/rqlite/find", json!({ "table": table }).to_string().as_bytes());
    assert_eq!(rows.status, 400, "{}", rows.body);
    for path in ["/v1/rqlite/export", "/v1/rqlite/backup", "/v1/audit?limit=1000"] {
        let seen = heir.reply("GET", path, &Value::Null);
        assert!(!seen.body.contains(CANARY), "{path}");
    }
}
