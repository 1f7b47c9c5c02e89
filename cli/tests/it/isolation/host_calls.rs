//! Functions of another namespace ask for what exists and for what does not, by every host call that takes a name.

use std::collections::BTreeSet;

use serde_json::Value;

use super::world::{CANARY, Names, World};
use crate::support::{Server, Tenant, fixture};

/// A host call with its arguments, as the fixture of its name takes them.
fn calls(names: &Names) -> Vec<(&'static str, Vec<String>)> {
    let Names { namespace, function, secret, table, entry, cid, claim, .. } = names;
    let select = format!("SELECT * FROM {table}");
    let text = |text: &str| text.to_owned();
    let mut calls = vec![
        ("get_secret", vec![text(secret)]),
        ("get_caller_claim", vec![text(claim)]),
        ("db_query", vec![select.clone(), text("[]")]),
        ("db_query_v2", vec![select.clone(), text("[]")]),
        ("db_execute", vec![format!("DELETE FROM {table}"), text("[]")]),
        ("db_execute_v2", vec![format!("DELETE FROM {table}"), text("[]")]),
        ("db_transaction", vec![format!(r#"{{"ops":[{{"kind":"query","sql":"{select}"}}]}}"#)]),
        ("db_query_batch", vec![format!(r#"{{"ops":[{{"sql":"{select}"}}]}}"#)]),
        ("cache_get", vec![text(entry)]),
        ("cache_delete", vec![text(entry)]),
        ("cache_incr", vec![text(entry)]),
        ("storage_get", vec![text(cid)]),
        ("storage_head", vec![text(cid)]),
    ];
    let spellings = [
        text(function),
        format!("{function}@1"),
        format!("{namespace}/{function}"),
        format!("../{namespace}/{function}"),
        format!("{namespace}:{function}"),
        format!("/v1/invoke/{namespace}/{function}"),
        format!("{function}?namespace={namespace}"),
    ];
    for spelling in spellings {
        for call in ["function_invoke", "function_invoke_v2", "function_invoke_async"] {
            calls.push((call, vec![spelling.clone(), text("input")]));
        }
    }
    for secret in [format!("{namespace}/{secret}"), format!("../{namespace}/{secret}"), format!("{namespace}:{secret}")]
    {
        calls.push(("get_secret", vec![secret]));
    }
    calls
}

fn deploy_fixtures(tenant: &Tenant) {
    let names: BTreeSet<&str> = calls(&Names::missing()).into_iter().map(|(call, _)| call).collect();
    for name in names {
        tenant.deploy(name, &fixture(name), &[]);
    }
}

fn ask(tenant: &Tenant, (call, arguments): &(&str, Vec<String>)) -> String {
    tenant.host_call(call, &arguments.iter().map(String::as_bytes).collect::<Vec<_>>())
}

#[test]
fn host_calls_find_nothing_of_another_namespace() {
    let server = Server::start();
    let (world, missing) = (World::furnish(&server), Names::missing());
    let neighbour = Tenant::found(&server, "neighbour");
    deploy_fixtures(&neighbour);
    let before = world.inventory();
    for (there, not_there) in calls(&world.names).iter().zip(&calls(&missing)) {
        let (seen, other) = (ask(&neighbour, there), ask(&neighbour, not_there));
        assert!(!seen.contains(CANARY), "{there:?}: {seen}");
        assert_eq!(world.names.removed_from(&seen), missing.removed_from(&other), "{there:?}");
    }
    assert_eq!(world.inventory(), before, "nothing has changed");
    let functions = neighbour.ask("GET", "/v1/functions", &Value::Null);
    for name in functions["functions"].as_array().expect("a list") {
        let name = name["name"].as_str().expect("a name");
        let logs = neighbour.reply("GET", &format!("/v1/functions/{name}/logs"), &Value::Null);
        assert!(!logs.body.contains(CANARY), "{}", logs.body);
    }
}

/// The same calls at home find what is there, so that the test above could have seen something.
#[test]
fn the_same_host_calls_find_it_at_home() {
    let server = Server::start();
    let world = World::furnish(&server);
    deploy_fixtures(&world.tenant);
    let changing = ["db_execute", "db_execute_v2", "cache_delete", "cache_incr"];
    let reading = calls(&world.names).into_iter().filter(|(call, _)| !changing.contains(call));
    let found: Vec<&str> =
        reading.filter(|call| ask(&world.tenant, call).contains(CANARY)).map(|(call, _)| call).collect();
    // Functions twice: by name, and by version.
    let want = [
        "get_secret",
        "db_query",
        "db_query_v2",
        "db_transaction",
        "db_query_batch",
        "cache_get",
        "storage_get",
        "storage_head",
        "function_invoke",
        "function_invoke_v2",
        "function_invoke",
        "function_invoke_v2",
    ];
    assert_eq!(found, want);
}
