//! Providers that are none: silent, endless, elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::PushKind;
use expect_test::expect;
use ports::PushField::{ApnsKeyId, ApnsKeyPem, ApnsTeamId, ApnsTopic, ExpoAccessToken, FcmServiceAccount, NtfyBaseUrl};
use ports::PushProvider;
use rcgen::KeyPair;

use crate::fcm::account;
use crate::server::{Answer, Server};
use crate::support::{World, hello, line, send, settings};

/// One provider of each kind that speaks to `server`, with a token of its own. Apple is apart: it speaks another protocol.
fn providers(server: &Server) -> Vec<(PushKind, Arc<dyn PushProvider>, &'static str)> {
    let world = World::lenient().with(|endpoints| {
        endpoints.expo = server.url("/");
        endpoints.fcm = server.url("/");
    });
    let account = account(server.url("/token").as_str()).to_string();
    let url = server.url("/");
    let settings =
        settings(&[(NtfyBaseUrl, url.as_str()), (ExpoAccessToken, "expo_secret"), (FcmServiceAccount, &account)]);
    let tokens = [(PushKind::Ntfy, "alerts"), (PushKind::Expo, "ExponentPushToken[1]"), (PushKind::Fcm, "device:1")];
    let provider = |(kind, token)| (kind, world.provider(kind, &settings), token);
    tokens.map(provider).into()
}

fn apple(server: &Server) -> Arc<dyn PushProvider> {
    let key = KeyPair::generate().expect("a key").serialize_pem();
    let (id, team) = ("ABC123DEFG", "TEAM456789");
    let fields = [(ApnsKeyPem, key.as_str()), (ApnsKeyId, id), (ApnsTeamId, team), (ApnsTopic, "com.example.app")];
    let world = World::strict().with(|endpoints| endpoints.apns = server.url("/"));
    world.provider(PushKind::Apns, &settings(&fields))
}

#[tokio::test]
async fn who_is_silent_is_not_waited_for_beyond_the_deadline() {
    let server = Server::start(|_| Answer::Nothing).await;
    let http2 = Server::start_http2(|_| Answer::Nothing).await;
    let mut all = providers(&server);
    all.push((PushKind::Apns, apple(&http2), "aa"));
    for (kind, provider, token) in all {
        let started = Instant::now();
        let deadline = started + Duration::from_millis(300);
        let outcome = provider.send(&[token], &hello(), deadline).await.remove(0);
        assert!(started.elapsed() < Duration::from_secs(5), "{kind}");
        let want = "failed Timeout \"the provider did not answer in time\" temporary";
        assert_eq!(line(&outcome, &server), want, "{kind}");
    }
}

/// A gigabyte, and another one: what nobody reads is not received.
#[tokio::test]
async fn who_never_ends_is_cut_short() {
    let (ok, bad) = (Server::start(|_| Answer::Endless(200)).await, Server::start(|_| Answer::Endless(500)).await);
    let http2 = Server::start_http2(|_| Answer::Endless(200)).await;
    let mut seen = String::new();
    for server in [&ok, &bad] {
        for (kind, provider, token) in providers(server) {
            seen += &format!("{kind}: {}\n", line(&send(&provider, token, &hello()).await, server));
        }
    }
    seen += &format!("apns: {}\n", line(&send(&apple(&http2), "aa", &hello()).await, &http2));
    expect![[r#"
        ntfy: sent 200
        expo: failed 200 NotUnderstood "the provider's answer was not understood; it may have sent the message"
        fcm: failed 200 NotUnderstood "the provider's answer was not understood; it may have sent the message"
        ntfy: failed 500 Http500 "the provider answered 500" temporary
        expo: failed 500 Http500 "the provider answered 500" temporary
        fcm: failed 500 Http500 "the provider answered 500" temporary
        apns: sent 200
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_| Answer::of(200, "{}")).await;
    for status in [301, 302, 303, 307, 308] {
        let to = elsewhere.url("/there").to_string();
        let server = Server::start(move |_| Answer::of(status, "").with("location", to.clone())).await;
        for (kind, provider, token) in providers(&server) {
            let outcome = send(&provider, token, &hello()).await;
            let want = format!(
                "failed {status} Http{status} \"the provider answered with a redirect, which is not followed\""
            );
            assert_eq!(line(&outcome, &server), want, "{kind}");
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn who_is_not_there_may_be_later() {
    let server = Server::start(|_| Answer::of(200, "{}")).await;
    let gone = providers(&server);
    let port = server.address.port().to_string();
    drop(server);
    for (kind, provider, token) in gone {
        let outcome = send(&provider, token, &hello()).await;
        assert!(!outcome.success && outcome.temporary && !outcome.unregistered, "{kind}: {outcome:?}");
        assert_eq!(outcome.reason.as_deref(), Some("Unreachable"), "{kind} on {port}");
    }
}
