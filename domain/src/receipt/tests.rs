use super::*;

fn receipt() -> Receipt {
    let (path, query) = split_target("/factors?pretty=1");
    Receipt {
        facts: ReceiptFacts {
            request_id: RequestId::new("0199aaaa-0000-7000-8000-000000000001"),
            namespace: Namespace::parse("team").expect("a namespace"),
            function: FunctionName::parse("factors").expect("a name"),
            version: VersionNumber::new(3).expect("from 1"),
            code: Cid::of(b"code"),
            timestamp: 1_703_482_196,
            method: "POST".to_owned(),
            authority: authority_text(b"Factors.Team.Example.org:443"),
            path,
            query,
            request_digest: ContentDigest::of(b"{\"num\": 60000}"),
            status: 200,
            reply_digest: ContentDigest::of(b"2,2,2,2,2,3,5,5,5,5"),
            oyster_signature: "ab".repeat(65),
        },
        link: ReceiptLink { sequence: 2, previous: Some(ContentDigest::of(b"the one before")) },
        kid: "the-key".to_owned(),
        signature: String::new(),
    }
}

#[test]
fn what_is_signed_has_a_line_for_each_component() {
    let base = receipt().signature_base();
    let lines: Vec<&str> = base.lines().collect();
    assert_eq!(lines.len(), 15);
    assert_eq!(lines[0], "\"@status\": 200");
    assert_eq!(lines[5], "\"orama-function\": team/factors@3");
    assert_eq!(lines[9], "\"@method\";req: POST");
    assert_eq!(lines[10], "\"@authority\";req: factors.team.example.org");
    assert_eq!(lines[11..13], ["\"@path\";req: /factors", "\"@query\";req: ?pretty=1"]);
    let parameters = lines[14].strip_prefix("\"@signature-params\": (\"@status\" \"content-digest\" ");
    assert!(parameters.is_some_and(|rest| {
        rest.ends_with(");created=1703482196;keyid=\"the-key\";alg=\"ed25519\";tag=\"orama-receipt\"")
    }));
}

#[test]
fn the_first_receipt_names_none_before_it() {
    let mut first = receipt();
    first.link = ReceiptLink { sequence: 1, previous: None };
    assert!(first.signature_base().contains("\"orama-previous\": none\n"));
    assert_ne!(first.digest(), receipt().digest());
}

#[test]
fn a_receipt_is_read_as_it_was_written() {
    let json = serde_json::to_vec(&receipt()).expect("it serializes");
    assert_eq!(Receipt::parse(&json), Ok(receipt()));
    let text = String::from_utf8(json).expect("text");
    let broken = [
        text.replace("POST", "PO ST"),
        text.replace("POST", "PO\\nST"),
        text.replace("the-key", "the\\\"key"),
        text.replace("sha-256=:", "sha-512=:"),
        text.replace("\"status\":200", "\"status\":-200"),
        text.replace("\"sequence\":2", "\"sequence\":2.5"),
        text.replace("\"version\":3", "\"version\":0"),
        text[..text.len() - 1].to_owned(),
        "x".repeat(TEXT_BYTES_MAX + 1),
    ];
    for text in broken {
        assert!(Receipt::parse(text.as_bytes()).is_err(), "{}", &text[..text.len().min(300)]);
    }
}

#[test]
fn parts_of_a_request_are_written_in_one_way() {
    assert_eq!(split_target("/a%20b?x=%3f&y"), ("/a%20b".to_owned(), "?x=%3f&y".to_owned()));
    assert_eq!(split_target("?"), ("/".to_owned(), "?".to_owned()));
    assert_eq!(printable_text("é \n".as_bytes()), "%C3%A9%20%0A");
    assert_eq!(authority_text(b"Example.ORG:8080"), "example.org:8080");
    assert_eq!(authority_text(b"[::1]:80"), "[::1]");
}
