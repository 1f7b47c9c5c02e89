use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn the_neighbours_of_private_ranges_are_public() {
    for address in [
        "1.0.0.0",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "203.0.114.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2001:db7::1",
        "2001:db9::1",
        "2003::1",
        "2606:4700::1111",
        "3ffe::1",
        "2a00::1",
    ] {
        assert!(is_public(ip(address)), "{address}");
    }
}

#[test]
fn the_ends_of_private_ranges_are_private() {
    for range in PRIVATE {
        let first = ip(range.split('/').next().expect("an address"));
        assert!(!is_public(first), "{range}");
        assert!(range_to_permit(first).contains(first), "{range}");
    }
    for metadata in METADATA {
        assert!(!is_public(ip(metadata)) && is_metadata(ip(metadata)), "{metadata}");
        assert_eq!(ranges_to_permit(ip(metadata)), *metadata, "it needs a line of its own");
    }
    assert_eq!(ranges_to_permit(ip("64:ff9b::8.8.8.8")), "64:ff9b::/96");
    assert_eq!(ranges_to_permit(ip("64:ff9b::10.0.0.1")), "64:ff9b::/96, 10.0.0.0/8");
    for address in ["1fff:ffff::1", "4000::1", "::2", "e000::1"] {
        assert!(!is_public(ip(address)), "{address}");
    }
}

#[test]
fn an_address_that_carries_another_leads_to_it() {
    for (outer, inner) in [
        ("::ffff:10.0.0.1", Some("10.0.0.1")),
        ("::ffff:8.8.8.8", Some("8.8.8.8")),
        ("::127.0.0.1", Some("127.0.0.1")),
        ("64:ff9b::169.254.169.254", Some("169.254.169.254")),
        ("2002:7f00:1::1", Some("127.0.0.1")),
        ("2002:808:808::", Some("8.8.8.8")),
        ("64:ff9b:1::10.0.0.1", None),
        ("::", None),
        ("::1", None),
        ("2606:4700::7f00:1", None),
        ("10.0.0.1", None),
    ] {
        assert_eq!(carried(ip(outer)), inner.map(ip), "{outer}");
    }
}
