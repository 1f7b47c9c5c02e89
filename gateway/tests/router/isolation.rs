//! Every route of the table, tried by every kind of caller. A route without a row here fails the test.

use std::fmt::Write;

use expect_test::expect;
use gateway::{Access, ROUTES, RequestBody, Route, Verb};
use http::{Method, Request};
use ports::memory::Script;

use crate::support::{Form, House, request, with_key};

/// A request for the namespace `default`, which is foreign to the stranger.
fn sample(route: &Route) -> Request<RequestBody> {
    let method = match &route.verb {
        Verb::Any => Method::POST,
        Verb::One(method) => method.clone(),
    };
    let path = match route.path {
        "/v1/invoke/{namespace}/{function}" => "/v1/invoke/default/private",
        "/v1/invoke/{namespace}/{function}/{*path}" => "/v1/invoke/default/speaks/a/b",
        "/v1/functions/{function}/invoke" => "/v1/functions/private/invoke?namespace=default",
        "/v1/functions/{function}/invoke/{*path}" => "/v1/functions/speaks/invoke/a/b?namespace=default",
        "/v1/functions" if method == Method::POST => {
            return Form::default().file("wasm", b"echo").text("name", "new").post("/v1/functions?namespace=default");
        }
        "/v1/functions" => "/v1/functions?namespace=default",
        "/v1/functions/{function}" => "/v1/functions/private?namespace=default",
        "/v1/functions/{function}/versions" => "/v1/functions/private/versions?namespace=default",
        "/v1/functions/{function}/logs" => "/v1/functions/private/logs?namespace=default",
        "/v1/functions/{function}/rollback" => "/v1/functions/private/rollback?namespace=default",
        "/v1/functions/{function}/enable" => "/v1/functions/private/enable?namespace=default",
        "/v1/functions/{function}/disable" => "/v1/functions/private/disable?namespace=default",
        "/v1/auth/whoami" | "/health" | "/v1/health" | "/status" | "/v1/status" | "/ready" | "/v1/version"
        | "/v1/limits" | "/v1/openapi.json" | "/metrics" => route.path,
        other => panic!("the route {other} has no row in the isolation matrix"),
    };
    request(method, path, "")
}

async fn house() -> House {
    let house = House::open().await;
    for (name, http) in [("private", "false"), ("private", "false"), ("speaks", "true")] {
        house.deploy(name, &Script::Echo.code(), &[("http", http)]).await;
    }
    house
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should() {
    let mut matrix = String::from("nobody wrong stranger invoke deploy admin operator\n");
    for route in ROUTES {
        let mut row = String::new();
        for caller in 0..7 {
            // Fresh each time: some of the routes change things.
            let house = house().await;
            let key = [
                "",
                "ak_wrong:default",
                &house.stranger,
                &house.invoker,
                &house.deployer,
                &house.admin,
                &house.operator,
            ][caller];
            let plain = sample(route);
            let seen = house.send(if key.is_empty() { plain } else { with_key(plain, key) }).await;
            assert!(!seen.header("x-request-id").is_empty());
            assert_eq!(seen.header("x-content-type-options"), "nosniff");
            write!(row, "{} ", seen.status.as_u16()).expect("writing to a string works");
        }
        let verb = match &route.verb {
            Verb::Any => "*",
            Verb::One(method) => method.as_str(),
        };
        writeln!(matrix, "{row} {verb} {}", route.path).expect("writing to a string works");
        if matches!(route.access, Access::Scope(_)) {
            assert!(row.starts_with("401 401 404 403 "), "{verb} {}: {row}", route.path);
        }
    }
    expect![[r#"
        nobody wrong stranger invoke deploy admin operator
        401 401 404 200 403 200 200  * /v1/invoke/{namespace}/{function}
        401 401 404 200 403 200 200  * /v1/invoke/{namespace}/{function}/{*path}
        401 401 404 403 200 200 200  GET /v1/functions
        401 401 404 403 201 201 201  POST /v1/functions
        401 401 404 200 403 200 200  * /v1/functions/{function}/invoke
        401 401 404 200 403 200 200  * /v1/functions/{function}/invoke/{*path}
        401 401 404 403 200 200 200  GET /v1/functions/{function}
        401 401 404 403 200 200 200  DELETE /v1/functions/{function}
        401 401 404 403 200 200 200  GET /v1/functions/{function}/versions
        401 401 404 403 200 200 200  GET /v1/functions/{function}/logs
        401 401 404 403 200 200 200  POST /v1/functions/{function}/rollback
        401 401 404 403 200 200 200  POST /v1/functions/{function}/enable
        401 401 404 403 200 200 200  POST /v1/functions/{function}/disable
        401 401 200 200 200 200 200  GET /v1/auth/whoami
        200 200 200 200 200 200 200  GET /health
        200 200 200 200 200 200 200  GET /v1/health
        200 200 200 200 200 200 200  GET /status
        200 200 200 200 200 200 200  GET /v1/status
        200 200 200 200 200 200 200  GET /ready
        200 200 200 200 200 200 200  GET /v1/version
        200 200 200 200 200 200 200  GET /v1/limits
        200 200 200 200 200 200 200  GET /v1/openapi.json
        401 401 403 403 403 403 200  GET /metrics
    "#]]
    .assert_eq(&matrix);
}
