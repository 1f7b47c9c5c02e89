//! Which addresses are reached: by their number in every spelling, by name, and when a name changes its mind.

use std::net::Ipv4Addr;

use backends::egress::{EgressConfig, open};
use expect_test::expect;
use ports::{Egress, EgressError};

use crate::server::{Answer, Server};
use crate::support::{
    PlannedNames, everything, far, fetch, get, lenient, line, namespace, policy, ranges, send, strict, text,
};

/// Every text that a URL parser takes for 127.0.0.1, with a place for the port.
const SPELLINGS: &[&str] = &[
    "http://127.0.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.1:PORT/",
    "http://0X7F.0.0.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://017700000001:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}:PORT/",
    "http://127\u{3002}0\u{3002}0\u{3002}1:PORT/",
    "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://127.0.0.%31:PORT/",
    "http:127.0.0.1:PORT/",
    "http:/127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT/",
    "\thttp://127.0.0.1:PORT/\n",
    "ht\ntp://127.0.\t0.1:PORT/",
    "HTTP://127.0.0.1:PORT/",
    "http://good.example@127.0.0.1:PORT/",
    "http://good.example:80@127.0.0.1:PORT/",
    "http://good.example%2f@127.0.0.1:PORT/",
    "http://good.example#@127.0.0.1:PORT/",
    "http://good.example\\@127.0.0.1:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/",
];

#[tokio::test]
async fn loopback_is_refused_in_every_spelling() {
    let server = Server::start(|_| Answer::ok("inside")).await;
    let names = PlannedNames::new([("good.example", &[&["127.0.0.1"]])]);
    for config in [strict(), EgressConfig { permitted_private: ranges(&["10.0.0.0/8"]), ..strict() }] {
        let egress = open(EgressConfig { resolver: names.clone(), ..config }).expect("open");
        for spelling in SPELLINGS {
            let url = spelling.replace("PORT", &server.port().to_string());
            for policies in [&[][..], &[&everything()]] {
                let outcome = egress.fetch(&namespace("one"), policies, get(&url), far()).await;
                assert!(matches!(outcome, Err(EgressError::Refused(_))), "{url:?}: {outcome:?}");
            }
        }
    }
    assert_eq!(server.connections(), 0);
}

/// What is checked is what is connected to: where loopback is permitted, the same spellings arrive.
#[tokio::test]
async fn loopback_is_reached_in_every_spelling_where_it_is_permitted() {
    let server = Server::start(|_| Answer::ok("inside")).await;
    for spelling in SPELLINGS.iter().filter(|spelling| !spelling.contains("good.example") && !spelling.contains('[')) {
        let url = spelling.replace("PORT", &server.port().to_string());
        let reply = fetch(get(&url)).await.unwrap_or_else(|error| panic!("{url:?}: {error}"));
        assert_eq!(text(&reply), "inside", "{url:?}");
    }
}

/// Addresses of every range that is not public, ends of ranges included.
const PRIVATE: &[&str] = &[
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "64:ff9b:1:ffff::10.0.0.1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd12:3456::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "4000::1",
    "1::1",
];

#[tokio::test]
async fn no_private_address_is_reached_by_its_number() {
    let egress = open(strict()).expect("open");
    for address in PRIVATE {
        let host = if address.contains(':') { format!("[{address}]") } else { (*address).to_owned() };
        for scheme in ["http", "https"] {
            let outcome = send(&egress, get(&format!("{scheme}://{host}/"))).await;
            assert!(matches!(outcome, Err(EgressError::Refused(_))), "{address}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn no_private_address_is_reached_by_a_name() {
    for address in PRIVATE {
        let names = PlannedNames::new([("good.example", &[&[*address]])]);
        let egress = open(EgressConfig { resolver: names, ..strict() }).expect("open");
        for policies in [&[][..], &[&everything()], &[&policy(&["good.example"])]] {
            let outcome = egress.fetch(&namespace("one"), policies, get("http://good.example/"), far()).await;
            let Err(EgressError::Refused(refused)) = outcome else { panic!("{address}: {outcome:?}") };
            assert!(!refused.contains(address), "the address is not told: {refused}");
        }
    }
}

#[tokio::test]
async fn names_of_the_machine_are_refused_and_nobody_is_asked_for_them() {
    let names = PlannedNames::new([("localhost", &[&["127.0.0.1"]]), ("metadata.google.internal", &[&["8.8.8.8"]])]);
    let egress = open(EgressConfig { resolver: names.clone(), ..lenient() }).expect("open");
    for host in ["localhost", "LOCALHOST", "localhost.", "a.localhost", "a.b.localhost.", "metadata.google.internal"] {
        let outcome = send(&egress, get(&format!("http://{host}:8080/"))).await;
        assert!(matches!(outcome, Err(EgressError::Refused(_))), "{host}: {outcome:?}");
    }
    assert_eq!(names.asked(), [""; 0]);
}

#[tokio::test]
async fn localhost_is_reached_where_the_operator_permits_and_the_function_names_it() {
    let server = Server::start(|_| Answer::ok("inside")).await;
    let names = PlannedNames::new([("localhost", &[&["127.0.0.1"]])]);
    let egress = open(EgressConfig { resolver: names, ..lenient() }).expect("open");
    let url = format!("http://localhost:{}/", server.port());
    let named = policy(&["localhost"]);
    let reply = egress.fetch(&namespace("one"), &[&named], get(&url), far()).await.expect("a reply");
    assert_eq!(text(&reply), "inside");
}

/// A name that answers otherwise the second time is judged the second time, by the lookup that the connection is made with.
#[tokio::test]
async fn a_name_that_changes_to_loopback_is_refused() {
    let server = Server::start(|_| Answer::ok("first").then_close()).await;
    let inside = Server::start_at(Ipv4Addr::new(127, 0, 0, 2).into(), server.port(), |_| Answer::ok("inside")).await;
    let inside = inside.expect("the port is free at 127.0.0.2");
    let names = PlannedNames::new([("rebinding.example", &[&["127.0.0.1"], &["127.0.0.2"]])]);
    let egress = open(EgressConfig { resolver: names.clone(), ..lenient() }).expect("open");
    let url = format!("http://rebinding.example:{}/", server.port());
    assert_eq!(text(&send(&egress, get(&url)).await.expect("a reply")), "first");
    assert_eq!(names.asked().len(), 1, "one lookup, and its addresses are those that are connected to");
    let outcome = send(&egress, get(&url)).await;
    assert!(matches!(outcome, Err(EgressError::Refused(_))), "{outcome:?}");
    assert_eq!(names.asked().len(), 2);
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn of_mixed_addresses_only_the_allowed_are_tried() {
    let server = Server::start(|_| Answer::ok("outside")).await;
    let inside = Server::start_at(Ipv4Addr::new(127, 0, 0, 2).into(), server.port(), |_| Answer::ok("inside")).await;
    let inside = inside.expect("the port is free at 127.0.0.2");
    let answers: [&[&str]; 3] = [
        &["127.0.0.2", "127.0.0.1"],
        &["::1", "127.0.0.2", "127.0.0.1"],
        &["127.0.0.1", "fe80::1", "::ffff:127.0.0.2"],
    ];
    for answer in answers {
        let names = PlannedNames::new([("mixed.example", &[answer])]);
        let egress = open(EgressConfig { resolver: names, ..lenient() }).expect("open");
        let reply = send(&egress, get(&format!("http://mixed.example:{}/", server.port()))).await;
        assert_eq!(text(&reply.expect("a reply")), "outside", "{answer:?}");
    }
    assert_eq!((server.connections(), inside.connections()), (3, 0));
}

#[tokio::test]
async fn the_node_itself_is_refused_even_where_its_range_is_permitted() {
    let server = Server::start(|_| Answer::ok("the node")).await;
    let names = PlannedNames::new([("node.example", &[&["127.0.0.1"]])]);
    let egress = open(EgressConfig { resolver: names, ..lenient() }).expect("open");
    let by_name = format!("http://node.example:{}/", server.port());
    for own in [server.address, (Ipv4Addr::UNSPECIFIED, server.port()).into()] {
        egress.set_own_addresses(vec![own]);
        for url in [&server.url("/"), &by_name] {
            let outcome = send(&egress, get(url)).await;
            assert!(matches!(outcome, Err(EgressError::Refused(_))), "{url}: {outcome:?}");
        }
    }
    assert_eq!(server.connections(), 0);
    egress.set_own_addresses(vec![(Ipv4Addr::LOCALHOST, 1).into()]);
    assert_eq!(text(&send(&egress, get(&by_name)).await.expect("another port is no listener")), "the node");
}

#[tokio::test]
async fn ports_of_other_protocols_and_other_schemes_are_refused() {
    let mut seen = String::new();
    for url in [
        "http://93.184.215.14:22/",
        "http://93.184.215.14:25/",
        "http://93.184.215.14:6379/",
        "http://93.184.215.14:4001/",
        "http://93.184.215.14:11211/",
        "https://93.184.215.14:0/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com:70/",
        "data:text/plain,hello",
        "unix:/run/docker.sock",
        "ws://example.com/",
    ] {
        let outcome = fetch(get(url)).await;
        assert!(matches!(outcome, Err(EgressError::Refused(_))), "{url}: {outcome:?}");
        seen += &(line(&outcome, 65_535) + "\n");
    }
    expect![[r#"
        Refused: port 22 is kept for another protocol than HTTP; serve HTTP on another port
        Refused: port 25 is kept for another protocol than HTTP; serve HTTP on another port
        Refused: port 6379 is kept for another protocol than HTTP; serve HTTP on another port
        Refused: port 4001 is kept for another protocol than HTTP; serve HTTP on another port
        Refused: port 11211 is kept for another protocol than HTTP; serve HTTP on another port
        Refused: port 0 cannot be reached
        Refused: `file` is not allowed; use `http` or `https`
        Refused: `ftp` is not allowed; use `http` or `https`
        Refused: `gopher` is not allowed; use `http` or `https`
        Refused: `data` is not allowed; use `http` or `https`
        Refused: `unix` is not allowed; use `http` or `https`
        Refused: `ws` is not allowed; use `http` or `https`
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn an_address_with_a_zone_is_no_url() {
    for url in
        ["http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1", "http://256.0.0.1/", "http://1.2.3.4.5/"]
    {
        let outcome = fetch(get(url)).await;
        assert!(matches!(outcome, Err(EgressError::Invalid(_))), "{url}: {outcome:?}");
    }
}
