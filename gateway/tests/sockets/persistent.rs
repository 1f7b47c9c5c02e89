//! Functions with an instance for each socket.

use std::time::Duration;

use gateway::GatewayConfig;
use http::Method;
use platform::{Config, NodeLimits};
use ports::memory::Script;
use serde_json::json;

use crate::client::Client;
use crate::server::Server;
use crate::support::{request, with_key};

async fn talk() -> Server {
    let server = Server::start().await;
    server.deploy_persistent("talk", Script::Echo, &[]).await;
    server
}

/// Waits until so many sockets were told why they end.
async fn goodbyes(server: &Server, count: usize) -> Vec<String> {
    loop {
        let told = server.house.engine.plain.goodbyes();
        if told.len() >= count {
            return told;
        }
        // The pause of a poll.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn an_instance_hears_every_frame_and_answers_when_it_likes() {
    let server = talk().await;
    let mut client = server.function("talk").await;
    assert_eq!(client.ask("hello").await, "hello");
    client.binary(vec![0xff]).await;
    assert_eq!(client.next().await.into_data(), vec![0xff]);
    assert_eq!(client.ask("caller").await, "default");
    client.leave().await;
    assert_eq!(goodbyes(&server, 1).await, ["client_disconnect"]);
    // The beginning, three frames and the end.
    server.until_metric(r#"orama_calls_total{status="success"}"#, 5).await;
    let logs = server.house.admin(Method::GET, "/v1/functions/talk/logs", "").await.json();
    assert_eq!(logs["invocations"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn it_is_told_who_came_and_with_which_headers_but_no_credential() {
    let server = talk().await;
    let headers =
        [("x-api-key", server.house.invoker.as_str()), ("x-room", "red"), ("cookie", "a=1"), ("x-room", "blue")];
    let mut raw = crate::client::Raw::connect(server.address).await;
    assert!(raw.upgrade("/v1/functions/talk/ws", &headers).await.starts_with("HTTP/1.1 101 "));
    raw.send_frame(0x81, b"info").await;
    let (_, payload) = raw.next_frame().await.expect("an answer");
    let info: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
    let want = json!({ "client_id": info["client_id"], "namespace": "default", "wallet": "default",
        "headers": { "host": "orama.example", "x-room": "red, blue", "cookie": "a=1" } });
    assert_eq!(info, want);
    assert_eq!(info["client_id"].as_str().map(str::len), Some(36));
}

#[tokio::test]
async fn the_end_has_a_reason() {
    let server = talk().await;
    for (name, script) in [("rejects", Script::Reject), ("fails", Script::Fail)] {
        server.deploy_persistent(name, script, &[]).await;
    }
    let mut rejected = server.function("rejects").await;
    assert_eq!(rejected.goodbye().await, (1008, "rejected by the function".to_owned()));
    assert_eq!(goodbyes(&server, 1).await, ["rejected_by_open"]);
    let mut asked = server.function("talk").await;
    asked.text("close").await;
    assert_eq!(asked.goodbye().await, (1000, "closed by the function".to_owned()));
    assert_eq!(goodbyes(&server, 2).await.len(), 2);
    // An instance that failed is told nothing any more.
    let mut failed = server.function("talk").await;
    failed.text("fail").await;
    assert_eq!(failed.goodbye().await, (1011, "handler_error".to_owned()));
    let mut unborn = server.function("fails").await;
    assert_eq!(unborn.goodbye().await, (1011, "handler_error".to_owned()));
    assert_eq!(server.house.engine.plain.goodbyes().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_what_runs_finish_and_says_goodbye() {
    let server = talk().await;
    server.deploy_persistent("block", Script::Block, &[]).await;
    let (mut idle, mut busy) = (server.function("talk").await, server.function("block").await);
    idle.ask("hello").await;
    busy.text("work").await;
    busy.text("never begun").await;
    tokio::time::sleep(Duration::from_secs(1)).await; // paused
    server.stop.cancel();
    assert_eq!(idle.goodbye().await.0, 1012);
    assert_eq!(goodbyes(&server, 1).await, ["server_shutdown"]);
    server.house.engine.plain.release();
    assert_eq!(busy.next_text().await, "work");
    assert_eq!(busy.goodbye().await, (1012, "server restarting, reconnect".to_owned()));
    assert_eq!(goodbyes(&server, 2).await.len(), 2);
    assert!(server.house.gateway.platform().close(Duration::from_secs(5)).await, "nothing runs any more");
    server.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_idle_but_not_while_the_function_works() {
    let server = Server::start().await;
    let ten = json!(10);
    server.deploy_persistent("talk", Script::Echo, &[("ws_idle_timeout_sec", ten.clone())]).await;
    server.deploy_persistent("block", Script::Block, &[("ws_idle_timeout_sec", ten)]).await;
    let mut client = server.function("talk").await;
    let begun = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(6)).await; // paused
    assert_eq!(client.ask("hello").await, "hello");
    assert_eq!(client.goodbye().await, (1001, "idle timeout".to_owned()));
    assert_eq!(begun.elapsed().as_secs(), 16);
    assert_eq!(goodbyes(&server, 1).await, ["idle_timeout"]);
    let mut busy = server.function("block").await;
    busy.text("work").await;
    tokio::time::sleep(Duration::from_secs(25)).await; // paused
    server.house.engine.plain.release();
    assert_eq!(busy.next_text().await, "work");
    assert_eq!(busy.goodbye().await.0, 1001);
}

#[tokio::test]
async fn sizes_and_queues_are_kept() {
    let server = Server::start().await;
    let limits = [("ws_max_frame_bytes", json!(100)), ("ws_max_inflight_per_conn", json!(1))];
    server.deploy_persistent("block", Script::Block, &limits).await;
    let mut large = server.function("block").await;
    large.text("x".repeat(101)).await;
    assert_eq!(large.goodbye().await.0, 1009);
    let mut many = server.function("block").await;
    for _ in 0..3 {
        many.text("x").await;
    }
    assert_eq!(many.goodbye().await, (1009, "queue full".to_owned()));
    // What ran is finished before the instance hears of the end.
    server.house.engine.plain.release();
    assert_eq!(goodbyes(&server, 2).await, ["client_disconnect", "client_disconnect"]);
}

#[tokio::test]
async fn there_are_so_many_places_and_no_more() {
    let limits = NodeLimits { node_sockets: 2, namespace_sockets: 1, ..NodeLimits::default() };
    let node = Config { limits, ..Config::default() };
    let server = Server::start_as(GatewayConfig::default(), node).await;
    server.deploy_persistent("talk", Script::Echo, &[]).await;
    server.deploy("echo", Script::Echo, &[]).await;
    let first = server.function("talk").await;
    let key = [("x-api-key", server.house.invoker.as_str())];
    let full = server.refusal("/v1/functions/talk/ws", &key).await;
    assert!(full.starts_with("HTTP/1.1 503 ") && full.contains("retry-after"), "{full}");
    // A call for each message needs none.
    assert_eq!(server.function("echo").await.ask_json("x").await["status"], "success");
    first.leave().await;
    server.until_metric("orama_connections_open", 0).await;
    server.function("talk").await.leave().await;
}

#[tokio::test]
async fn a_live_socket_keeps_its_version() {
    let server = talk().await;
    let mut old = server.function("talk").await;
    assert_eq!(old.ask("hello").await, "hello");
    server.deploy_persistent("talk", Script::Reject, &[]).await;
    assert_eq!(old.ask("hello").await, "hello");
    assert_eq!(server.function("talk").await.goodbye().await.0, 1008);
    let listed = server.house.admin(Method::GET, "/v1/serverless/ws/connections", "").await.json();
    assert_eq!(listed["connections"][0]["version"], 1);
    // Until that version is deleted.
    assert_eq!(server.house.admin(Method::DELETE, "/v1/functions/talk@1", "").await.status, 200);
    assert_eq!(old.goodbye().await.0, 4404);
}

#[tokio::test]
async fn a_function_reaches_the_sockets_of_its_namespace_and_no_others() {
    let server = talk().await;
    let house = &server.house;
    let form = crate::support::Form::default().file("wasm", &Script::Echo.code()).text("name", "talk");
    let form = form.text("metadata", r#"{"ws_persistent":true}"#).post("/v1/functions");
    assert_eq!(house.send(with_key(form, &house.stranger)).await.status, 201);
    let mut stranger = server.open("/v1/functions/talk/ws", &house.stranger).await;
    let (mut ada, mut bob) = (server.function("talk").await, server.function("talk").await);
    let id_of = async |client: &mut Client| {
        let info: serde_json::Value = serde_json::from_str(&client.ask("info").await).expect("JSON");
        info["client_id"].as_str().expect("an id").to_owned()
    };
    let (bobs, strangers) = (id_of(&mut bob).await, id_of(&mut stranger).await);
    assert_eq!(ada.ask(&format!("send {bobs} hello bob")).await, "ok");
    assert_eq!(bob.next_text().await, "hello bob");
    let foreign = ada.ask(&format!("send {strangers} hello")).await;
    assert_eq!(foreign, "NOT_FOUND: no such WebSocket; it may have been closed");
    assert_eq!(ada.ask("send nobody hello").await, foreign);
    bob.leave().await;
    server.until_metric("orama_connections_open", 2).await;
    assert_eq!(ada.ask(&format!("send {bobs} hello")).await, foreign);
    assert_eq!(stranger.ask("hello").await, "hello");
}

#[tokio::test]
async fn topics_are_bridged_to_sockets_as_they_are() {
    let server = talk().await;
    let house = &server.house;
    let (mut ada, mut bob) = (server.function("talk").await, server.function("talk").await);
    for client in [&mut ada, &mut bob] {
        assert_eq!(client.ask("bridge room").await, "ok");
        assert_eq!(client.ask("bridge room").await, "ok", "twice is once");
    }
    let mut topic = server.topic("room").await;
    topic.text("plain").await;
    topic.binary(vec![0xff, 1]).await;
    for client in [&mut ada, &mut bob] {
        assert_eq!(client.next_text().await, "plain");
        assert_eq!(client.next().await.into_data(), vec![0xff, 1]);
    }
    // Events come bare.
    ada.text("hold room typing").await;
    let mut seen = [ada.next_text().await, ada.next_text().await];
    seen.sort();
    assert!(seen[0] == "ok" || seen[1] == "ok", "{seen:?}");
    let event = bob.next_text().await;
    assert!(event.starts_with(r#"{"_orama":"ephemeral.set""#) && seen.contains(&event), "{event} {seen:?}");
    assert_eq!(bob.ask("unbridge room").await, "ok");
    assert_eq!(bob.ask("unbridge room").await, "ok");
    // To those that are bridged, and no message of the topic.
    assert_eq!(bob.ask("broadcast room to all of you").await, "ok");
    assert_eq!(ada.next_text().await, "to all of you");
    topic.text("after").await;
    assert_eq!(ada.next_text().await, "after");
    assert_eq!(bob.ask("hello").await, "hello");
    // The same name elsewhere is another topic.
    let published = json!({ "topic": "room", "data_base64": "eA==" }).to_string();
    let foreign = with_key(request(Method::POST, "/v1/pubsub/publish", published), &house.stranger);
    assert_eq!(house.send(foreign).await.status, 200);
    assert_eq!(ada.ask("hello").await, "hello");
    assert_eq!(
        ada.ask("bridge").await,
        "VALIDATION_FAILED: the topic is empty; use 1 to 256 bytes, such as `orders:new`"
    );
    ada.leave().await;
}

#[tokio::test]
async fn a_socket_is_bridged_to_a_thousand_topics_and_no_more() {
    let server = talk().await;
    let mut client = server.function("talk").await;
    for number in 0..1000 {
        assert_eq!(client.ask(&format!("bridge topic:{number}")).await, "ok");
    }
    let refused = client.ask("bridge one:more").await;
    assert!(refused.starts_with("RATE_LIMITED: the WebSocket is bridged to 1000 topics"), "{refused}");
    assert_eq!(client.ask("unbridge topic:7").await, "ok");
    assert_eq!(client.ask("bridge one:more").await, "ok");
    client.text("publish one:more hello").await;
    let said = [client.next_text().await, client.next_text().await];
    assert!(said.contains(&"ok".to_owned()) && said.contains(&"hello".to_owned()), "{said:?}");
}

/// The first thing that others notice.
#[tokio::test]
async fn what_a_socket_held_is_cleared_at_once_when_it_goes() {
    let server = talk().await;
    let mut watching = server.function("talk").await;
    watching.ask("bridge room").await;
    for leave in [true, false] {
        let mut holding = server.function("talk").await;
        assert_eq!(holding.ask("hold room key").await, "ok");
        assert!(watching.next_text().await.contains("ephemeral.set"));
        let went = std::time::Instant::now();
        if leave {
            holding.leave().await
        } else {
            drop(holding)
        }
        assert!(watching.next_text().await.contains(r#""reason":"disconnect""#));
        assert!(went.elapsed() < Duration::from_millis(500), "{:?}", went.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_deleted_takes_its_sockets_along() {
    let server = talk().await;
    let house = &server.house;
    let form = crate::support::Form::default().file("wasm", &Script::Echo.code()).text("name", "talk");
    let form = form.text("metadata", r#"{"ws_persistent":true}"#).post("/v1/functions");
    assert_eq!(house.send(with_key(form, &house.stranger)).await.status, 201);
    let mut client = server.open("/v1/functions/talk/ws", &house.stranger).await;
    client.ask("hello").await;
    assert_eq!(house.operator(Method::DELETE, "/v1/namespaces/abroad", "").await.status, 200);
    assert_eq!(client.goodbye().await.0, 4404);
    assert_eq!(server.function("talk").await.ask("hello").await, "hello");
}
