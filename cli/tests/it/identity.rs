//! Who may do what, from the command line: wallets, keys, claims, namespaces, the audit log.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Printed, Server, check, check_failure, normalised};

/// Keys that everybody knows: of the EIP-155 document, and the seed and public half of the first test of RFC 8032.
const ETHEREUM: &str = "4646464646464646464646464646464646464646464646464646464646464646";
const ETHEREUM_ADDRESS: &str = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F";
const SOLANA: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\
                      d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// A key file as `orama wallet` wants it.
fn key_file(server: &Server, name: &str, text: &str) -> PathBuf {
    let path = server.folder().join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
    path
}

fn solana_text() -> String {
    let digits: Vec<u8> = SOLANA.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("digits");
    json!(digits.chunks(2).map(byte).collect::<Vec<_>>()).to_string()
}

fn whoami(server: &Server) -> Value {
    serde_json::from_str(server.orama(["whoami", "--json"]).ok()).expect("a document")
}

fn credentials(server: &Server) -> PathBuf {
    server.home().join("config/orama/credentials")
}

fn session(server: &Server) -> Value {
    let stored: Value = serde_json::from_str(&fs::read_to_string(credentials(server)).expect("a file")).expect("JSON");
    stored["gateways"][server.address()]["session"].clone()
}

/// Lets the access token that is stored look old.
fn age(server: &Server) {
    let text = fs::read_to_string(credentials(server)).expect("a file");
    let mut stored: Value = serde_json::from_str(&text).expect("JSON");
    stored["gateways"][server.address()]["session"]["expires_at"] = json!("2020-01-01T00:00:00Z");
    fs::write(credentials(server), stored.to_string()).expect("written");
}

#[test]
fn a_wallet_signs_in_is_renewed_by_itself_and_signs_out() {
    let server = Server::start();
    key_file(&server, "wallet.key", ETHEREUM);
    check(
        &server,
        &["namespace", "owners", "add", ETHEREUM_ADDRESS, "--scope", "deploy,data"],
        expect![[r#"
            0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F may deploy, data
        "#]],
    );
    check(
        &server,
        &["login", "--wallet", "--key-file", "wallet.key"],
        expect![[r#"
        logged in to GATEWAY, namespace default as 0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F
        the sign-in is stored in HOME/config/orama/credentials
    "#]],
    );
    assert_eq!(fs::metadata(credentials(&server)).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(whoami(&server)["wallet"], ETHEREUM_ADDRESS.to_lowercase());
    assert_eq!(server.orama(["function", "list"]).code, Some(0), "it may deploy");
    check_failure(
        &server,
        &["auth", "keys", "list"],
        4,
        expect![[r#"
        error: the key lacks the scope `admin` (FORBIDDEN)
        hint: use a key with a wider scope; `orama whoami` shows what yours may do
    "#]],
    );

    let before = session(&server);
    age(&server);
    let same_time: Vec<_> = (0..4)
        .map(|_| {
            let mut command = server.command(&server.folder());
            command.args(["db", "query", "SELECT 1 AS one", "--json"]).stdout(std::process::Stdio::piped());
            command.spawn().expect("the binary starts")
        })
        .collect();
    for process in same_time {
        let printed: Printed = process.wait_with_output().expect("it ends").into();
        assert_eq!(printed.ok(), "{\"items\":[{\"one\":1}],\"count\":1}\n", "whoever comes second uses the new token");
    }
    let after = session(&server);
    assert!(before["access_token"] != after["access_token"] && before["refresh_token"] != after["refresh_token"]);

    let old = after["access_token"].as_str().expect("a token").to_owned();
    check(
        &server,
        &["logout"],
        expect![[r#"
        logged out of GATEWAY
    "#]],
    );
    assert_eq!(session(&server), Value::Null);
    assert_eq!(server.orama(["whoami"]).code, Some(4));
    assert_eq!(server.orama(["whoami", "--api-key", &old]).code, Some(4), "the gateway has ended it, too");
    check_failure(
        &server,
        &["logout"],
        2,
        expect![[r#"
        error: no credential is stored for GATEWAY
    "#]],
    );
}

#[test]
fn a_sign_in_that_was_ended_elsewhere_says_what_to_do() {
    let server = Server::start();
    key_file(&server, "wallet.key", &solana_text());
    let login = ["login", "--wallet", "--key-file", "wallet.key", "--chain", "sol"];
    server.orama(login).ok();
    let elsewhere = fs::read(credentials(&server)).expect("a file");
    server.orama(login).ok();
    server.orama(["logout", "--all"]).ok();
    fs::write(credentials(&server), elsewhere).expect("written");
    assert_eq!(server.orama(["whoami"]).code, Some(4), "all means those elsewhere, too");
    age(&server);
    check_failure(
        &server,
        &["whoami"],
        4,
        expect![[r#"
        error: the sign-in has ended
        hint: sign in again with `orama login --wallet --key-file FILE`
    "#]],
    );
}

#[test]
fn a_wallet_without_rights_may_sign_in_and_manage_nothing() {
    let server = Server::start();
    key_file(&server, "wallet.key", &solana_text());
    server.orama(["login", "--wallet", "--key-file", "wallet.key"]).ok();
    assert_eq!(whoami(&server)["scopes"], json!([]));
    for verb in [&["function", "list"][..], &["db", "schema"], &["auth", "keys", "list"], &["audit"]] {
        assert_eq!(server.orama(verb).code, Some(4), "{verb:?}");
    }
}

#[test]
fn key_files_of_wallets() {
    let server = Server::start();
    let made = server.orama(["wallet", "new", "--key-file", "new.key"]);
    let address = server.orama(["wallet", "address", "--key-file", "new.key"]);
    assert_eq!(made.ok(), address.ok());
    assert_eq!(fs::metadata(server.folder().join("new.key")).expect("a file").permissions().mode() & 0o777, 0o600);
    check_failure(
        &server,
        &["wallet", "new", "--key-file", "new.key"],
        2,
        expect![[r#"
        error: `new.key` exists, and may hold a key
        hint: choose another name, or remove it
    "#]],
    );
    let made = server.orama(["wallet", "new", "--key-file", "sol.key", "--chain", "sol"]);
    let address = server.orama(["wallet", "address", "--key-file", "sol.key", "--json"]);
    assert_eq!(address.ok(), format!("{{\"wallet\":\"{}\"}}\n", made.ok().trim()));

    let open = key_file(&server, "open.key", ETHEREUM);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("changed");
    check_failure(
        &server,
        &["login", "--wallet", "--key-file", "open.key"],
        2,
        expect![[r#"
        error: others may read `open.key` (mode 644), so its key is not used
        hint: run `chmod 600 open.key`
    "#]],
    );
    key_file(&server, "bad.key", "not a key");
    check_failure(
        &server,
        &["login", "--wallet", "--key-file", "bad.key"],
        2,
        expect![[r#"
        error: `bad.key` holds no key of a wallet
        hint: Ethereum: 64 hexadecimal digits; Solana: a JSON list of 64 numbers, or base58 of them
    "#]],
    );
    key_file(&server, "good.key", ETHEREUM);
    check_failure(
        &server,
        &["login", "--wallet", "--key-file", "good.key", "--chain", "sol"],
        2,
        expect![[r#"
            error: `good.key` holds the key of the other chain
        "#]],
    );
    assert_eq!(server.orama(["login", "--wallet"]).code, Some(2), "a wallet has a key file");
}

/// As a client without this program does it: with what `wallet sign` prints.
#[test]
fn a_signature_of_the_terminal_signs_in_over_http() {
    let server = Server::start();
    let http = server.http().without_key();
    for (text, chain) in [(ETHEREUM.to_owned(), "ETH"), (solana_text(), "SOL")] {
        key_file(&server, chain, &text);
        let address = server.orama(["wallet", "address", "--key-file", chain]).ok().trim().to_owned();
        let question = json!({ "wallet": address, "namespace": "default", "purpose": "sign-in" });
        let challenge = http.post("/v1/auth/challenge", question.to_string().as_bytes()).json();
        let nonce = challenge["nonce"].as_str().expect("a nonce");
        // A nonce may begin as an option does.
        let signed = server.orama(["wallet", "sign", "--key-file", chain, "--", nonce]);
        let proof = json!({
            "wallet": address, "nonce": nonce, "signature": signed.ok().trim(), "namespace": "default", "chain_type": chain,
        });
        let reply = http.post("/v1/auth/verify", proof.to_string().as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(http.post("/v1/auth/verify", proof.to_string().as_bytes()).status, 401, "a nonce is for one use");
    }
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let server = Server::start();
    let made = server.orama(["auth", "keys", "create", "--name", "ci", "--scope", "deploy,data", "--expires", "30d"]);
    let key = made.ok().trim().to_owned();
    assert!(key.starts_with("ak_") && key.ends_with(":default"), "{key}");
    assert!(made.stderr.contains("made the key ") && !made.stderr.contains(&key));
    let listed = server.orama(["auth", "keys", "list"]);
    assert!(!listed.ok().contains(&key), "a key is shown once");
    let id = made.stderr.split(' ').nth(3).expect("an id").to_owned();
    let header =
        listed.ok().lines().next().expect("a header").split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    assert_eq!(header.collect::<Vec<_>>(), ["ID", "NAME", "SCOPES", "CREATED", "EXPIRES", "LAST USED", "REVOKED"]);
    let row = listed.ok().lines().find(|line| line.starts_with(&id)).expect("the key is listed");
    assert!(row.contains("  ci  ") && row.contains("deploy,data"), "{row}");

    assert_eq!(server.orama(["function", "list", "--api-key", &key]).code, Some(0));
    assert_eq!(server.orama(["auth", "keys", "list", "--api-key", &key]).code, Some(4));
    assert_eq!(server.orama(["auth", "keys", "revoke", &id]).ok(), format!("revoked {id}\n"));
    assert_eq!(server.orama(["function", "list", "--api-key", &key]).code, Some(4));
    check_failure(
        &server,
        &["auth", "keys", "revoke", "nothing"],
        1,
        expect![[r#"
        error: key `nothing` not found (NOT_FOUND)
        hint: list the keys with `orama auth keys list`
    "#]],
    );
    check_failure(
        &server,
        &["auth", "keys", "create", "--name", "x", "--scope", "everything"],
        1,
        expect![[r#"
            error: `scopes` may hold `operator`, `admin`, `deploy`, `invoke`, `data`, `pubsub` (VALIDATION_FAILED)
        "#]],
    );
    for wrong in [&["auth", "keys", "create", "--name", "x"][..], &["auth", "keys", "create", "--scope", "data"]] {
        assert_eq!(server.orama(wrong).code, Some(2), "{wrong:?}");
    }
    let document = server.orama(["auth", "keys", "create", "--name", "y", "--scope", "invoke", "--json"]);
    let document: Value = serde_json::from_str(document.ok()).expect("a document");
    assert!(document["key"].is_string() && document["expires_at"].is_null(), "{document}");
}

#[test]
fn claims_of_a_wallet_are_in_its_next_token() {
    let server = Server::start();
    check(
        &server,
        &["auth", "claims", "list", ETHEREUM_ADDRESS],
        expect![[r#"
        the wallet has no claims
    "#]],
    );
    check(
        &server,
        &["auth", "claims", "set", ETHEREUM_ADDRESS, "plan", "pro"],
        expect![[r#"
        CLAIM  VALUE
        plan  pro
    "#]],
    );
    server.orama(["auth", "claims", "set", ETHEREUM_ADDRESS, "team", "red"]).ok();
    check(
        &server,
        &["auth", "claims", "delete", ETHEREUM_ADDRESS, "team"],
        expect![[r#"
        CLAIM  VALUE
        plan  pro
    "#]],
    );
    check_failure(
        &server,
        &["auth", "claims", "set", "0x1", "plan", "pro"],
        1,
        expect![[r#"
        error: the wallet is no address of Ethereum: write `0x` and 40 hexadecimal digits (VALIDATION_FAILED)
    "#]],
    );
    key_file(&server, "wallet.key", ETHEREUM);
    server.orama(["login", "--wallet", "--key-file", "wallet.key"]).ok();
    let token = session(&server)["access_token"].as_str().expect("a token").to_owned();
    let claims = token.split('.').nth(1).expect("a token has three parts");
    assert_eq!(from_base64(claims)["custom"], json!({ "plan": "pro" }));
}

fn from_base64(text: &str) -> Value {
    let digit = |c: char| match c {
        'A'..='Z' => c as u32 - 65,
        'a'..='z' => c as u32 - 71,
        '0'..='9' => c as u32 + 4,
        '-' => 62,
        _ => 63,
    };
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0, 0);
    for c in text.chars() {
        (held, bits) = (held << 6 | digit(c), bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    serde_json::from_slice(&bytes).expect("claims are JSON")
}

#[test]
fn signing_keys_are_rotated_and_old_tokens_stay_valid() {
    let server = Server::start();
    let http = server.http();
    let token = http.post("/v1/auth/token", b"").json()["access_token"].as_str().expect("a token").to_owned();
    let before = http.get("/v1/auth/jwks").json();
    let kid = server.orama(["auth", "rotate-signing-key"]).ok().trim().to_owned();
    let after = http.get("/v1/auth/jwks").json();
    assert_eq!(after["keys"].as_array().map(Vec::len), Some(2));
    assert!(after["keys"].as_array().is_some_and(|keys| keys.iter().any(|key| key["kid"] == kid.as_str())));
    assert!(before["keys"].as_array().is_some_and(|keys| keys.iter().all(|key| key["kid"] != kid.as_str())));
    server.orama(["whoami", "--api-key", &token]).ok();
}

#[test]
fn namespaces_are_made_chosen_set_and_deleted() {
    let server = Server::start();
    check(
        &server,
        &["namespace", "create", "team"],
        expect![[r#"
        made team
        work in it with `orama namespace use team`
    "#]],
    );
    check_failure(
        &server,
        &["namespace", "create", "team"],
        1,
        expect![[r#"
        error: namespace `team` exists already (CONFLICT)
    "#]],
    );
    assert_eq!(server.orama(["namespace", "create", "../x"]).code, Some(2));
    check(
        &server,
        &["namespace", "list"],
        expect![[r#"
           NAME  FUNCTIONS  CREATED  BY
        *  default  0  TIME  node
           team  0  TIME  key:ID
    "#]],
    );

    check(
        &server,
        &["namespace", "use", "team"],
        expect![[r#"
        working in team at GATEWAY
    "#]],
    );
    check(
        &server,
        &["namespace", "list"],
        expect![[r#"
           NAME  FUNCTIONS  CREATED  BY
           default  0  TIME  node
        *  team  0  TIME  key:ID
    "#]],
    );
    server.orama(["db", "exec", "CREATE TABLE only_here (a)"]).ok();
    assert_eq!(server.orama(["db", "schema", "--namespace", "default"]).ok(), "");
    assert_eq!(server.orama(["db", "schema"]).ok(), "CREATE TABLE only_here (a);\n");
    check_failure(
        &server,
        &["namespace", "use", "nowhere"],
        1,
        expect![[r#"
        error: there is no namespace `nowhere` that you may see
        hint: run `orama namespace list` to see those that there are
    "#]],
    );

    check(
        &server,
        &["namespace", "settings"],
        expect![[r#"
        nothing is set: the namespace follows the node
    "#]],
    );
    check(
        &server,
        &["namespace", "settings", "--set", "functions_max=5", "--set", "egress={\"allow\": [\"example.org\"]}"],
        expect![[r#"
            egress  {"allow":["example.org"]}
            functions_max  5
        "#]],
    );
    check(
        &server,
        &["namespace", "settings", "team", "--set", "egress="],
        expect![[r#"
        functions_max  5
    "#]],
    );
    check_failure(
        &server,
        &["namespace", "settings", "--set", "colour=red"],
        1,
        expect![[r#"
            error: unknown field `colour`; known are `functions_max`, `storage_bytes_max`, `database_bytes_max`, `concurrency`, `requests_per_minute`, `caller_requests_per_minute`, `egress` (VALIDATION_FAILED)
        "#]],
    );

    check(
        &server,
        &["namespace", "owners", "list"],
        expect![[r#"
        no wallet owns anything here
        hint: add one with `orama namespace owners add WALLET`
    "#]],
    );
    check(
        &server,
        &["namespace", "owners", "add", ETHEREUM_ADDRESS],
        expect![[r#"
        0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F may admin
    "#]],
    );
    check(
        &server,
        &["namespace", "owners", "list"],
        expect![[r#"
        WALLET  SCOPES  ADDED
        0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f  admin  TIME
    "#]],
    );
    check(
        &server,
        &["namespace", "owners", "remove", ETHEREUM_ADDRESS],
        expect![[r#"
        removed 0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F
    "#]],
    );

    check_failure(
        &server,
        &["namespace", "delete", "team"],
        1,
        expect![[r#"
        Are you sure you want to delete the namespace team with everything in it? [y/N]
        error: nothing was deleted
        hint: answer `y`, or use `--force`
    "#]],
    );
    check(
        &server,
        &["namespace", "delete", "team", "--force"],
        expect![[r#"
        deleted team
    "#]],
    );
    assert_eq!(server.orama(["db", "schema"]).code, Some(1), "it is gone");
    server.orama(["namespace", "use", "default"]).ok();
}

#[test]
fn a_namespace_is_chosen_only_for_a_credential_that_is_stored() {
    let server = Server::start();
    server.orama(["namespace", "create", "team"]).ok();
    let key = server.admin_key().to_owned();
    server.orama(["logout"]).ok();
    check_failure(
        &server,
        &["namespace", "use", "team", "--api-key", &key],
        2,
        expect![[r#"
        error: no credential is stored for GATEWAY
        hint: run `orama login` first, or set `ORAMA_NAMESPACE`
    "#]],
    );
    key_file(&server, "wallet.key", ETHEREUM);
    server.orama(["login", "--wallet", "--key-file", "wallet.key"]).ok();
    check_failure(
        &server,
        &["namespace", "use", "team"],
        2,
        expect![[r#"
        error: the sign-in of a wallet is for one namespace
        hint: sign in to this one: `orama login --wallet --key-file FILE --namespace team`
    "#]],
    );
}

#[test]
fn what_was_done_is_in_the_audit_log() {
    let server = Server::start();
    server.orama(["namespace", "create", "team"]).ok();
    server.orama(["function", "secrets", "set", "TOKEN", "of-no-use"]).ok();
    server.orama(["function", "secrets", "delete", "NOTHING", "--force"]);
    let said = server.orama_until(["audit", "--all"], |printed| printed.stdout.lines().count() == 4);
    let rows: Vec<String> = said.ok().lines().map(|line| without_actor(&clean_line(line))).collect();
    expect![[r#"
        TIME  NAMESPACE  ACTOR  ACTION  RESOURCE  FROM  OUTCOME
        TIME  default  ACTOR  namespace.create  team  127.0.0.1  ok
        TIME  default  ACTOR  secret.set  TOKEN  127.0.0.1  ok
        TIME  default  ACTOR  secret.delete  NOTHING  127.0.0.1  NOT_FOUND
    "#]]
    .assert_eq(&(rows.join("\n") + "\n"));
    assert!(!said.ok().contains("of-no-use"));
    let document: Value =
        serde_json::from_str(server.orama(["audit", "--action", "secret", "--limit", "1", "--json"]).ok())
            .expect("JSON");
    assert_eq!((&document["count"], &document["events"][0]["outcome"]), (&json!(1), &json!("NOT_FOUND")));
    assert_eq!(server.orama(["audit", "--action", "function"]).ok(), "");
    assert_eq!(server.orama(["audit", "--since", "yesterday"]).code, Some(2));
}

fn clean_line(line: &str) -> String {
    normalised(line).trim_end().to_owned()
}

/// The id of a key is new each time.
fn without_actor(line: &str) -> String {
    let cells = line.split("  ").map(|cell| if cell.starts_with("key:") { "ACTOR" } else { cell });
    cells.collect::<Vec<_>>().join("  ")
}
