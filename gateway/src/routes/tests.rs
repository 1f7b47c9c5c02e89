use super::*;

fn route_of(method: Method, path: &str) -> String {
    match find(&method, path) {
        Found::Route { route, captures, .. } => {
            let captured: Vec<&str> = (0..captures.count).map(|index| captures.get(path, index)).collect();
            format!("{} {captured:?}", route.path)
        }
        Found::OtherMethods { allowed, .. } => format!("only {allowed:?}"),
        Found::Nothing => "nothing".to_owned(),
    }
}

#[track_caller]
fn check(method: Method, path: &str, want: &str) {
    assert_eq!(route_of(method, path), want);
}

#[test]
fn paths_find_their_lines() {
    check(Method::POST, "/v1/invoke/ns/f", r#"/v1/invoke/{namespace}/{function} ["ns", "f"]"#);
    check(
        Method::GET,
        "/v1/invoke/ns/f/a/b/c/d/e/f/g",
        r#"/v1/invoke/{namespace}/{function}/{*path} ["ns", "f", "a/b/c/d/e/f/g"]"#,
    );
    check(Method::GET, "/v1/invoke/ns/f/", r#"/v1/invoke/{namespace}/{function}/{*path} ["ns", "f", ""]"#);
    check(Method::POST, "/v1/functions/f/invoke", r#"/v1/functions/{function}/invoke ["f"]"#);
    check(Method::GET, "/v1/functions/a%2fb", r#"/v1/functions/{function} ["a%2fb"]"#);
    check(Method::GET, "/v1/functions/", r#"/v1/functions/{function} [""]"#);
    check(Method::HEAD, "/health", "/health []");
}

#[test]
fn other_paths_and_methods_find_none() {
    check(Method::PUT, "/v1/functions", "only [GET, HEAD, POST]");
    check(Method::PATCH, "/v1/functions/f", "only [GET, HEAD, DELETE]");
    for path in ["", "/", "//", "/v1", "/v1/functions/f/unknown", "/v1/invoke/ns", "*"] {
        check(Method::GET, path, "nothing");
    }
}

#[test]
fn secrets_are_never_a_function() {
    check(Method::GET, "/v1/functions/secrets", "/v1/functions/secrets []");
    check(Method::DELETE, "/v1/functions/secrets", "only [GET, HEAD, PUT]");
    check(Method::DELETE, "/v1/functions/secrets/rotate", r#"/v1/functions/secrets/{secret} ["rotate"]"#);
    check(Method::POST, "/v1/functions/secrets/invoke", "only [DELETE]");
    check(Method::POST, "/v1/functions/secrets/invoke/a/b", "nothing");
    check(Method::GET, "/v1/functions/secrets/versions", "only [DELETE]");
}

#[test]
fn noise_is_never_a_panic() {
    let mut state = 7_u64;
    let alphabet = ["/", "v1", "functions", "invoke", "%2f", "secrets", "f@1", "é", "", "//", "{", "*"];
    for _ in 0..20_000 {
        let mut path = String::new();
        for _ in 0..(state >> 60) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            path.push_str(alphabet[(state >> 33) as usize % alphabet.len()]);
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        route_of(Method::GET, &path);
    }
}

#[test]
fn whatever_manages_something_is_written_down() {
    // Calls write records of their own, and what a client does with its data is the client's affair.
    let data = [
        "/v1/rqlite/query",
        "/v1/rqlite/exec",
        "/v1/rqlite/find",
        "/v1/rqlite/find-one",
        "/v1/rqlite/select",
        "/v1/rqlite/transaction",
        "/v1/cache/put",
        "/v1/cache/get",
        "/v1/cache/mget",
        "/v1/cache/delete",
        "/v1/cache/scan",
        "/v1/cache/incr",
        "/v1/cache/cas",
        "/v1/cache/dmap/{map}",
        "/v1/cache/dmap/{map}/key/{key}",
        "/v1/storage/upload",
        "/v1/storage/pin",
        "/v1/storage/unpin/{cid}",
        "/v1/network/connect",
        "/v1/network/disconnect",
        "/v1/proxy/anon",
        "/v1/pubsub/publish",
        "/v1/pubsub/publish-batch",
        "/v1/push/devices",
        "/v1/push/devices/{device}",
        "/v1/push/send",
        "/v1/notify",
        "/v1/inbox/{message}",
        // Keeps no state: a challenge is only a text.
        "/v1/auth/challenge",
    ];
    for route in ROUTES {
        let exempt =
            matches!(route.verb, Verb::Any) || route.verb == Verb::One(Method::GET) || data.contains(&route.path);
        assert_eq!(route.audit.is_none(), exempt, "{:?} {}", route.verb, route.path);
        let known_form =
            |action: &str| action.split_once('.').is_some_and(|(kind, verb)| !kind.is_empty() && !verb.is_empty());
        assert!(route.audit.is_none_or(known_form), "{}", route.path);
    }
}

#[test]
fn what_the_client_library_calls_has_its_form_of_errors() {
    let of_the_library = [
        "/v1/auth/",
        "/v1/rqlite/",
        "/v1/cache/",
        "/v1/storage/",
        "/v1/network/",
        "/v1/proxy/",
        "/v1/pubsub/",
        "/v1/push/",
        "/.well-known/",
    ];
    for route in ROUTES {
        let flat = of_the_library.iter().any(|prefix| route.path.starts_with(prefix));
        assert_eq!(route.errors == ErrorForm::Flat, flat, "{}", route.path);
    }
}
