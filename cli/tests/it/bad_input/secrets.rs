//! Functions that spill their secrets: no value is found in any log, record, metric or file afterwards, in none of its forms.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::{Server, Tenant, compiled, hex};

const SECRETS: usize = 20;

/// Each holds what the forms write differently.
fn value_of(number: usize) -> String {
    format!("c4n4ry>{number:02}?/+&=~ü {}", "k3y".repeat(number % 5 + 1))
}

/// A value as programs write it.
fn forms(value: &str) -> Vec<String> {
    let encoded = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    vec![
        value.to_owned(),
        STANDARD_NO_PAD.encode(value),
        URL_SAFE_NO_PAD.encode(value),
        hex(value.as_bytes()),
        hex(value.as_bytes()).to_uppercase(),
        encoded.to_lowercase(),
        encoded,
    ]
}

#[track_caller]
fn assert_clean(place: &str, bytes: &[u8], needles: &[String]) {
    for needle in needles {
        let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(!found, "{place} holds {needle}");
    }
}

fn check_files(folder: &Path, needles: &[String]) -> usize {
    let mut checked = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => checked += check_files(&path, needles),
            false => {
                assert_clean(&path.display().to_string(), &fs::read(&path).expect("a file"), needles);
                checked += 1;
            }
        }
    }
    checked
}

#[test]
fn no_value_is_found_anywhere_afterwards() {
    let mut server = Server::start();
    let tenant = Tenant::found(&server, "home");
    tenant.deploy("spills", &compiled(include_str!("../guests/spills_secret.wat")), &[]);
    tenant.deploy("says", &compiled(include_str!("../guests/says_input.wat")), &[]);
    let mut needles = Vec::new();
    for number in 0..SECRETS {
        let (name, value) = (format!("SECRET_{number}"), value_of(number));
        tenant.set_secret(&name, &value);
        let reply = tenant.invoke("spills", name.as_bytes());
        assert_eq!(reply.status, 500, "it fails: {reply:?}");
        assert_clean("the reply", reply.body.as_bytes(), &forms(&value));
        for form in forms(&value) {
            let reply = tenant.invoke("says", format!("it is {form}, in a sentence").as_bytes());
            assert_clean("the reply", reply.body.as_bytes(), &forms(&value));
        }
        needles.extend(forms(&value));
    }
    refuse_some(&tenant);
    let records = tenant.records("spills", SECRETS);
    assert!(records.iter().all(|record| record.to_string().contains("***")), "the values were there: {}", records[0]);
    tenant.records("says", SECRETS * forms("").len());
    let rotated = server.http().post("/v1/functions/secrets/rotate", b"");
    assert_eq!(rotated.status, 200, "{rotated:?}");
    for path in [
        "/v1/functions/spills/logs?limit=500",
        "/v1/functions/says/logs?limit=500",
        "/v1/functions/secrets",
        "/v1/audit?limit=1000",
    ] {
        assert_clean(path, tenant.reply("GET", path, &Value::Null).body.as_bytes(), &needles);
    }
    assert_clean("/metrics", server.http().get("/metrics").body.as_bytes(), &needles);
    let (name, value) = ("SECRET_3", value_of(3));
    server.terminate();
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    assert_clean("the server's log", log.as_bytes(), &needles);
    assert!(check_files(&server.data(), &needles) > 5, "there are files to look into");
    // They were kept all the same.
    server.restart();
    let tenant = Tenant::known(&server, "home", &tenant.key);
    tenant.deploy("get_secret", &crate::support::fixture("get_secret"), &[]);
    assert_eq!(tenant.host_call("get_secret", &[name.as_bytes()]), value);
}

/// Requests that are refused after they named a value.
fn refuse_some(tenant: &Tenant) {
    let value = value_of(0);
    let twice = json!({ "name": "SECRET_0", "value": value, "value_base64": STANDARD_NO_PAD.encode(&value) });
    for body in [json!({ "name": value, "value": value }), json!({ "name": "", "value": value }), twice] {
        let reply = tenant.http().send("PUT", "/v1/functions/secrets", &[], body.to_string().as_bytes());
        assert_eq!(reply.status, 400, "{reply:?}");
    }
}
