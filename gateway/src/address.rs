//! Where a request comes from, for limits and for the audit log. Never who it comes from.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

/// The client's address: that of the connection, or what a proxy beside us says of the one before it. From elsewhere,
/// headers prove nothing.
pub(crate) fn of_client(headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let peer = peer.to_canonical();
    if is_near(peer) { forwarded(headers).unwrap_or(peer) } else { peer }
}

fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let first = |list: &str| parse(list.split(',').next()?);
    text("x-real-ip").and_then(parse).or_else(|| text("x-forwarded-for").and_then(first))
}

/// An address, with or without a port.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        of_client(&map, peer.parse().expect("an address")).to_string()
    }

    #[test]
    fn only_a_proxy_beside_us_is_believed() {
        let both = [("x-forwarded-for", "198.51.100.1, 10.0.0.2"), ("x-real-ip", "198.51.100.2")];
        assert_eq!(seen("203.0.113.7", &both), "203.0.113.7");
        for near in ["127.0.0.1", "10.1.2.3", "192.168.0.9", "::1", "fd00::1", "::ffff:127.0.0.1"] {
            assert_eq!(seen(near, &both), "198.51.100.2", "{near}");
            assert_eq!(seen(near, &both[..1]), "198.51.100.1", "{near}");
        }
        assert_eq!(seen("127.0.0.1", &[("x-forwarded-for", "198.51.100.1:4711")]), "198.51.100.1");
        assert_eq!(seen("127.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:4711")]), "2001:db8::1");
        for nonsense in ["", "unknown", "198.51.100", ", 198.51.100.1"] {
            assert_eq!(seen("127.0.0.1", &[("x-forwarded-for", nonsense)]), "127.0.0.1", "{nonsense:?}");
        }
    }
}
