//! Which pages may open a socket: browsers let every page try, and say which one it was.

use std::net::IpAddr;

use domain::{Error, ErrorCode};
use http::{HeaderMap, header};

use crate::GatewayConfig;
use crate::error::Refusal;

const FORWARDED_HOST: &str = "x-forwarded-host";

/// No origin is good: no browser sent it. Else it must be of our own host, below it, or one that the operator lists.
pub(super) fn check(headers: &HeaderMap, peer: IpAddr, config: &GatewayConfig) -> Result<(), Refusal> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let listed = config.allowed_origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
    let at_home = || host_of(origin).is_some_and(|page| is_within(page, own_host(headers, peer, config)));
    if origins.next().is_none() && (listed || at_home()) {
        return Ok(());
    }
    let error = Error::new(ErrorCode::Forbidden, "pages of this origin may not open a WebSocket here");
    Err(error.hint("the operator lists further origins under `gateway.allowed_origins`").into())
}

/// As a trusted proxy says, else as the client wrote it.
fn own_host<'a>(headers: &'a HeaderMap, peer: IpAddr, config: &GatewayConfig) -> &'a str {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let peer = peer.to_canonical();
    let trusted = config.trusted_proxies.iter().any(|range| range.contains(peer));
    let forwarded = text(FORWARDED_HOST).filter(|_| trusted).and_then(|hosts| hosts.split(',').next());
    without_port(forwarded.or_else(|| text("host")).unwrap_or_default().trim())
}

/// The host of `scheme://host:port`; `None` for `null` and whatever else is no page of a host.
fn host_of(origin: &str) -> Option<&str> {
    let (scheme, host) = origin.split_once("://")?;
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let host = without_port(host);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    (is_web && !host.is_empty() && host.bytes().all(plain)).then_some(host)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

fn is_within(page: &str, own: &str) -> bool {
    let Some(prefix) = page.len().checked_sub(own.len()) else { return false };
    let (below, tail) = page.as_bytes().split_at(prefix);
    // An address has no names below it, but none ends like that either.
    !own.is_empty() && tail.eq_ignore_ascii_case(own.as_bytes()) && (below.is_empty() || below.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(config: &GatewayConfig, peer: &str, lines: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a header value"));
        }
        check(&headers, peer.parse().expect("an address"), config).is_ok()
    }

    #[track_caller]
    fn decide(origin: &str, want: bool) {
        let lines = [("host", "api.example.com:6001"), ("origin", origin)];
        assert_eq!(allowed(&GatewayConfig::default(), "203.0.113.7", &lines), want, "{origin}");
    }

    #[test]
    fn pages_of_our_own_host_and_below_it_may() {
        for good in ["https://api.example.com", "http://API.example.com:8080", "https://a.b.api.example.com"] {
            decide(good, true);
        }
        for bad in [
            "https://example.com",
            "https://evil.example",
            "https://evilapi.example.com",
            "https://api.example.com.evil.example",
            "https://user@api.example.com",
            "https://api.example.com/path",
            "null",
            "",
            "file://api.example.com",
            "api.example.com",
        ] {
            decide(bad, false);
        }
        assert!(allowed(&GatewayConfig::default(), "203.0.113.7", &[("host", "api.example.com")]));
        let twice = [("host", "a"), ("origin", "https://a"), ("origin", "https://a")];
        assert!(!allowed(&GatewayConfig::default(), "203.0.113.7", &twice));
        let addresses = [("host", "[::1]:6001"), ("origin", "http://[::1]:3000")];
        assert!(allowed(&GatewayConfig::default(), "203.0.113.7", &addresses));
    }

    #[test]
    fn a_proxy_tells_our_name_only_if_it_is_trusted() {
        let lines =
            [("host", "10.0.0.1"), ("x-forwarded-host", "api.example.com"), ("origin", "https://api.example.com")];
        assert!(allowed(&GatewayConfig::default(), "127.0.0.1", &lines));
        assert!(!allowed(&GatewayConfig::default(), "203.0.113.7", &lines));
    }

    #[test]
    fn the_operator_may_list_others() {
        let config =
            |origin: &str| GatewayConfig { allowed_origins: vec![origin.to_owned()], ..GatewayConfig::default() };
        let lines = [("host", "a"), ("origin", "https://app.example")];
        assert!(allowed(&config("https://app.example"), "203.0.113.7", &lines));
        assert!(!allowed(&config("https://app.example:444"), "203.0.113.7", &lines));
        assert!(allowed(&config("*"), "203.0.113.7", &[("host", "a"), ("origin", "null")]));
    }
}
