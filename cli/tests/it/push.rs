//! Push through the binary: the verbs, the settings of a node and a namespace, and what is left of secrets.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Http, Server, Wallet, check, check_failure, clean, with_input};

const CANARY: &str = "c4n4ry-t0ken";

/// ntfy and Expo at one address: keeps what it was asked, and is content.
struct Providers {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Providers {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, asked) = (listener.local_addr().expect("bound"), Arc::new(Mutex::new(Vec::new())));
        let kept = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &kept);
            }
        });
        Self { address, asked }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The requests so far: the path, what was shown, the body.
    fn asked(&self) -> Vec<(String, String, Value)> {
        let asked = self.asked.lock().expect("no holder panics");
        let parts = |request: &String| {
            let (head, body) = request.split_once("\r\n\r\n").expect("a head");
            let shown = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
            let path = head.split(' ').nth(1).expect("a path");
            (path.to_owned(), shown.to_owned(), serde_json::from_str(body).expect("JSON"))
        };
        asked.iter().map(parts).collect()
    }
}

fn answer(mut stream: TcpStream, asked: &Mutex<Vec<String>>) {
    let Some(request) = read_request(&mut stream) else { return };
    let body = match request.contains("/--/api/v2/push/send") {
        true => r#"{"data":[{"status":"ok","id":"r1"}]}"#,
        false => r#"{"id":"1"}"#,
    };
    asked.lock().expect("no holder panics").push(request);
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    // A client that went away is none of our business.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn read_request(stream: &mut TcpStream) -> Option<String> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a length")) {
                return Some(text);
            }
        }
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// A server whose providers are here, with a default for ntfy.
fn serving(providers: &Providers) -> Server {
    let url = providers.url();
    let mut server = Server::prepared();
    let (url, token) = (OsStr::new(&url), OsStr::new("tk_0f_the_n0de"));
    server.set_environment([
        ("ORAMA_PUSH_NTFY_BASE_URL", url),
        ("ORAMA_PUSH_NTFY_AUTH_TOKEN", token),
        ("ORAMA_PUSH_EXPO_URL", url),
    ]);
    server.restart();
    server
}

/// Signs in as somebody who owns nothing, and registers a device.
fn register(server: &Server, wallet: &Wallet, device: Value) -> Http {
    let token = wallet.sign_in(&server.http().without_key(), "default");
    let user = Http::new(server.address(), token["access_token"].as_str());
    let reply = user.post("/v1/push/devices", device.to_string().as_bytes());
    assert_eq!(reply.status, 200, "{reply:?}");
    user
}

#[test]
fn settings_by_the_command_line() {
    let server = Server::start();
    check(
        &server,
        &["push", "config", "get"],
        expect![[r#"
            SETTING  VALUE
            apns_key_id  -
            apns_sandbox  false
            apns_team_id  -
            apns_topic  -
            apns_key_pem  -
            expo_access_token  -
            fcm_service_account  -
            ntfy_auth_token  -
            vapid_private_key  -
            ntfy_base_url  -
            providers
            updated_at  -
            vapid_public_key  -
            vapid_subject  -
        "#]],
    );
    let set = ["push", "config", "set", "--ntfy-base-url", "https://ntfy.example", "--expo-access-token", "-"];
    let printed = with_input(&server, &set, format!("{CANARY}\n").as_bytes());
    let said = clean(&server, &printed);
    assert!(said.contains("expo_access_token  (set)") && !said.contains(CANARY), "{said}");
    assert!(said.contains("providers  ntfy, expo"), "{said}");
    let subject = ["push", "config", "set", "--generate-vapid-key", "--vapid-subject", "mailto:ops@example.com"];
    let printed = server.orama(subject);
    assert!(printed.ok().contains("webpush"), "{printed:?}");
    check_failure(
        &server,
        &["push", "config", "set", "--generate-vapid-key"],
        1,
        expect![[r#"
            error: the namespace has a key for browsers already (CONFLICT)
            hint: set `replace`; every browser must subscribe anew then
        "#]],
    );
    fs::write(server.folder().join("key.p8"), CANARY).expect("written");
    check_failure(
        &server,
        &["push", "config", "set", "--apns-key", "key.p8"],
        1,
        expect![[r#"
            error: `apns_key_pem` must be the whole `.p8` file from Apple, with `-----BEGIN PRIVATE KEY-----` (VALIDATION_FAILED)
        "#]],
    );
    check_failure(
        &server,
        &["push", "config", "set", "--ntfy-base-url", "http://169.254.169.254/"],
        1,
        expect![[r#"
            error: `ntfy_base_url` must not be reached: only public addresses may, unless the operator permits others with `egress.private` and the namespace lists them in its `egress` (VALIDATION_FAILED)
        "#]],
    );
    check_failure(
        &server,
        &["push", "config", "set"],
        2,
        expect![[r#"
            error: nothing to set
            hint: name what to set, such as `--ntfy-base-url URL`; `--help` lists all
        "#]],
    );
    check(
        &server,
        &["push", "config", "clear", "--provider", "expo", "--force"],
        expect![[r#"
            cleared the settings of expo
        "#]],
    );
    let printed = server.orama(["push", "config", "get"]);
    assert!(printed.ok().contains("ntfy, webpush"), "{printed:?}");
    check(
        &server,
        &["push", "config", "clear", "--force"],
        expect![[r#"
            cleared the settings of push
        "#]],
    );
}

#[test]
fn a_message_reaches_a_device_by_the_settings_of_the_node_and_of_the_namespace() {
    let (providers, wallet) = (Providers::start(), Wallet::solana(3));
    let server = serving(&providers);
    let user = wallet.address();
    register(&server, &wallet, json!({ "device_id": "phone", "provider": "ntfy", "token": "alerts" }));
    let tablet =
        json!({ "device_id": "tablet", "provider": "expo", "token": "ExponentPushToken[1]", "platform": "ios" });
    register(&server, &wallet, tablet);
    let listed = server.orama(["push", "devices", "--user", &user]);
    let listed = clean(&server, &listed).replace(&user, "USER");
    assert!(listed.contains("phone  ntfy") && listed.contains("tablet  expo  ios"), "{listed}");

    let send = ["push", "send", &user, "--title", "Call", "--body", "from Ada", "--target-provider", "ntfy"];
    assert_eq!(server.orama(send).ok().trim_end(), format!("sent to 1 of 1 devices of {user}"));
    let server_said = |number: usize| providers.asked()[number].clone();
    let message = json!({ "topic": "alerts", "title": "Call", "message": "from Ada" });
    assert_eq!(server_said(0), ("/".to_owned(), "Bearer tk_0f_the_n0de".to_owned(), message));
    check_failure(
        &server,
        &["push", "send", &user, "--body", "x", "--target-provider", "expo"],
        1,
        expect![[r#"
            error: push is not configured; set `expo_access_token` for expo with `PUT /v1/push/config` (SERVICE_UNAVAILABLE)
            hint: `orama push config set` does it; the operator can set it for every namespace under `push` in orama.yaml
        "#]],
    );
    server.orama(["push", "config", "set", "--expo-access-token", CANARY]).ok();
    server.orama(["push", "send", &user, "--data", r#"{"a":1}"#, "--exclude-provider", "ntfy"]).ok();
    let (path, shown, body) = server_said(1);
    assert_eq!((path.as_str(), shown), ("/--/api/v2/push/send", format!("Bearer {CANARY}")));
    assert_eq!(body[0]["data"], json!({ "a": 1 }));
    check(
        &server,
        &["push", "send", "nobody", "--body", "x"],
        expect![[r#"
            warning: nobody has no device that could get it
        "#]],
    );
    check(
        &server,
        &["notify", &user, "--body", "x"],
        expect![[r#"
            pushed to 2 devices
        "#]],
    );
    let printed = server.orama(["notify", "somebody", "--body", "x", "--expires", "1h"]);
    assert!(printed.ok().starts_with("waits in the inbox until "), "{printed:?}");
}

#[test]
fn an_inbox_outlives_the_death_of_the_server() {
    let (mut server, wallet) = (Server::start(), Wallet::ethereum(3));
    server.orama(["notify", &wallet.address(), "--title", "Order 7"]).ok();
    server.kill();
    server.restart();
    let token = wallet.sign_in(&server.http().without_key(), "default");
    let user = Http::new(server.address(), token["access_token"].as_str());
    let inbox = user.get("/v1/inbox").json();
    assert_eq!((&inbox["count"], &inbox["messages"][0]["message"]), (&json!(1), &json!({ "title": "Order 7" })));
}

/// No byte of a credential in a log, in the files of the node, or in what anybody is told.
#[test]
fn no_secret_of_push_is_found_anywhere_afterwards() {
    let (providers, wallet) = (Providers::start(), Wallet::solana(3));
    let mut server = serving(&providers);
    register(&server, &wallet, json!({ "device_id": "tablet", "provider": "expo", "token": "ExponentPushToken[1]" }));
    let put = |body: Value| server.http().send("PUT", "/v1/push/config", &[], body.to_string().as_bytes());
    let good = json!({ "expo_access_token": CANARY, "ntfy_auth_token": CANARY });
    assert_eq!(put(good).status, 200);
    for wrong in [
        json!({ "apns_key_pem": CANARY }),
        json!({ "fcm_service_account": CANARY }),
        json!({ "fcm_server_key": CANARY }),
        json!({ "vapid_private_key": CANARY }),
        json!({ "ntfy_base_url": format!("https://user:{CANARY}@ntfy.example") }),
        json!({ "expo_access_token": format!("{CANARY}\n") }),
    ] {
        let reply = put(wrong);
        assert!(reply.status == 400 && !reply.body.contains(CANARY), "{reply:?}");
    }
    server.orama(["push", "send", &wallet.address(), "--body", "x"]).ok();
    assert_eq!(providers.asked().len(), 1, "it was used");
    for path in ["/v1/push/config", "/v1/functions/secrets", "/v1/audit?limit=1000", "/metrics"] {
        assert!(!server.http().get(path).body.contains(CANARY), "{path}");
    }
    let log = server.kill();
    assert!(!log.contains(CANARY) && !log.contains("tk_0f_the_n0de") && !log.contains("ExponentPushToken"), "{log}");
    assert!(clean_files(&server.data()) > 5, "there are files to look into");
}

/// How many files there are; none holds the canary.
fn clean_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let count = entries.map(|path| match path.is_dir() {
        true => clean_files(&path),
        false => {
            let bytes = fs::read(&path).expect("a file");
            assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{}", path.display());
            1
        }
    });
    count.sum()
}
