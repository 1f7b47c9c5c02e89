//! Host names over HTTP/2, where the name stands in the request itself.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};

use crate::server::Server;
use crate::support::mirror::ENDLESS;

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
