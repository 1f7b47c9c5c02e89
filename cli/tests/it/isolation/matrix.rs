//! An admin of another namespace, and a wallet at home there, try every route on what exists and on what does not.

use serde_json::Value;

use super::routes::{Expected, Line, line};
use super::world::{CANARY, Names, World};
use crate::support::{Http, Reply, Server, Tenant, Wallet, normalised_json};

/// The other tenant by each of its credentials.
struct Spy {
    tenant: Tenant,
    credentials: Vec<Http>,
}

impl Spy {
    fn arrive(server: &Server) -> Self {
        let tenant = Tenant::found(server, "neighbour");
        let tokens = [Wallet::solana(7), Wallet::ethereum(7)].map(|wallet| tenant.token_of(&wallet, &["admin"]));
        let with = |token: &String| Http::new(server.address(), Some(token));
        Self { credentials: [&tenant.key].into_iter().chain(&tokens).map(with).collect(), tenant }
    }
}

/// Every operation of the document that the server gives of itself.
fn operations(server: &Server) -> Vec<(String, String)> {
    let document = server.http().get("/v1/openapi.json").json();
    let paths = document["paths"].as_object().expect("an object");
    let operations = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().expect("an object").keys().map(|method| (method.to_uppercase(), path.clone()))
    });
    operations.collect()
}

#[test]
fn to_another_tenant_what_exists_and_what_does_not_are_the_same() {
    let server = Server::start();
    let (world, spy, missing) = (World::furnish(&server), Spy::arrive(&server), Names::missing());
    let before = world.inventory();
    let operations = operations(&server);
    assert!(operations.len() > 80, "the document has every route");
    for (method, route) in &operations {
        let [there, not_there] = [&world.names, &missing].map(|names| {
            line(method, route, names).unwrap_or_else(|| panic!("{method} {route} has no line in the matrix"))
        });
        for http in &spy.credentials {
            abroad(http, method, (&there, &world.names), (&not_there, &missing));
        }
    }
    at_home(&operations, &spy, &world.names, &missing);
    assert_eq!(world.inventory(), before, "nothing has changed");
    let log = spy.tenant.reply("GET", "/v1/audit?limit=1000", &Value::Null).body;
    assert!(log.contains(world.names.function) && !log.contains(CANARY), "{log}");
}

/// The request names the namespace in which the things are.
fn abroad(http: &Http, method: &str, (there, known): (&Line, &Names), (not_there, missing): (&Line, &Names)) {
    let seen = send(http, method, there, Some(known.namespace));
    let other = send(http, method, not_there, Some(missing.namespace));
    let what = format!("{method} {}", there.path);
    same(&what, (&seen, known), (&other, missing));
    match there.expected {
        Expected::Nowhere | Expected::OwnAtHome => assert_eq!(seen.status, 404, "{what}: {seen:?}"),
        Expected::Operator => assert_eq!(seen.status, 403, "{what}: {seen:?}"),
        Expected::NotAbout => {}
    }
    if seen.status == 404 {
        assert_eq!(seen.json()["code"], "NOT_FOUND", "{what}");
    }
    // What a method tells, it tells without a body as well.
    for method in ["HEAD", "OPTIONS", "PATCH"] {
        let seen = send(http, method, there, Some(known.namespace));
        let other = send(http, method, not_there, Some(missing.namespace));
        same(&format!("{method} {}", there.path), (&seen, known), (&other, missing));
    }
}

/// The request names nothing but the things: it is about the tenant's own of the same name. First what can only be found, then
/// what makes some, so that nothing is there to be found too early.
fn at_home(operations: &[(String, String)], spy: &Spy, known: &Names, missing: &Names) {
    let sent = |expected: &[Expected]| {
        for (method, route) in operations {
            let lines = [known, missing].map(|names| line(method, route, names));
            let [Some(there), Some(not_there)] = lines else { continue };
            // The same request twice says nothing.
            if !expected.contains(&there.expected) || (there.path == not_there.path && there.body == not_there.body) {
                continue;
            }
            for http in &spy.credentials {
                let (seen, other) = (send(http, method, &there, None), send(http, method, &not_there, None));
                let what = format!("{method} {} at home", there.path);
                same(&what, (&seen, known), (&other, missing));
                if there.expected == Expected::Nowhere {
                    assert_eq!(seen.status, 404, "{what}: {seen:?}");
                }
            }
        }
    };
    sent(&[Expected::Nowhere, Expected::Operator]);
    sent(&[Expected::OwnAtHome]);
}

fn send(http: &Http, method: &str, line: &Line, namespace: Option<&str>) -> Reply {
    let path = match namespace {
        Some(namespace) => format!("{}?namespace={namespace}", line.path),
        None => line.path.clone(),
    };
    // As from another machine: this one may read the metrics.
    let headers = [("content-type", line.content_type), ("x-forwarded-for", "198.51.100.7")];
    http.send(method, &path, &headers, &line.body)
}

#[track_caller]
fn same(what: &str, (seen, known): (&Reply, &Names), (other, missing): (&Reply, &Names)) {
    for reply in [seen, other] {
        assert!(!reply.body.contains(CANARY), "{what}: {reply:?}");
        assert!(reply.headers.iter().all(|(_, value)| !value.contains(CANARY)), "{what}: {reply:?}");
    }
    assert_eq!(faceless(seen, known), faceless(other, missing), "{what}");
}

/// A reply without what differs by itself: the names that the request had, ids, times, and what is drawn anew.
fn faceless(reply: &Reply, names: &Names) -> String {
    let drawn = ["x-request-id", "x-duration-ms", "date", "content-length"];
    let headers = reply.headers.iter().filter(|(name, _)| !drawn.contains(&name.as_str()));
    let headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {}", names.removed_from(value))).collect();
    let body = match serde_json::from_str::<Value>(&reply.body) {
        Ok(mut document) => {
            let nonce = document["nonce"].as_str().map(str::to_owned);
            for key in ["nonce", "access_token", "uptime", "key", "id", "last_used_at", "position", "positions"] {
                if let Some(value) = document.get_mut(key).filter(|value| value.is_string() || value.is_array()) {
                    *value = "<drawn>".into();
                }
            }
            let text = names.removed_from(&document.to_string());
            normalised_json(&nonce.map_or(text.clone(), |nonce| text.replace(&nonce, "<drawn>")))
        }
        Err(_) => names.removed_from(&reply.body),
    };
    format!("{} {headers:?} {body}", reply.status)
}
