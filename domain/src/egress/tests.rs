use expect_test::{Expect, expect};

use super::*;

#[track_caller]
fn check(rules: &[&str], want: Expect) {
    let seen: Vec<String> = rules
        .iter()
        .map(|rule| match EgressRule::parse(rule) {
            Ok(parsed) => format!("{rule} -> {parsed}\n"),
            Err(refused) => format!("{refused}\n"),
        })
        .collect();
    want.assert_eq(&seen.concat());
}

/// The rules of `policy`, and whether they allow an address under a name.
#[track_caller]
fn check_allows(policy: &[&str], host: &str, address: &str, port: u16, want: bool) {
    let allow = policy.iter().map(|rule| EgressRule::parse(rule).expect("a good rule")).collect();
    let address: IpAddr = address.parse().expect("an address");
    let policy = EgressPolicy { allow };
    assert_eq!(policy.allows(host, address, port), want, "{policy:?}, {host}, {address}, {port}");
    assert!(!want || policy.may_allow(host, port), "what is allowed could be allowed");
}

#[test]
fn rules_are_read_and_written_in_one_form() {
    check(
        &[
            "api.example.com",
            "API.Example.com.",
            "*.example.org:443",
            "xn--bcher-kva.example",
            "_dmarc.example.com",
            "localhost:8080",
            "203.0.113.7",
            "203.0.113.7/32",
            "10.0.0.0/8",
            "10.0.0.0/8:8080",
            "0.0.0.0/0",
            "2001:db8::1",
            "2001:0DB8:0::/32",
            "[2001:db8::1]",
            "[2001:db8::1]:443",
            "[2001:db8::/32]:443",
        ],
        expect![[r#"
            api.example.com -> api.example.com
            API.Example.com. -> api.example.com
            *.example.org:443 -> *.example.org:443
            xn--bcher-kva.example -> xn--bcher-kva.example
            _dmarc.example.com -> _dmarc.example.com
            localhost:8080 -> localhost:8080
            203.0.113.7 -> 203.0.113.7
            203.0.113.7/32 -> 203.0.113.7
            10.0.0.0/8 -> 10.0.0.0/8
            10.0.0.0/8:8080 -> 10.0.0.0/8:8080
            0.0.0.0/0 -> 0.0.0.0/0
            2001:db8::1 -> 2001:db8::1
            2001:0DB8:0::/32 -> 2001:db8::/32
            [2001:db8::1] -> 2001:db8::1
            [2001:db8::1]:443 -> [2001:db8::1]:443
            [2001:db8::/32]:443 -> [2001:db8::/32]:443
        "#]],
    );
}

#[test]
fn what_is_no_rule_learns_what_one_looks_like() {
    check(
        &[
            "",
            "*",
            "*.",
            "*.*.example.com",
            "a.*.example.com",
            "https://api.example.com",
            "api.example.com/v1",
            "api.example.com:",
            "api.example.com:0",
            "api.example.com:65536",
            "api.example.com:+80",
            "api.example.com:080",
            "api..example.com",
            "user@example.com",
            "ex ample.com",
            "b\u{fc}cher.example",
            "10.0.0.5/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/08",
            "2001:db8::/129",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "*.10.0.0.1",
            "[10.0.0.1]:80",
            "[::1",
            "[::1]80",
            "fe80::1%eth0",
        ],
        expect![[r#"
            `` is no rule for outbound HTTP: write a host, `*.host`, an address or a range, each with `:port` if need be
            `*` is no rule for outbound HTTP: write a host, `*.host`, an address or a range, each with `:port` if need be
            `*.` is no rule for outbound HTTP: write a host, `*.host`, an address or a range, each with `:port` if need be
            `*.*.example.com` is no rule for outbound HTTP: write a host, `*.host`, an address or a range, each with `:port` if need be
            `a.*.example.com` is no rule for outbound HTTP: write a host, `*.host`, an address or a range, each with `:port` if need be
            `https://api.example.com` is no rule for outbound HTTP: leave out the scheme and the path
            `api.example.com/v1` is no rule for outbound HTTP: write an address such as `203.0.113.7`, or a range such as `10.0.0.0/8`
            `api.example.com:` is no rule for outbound HTTP: a port is a number, 1 to 65535
            `api.example.com:0` is no rule for outbound HTTP: a port is a number, 1 to 65535
            `api.example.com:65536` is no rule for outbound HTTP: a port is a number, 1 to 65535
            `api.example.com:+80` is no rule for outbound HTTP: a port is a number, 1 to 65535
            `api.example.com:080` is no rule for outbound HTTP: a port is a number, 1 to 65535
            `api..example.com` is no rule for outbound HTTP: write a host, `*.host`, an address or a range, each with `:port` if need be
            `user@example.com` is no rule for outbound HTTP: write a host, `*.host`, an address or a range, each with `:port` if need be
            `ex ample.com` is no rule for outbound HTTP: write a host, `*.host`, an address or a range, each with `:port` if need be
            `bücher.example` is no rule for outbound HTTP: write the name as it is in DNS, beginning with `xn--`
            `10.0.0.5/8` is no rule for outbound HTTP: the range that holds this address is `10.0.0.0/8`
            `10.0.0.0/33` is no rule for outbound HTTP: the number behind `/` is 0 to 32
            `10.0.0.0/` is no rule for outbound HTTP: the number behind `/` is 0 to 32
            `10.0.0.0/08` is no rule for outbound HTTP: the number behind `/` is 0 to 32
            `2001:db8::/129` is no rule for outbound HTTP: the number behind `/` is 0 to 128
            `127.1` is no rule for outbound HTTP: an address is written as four numbers, 0 to 255
            `2130706433` is no rule for outbound HTTP: an address is written as four numbers, 0 to 255
            `0x7f.1` is no rule for outbound HTTP: an address is written as four numbers, 0 to 255
            `0177.0.0.1` is no rule for outbound HTTP: an address is written as four numbers, 0 to 255
            `*.10.0.0.1` is no rule for outbound HTTP: an address is written as four numbers, 0 to 255
            `[10.0.0.1]:80` is no rule for outbound HTTP: brackets are for IPv6
            `[::1` is no rule for outbound HTTP: `[` has no `]`
            `[::1]80` is no rule for outbound HTTP: behind `]` stands `:port` or nothing
            `fe80::1%eth0` is no rule for outbound HTTP: write an address such as `203.0.113.7`, or a range such as `10.0.0.0/8`
        "#]],
    );
    let long = "a".repeat(300);
    assert!(EgressRule::parse(&long).expect_err("a long rule").to_string().len() < 250);
    assert!(EgressRule::parse(&format!("{}.com", "a".repeat(64))).is_err());
}

#[test]
fn a_host_is_that_host_and_a_star_is_what_stands_below() {
    check_allows(&["api.example.com"], "api.example.com", "192.0.2.1", 443, true);
    check_allows(&["api.example.com"], "api.example.com", "10.0.0.1", 8080, true);
    check_allows(&["api.example.com"], "xapi.example.com", "192.0.2.1", 443, false);
    check_allows(&["api.example.com"], "a.api.example.com", "192.0.2.1", 443, false);
    check_allows(&["*.example.com"], "api.example.com", "192.0.2.1", 443, true);
    check_allows(&["*.example.com"], "a.b.example.com", "192.0.2.1", 443, true);
    check_allows(&["*.example.com"], "example.com", "192.0.2.1", 443, false);
    check_allows(&["*.example.com"], "badexample.com", "192.0.2.1", 443, false);
    check_allows(&["*.example.com"], "example.com.evil.org", "192.0.2.1", 443, false);
}

#[test]
fn a_range_is_asked_for_the_address_whatever_its_name_is() {
    check_allows(&["10.0.0.0/8"], "intranet.example.com", "10.255.0.1", 80, true);
    check_allows(&["10.0.0.0/8"], "intranet.example.com", "11.0.0.1", 80, false);
    check_allows(&["10.0.0.0/8"], "10.1.1.1", "10.1.1.1", 80, true);
    check_allows(&["2001:db8::/33"], "h", "2001:db8:7fff::1", 80, true);
    check_allows(&["2001:db8::/33"], "h", "2001:db8:8000::1", 80, false);
    check_allows(&["0.0.0.0/0"], "h", "255.255.255.255", 80, true);
    check_allows(&["::/0"], "h", "10.0.0.1", 80, false);
    check_allows(&["203.0.113.7"], "h", "203.0.113.7", 80, true);
    check_allows(&["203.0.113.7"], "h", "203.0.113.8", 80, false);
}

#[test]
fn a_port_narrows_and_an_empty_list_allows_nothing() {
    check_allows(&["api.example.com:443"], "api.example.com", "192.0.2.1", 443, true);
    check_allows(&["api.example.com:443"], "api.example.com", "192.0.2.1", 80, false);
    check_allows(&["10.0.0.0/8:8080"], "10.0.0.1", "10.0.0.1", 8080, true);
    check_allows(&["10.0.0.0/8:8080"], "10.0.0.1", "10.0.0.1", 8081, false);
    check_allows(&[], "api.example.com", "192.0.2.1", 443, false);
    check_allows(&["a.example", "b.example"], "b.example", "192.0.2.1", 443, true);
}

#[test]
fn a_name_that_no_rule_could_allow_need_not_be_resolved() {
    let policy = |rules: &[&str]| EgressPolicy {
        allow: rules.iter().map(|rule| EgressRule::parse(rule).expect("a good rule")).collect(),
    };
    assert!(!policy(&["api.example.com"]).may_allow("evil.example", 443));
    assert!(!policy(&["api.example.com:443"]).may_allow("api.example.com", 80));
    assert!(!policy(&["10.0.0.0/8:8080"]).may_allow("h", 80));
    assert!(policy(&["10.0.0.0/8"]).may_allow("h", 80));
    assert!(!policy(&["10.0.0.0/8"]).names("10.0.0.1", 80), "a range is not a name");
}

#[test]
fn a_policy_is_kept_as_texts_and_read_again() {
    let text = r#"{"allow":["api.example.com","*.example.org:443","10.0.0.0/8"]}"#;
    let policy: EgressPolicy = serde_json::from_str(text).expect("a policy");
    assert_eq!(serde_json::to_string(&policy).expect("JSON"), text);
    assert!(serde_json::from_str::<EgressPolicy>(r#"{"allow":["a b"]}"#).is_err());
    assert!(serde_json::from_str::<EgressPolicy>(r#"{"allow":[],"deny":[]}"#).is_err());
}
