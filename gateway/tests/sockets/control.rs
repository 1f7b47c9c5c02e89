//! What a client says about its socket: `auth.refresh`; and what happens to those who say nothing in time.

use std::time::Duration;

use domain::{Scope, Scopes};
use http::Method;
use ports::memory::Script;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::Server;
use crate::support::wallet::TestWallet;
use crate::support::{request, with_key};

async fn server() -> Server {
    let server = Server::start().await;
    server.deploy("echo", Script::Echo, &[("is_public", "true")]).await;
    server.deploy_persistent("talk", Script::Echo, &[]).await;
    server
}

async fn wallet(server: &Server, seed: u8) -> (TestWallet, String) {
    let wallet = TestWallet::new(seed);
    wallet.own(&server.house, Scopes::of([Scope::Invoke, Scope::Data])).await;
    let token = wallet.sign_in(&server.house).await.text("access_token");
    (wallet, token)
}

async fn open(server: &Server, function: &str, token: &str) -> Client {
    Client::open(server.address, &format!("/v1/functions/{function}/ws?token={token}"), "").await
}

async fn refresh(client: &mut Client, jwt: impl Into<Value>) -> Value {
    client.ask_json(&json!({ "__orama": "auth.refresh", "jwt": jwt.into() }).to_string()).await
}

fn refused(error: &str) -> Value {
    json!({ "__orama_ack": "auth.refresh", "ok": false, "error": error })
}

#[tokio::test(start_paused = true)]
async fn a_socket_lives_as_long_as_its_token_is_renewed() {
    let server = server().await;
    let ten_minutes = Duration::from_secs(10 * 60);
    for function in ["echo", "talk"] {
        let (wallet, token) = wallet(&server, 1).await;
        let mut client = open(&server, function, &token).await;
        let mut left_alone = open(&server, function, &token).await;
        server.house.clock.advance(ten_minutes);
        let fresh = wallet.sign_in(&server.house).await.text("access_token");
        let done = json!({ "__orama_ack": "auth.refresh", "ok": true, "subject": wallet.address() });
        assert_eq!(refresh(&mut client, fresh).await, done);
        server.house.clock.advance(ten_minutes);
        let (code, reason) = left_alone.goodbye().await;
        assert!(code == 4401 && reason.starts_with("the token has expired"), "{code} {reason}");
        assert!(client.ask("still here").await.contains("still here"));
        server.house.clock.advance(ten_minutes);
        // Also one that speaks.
        client.text("too late").await;
        assert_eq!(client.goodbye().await.0, 4401);
    }
}

#[tokio::test]
async fn a_refresh_says_why_it_is_refused() {
    let server = server().await;
    let house = &server.house;
    let ((wallet_one, token), (_, of_another)) = (wallet(&server, 1).await, wallet(&server, 2).await);
    let foreign = house.send(with_key(request(Method::POST, "/v1/auth/token", ""), &house.stranger)).await;
    let foreign = foreign.text("access_token");
    for function in ["echo", "talk"] {
        let mut client = open(&server, function, &token).await;
        for nothing in [json!(""), json!(7), json!(null)] {
            assert_eq!(refresh(&mut client, nothing).await, refused("jwt field required"));
        }
        assert_eq!(client.ask_json(r#"{"__orama":"auth.refresh"}"#).await, refused("jwt field required"));
        let junk = refused("invalid or expired jwt: it is not a token of this server");
        // A key is no token.
        for no_token in ["junk", "a.b.c", house.invoker.as_str()] {
            assert_eq!(refresh(&mut client, no_token).await, junk);
        }
        let of_elsewhere = refresh(&mut client, foreign.as_str()).await;
        assert_eq!(of_elsewhere, refused("jwt namespace does not match websocket namespace"));
        let other = refresh(&mut client, of_another.as_str()).await;
        assert_eq!(other, refused("jwt subject does not match websocket subject"));
        let unknown = client.ask_json(r#"{"__orama":"auth.logout"}"#).await;
        assert_eq!(
            unknown,
            json!({ "__orama_ack": "auth.logout", "ok": false, "error": "unknown __orama control type" })
        );
        assert_eq!(client.ask_json(r#"{"__orama":{"a":1}}"#).await["error"], "unknown __orama control type");
        // Nothing of it reached the function: of the persistent one, the beginning is a call.
        let logs = house.admin(Method::GET, &format!("/v1/functions/{function}/logs"), "").await.json();
        let calls = logs["invocations"].as_array().map_or(0, Vec::len);
        assert_eq!(calls, usize::from(function == "talk"), "{logs}");
        if function == "talk" {
            assert_eq!(client.ask("caller").await, wallet_one.address());
        }
    }
    // The socket still has a valid one, the other has run out.
    let mut client = server.function("echo").await;
    house.clock.advance(Duration::from_secs(16 * 60 + 1));
    assert_eq!(refresh(&mut client, token).await, refused("invalid or expired jwt: it has expired"));
}

#[tokio::test]
async fn nobody_becomes_somebody_and_a_key_is_renewed_by_its_own_tokens() {
    let server = server().await;
    let house = &server.house;
    let (_, token) = wallet(&server, 1).await;
    let mismatch = refused("jwt subject does not match websocket subject");
    let mut nobody = Client::open(server.address, "/v1/functions/echo/ws", "").await;
    assert_eq!(refresh(&mut nobody, token.as_str()).await, mismatch);
    let mut stranger = server.open("/v1/functions/echo/ws?namespace=default", &house.stranger).await;
    assert_eq!(refresh(&mut stranger, token.as_str()).await, mismatch);
    let own = house.send(with_key(request(Method::POST, "/v1/auth/token", ""), &house.invoker)).await;
    let mut by_key = server.function("talk").await;
    assert_eq!(refresh(&mut by_key, own.text("access_token")).await["ok"], true);
    assert_eq!(refresh(&mut by_key, token).await, mismatch);
}

#[tokio::test]
async fn a_subscriber_may_renew_its_token_as_well() {
    let server = server().await;
    let (wallet, token) = wallet(&server, 1).await;
    let mut client = Client::open(server.address, &format!("/v1/pubsub/ws?topic=t&token={token}"), "").await;
    let fresh = wallet.sign_in(&server.house).await.text("access_token");
    assert_eq!(refresh(&mut client, fresh).await["ok"], true);
    // And none of it is a message of the topic.
    client.text("hi").await;
    assert_eq!(client.next_json().await["data"], "aGk=");
}

#[tokio::test(start_paused = true)]
async fn a_wallet_that_is_no_owner_any_more_has_no_socket_either() {
    let server = server().await;
    let (wallet, token) = wallet(&server, 1).await;
    let mut client = open(&server, "talk", &token).await;
    let path = format!("/v1/namespaces/default/owners/{}", wallet.address());
    assert_eq!(server.house.admin(Method::DELETE, &path, "").await.status, 200);
    assert_eq!(client.goodbye().await.0, 4403);
    assert_eq!(server.house.engine.plain.goodbyes(), ["server_shutdown"]);
}
