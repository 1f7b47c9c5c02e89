//! Limits on requests.

use std::time::Duration;

use domain::{AddressRange, NamespaceSettings};
use gateway::GatewayConfig;
use http::Method;
use platform::Config;
use ports::memory::Script;

use crate::support::{House, Seen, request, with_header, with_key};

async fn house(caller_requests_per_minute: u64) -> House {
    house_with(GatewayConfig::default(), caller_requests_per_minute).await
}

async fn house_with(config: GatewayConfig, caller_requests_per_minute: u64) -> House {
    let namespace_defaults = NamespaceSettings {
        caller_requests_per_minute: Some(caller_requests_per_minute),
        ..NamespaceSettings::default()
    };
    House::open_as(config, Config { namespace_defaults, ..Config::default() }).await
}

fn rates(seen: &Seen) -> [&str; 5] {
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "ratelimit", "ratelimit-policy"]
        .map(|name| seen.header(name))
}

#[tokio::test]
async fn what_is_left_stands_in_every_reply() {
    let house = house(60).await;
    let seen = house.admin(Method::GET, "/v1/functions", "").await;
    assert_eq!(rates(&seen), ["60", "29", "1", "\"minute\";r=29;t=1", "\"minute\";q=60;w=60"]);
    // Refusals too.
    let missing = house.admin(Method::GET, "/v1/functions/missing", "").await;
    assert_eq!((missing.status.as_u16(), missing.header("ratelimit-remaining")), (404, "28"));
    for _ in 0..28 {
        assert_eq!(house.admin(Method::GET, "/v1/functions", "").await.status, 200);
    }
    let over = house.admin(Method::GET, "/v1/functions", "").await;
    assert_eq!((over.status.as_u16(), over.code().as_str(), over.header("retry-after")), (429, "RATE_LIMITED", "1.0"));
    assert_eq!((over.header("ratelimit-remaining"), over.header("ratelimit")), ("0", "\"minute\";r=0;t=1"));
    assert_eq!(over.json()["error"]["retryable"], true);
    // Others have their own.
    assert_eq!(house.client(Method::GET, "/v1/storage/list", "").await.status, 200);
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(house.admin(Method::GET, "/v1/functions", "").await.status, 200);
}

#[tokio::test]
async fn calls_count_and_probes_do_not() {
    let house = house(2).await;
    house.deploy("open", &Script::Echo.code(), &[("is_public", "true")]).await;
    let call = async || house.nobody(Method::POST, "/v1/invoke/default/open", "{}").await;
    assert_eq!((call().await.status.as_u16(), call().await.status.as_u16()), (200, 429));
    for path in ["/health", "/v1/status", "/ready"] {
        let seen = house.nobody(Method::GET, path, "").await;
        assert_eq!((seen.status.as_u16(), rates(&seen)), (200, [""; 5]), "{path}");
    }
    assert_eq!(house.nobody(Method::OPTIONS, "/v1/functions", "").await.status, 204);
    assert_eq!(house.send_from("127.0.0.1", request(Method::GET, "/metrics", "")).await.status, 200);
}

#[tokio::test]
async fn strangers_are_told_apart_by_their_address_and_cannot_choose_it() {
    let house = house(2).await;
    house.deploy("open", &Script::Echo.code(), &[("is_public", "true")]).await;
    let from = async |peer: &str, forwarded: &str| {
        let call = with_header(request(Method::POST, "/v1/invoke/default/open", "{}"), "x-forwarded-for", forwarded);
        house.send_from(peer, call).await.status.as_u16()
    };
    assert_eq!(from("203.0.113.7", "198.51.100.1").await, 200);
    assert_eq!(from("203.0.113.7", "198.51.100.2").await, 429);
    assert_eq!(from("203.0.113.8", "198.51.100.1").await, 200);
    // A proxy of ours says who it speaks for, and that is the last entry.
    assert_eq!(from("127.0.0.1", "198.51.100.1").await, 200);
    assert_eq!(from("127.0.0.1", "198.51.100.2").await, 200);
    assert_eq!(from("127.0.0.1", "198.51.100.9, 198.51.100.2").await, 429);
}

#[tokio::test]
async fn the_operator_says_which_proxies_are_believed() {
    let trusted_proxies = vec![AddressRange::parse("10.0.0.0/8").expect("a range")];
    let house = house_with(GatewayConfig { trusted_proxies, ..GatewayConfig::default() }, 2).await;
    let from = async |peer: &str, forwarded: &str| {
        let ask = with_header(request(Method::GET, "/v1/auth/jwks", ""), "x-forwarded-for", forwarded);
        house.send_from(peer, ask).await.status.as_u16()
    };
    assert_eq!(from("10.1.2.3", "198.51.100.1").await, 200);
    assert_eq!(from("10.1.2.4", "198.51.100.1, 10.1.2.3").await, 429);
    assert_eq!(from("10.1.2.3", "198.51.100.2").await, 200);
    assert_eq!(from("127.0.0.1", "198.51.100.3").await, 200);
    assert_eq!(from("127.0.0.1", "198.51.100.4").await, 429);
}

#[tokio::test]
async fn strangers_use_up_what_the_namespace_has() {
    let house = House::open().await;
    house.deploy("open", &Script::Echo.code(), &[("is_public", "true")]).await;
    house.deploy("closed", &Script::Echo.code(), &[]).await;
    let set = r#"{"requests_per_minute":8}"#;
    assert_eq!(house.operator(Method::PUT, "/v1/namespaces/default/settings", set).await.status, 200);
    let call = async |path: &str, key: &str| {
        let call = request(Method::POST, path, "{}");
        let seen = house.send(if key.is_empty() { call } else { with_key(call, key) }).await;
        (seen.status.as_u16(), seen.header("ratelimit-remaining").to_owned())
    };
    let called = |status: u16, left: &str| (status, left.to_owned());
    // Who is not let in takes nothing.
    assert_eq!(call("/v1/invoke/default/closed", "").await, called(401, ""));
    assert_eq!(call("/v1/invoke/default/missing", &house.stranger).await, called(404, ""));
    assert_eq!(call("/v1/invoke/default/open", "").await, called(200, "3"));
    assert_eq!(call("/v1/functions/open/invoke?namespace=default", &house.stranger).await, called(200, "2"));
    assert_eq!(call("/v1/functions/open/invoke", "").await, called(200, "1"));
    assert_eq!(call("/v1/invoke/default/open", &house.invoker).await, called(200, "0"));
    assert_eq!(call("/v1/invoke/default/open", &house.stranger).await, called(429, "0"));
    assert_eq!(call("/v1/invoke/default/open", &house.invoker).await, called(429, "0"));
    let over = house.nobody(Method::POST, "/v1/invoke/default/open", "{}").await;
    assert_eq!((over.code().as_str(), over.header("retry-after")), ("RATE_LIMITED", "7.5"));
    assert_eq!(over.text("message"), "too many requests: the functions of `default` take 8 a minute");
}

#[tokio::test]
async fn guessing_costs() {
    let house = house(4).await;
    let guess = async |n: u32| {
        house.send(with_key(request(Method::GET, "/v1/functions", ""), &format!("ak_{n}:default"))).await
    };
    assert_eq!(
        (guess(1).await.status.as_u16(), guess(2).await.status.as_u16(), guess(3).await.status.as_u16()),
        (401, 401, 429)
    );
}

#[tokio::test]
async fn attempts_to_sign_in_have_a_limit_of_their_own() {
    let config = Config { sign_ins_per_minute: 4, ..Config::default() };
    let house = House::open_as(GatewayConfig::default(), config).await;
    let ask = async || house.nobody(Method::POST, "/v1/auth/challenge", "{}").await;
    assert_eq!(ask().await.status, 400);
    let over = ask().await;
    assert_eq!((over.status.as_u16(), over.code().as_str()), (429, "RATE_LIMITED"));
    assert!(over.text("error").contains("sign in") && !over.header("retry-after").is_empty(), "{over:?}");
    assert_eq!(house.nobody(Method::GET, "/v1/auth/jwks", "").await.status, 200);
}
