//! Exchanges that are signed: whole both ways, and with a pair of headers that nobody else can write.

use bytes::Bytes;
use domain::Cid;
use domain::oyster::{SignedExchange, label_of_hash};
use platform::{SIGNED_BYTES_MAX, oyster_signer};

use crate::server::{Reply, Server};
use crate::support::mirror::{self, MIRROR, Told};

const HOST: &str = "mirror.default.apps.test";

async fn server() -> Server {
    let server = Server::start().await;
    server.worker("mirror", MIRROR, &[("sign", "true"), ("by_hash", "true")]).await;
    server
}

/// Who signed the reply to this request, as an address.
fn signer(reply: &Reply, method: &str, target: &str, host: &str, body: &[u8]) -> String {
    let exchange = SignedExchange {
        timestamp: reply.header("x-oyster-timestamp").parse().expect("seconds"),
        method: method.as_bytes(),
        path_and_query: target.as_bytes(),
        host: host.as_bytes(),
        request_body: body,
        reply_body: &reply.body,
    };
    let signed = oyster_signer(&exchange, reply.header("x-oyster-signature"));
    signed.unwrap_or_default()
}

#[tokio::test]
async fn every_part_that_was_sent_is_signed_as_it_was_sent() {
    let server = server().await;
    let label = label_of_hash(Cid::of(MIRROR).digest().try_into().expect("32 bytes"));
    let mut signers = Vec::new();
    for host in
        [HOST.to_owned(), "Mirror.default.APPS.test:6001".to_owned(), format!("{}.apps.test", label.to_lowercase())]
    {
        for target in ["/", "/a%2Fb?x=%20&x=1"] {
            let reply = server.post(&host, target, "", b"{\"num\": 60000}").await;
            assert_eq!(reply.status, 200, "{host}");
            signers.push(signer(&reply, "POST", target, &host, b"{\"num\": 60000}"));
            assert_ne!(signer(&reply, "GET", target, &host, b"{\"num\": 60000}"), signers[0], "the method counts");
        }
    }
    signers.dedup();
    assert_eq!(signers.len(), 1, "one node signs: {signers:?}");
}

#[tokio::test]
async fn a_function_cannot_write_the_pair_itself() {
    let server = server().await;
    let field = |name: &'static str, value: &'static str| {
        (Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes()))
    };
    let headers = vec![field("X-Oyster-Signature", "00"), field("x-oyster-timestamp", "1"), field("x-mine", "kept")];
    let told =
        Told { status: 203, headers, pieces: vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")], trailers: None };
    server.house.engine.mirror.answer(told.clone());
    let reply = server.get(HOST, "/", "x-oyster-signature: theirs\r\n").await;
    assert_eq!((reply.status, reply.text().as_str(), reply.header("x-mine")), (203, "ab", "kept"));
    let pairs = reply.headers.iter().filter(|(name, _)| name.starts_with("x-oyster-")).count();
    assert_eq!((pairs, reply.header("x-oyster-signature").len()), (2, 130));
    // What the client sent under that name reached the function.
    assert!(format!("{:?}", server.house.engine.mirror.asked().head).contains("theirs"));
    // Where nothing is signed, nothing is taken away either.
    server.worker("plain", MIRROR, &[]).await;
    server.house.engine.mirror.answer(told);
    let reply = server.get("plain.default.apps.test", "/", "").await;
    assert_eq!((reply.header("x-oyster-signature"), reply.header("x-oyster-timestamp")), ("00", "1"));
}

#[tokio::test]
async fn more_than_is_signed_is_refused_on_either_side() {
    let server = server().await;
    let large = vec![b'x'; SIGNED_BYTES_MAX + 1];
    let reply = server.post(HOST, "/", "", &large).await;
    assert_eq!((reply.status, reply.header("x-oyster-signature")), (413, ""));
    let reply = server.post(HOST, "/", "", &large[1..]).await;
    assert_eq!(
        (reply.status, reply.body.len(), reply.header("x-oyster-signature").len()),
        (200, SIGNED_BYTES_MAX, 130)
    );
    server.house.engine.mirror.answer(Told { status: 200, pieces: vec![large.into()], ..Told::default() });
    let reply = server.get(HOST, "/", "").await;
    assert_eq!((reply.status, reply.header("x-oyster-signature")), (502, ""));
    assert!(reply.text().contains("RESULT_TOO_LARGE"), "{}", reply.text());
    server.worker("switch", mirror::SWITCH, &[("sign", "true")]).await;
    let reply = server
        .says(
            "GET / HTTP/1.1\r\nhost: switch.default.apps.test\r\nconnection: upgrade, close\r\nupgrade: x\r\n\r\n"
                .as_bytes(),
        )
        .await;
    assert_eq!(reply.status, 500, "a connection that goes on cannot be signed");
}
