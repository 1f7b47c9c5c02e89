//! Functions whose every message is a call of its own, and the list of open sockets.

use std::sync::Arc;

use gateway::GatewayConfig;
use http::Method;
use platform::Config;
use ports::memory::Script;
use serde_json::json;

use crate::client::Client;
use crate::server::Server;
use crate::support::wallet::{TestWallet, with_host};
use crate::support::{HEAD, LOG, RAW, abroad, request, with_key};

#[tokio::test]
async fn every_message_is_a_call_with_a_reply() {
    let server = Server::start().await;
    server.deploy("echo", Script::Echo, &[]).await;
    server.deploy("fails", Script::Fail, &[]).await;
    let mut client = server.function("echo").await;
    let mut ids = Vec::new();
    for (said, output) in [
        (r#"{"a":12345678901234567890}"#, r#"{"a":12345678901234567890}"#),
        ("plain", r#""plain""#),
        ("", r#""""#),
        ("7", "7"),
        (r#"{"_orama":"x"}"#, r#"{"_orama":"x"}"#),
    ] {
        client.text(said).await;
        let reply = client.next_text().await;
        let id = reply.split('"').nth(3).expect("an id").to_owned();
        let want = format!(r#"{{"request_id":"{id}","status":"success","duration_ms":0,"output":{output}}}"#);
        assert_eq!(reply, want);
        ids.push(id);
    }
    client.binary(vec![0xff, 0]).await;
    assert_eq!(client.next_json().await["output_base64"], "/wA=");
    client.leave().await;
    let failed = server.function("fails").await.ask_json("x").await;
    let (id, code) = (&failed["request_id"], "FUNCTION_EXECUTION_FAILED");
    let want = json!({ "request_id": id, "status": "error", "duration_ms": 0, "error": "the code says `fail`",
        "code": code, "retryable": false });
    assert_eq!(failed, want);
    // They are in the log like other calls.
    let logs = server.house.admin(Method::GET, "/v1/functions/echo/logs", "").await.json();
    let logged: Vec<_> = logs["invocations"].as_array().expect("a list").iter().collect();
    assert!(logged.iter().all(|call| call["trigger_type"] == "websocket"), "{logged:?}");
    assert!(ids.iter().all(|id| logged.iter().any(|call| call["request_id"] == id.as_str())));
}

#[tokio::test]
async fn who_may_not_call_is_refused_before_the_upgrade() {
    let server = Server::start().await;
    server.deploy("private", Script::Echo, &[]).await;
    server.deploy("public", Script::Echo, &[("is_public", "true")]).await;
    let status = async |path: &str, key: &str| {
        let headers: &[(&str, &str)] = if key.is_empty() { &[] } else { &[("x-api-key", key)] };
        server.refusal(path, headers).await[9..12].to_owned()
    };
    let house = &server.house;
    assert_eq!(status("/v1/functions/private/ws", "").await, "401");
    assert_eq!(status("/v1/functions/private/ws", "ak_wrong:default").await, "401");
    assert_eq!(status("/v1/functions/private/ws", &house.deployer).await, "403");
    assert_eq!(status("/v1/functions/private/ws?namespace=default", &house.stranger).await, "404");
    assert_eq!(status("/v1/functions/missing/ws", &house.invoker).await, "404");
    assert_eq!(status("/v1/functions/a%2Fb/ws", &house.invoker).await, "400");
    assert_eq!(status("/v1/functions/private@2/ws", &house.invoker).await, "404");
    assert_eq!(status("/v1/functions/private@1/ws", &house.invoker).await, "101");
    let mut nobody = Client::open(server.address, "/v1/functions/public/ws", "").await;
    assert_eq!(nobody.ask_json("hi").await["output"], "hi");
    // Whoever comes from elsewhere may call what is public, too, and is nobody there.
    let path = "/v1/functions/public/ws?namespace=default";
    assert_eq!(server.open(path, &house.stranger).await.ask_json("hi").await["output"], "hi");
    let plain = house.send(with_key(request(Method::GET, "/v1/functions/private/ws", ""), &house.invoker)).await;
    assert_eq!(plain.status, 426);
}

#[tokio::test]
async fn messages_wait_their_turn_and_too_many_end_the_socket() {
    let server = Server::start().await;
    let metadata = json!({ "name": "block", "ws_max_inflight_per_conn": 2 }).to_string();
    server.deploy("block", Script::Block, &[("metadata", &metadata)]).await;
    let mut client = server.function("block").await;
    for number in 0..3 {
        client.text(number.to_string()).await;
    }
    for number in 0..3 {
        // The pause of a poll: one runs, and only one.
        while server.house.engine.plain.running() != 1 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await; // poll
        }
        server.house.engine.plain.release();
        assert_eq!(client.next_json().await["output"], number);
    }
    // One runs, two wait, and the fourth is one too many.
    for number in 0..4 {
        client.text(number.to_string()).await;
    }
    assert_eq!(client.goodbye().await, (1009, "queue full".to_owned()));
    // Nobody waits for what ran.
    while server.house.engine.plain.running() != 0 {
        // The pause of a poll.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_frame_larger_than_the_function_takes_ends_the_socket() {
    let server = Server::start().await;
    let metadata = json!({ "name": "small", "ws_max_frame_bytes": 1000 }).to_string();
    server.deploy("small", Script::Echo, &[("metadata", &metadata)]).await;
    server.deploy("echo", Script::Echo, &[]).await;
    let mut client = server.function("small").await;
    assert_eq!(client.ask_json(&"x".repeat(1000)).await["status"], "success");
    client.text("x".repeat(1001)).await;
    assert_eq!(client.goodbye().await, (1009, "a message may have 1000 bytes".to_owned()));
    let mut client = server.function("echo").await;
    assert_eq!(client.ask_json(&"x".repeat(262_144)).await["status"], "success");
    client.text("x".repeat(262_145)).await;
    assert_eq!(client.goodbye().await.0, 1009);
}

#[tokio::test]
async fn a_new_version_takes_the_next_message() {
    let server = Server::start().await;
    server.deploy("fn", Script::Echo, &[]).await;
    let (mut client, mut pinned) = (server.function("fn").await, server.function("fn@1").await);
    assert_eq!(client.ask_json("x").await["status"], "success");
    server.deploy("fn", Script::Fail, &[]).await;
    assert_eq!(client.ask_json("x").await["status"], "error");
    assert_eq!(pinned.ask_json("x").await["status"], "success");
    for (name, code) in [("head", HEAD), ("log", LOG), ("raw", RAW)] {
        assert_eq!(server.house.deploy(name, code, &[]).await.status, 201);
    }
    // What a function composes for HTTP is its output here.
    assert_eq!(server.function("raw").await.ask_json("hi").await["output"], "hi");
}

#[tokio::test]
async fn a_function_that_is_switched_off_or_deleted_says_goodbye() {
    let server = Server::start().await;
    for name in ["off", "gone", "stays"] {
        server.deploy(name, Script::Echo, &[]).await;
    }
    let (mut off, mut gone) = (server.function("off").await, server.function("gone").await);
    let mut stays = server.function("stays").await;
    assert_eq!(server.house.admin(Method::POST, "/v1/functions/off/disable", "").await.status, 200);
    assert_eq!(server.house.admin(Method::DELETE, "/v1/functions/gone", "").await.status, 200);
    for client in [&mut off, &mut gone] {
        assert_eq!(client.goodbye().await, (4404, "the function is gone or switched off".to_owned()));
    }
    assert_eq!(stays.ask_json("x").await["status"], "success");
}

#[tokio::test]
async fn open_sockets_are_listed_for_who_manages_the_namespace_and_can_be_closed() {
    let server = Server::start().await;
    server.deploy("echo", Script::Echo, &[]).await;
    server.deploy_persistent("talk", Script::Echo, &[]).await;
    let mut echo = server.function("echo").await;
    let said = echo.ask("hello").await.len();
    let mut talk = server.function("talk").await;
    talk.ask("bridge room").await;
    let house = &server.house;
    let path = "/v1/serverless/ws/connections";
    let list = house.admin(Method::GET, path, "").await.json();
    assert_eq!(list["count"], 2);
    let shown = |at: usize| list["connections"][at].clone();
    let (first, second) = (shown(0), shown(1));
    assert_eq!(
        (&first["function"], &first["persistent"], &first["wallet"]),
        (&json!("echo"), &json!(false), &json!("default"))
    );
    assert_eq!((&first["frames_in"], &first["bytes_in"]), (&json!(1), &json!(5)));
    assert_eq!((&first["frames_out"], &first["bytes_out"]), (&json!(1), &json!(said)));
    assert_eq!((&second["function"], &second["version"], &second["bridges"]), (&json!("talk"), &json!(1), &json!(1)));
    assert_eq!((&second["frames_out"], &second["remote_address"]), (&json!(1), &json!("127.0.0.1")));
    let one = format!("{path}/{}", first["client_id"].as_str().expect("an id"));
    assert_eq!(house.admin(Method::GET, &one, "").await.json(), first);
    // Others see nothing of it.
    for (key, status) in [(&house.invoker, 403), (&house.client, 403), (&house.stranger, 404)] {
        assert_eq!(house.send(with_key(request(Method::DELETE, &one, ""), key)).await.status, status);
    }
    let foreign = house.send(with_key(request(Method::GET, path, ""), &house.stranger)).await.json();
    assert_eq!(foreign["count"], 0);
    assert_eq!(house.admin(Method::DELETE, &one, "").await.status, 200);
    assert_eq!(echo.goodbye().await, (1008, "closed by who manages the namespace".to_owned()));
    talk.leave().await;
    server.until_metric("orama_connections_open", 0).await;
    assert_eq!(house.admin(Method::GET, path, "").await.json()["count"], 0);
    assert_eq!(house.admin(Method::GET, &one, "").await.status, 404);
}

#[tokio::test]
async fn messages_count_as_requests() {
    let mut node = Config::default();
    node.namespace_defaults.requests_per_minute = Some(20);
    let server = Server::start_as(GatewayConfig { sockets: Arc::default(), ..GatewayConfig::default() }, node).await;
    server.deploy("echo", Script::Echo, &[]).await;
    let mut client = server.function("echo").await;
    let mut refused = json!(null);
    for _ in 0..20 {
        let reply = client.ask_json("x").await;
        if reply["status"] == "error" {
            refused = reply;
            break;
        }
    }
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("RATE_LIMITED"), &json!(true)));
    // What concerns the socket itself counts as well, and has no reply to be refused with.
    client.text(r#"{"__orama":"auth.refresh","jwt":"junk"}"#).await;
    assert_eq!(client.goodbye().await.0, 1008);
}

/// The claims of another namespace's token are that namespace's words.
#[tokio::test]
async fn what_is_for_a_user_reaches_no_stranger_who_claims_to_be_it() {
    let server = Server::start().await;
    let house = &server.house;
    server.deploy("public", Script::Echo, &[("is_public", "true")]).await;
    let wallet = TestWallet::new(5);
    let claim = with_key(
        request(
            Method::PUT,
            &format!("/v1/auth/claims/{}/account_id", wallet.address()),
            json!({ "value": "ada" }).to_string(),
        ),
        &house.stranger,
    );
    assert_eq!(house.send(claim).await.status, 200);
    let proof = wallet.proof(house, &abroad(), "").await.to_string();
    let foreign = house.send(with_host(request(Method::POST, "/v1/auth/verify", proof))).await.text("access_token");
    let own = wallet.sign_in(house).await.text("access_token");
    let path = "/v1/functions/public/ws?namespace=default&token=";
    let mut stranger = Client::open(server.address, &format!("{path}{foreign}"), "").await;
    let mut user = Client::open(server.address, &format!("{path}{own}"), "").await;
    // Also after it has said something about itself.
    stranger.ask(r#"{"__orama":"auth.refresh","jwt":"junk"}"#).await;
    let notify = async |user: &str| house.post("/v1/notify", json!({ "user_id": user, "body": "hello" })).await.json();
    assert_eq!(notify("ada").await["via"], "inbox");
    let told = notify(&wallet.address()).await;
    assert_eq!((&told["via"], &told["sockets"]), (&json!("socket"), &json!(1)));
    assert_eq!(user.next_json().await["_orama"], "notify");
    assert_eq!(stranger.ask_json("hello").await["output"], "hello");
    let listed = house.admin(Method::GET, "/v1/serverless/ws/connections", "").await.json();
    assert_eq!((listed["connections"][0].get("wallet"), listed["count"].as_u64()), (None, Some(2)));
}
