use domain::EgressRule;

use super::*;

/// May `address` be reached, where the operator permits `ranges` and a policy lists `rules`, if there is one?
#[track_caller]
fn check(ranges: &[&str], rules: Option<&[&str]>, address: &str, want: bool) {
    let guard = Guard {
        permitted_private: ranges.iter().map(|range| AddressRange::parse(range).expect("a range")).collect(),
        denied_ports: Vec::new(),
        own_addresses: RwLock::default(),
    };
    let rule = |rule: &&str| EgressRule::parse(rule).expect("a rule");
    let policies: Vec<EgressPolicy> =
        rules.map(|rules| EgressPolicy { allow: rules.iter().map(rule).collect() }).into_iter().collect();
    let target = Target::named("api.example.com", 443);
    let seen = guard.check_address(&policies.into(), &target, address.parse().expect("an address"));
    assert_eq!(seen.is_ok(), want, "{ranges:?}, {rules:?}, {address}: {seen:?}");
}

#[test]
fn a_public_address_needs_no_policy_and_obeys_the_one_there_is() {
    check(&[], None, "93.184.215.14", true);
    check(&[], None, "2606:4700::1111", true);
    check(&[], Some(&["api.example.com"]), "93.184.215.14", true);
    check(&[], Some(&["93.184.0.0/16"]), "93.184.215.14", true);
    check(&[], Some(&["10.0.0.0/8"]), "93.184.215.14", false);
    check(&[], Some(&[]), "93.184.215.14", false);
}

#[test]
fn what_carries_an_address_is_judged_by_it_where_its_range_is_permitted() {
    check(&[], None, "64:ff9b::8.8.8.8", false);
    check(&["64:ff9b::/96"], None, "64:ff9b::8.8.8.8", true);
    check(&["64:ff9b::/96"], Some(&["8.8.8.0/24"]), "64:ff9b::8.8.8.8", true);
    check(&["64:ff9b::/96"], Some(&["1.1.1.0/24"]), "64:ff9b::8.8.8.8", false);
    check(&["64:ff9b::/96"], Some(&["0.0.0.0/0"]), "64:ff9b::10.0.0.1", false);
    check(&["64:ff9b::/96"], Some(&["0.0.0.0/0"]), "64:ff9b::169.254.169.254", false);
    check(&["64:ff9b::/96", "10.0.0.0/8"], Some(&["10.0.0.0/8"]), "64:ff9b::10.0.0.1", true);
    check(&["10.0.0.0/8"], Some(&["10.0.0.0/8"]), "::ffff:10.0.0.1", false);
    check(&["::/0"], Some(&["::/0"]), "2002:7f00:1::1", false);
}

#[test]
fn a_permitted_range_does_not_reach_further() {
    check(&["10.0.0.0/8"], Some(&["0.0.0.0/0"]), "10.0.0.1", true);
    check(&["10.0.0.0/8"], Some(&["0.0.0.0/0"]), "127.0.0.1", false);
    check(&["10.0.0.0/8"], Some(&["api.example.com"]), "10.0.0.1", true);
    check(&["10.0.0.0/8"], None, "10.0.0.1", false);
    check(&["0.0.0.0/0"], Some(&["0.0.0.0/0"]), "169.254.169.254", false);
    check(&["fd00::/8"], Some(&["::/0"]), "fd00:ec2::254", false);
    check(&["fd00::/8"], Some(&["::/0"]), "fd12::1", true);
    check(&["100.64.0.0/10"], Some(&["100.64.0.0/10"]), "100.100.100.200", false);
    check(&["100.100.100.200"], Some(&["100.64.0.0/10"]), "100.100.100.200", true);
}

/// A wildcard listener is reached by every address of the machine.
#[test]
fn a_listener_on_every_address_is_found_behind_each() {
    let guard = |own: &str| Guard {
        permitted_private: Vec::new(),
        denied_ports: Vec::new(),
        own_addresses: RwLock::new(vec![own.parse().expect("an address and a port")]),
    };
    for own in ["0.0.0.0:6001", "[::]:6001"] {
        for address in ["127.0.0.1:6001", "127.3.2.1:6001", "0.0.0.0:6001", "[::1]:6001"] {
            assert!(guard(own).is_own(address.parse().expect("an address and a port")), "{own}, {address}");
        }
        assert!(!guard(own).is_own("127.0.0.1:6002".parse().expect("an address and a port")));
        assert!(!guard(own).is_own("93.184.215.14:6001".parse().expect("an address and a port")));
    }
    assert!(!guard("127.0.0.1:6001").is_own("127.0.0.2:6001".parse().expect("an address and a port")));
}
