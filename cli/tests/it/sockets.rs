//! WebSockets of the real binary: with functions that run, through stops and crashes, and what they cost.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::support::{PATIENCE, Server, fixture};

struct Client(WebSocket<TcpStream>);

impl Client {
    fn open(server: &Server, path: &str) -> Self {
        let sign = if path.contains('?') { '&' } else { '?' };
        let host = server.address().replace("http://", "ws://");
        let stream = server.http().connect().expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let address = format!("{host}{path}{sign}api_key={}", server.admin_key());
        Self(tungstenite::client(&address, stream).expect("the server speaks WebSocket").0)
    }

    fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("the server reads");
    }

    fn hear(&mut self) -> Message {
        loop {
            match self.0.read().expect("a frame comes") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    fn ask(&mut self, text: &str) -> String {
        self.say(text);
        self.hear().into_text().expect("text").to_string()
    }

    fn ask_json(&mut self, text: &str) -> Value {
        serde_json::from_str(&self.ask(text)).expect("JSON")
    }

    /// Code and reason of the goodbye, and then the end of the connection.
    fn goodbye(&mut self) -> (u16, String) {
        let Message::Close(Some(frame)) = self.hear() else { panic!("not a goodbye") };
        let said = (frame.code.into(), frame.reason.to_string());
        while self.0.read().is_ok() {}
        said
    }

    fn leave(mut self) {
        self.0.close(None).expect("it is open");
        while self.0.read().is_ok() {}
    }
}

/// A server with the fixture `socket` as a function with an instance for each socket.
fn server() -> Server {
    let server = Server::start();
    deploy(&server, json!({}));
    server
}

fn deploy(server: &Server, more: Value) {
    let mut metadata = json!({ "name": "socket", "ws_persistent": true, "timeout_seconds": 1 });
    for (field, value) in more.as_object().expect("fields") {
        metadata[field] = value.clone();
    }
    server.deploy("socket", &fixture("socket"), [("metadata", &metadata.to_string())]);
}

const SOCKET: &str = "/v1/functions/socket/ws";

/// What the calls of the function have logged, newest first.
fn logged(server: &Server, calls: usize) -> Vec<String> {
    let lines = |record: &Value| record["wasm_logs"].as_array().cloned().unwrap_or_default();
    let all = server.records("socket", calls).iter().flat_map(lines).collect::<Vec<_>>();
    all.iter().map(|line| line["message"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn an_instance_lives_as_long_as_its_socket() {
    let server = server();
    let mut client = Client::open(&server, SOCKET);
    let mut other = Client::open(&server, SOCKET);
    assert_eq!(client.ask("hello"), "hello");
    assert_eq!(client.ask("wallet"), "default");
    client.say("count");
    let numbers = client.hear().into_data();
    let numbers: Vec<u32> = numbers.chunks(4).map(|four| u32::from_le_bytes(four.try_into().expect("four"))).collect();
    assert_eq!(numbers[..3], [1, 3, 0], "started once, three frames, every buffer given back");
    assert_eq!(other.ask("hi"), "hi");
    client.say("bye");
    assert_eq!(client.goodbye(), (1000, "closed by the function".to_owned()));
    other.leave();
    // Two beginnings, five frames, two ends.
    let said = logged(&server, 9);
    assert_eq!(said.iter().filter(|line| *line == "client_disconnect").count(), 2, "{said:?}");
    let opened: Vec<Value> = said.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(opened.len(), 2, "{said:?}");
    assert_eq!((&opened[0]["namespace"], &opened[0]["wallet"]), (&json!("default"), &json!("default")));
    assert!(!opened[0].to_string().contains(server.admin_key()), "{opened:?}");
}

#[test]
fn an_instance_that_fails_ends_its_socket_and_no_other() {
    let server = server();
    let mut steady = Client::open(&server, SOCKET);
    assert_eq!(steady.ask("hello"), "hello");
    for (frame, why) in [("trap", "a trap"), ("loop", "no end"), ("memory", "too much memory")] {
        let mut client = Client::open(&server, SOCKET);
        client.say(frame);
        assert_eq!(client.goodbye(), (1011, "handler_error".to_owned()), "{why}");
    }
    assert_eq!(steady.ask("hello"), "hello");
    steady.leave();
}

#[test]
fn a_message_is_a_call_that_knows_its_socket() {
    let server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    server.deploy("who", &fixture("get_ws_client_id"), []);
    let reply = Client::open(&server, "/v1/functions/echo/ws").ask_json(r#"{"a":1}"#);
    assert_eq!((&reply["status"], &reply["output"]), (&json!("success"), &json!({ "a": 1 })));
    let mut client = Client::open(&server, "/v1/functions/who/ws");
    let said = client.ask("");
    // It is listed from before its first message on; the one before may be listed still.
    let listed = server.http().get("/v1/serverless/ws/connections").json();
    let connections = listed["connections"].as_array().expect("a list");
    let who = connections.iter().find(|one| one["function"] == "who").expect("it is listed");
    assert!(said.contains(who["client_id"].as_str().expect("an id")), "{said} {listed}");
    client.leave();
}

#[test]
fn a_stop_says_goodbye_to_clients_and_instances() {
    let mut server = server();
    let mut talking = Client::open(&server, SOCKET);
    assert_eq!(talking.ask("hello"), "hello");
    let mut listening = Client::open(&server, "/v1/pubsub/ws?topic=t");
    server.terminate();
    for client in [&mut talking, &mut listening] {
        assert_eq!(client.goodbye(), (1012, "server restarting, reconnect".to_owned()));
    }
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    server.assert_calm(&log);
    server.restart();
    let said = logged(&server, 3);
    assert!(said.contains(&"server_shutdown".to_owned()), "{said:?}");
}

#[test]
fn nobody_is_present_after_a_crash() {
    let mut server = server();
    let presence = |server: &Server| server.http().get("/v1/pubsub/presence?topic=room").json()["count"].clone();
    let present = Client::open(&server, "/v1/pubsub/ws?topic=room&presence=true&member_id=ada");
    let held = Client::open(&server, SOCKET);
    assert_eq!(presence(&server), 1);
    server.kill();
    server.restart();
    assert_eq!(presence(&server), 0);
    assert_eq!(server.http().get("/v1/serverless/ws/connections").json()["count"], 0);
    drop((present, held));
}

#[test]
fn a_credential_in_the_address_is_in_no_log() {
    let mut server = Server::prepared();
    server.set_environment([("ORAMA_LOG_LEVEL", OsStr::new("trace"))]);
    server.restart();
    deploy(&server, json!({}));
    let mut listening = Client::open(&server, "/v1/pubsub/ws?topic=t");
    listening.say("hello");
    listening.hear();
    assert_eq!(Client::open(&server, SOCKET).ask("hello"), "hello");
    let secret = server.admin_key().to_owned();
    let log = server.kill();
    assert!(!log.is_empty() && !log.contains(&secret), "{log}");
}

#[test]
fn the_limit_of_descriptors_is_as_high_as_it_may_be() {
    let server = Server::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("a process has limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("one of them");
    let values: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(values[0], values[1], "{line}");
}

/// A bound that leaves room for noise: `bench` has the numbers.
#[test]
fn an_idle_socket_costs_little_and_leaves_nothing() {
    let mut server = Server::prepared();
    server.set_environment([("ORAMA_LIMITS_CONNECTIONS_PER_ADDRESS_MAX", OsStr::new("5000"))]);
    server.restart();
    let open = |count: usize| -> Vec<Client> {
        (0..count).map(|number| Client::open(&server, &format!("/v1/pubsub/ws?topic=idle-{}", number % 50))).collect()
    };
    // What comes with the first ones is no cost of each.
    drop(open(200));
    settled(&server);
    let (before, descriptors) = (resident_bytes(&server), descriptors(&server));
    let count = 1500;
    let clients = open(count);
    let each = resident_bytes(&server).saturating_sub(before) / count;
    assert!(each < 16 << 10, "{each} bytes for each of {count} sockets");
    drop(clients);
    settled(&server);
    // The server opens and closes files of its own meanwhile.
    let left = self::descriptors(&server).saturating_sub(descriptors);
    assert!(left < 20, "{left} descriptors are left of {count}");
}

fn resident_bytes(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("a process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

fn descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("a process has descriptors").count()
}

/// Waits until every socket is gone.
fn settled(server: &Server) {
    let deadline = Instant::now() + PATIENCE;
    let none = r#"orama_websockets_open{kind="topic"} 0"#;
    while !server.http().get("/metrics").body.lines().any(|line| line == none) {
        assert!(Instant::now() < deadline, "sockets stay open");
        // The pause of a poll.
        std::thread::sleep(Duration::from_millis(10));
    }
}
