//! Host names over HTTP/2, where the name stands in the request itself.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use gateway::{EdgeConfig, GatewayConfig};
use http::{Method, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::SendRequest;
use tokio::sync::mpsc::{self, Sender};

use crate::server::{GUARD, SHORT, Server};
use crate::support::mirror::{DEAF, ENDLESS, Told};

fn request(method: Method, target: &str, body: &'static [u8]) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(format!("http://mirror.default.apps.test{target}"));
    request.header("x-mine", "1").header("x-mine", "2").body(Full::from(body)).expect("a request")
}

#[tokio::test]
async fn a_function_sees_a_request_of_http2_like_any_other() {
    let server = Server::with_mirror().await;
    let mut client = server.http2().await;
    let reply = client.send_request(request(Method::PUT, "/a%2Fb?c=d&c", b"body")).await.expect("a reply");
    assert_eq!((reply.status().as_u16(), reply.headers().contains_key("x-request-id")), (200, false));
    assert_eq!(reply.into_body().collect().await.expect("whole").to_bytes(), "body");
    let asked = server.house.engine.mirror.asked();
    assert_eq!((asked.head.method.as_str(), asked.head.target.as_str()), ("PUT", "/a%2Fb?c=d&c"));
    let values = |name: &str| {
        let found = asked.head.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values("host"), ["mirror.default.apps.test"]);
    assert_eq!(values("x-mine"), ["1", "2"]);
    assert!(asked.head.headers.iter().all(|(name, _)| !name.starts_with(b":")), "{:?}", asked.head);
}

#[tokio::test]
async fn a_stream_that_is_withdrawn_ends_its_call_and_no_other() {
    let server = Server::with_mirror().await;
    server.worker("endless", ENDLESS, &[]).await;
    let mut client = server.http2().await;
    let endless = Request::get("http://endless.default.apps.test/").body(Full::default()).expect("a request");
    let mut reply = client.send_request(endless).await.expect("a reply");
    reply.body_mut().frame().await.expect("a piece").expect("good");
    drop(reply);
    server.house.engine.mirror.gone().await;
    let reply = client.send_request(request(Method::POST, "/", b"still here")).await.expect("a reply");
    assert_eq!(reply.into_body().collect().await.expect("whole").to_bytes(), "still here");
}

type Upload = UnsyncBoxBody<Bytes, Infallible>;

/// A body of the pieces that are put in, and where to put them.
fn upload() -> (Sender<Bytes>, Upload) {
    let (pieces, receiver) = mpsc::channel::<Bytes>(1);
    let pieces_of = |mut receiver: mpsc::Receiver<Bytes>| async {
        let piece = receiver.recv().await?;
        Some((Ok(Frame::data(piece)), receiver))
    };
    (pieces, UnsyncBoxBody::new(StreamBody::new(stream::unfold(receiver, pieces_of))))
}

/// Sends up to so many pieces of a megabyte; tells how many were taken before the stream was reset.
async fn put(pieces: Sender<Bytes>, megabytes: usize) -> usize {
    for sent in 0..megabytes {
        if pieces.send(Bytes::from(vec![b'x'; 1 << 20])).await.is_err() {
            return sent;
        }
    }
    megabytes
}

/// What the server says to an upload that goes on while it answers, and how many megabytes of it were taken.
async fn exchange(client: &mut SendRequest<Upload>, host: &str, megabytes: usize) -> (u16, Bytes, usize) {
    let (pieces, body) = upload();
    let request = Request::post(format!("http://{host}.default.apps.test/")).body(body).expect("a request");
    let replied = async {
        let reply = client.send_request(request).await.expect("a reply");
        (reply.status().as_u16(), reply.into_body().collect().await.expect("whole").to_bytes())
    };
    let ((status, body), taken) = tokio::join!(replied, put(pieces, megabytes));
    (status, body, taken)
}

/// Many clients throw away a reply that is followed by a reset, or wait for ever when it ends before they have sent all.
#[tokio::test]
async fn a_reply_to_a_body_that_nobody_reads_comes_through_and_the_body_is_taken_to_a_bound() {
    let edge = EdgeConfig { unread_idle: GUARD, ..EdgeConfig::default() };
    let server = Server::start_as(GatewayConfig { edge, ..GatewayConfig::default() }).await;
    server.worker("deaf", DEAF, &[]).await;
    let mut client = server.http2().await;
    for (megabytes, bound) in [(8, 8..=8), (200, 64..=80)] {
        let (status, body, taken) = exchange(&mut client, "deaf", megabytes).await;
        assert_eq!((status, &body[..]), (200, &b"deaf"[..]));
        assert!(bound.contains(&taken), "{taken} of {megabytes}");
    }
    // In pieces, of a length that is told or not, and with trailers.
    let length = vec![("content-length".into(), "6".into())];
    for (headers, trailers) in [(length, None), (vec![], None), (vec![], Some(vec![("x-end".into(), "1".into())]))] {
        let pieces = ["abc", "def"].map(Bytes::from).to_vec();
        server.house.engine.mirror.answer(Told { status: 200, headers, pieces, trailers });
        let (status, body, taken) = exchange(&mut client, "deaf", 8).await;
        assert_eq!((status, &body[..], taken), (200, &b"abcdef"[..], 8));
    }
    let (status, _, taken) = exchange(&mut client, "nobody", 8).await;
    assert_eq!((status, taken), (404, 8), "so with refusals");
}

/// A client that waits for the end of the reply before it ends its request gets that end.
#[tokio::test]
async fn a_client_that_sends_no_more_is_not_waited_for() {
    let edge = EdgeConfig { unread_idle: SHORT, ..EdgeConfig::default() };
    let server = Server::start_as(GatewayConfig { edge, ..GatewayConfig::default() }).await;
    server.worker("deaf", DEAF, &[]).await;
    let mut client = server.http2().await;
    let (pieces, body) = upload();
    let request = Request::post("http://deaf.default.apps.test/").body(body).expect("a request");
    let reply = client.send_request(request).await.expect("a reply");
    assert_eq!(reply.into_body().collect().await.expect("whole").to_bytes(), "deaf");
    tokio::time::timeout(GUARD, pieces.closed()).await.expect("the stream is reset");
}
