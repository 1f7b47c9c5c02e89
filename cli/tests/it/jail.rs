//! The jail of the installed program: what `orama doctor` says of it, and what hostile programs get out of it.

use std::ffi::OsStr;

use serde_json::Value;

use crate::support::Server;

fn attacks(document: &Value) -> &Vec<Value> {
    document["attacks"].as_array().expect("a list")
}

#[test]
fn doctor_lists_the_layers_of_this_machine() {
    let server = Server::start();
    let printed = server.orama(["doctor", "--data", "somewhere"]);
    let has = |start: &str| printed.ok().lines().any(|line| line.starts_with(start));
    assert!(has("isolation"), "{printed:?}");
    for layer in
        ["root", "pid-namespace", "network-namespace", "capabilities", "resource-limits", "landlock", "seccomp"]
    {
        assert!(has(&format!("layer {layer} ")), "{layer}: {printed:?}");
    }
}

#[test]
fn every_attack_on_jail_and_sandbox_is_stopped() {
    let server = Server::start();
    let printed = server.orama(["doctor", "--attack", "--json"]);
    let document: Value = serde_json::from_str(printed.ok()).expect("a document");
    let of = |start: &str| {
        attacks(&document)
            .iter()
            .filter(|attack| attack["attack"].as_str().is_some_and(|name| name.starts_with(start)))
            .count()
    };
    assert_eq!(of("wasm-"), 6, "{document}");
    assert!(of("") >= 40, "{document}");
    assert!(attacks(&document).iter().all(|attack| attack["stopped_by"].is_string()), "{document}");
}

#[test]
fn an_attack_that_gets_through_is_told_and_fails() {
    let server = Server::start();
    let without = ["doctor", "--attack", "--without", "seccomp"];
    let printed = server.orama(without);
    assert_eq!(printed.code, Some(1));
    assert!(printed.stderr.ends_with("attacks got through\n"), "{}", printed.stderr);
    let keyctl = printed.stdout.lines().find(|line| line.starts_with("keyctl ")).expect("a line");
    assert!(keyctl.contains("NOTHING"), "{keyctl}");
    let refused = server.orama(["doctor", "--attack", "--without", "own-uid"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("no such layer; known are user-namespace"), "{}", refused.stderr);
    assert_eq!(server.orama(["doctor", "--without", "seccomp"]).code, Some(2), "it makes sense with --attack alone");
}

#[test]
fn a_server_that_asks_for_isolation_that_is_there_starts() {
    let mut server = Server::prepared();
    server.set_environment([("ORAMA_ENGINE_REQUIRE_ISOLATION", OsStr::new("user"))]);
    server.restart();
    assert_eq!(server.http().get("/health").status, 200);
}
