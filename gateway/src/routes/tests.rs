use super::*;

fn route_of(method: Method, path: &str) -> String {
    match find(&method, path) {
        Found::Route { route, captures, .. } => {
            let captured: Vec<&str> = (0..captures.count).map(|index| captures.get(path, index)).collect();
            format!("{} {captured:?}", route.path)
        }
        Found::OtherMethods(allowed) => format!("only {allowed:?}"),
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
    for path in ["", "/", "//", "/v1", "/v1/functions/f/unknown", "/v1/invoke/ns", "*", "/v1/functions/secrets"] {
        check(Method::GET, path, "nothing");
    }
    check(Method::POST, "/v1/functions/secrets/invoke", "nothing");
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
