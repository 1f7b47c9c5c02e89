//! What function.yaml, the namespace and the operator allow together, and what a refusal says.

use backends::egress::{EgressConfig, open};
use domain::EgressPolicy;
use expect_test::{Expect, expect};
use ports::{Egress, EgressError};

use crate::server::{Answer, Server};
use crate::support::{PlannedNames, far, get, lenient, line, namespace, policy, ranges, strict};

/// The outcome of a GET to a server at 127.0.0.1, which has the name `api.example.com` too.
#[track_caller]
fn check(config: EgressConfig, policies: &[&[&str]], url: &str, want: Expect) {
    let policies: Vec<EgressPolicy> = policies.iter().map(|rules| policy(rules)).collect();
    let seen = tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let server = Server::start(|_| Answer::ok("hello")).await;
        let names = PlannedNames::new([("api.example.com", &[&["127.0.0.1"]])]);
        let egress = open(EgressConfig { resolver: names, ..config }).expect("open");
        let url = url.replace("PORT", &server.port().to_string());
        let policies: Vec<&EgressPolicy> = policies.iter().collect();
        line(&egress.fetch(&namespace("one"), &policies, get(&url), far()).await, server.port())
    });
    want.assert_eq(&seen);
}

const NAMED: &str = "http://api.example.com:PORT/";
const NUMBERED: &str = "http://127.0.0.1:PORT/";

#[test]
fn a_private_address_needs_the_operator_and_the_function() {
    check(lenient(), &[&["127.0.0.1"]], NUMBERED, expect!["200 hello"]);
    check(lenient(), &[&["127.0.0.0/8"]], NAMED, expect!["200 hello"]);
    check(lenient(), &[&["api.example.com"]], NAMED, expect!["200 hello"]);
    check(lenient(), &[&["*.example.com"]], NAMED, expect!["200 hello"]);
    check(
        lenient(),
        &[],
        NUMBERED,
        expect![
            "Refused: `127.0.0.1:<port>` is a private address; the operator must permit it with `egress.private: [127.0.0.0/8]` and function.yaml must list it under `egress.allow`"
        ],
    );
    check(
        strict(),
        &[&["127.0.0.1"]],
        NUMBERED,
        expect![
            "Refused: `127.0.0.1:<port>` is a private address; the operator must permit it with `egress.private: [127.0.0.0/8]` and function.yaml must list it under `egress.allow`"
        ],
    );
    check(
        lenient(),
        &[],
        NAMED,
        expect![
            "Refused: `api.example.com:<port>` leads to a private address; the operator must permit its range with `egress.private` and function.yaml must list `api.example.com` under `egress.allow`"
        ],
    );
    check(
        strict(),
        &[&["api.example.com"]],
        NAMED,
        expect![
            "Refused: `api.example.com:<port>` leads to a private address; the operator must permit its range with `egress.private` and function.yaml must list `api.example.com` under `egress.allow`"
        ],
    );
}

#[test]
fn what_a_policy_does_not_list_is_refused_with_the_line_that_would_allow_it() {
    check(
        lenient(),
        &[&[]],
        NAMED,
        expect![
            "Refused: `api.example.com:<port>` is not allowed; list `api.example.com` under `egress.allow` in function.yaml, and in the `egress` of the namespace where that narrows it"
        ],
    );
    check(
        lenient(),
        &[&["other.example.com"]],
        NAMED,
        expect![
            "Refused: `api.example.com:<port>` is not allowed; list `api.example.com` under `egress.allow` in function.yaml, and in the `egress` of the namespace where that narrows it"
        ],
    );
    check(
        lenient(),
        &[&["api.example.com:443"]],
        NAMED,
        expect![
            "Refused: `api.example.com:<port>` is not allowed; list `api.example.com` under `egress.allow` in function.yaml, and in the `egress` of the namespace where that narrows it"
        ],
    );
    check(
        lenient(),
        &[&["api.example.com"]],
        "https://93.184.215.14/",
        expect![
            "Refused: `93.184.215.14:443` is not allowed; list `93.184.215.14` under `egress.allow` in function.yaml, and in the `egress` of the namespace where that narrows it"
        ],
    );
    check(
        lenient(),
        &[&[]],
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
        expect![
            "Refused: `[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:443` is not allowed; list `2606:2800:21f:cb07:6820:80da:af6b:8b2c` under `egress.allow` in function.yaml, and in the `egress` of the namespace where that narrows it"
        ],
    );
    check(
        strict(),
        &[],
        "http://10.0.0.5:8080/",
        expect![
            "Refused: `10.0.0.5:8080` is a private address; the operator must permit it with `egress.private: [10.0.0.0/8]` and function.yaml must list it under `egress.allow`"
        ],
    );
    check(
        strict(),
        &[],
        "http://[::ffff:10.0.0.5]:8080/",
        expect![
            "Refused: `[::ffff:10.0.0.5]:8080` is a private address; the operator must permit it with `egress.private: [::ffff:0.0.0.0/96, 10.0.0.0/8]` and function.yaml must list it under `egress.allow`"
        ],
    );
    check(
        strict(),
        &[],
        "http://169.254.169.254/latest/meta-data/",
        expect![
            "Refused: `169.254.169.254:80` is a private address; the operator must permit it with `egress.private: [169.254.169.254]` and function.yaml must list it under `egress.allow`"
        ],
    );
    check(
        strict(),
        &[],
        "http://localhost:8080/",
        expect![
            "Refused: `localhost:8080` leads to a private address; the operator must permit its range with `egress.private` and function.yaml must list `localhost` under `egress.allow`"
        ],
    );
}

#[test]
fn every_policy_must_allow() {
    check(lenient(), &[&["api.example.com"], &["*.example.com"]], NAMED, expect!["200 hello"]);
    check(lenient(), &[&["api.example.com"], &["127.0.0.1"]], NAMED, expect!["200 hello"]);
    check(
        lenient(),
        &[&["api.example.com"], &["other.example.com"]],
        NAMED,
        expect![
            "Refused: `api.example.com:<port>` is not allowed; list `api.example.com` under `egress.allow` in function.yaml, and in the `egress` of the namespace where that narrows it"
        ],
    );
    check(
        lenient(),
        &[&["api.example.com"], &[]],
        NAMED,
        expect![
            "Refused: `api.example.com:<port>` is not allowed; list `api.example.com` under `egress.allow` in function.yaml, and in the `egress` of the namespace where that narrows it"
        ],
    );
}

/// Who permits a range for the neighbours in it does not mean the machine's credentials.
#[test]
fn a_metadata_address_needs_a_line_of_its_own() {
    let neighbours = EgressConfig { permitted_private: ranges(&["100.64.0.0/10"]), ..strict() };
    check(
        neighbours,
        &[&["100.64.0.0/10"]],
        "http://100.100.100.200/",
        expect![
            "Refused: `100.100.100.200:80` is a private address; the operator must permit it with `egress.private: [100.100.100.200]` and function.yaml must list it under `egress.allow`"
        ],
    );
}

/// A lookup is a message too: to whoever serves the name.
#[tokio::test]
async fn nobody_is_asked_for_a_name_that_is_not_listed() {
    let names = PlannedNames::new([("leak.evil.example", &[&["8.8.8.8"]])]);
    let egress = open(EgressConfig { resolver: names.clone(), ..strict() }).expect("open");
    for rules in [&[][..], &["api.example.com"], &["*.evil.example:444"], &["10.0.0.0/8:80"]] {
        let url = "https://leak.evil.example/secret";
        let outcome = egress.fetch(&namespace("one"), &[&policy(rules)], get(url), far()).await;
        assert!(matches!(outcome, Err(EgressError::Refused(_))), "{outcome:?}");
    }
    assert_eq!(names.asked(), [""; 0]);
}

/// Two functions of a namespace may differ in what they may reach; a connection of one is not lent to the other.
#[tokio::test]
async fn a_connection_that_one_policy_allowed_does_not_serve_another() {
    let server = Server::start(|_| Answer::ok("hello")).await;
    let names = PlannedNames::new([("api.example.com", &[&["127.0.0.1"]])]);
    let egress = open(EgressConfig { resolver: names, ..lenient() }).expect("open");
    let url = format!("http://api.example.com:{}/", server.port());
    let one = namespace("one");
    egress.fetch(&one, &[&policy(&["127.0.0.1"])], get(&url), far()).await.expect("a reply");
    let outcome = egress.fetch(&one, &[&policy(&["10.0.0.0/8"])], get(&url), far()).await;
    assert!(matches!(outcome, Err(EgressError::Refused(_))), "{outcome:?}");
    assert_eq!(server.connections(), 1);
}
