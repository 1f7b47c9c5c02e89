//! Where a request comes from, for limits and for the audit log. Never who it comes from.
//!
//! Each proxy appends to `X-Forwarded-For` whom it got the request from. What stands left of the last proxy that we trust was
//! written by somebody else, and proves nothing.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use domain::AddressRange;
use http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";
const REAL_IP: &str = "x-real-ip";

/// The addresses by which a machine speaks to itself.
pub(crate) fn this_machine() -> Vec<AddressRange> {
    let v4 = AddressRange::parse("127.0.0.0/8").expect("a range");
    vec![v4, AddressRange::single(Ipv6Addr::LOCALHOST.into())]
}

/// The client's address: that of the connection, or, if a trusted proxy made it, what the proxy says of the one before it.
pub(crate) fn of_client(trusted: &[AddressRange], headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    if !headers.contains_key(FORWARDED_FOR) {
        return headers.get(REAL_IP).and_then(|value| parse(value.to_str().ok()?)).unwrap_or(peer);
    }
    let mut client = peer;
    for said in hops(headers) {
        match said {
            Some(address) if is_trusted(address) => client = address,
            Some(address) => return address,
            // Whoever wrote this hides the rest: the proxy that passed it on is the last that is known.
            None => return client,
        }
    }
    client
}

/// The entries of all `X-Forwarded-For` lines, the last first; `None` for one that is no address.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let mut lines: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    lines.reverse();
    lines.into_iter().flat_map(|line| line.rsplit(',').map(parse))
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

    const BOTH: [(&str, &str); 2] = [("x-forwarded-for", "198.51.100.1, 198.51.100.2"), ("x-real-ip", "198.51.100.3")];

    fn seen_by(trusted: &[AddressRange], peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        of_client(trusted, &map, peer.parse().expect("an address")).to_string()
    }

    /// As behind proxies of `10.0.0.0/8` and of this machine.
    #[track_caller]
    fn check(peer: &str, forwarded: &[&str], want: &str) {
        let mut trusted = this_machine();
        trusted.push(AddressRange::parse("10.0.0.0/8").expect("a range"));
        let lines: Vec<_> = forwarded.iter().map(|line| (FORWARDED_FOR, *line)).collect();
        assert_eq!(seen_by(&trusted, peer, &lines), want);
    }

    #[test]
    fn only_this_machine_is_believed_unless_more_is_set() {
        for far in ["203.0.113.7", "10.1.2.3", "192.168.0.9", "fd00::1"] {
            assert_eq!(seen_by(&this_machine(), far, &BOTH), far);
        }
        for near in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(seen_by(&this_machine(), near, &BOTH), "198.51.100.2", "{near}");
            assert_eq!(seen_by(&this_machine(), near, &BOTH[1..]), "198.51.100.3", "{near}");
        }
        assert_eq!(seen_by(&[], "127.0.0.1", &BOTH), "127.0.0.1");
    }

    #[test]
    fn a_client_cannot_choose_its_address() {
        check("10.0.0.1", &["198.51.100.9, 203.0.113.7"], "203.0.113.7");
        check("10.0.0.1", &["198.51.100.9", "203.0.113.7, 10.0.0.2"], "203.0.113.7");
        check("10.0.0.1", &["10.0.0.3, 203.0.113.7, 10.0.0.2, 127.0.0.1"], "203.0.113.7");
        check("203.0.113.8", &["10.0.0.1"], "203.0.113.8");
    }

    #[test]
    fn a_chain_of_our_own_begins_at_its_first_proxy() {
        check("127.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check("127.0.0.1", &["198.51.100.9, unknown, 10.0.0.2"], "10.0.0.2");
        for nonsense in ["", "unknown", "198.51.100", "198.51.100.1,"] {
            check("127.0.0.1", &[nonsense], "127.0.0.1");
        }
    }

    #[test]
    fn an_address_may_have_a_port() {
        check("127.0.0.1", &["198.51.100.1:4711"], "198.51.100.1");
        check("127.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1");
        check("127.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1");
    }

    #[test]
    fn another_header_does_not_make_up_for_a_broken_one() {
        let headers = [("x-forwarded-for", "unknown"), ("x-real-ip", "198.51.100.3")];
        assert_eq!(seen_by(&this_machine(), "127.0.0.1", &headers), "127.0.0.1");
    }
}
