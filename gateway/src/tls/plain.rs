//! What plain HTTP answers when the node also speaks TLS.

use std::net::IpAddr;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode, header};
use ports::ChallengeBoard;

use crate::reply::{self, Reply};

const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";
/// Probes ask by address and follow nothing.
const PROBES: [&str; 5] = ["/health", "/v1/health", "/status", "/v1/status", "/ready"];
const HTTPS_PORT: u16 = 443;

/// The answer to a question of an ACME server (RFC 8555, section 8.3), if it is one that was posted.
pub(super) fn challenge<B>(board: &ChallengeBoard, request: &Request<B>) -> Option<Reply> {
    let token = request.uri().path().strip_prefix(CHALLENGE_PATH)?;
    let answer = board.http_answer(token).filter(|_| request.method() == Method::GET)?;
    Some(reply::of(StatusCode::OK, HeaderValue::from_static("application/octet-stream"), Bytes::from(answer)))
}

/// Where the same request is answered over TLS; `None` for probes and for what stays on this machine.
pub(super) fn redirect<B>(port: u16, request: &Request<B>, peer: IpAddr) -> Option<Reply> {
    let path = request.uri().path();
    if PROBES.contains(&path) {
        return None;
    }
    let authority = request.uri().authority().cloned();
    let header = || request.headers().get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let authority = authority.or_else(header)?;
    let host = authority.host();
    if peer.to_canonical().is_loopback() && is_this_machine(host) {
        return None;
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let port = if port == HTTPS_PORT { String::new() } else { format!(":{port}") };
    let location = HeaderValue::try_from(format!("https://{host}{port}{target}")).ok()?;
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::PERMANENT_REDIRECT;
    reply.headers_mut().insert(header::LOCATION, location);
    // The body, if there is one, is not read.
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(reply)
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(port: u16, host: &str, target: &str, peer: &str) -> Option<String> {
        let request = Request::get(target).header("host", host).body(()).expect("a request");
        let reply = redirect(port, &request, peer.parse().expect("an address"))?;
        assert_eq!(reply.status(), StatusCode::PERMANENT_REDIRECT);
        Some(reply.headers()[header::LOCATION].to_str().expect("text").to_owned())
    }

    #[test]
    fn the_same_is_asked_for_over_tls() {
        let there = |host, target| location(443, host, target, "203.0.113.7").expect("a redirect");
        assert_eq!(there("a.example", "/x%2f?y=1&z"), "https://a.example/x%2f?y=1&z");
        assert_eq!(there("a.example:80", "/"), "https://a.example/");
        assert_eq!(there("[2001:db8::1]:80", "/"), "https://[2001:db8::1]/");
        assert_eq!(there("127.0.0.1", "/"), "https://127.0.0.1/", "a stranger's idea of this machine");
        let elsewhere = location(8443, "a.example:8080", "/", "127.0.0.1");
        assert_eq!(elsewhere.as_deref(), Some("https://a.example:8443/"));
    }

    #[test]
    fn probes_and_this_machine_stay_where_they_are() {
        assert_eq!(location(443, "a.example", "/health", "203.0.113.7"), None);
        assert_eq!(location(443, "127.0.0.1:6001", "/v1/functions", "127.0.0.1"), None);
        assert_eq!(location(443, "localhost:6001", "/v1/functions", "::1"), None);
        assert_eq!(location(443, "[::1]:6001", "/v1/functions", "::ffff:127.0.0.1"), None);
    }

    #[test]
    fn only_what_was_posted_is_answered() {
        let board = std::sync::Arc::new(ChallengeBoard::default());
        let _posted = board.post_http("token", "token.thumb");
        let ask = |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).expect("a request");
            challenge(&board, &request).map(|reply| reply.status().as_u16())
        };
        assert_eq!(ask(Method::GET, "/.well-known/acme-challenge/token"), Some(200));
        assert_eq!(ask(Method::GET, "/.well-known/acme-challenge/other"), None);
        assert_eq!(ask(Method::GET, "/.well-known/acme-challenge/"), None);
        assert_eq!(ask(Method::POST, "/.well-known/acme-challenge/token"), None);
    }
}
