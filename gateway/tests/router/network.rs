//! One node alone, as clients of a network see it.

use http::Method;
use serde_json::json;

use crate::support::House;

#[tokio::test]
async fn a_node_alone_is_connected_to_nobody() {
    let house = House::open().await;
    house.databases.set_file(&crate::support::home(), vec![0; 4096]);
    let public = house.nobody(Method::GET, "/v1/network/status", "").await.json();
    assert_eq!(
        public,
        json!({ "node_id": "local", "peer_id": "local", "connected": true, "peer_count": 0, "database_size": 0, "uptime": "0s" })
    );
    assert_eq!(house.client(Method::GET, "/v1/network/status", "").await.json()["database_size"], 4096);
    assert_eq!(house.nobody(Method::GET, "/v1/network/peers", "").await.json(), json!({ "peers": [] }));
    for (verb, body, status) in [
        ("connect", json!({}), 400),
        ("connect", json!({ "multiaddr": "/ip4/198.51.100.1/tcp/4001" }), 503),
        ("connect", json!({ "peer_addr": "/ip4/198.51.100.1/tcp/4001" }), 503),
        ("disconnect", json!({}), 400),
        ("disconnect", json!({ "peer_id": "12D3" }), 404),
    ] {
        let seen = house.post(&format!("/v1/network/{verb}"), body).await;
        assert_eq!(seen.status, status, "{verb}");
        assert!(!seen.text("error").is_empty());
    }
}

#[tokio::test]
async fn without_an_anonymity_proxy_a_request_is_checked_and_not_sent() {
    let house = House::open().await;
    for (body, status, code) in [
        (json!({ "url": "https://example.com/", "method": "GET" }), 503, "SERVICE_UNAVAILABLE"),
        (json!({ "method": "GET" }), 400, "VALIDATION_FAILED"),
        (json!({ "url": "ftp://example.com/", "method": "GET" }), 400, "VALIDATION_FAILED"),
        (json!({ "url": "https://example.com/", "method": "TRACE" }), 400, "VALIDATION_FAILED"),
        (json!({ "url": "http://127.0.0.1:6001/metrics", "method": "GET" }), 403, "FORBIDDEN"),
        (json!({ "url": "http://localhost/", "method": "GET" }), 403, "FORBIDDEN"),
    ] {
        let seen = house.post("/v1/proxy/anon", body.clone()).await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (status, code), "{body}");
    }
}
