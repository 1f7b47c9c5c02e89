//! Topics from outside: the verbs, Server-Sent Events over real connections, and what both do when a server stops or dies.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Http, Printed, Server, check, check_failure, with_input};

/// A stream of events over a connection of its own.
struct Listener {
    stream: BufReader<TcpStream>,
    /// What came and was not read yet.
    text: String,
    id: String,
}

/// An event; a message has no name.
#[derive(Debug)]
struct Event {
    name: String,
    data: Value,
}

impl Listener {
    fn open(http: &Http, query: &str, last_id: Option<&str>) -> Self {
        let headers: Vec<(&str, &str)> = last_id.map(|id| ("last-event-id", id)).into_iter().collect();
        let exchange = http.open("GET", &format!("/v1/pubsub/sse?{query}"), &headers, b"").expect("sent");
        let mut stream = BufReader::new(exchange.stream);
        let mut line = String::new();
        stream.read_line(&mut line).expect("a status line");
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).expect("a header");
        }
        let mut listener = Self { stream, text: String::new(), id: String::new() };
        while listener.id.is_empty() {
            assert!(listener.read_piece(), "it begins with an id");
            let begin = listener.text.split("\n\n").next().unwrap_or_default().to_owned();
            listener.id = begin.lines().find_map(|line| line.strip_prefix("id: ")).unwrap_or_default().to_owned();
        }
        listener
    }

    /// False at the end of the stream.
    fn read_piece(&mut self) -> bool {
        let mut size = String::new();
        self.stream.read_line(&mut size).expect("the size of a chunk");
        let size = usize::from_str_radix(size.trim(), 16).expect("a number");
        let mut piece = vec![0; size + 2];
        self.stream.read_exact(&mut piece).expect("a whole chunk");
        self.text.push_str(std::str::from_utf8(&piece[..size]).expect("pieces end with an event"));
        size > 0
    }

    /// The next event, waited for; `None` at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        loop {
            let Some((block, rest)) = self.text.split_once("\n\n") else {
                if !self.read_piece() {
                    return None;
                }
                continue;
            };
            let (block, rest) = (block.to_owned(), rest.to_owned());
            self.text = rest;
            let field = |wanted: &str| block.lines().find_map(|line| line.strip_prefix(wanted));
            if let Some(id) = field("id: ") {
                self.id = id.to_owned();
            }
            if let Some(data) = field("data: ") {
                let data = serde_json::from_str(data).expect("events carry JSON");
                return Some(Event { name: field("event: ").unwrap_or_default().to_owned(), data });
            }
        }
    }

    fn next_text(&mut self) -> String {
        let event = self.next().expect("it goes on");
        assert_eq!(event.name, "", "{event:?}");
        text_of(&event.data)
    }
}

fn text_of(message: &Value) -> String {
    let bytes = STANDARD.decode(message["data"].as_str().expect("a text")).expect("base64");
    String::from_utf8(bytes).expect("text")
}

fn publish(http: &Http, topic: &str, data: &[u8]) -> String {
    let body = json!({ "topic": topic, "data_base64": STANDARD.encode(data) });
    let reply = http.post("/v1/pubsub/publish", body.to_string().as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["position"].as_str().expect("a position").to_owned()
}

/// A subscriber that runs, and has begun to listen.
struct Subscriber(std::process::Child);

impl Subscriber {
    fn start(server: &Server, arguments: &[&str]) -> Self {
        let mut command = server.command(&server.folder());
        command.args(["pubsub", "subscribe"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the binary starts");
        let stderr = process.stderr.as_mut().expect("a pipe");
        let mut said = String::new();
        while !said.ends_with('\n') {
            let mut byte = [0];
            stderr.read_exact(&mut byte).expect("it says that it listens");
            said.push(byte[0].into());
        }
        assert!(said.starts_with("listening to "), "{said}");
        Self(process)
    }

    fn finish(self) -> Printed {
        self.0.wait_with_output().expect("it ends").into()
    }
}

#[test]
fn what_is_published_is_printed() {
    let server = Server::start();
    check(
        &server,
        &["pubsub", "topics"],
        expect![[r#"
        no topic is in use
    "#]],
    );
    let text = Subscriber::start(&server, &["room:1", "--count", "3"]);
    let json = Subscriber::start(&server, &["room:1", "room:2", "--count", "4", "--json"]);
    let said = server.orama(["pubsub", "publish", "room:1", "hello\u{1b}[2J\nthere"]);
    assert!(said.stderr.starts_with("published on room:1 at ") && said.ok().is_empty(), "{said:?}");
    with_input(&server, &["pubsub", "publish", "room:1", "-"], b"from stdin").ok();
    let file = server.folder().join("binary");
    fs::write(&file, [0xff, 0]).expect("written");
    server.orama(["pubsub", "publish", "room:1", "--file", "binary"]).ok();
    let document: Value =
        serde_json::from_str(server.orama(["pubsub", "publish", "room:2", "{}", "--json"]).ok()).expect("JSON");
    assert_eq!(document["status"], "ok");
    expect![[r#"
        hello\x1b[2J\nthere
        from stdin
        (base64) /wA=
    "#]]
    .assert_eq(text.finish().ok());
    let printed = json.finish();
    let documents: Vec<Value> =
        printed.ok().lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect();
    let data: Vec<_> = documents.iter().map(|document| (&document["topic"], &document["data"])).collect();
    assert_eq!(data[1], (&json!("room:1"), &json!("from stdin")));
    assert_eq!(data[3], (&json!("room:2"), &json!("{}")));
    assert_eq!(documents[2]["data_base64"], "/wA=");

    // From behind the first, as long as it is kept.
    let after = documents[0]["position"].as_str().expect("a position");
    let again = server.orama(["pubsub", "subscribe", "room:1", "--after", after, "--count", "2"]);
    assert_eq!(again.ok(), "from stdin\n(base64) /wA=\n");
    let listed = server.orama(["pubsub", "topics"]);
    let listed: Vec<Vec<&str>> = listed.ok().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(listed[0], ["TOPIC", "SUBSCRIBERS", "HISTORY", "POSITION"]);
    assert_eq!((&listed[1][..3], &listed[2][..3]), (&["room:1", "0", "3"][..], &["room:2", "0", "1"][..]));
}

#[test]
fn what_cannot_be_published_or_listened_to_is_said() {
    let server = Server::start();
    check_failure(
        &server,
        &["pubsub", "publish", "t", ""],
        2,
        expect![[r#"
        error: the message is empty
        hint: give some data, or `-` to read it from stdin
    "#]],
    );
    check_failure(
        &server,
        &["pubsub", "publish", "t", "{\"_orama\":\"ephemeral.set\"}"],
        1,
        expect![[r#"
        error: a message that is a JSON object must not have a field `_orama` or `__orama` (VALIDATION_FAILED)
        hint: these mark what the platform itself says; use another name
    "#]],
    );
    check_failure(
        &server,
        &["pubsub", "publish", "a\tb", "x"],
        1,
        expect![[r#"
        error: the topic contains the control character '\t' (VALIDATION_FAILED)
    "#]],
    );
    check_failure(
        &server,
        &["pubsub", "subscribe", "a\tb"],
        1,
        expect![[r#"
        error: the topic contains the control character '\t' (VALIDATION_FAILED)
    "#]],
    );
    check_failure(
        &server,
        &["pubsub", "subscribe", "t", "u", "--after", "7-1"],
        1,
        expect![[r#"
        error: `Last-Event-ID` or `after` must have a position for each topic, with commas between (VALIDATION_FAILED)
    "#]],
    );
    for wrong in [
        &["publish", "t"][..],
        &["subscribe"],
        &["subscribe", "t", "--after", "x"],
        &["subscribe", "t", "--count", "0"],
    ] {
        assert_eq!(server.orama([&["pubsub"], wrong].concat()).code, Some(2), "{wrong:?}");
    }
    let missing = server.orama(["pubsub", "publish", "t", "--file", "missing"]);
    assert!(missing.code == Some(1) && missing.stderr.contains("failed to read `missing`"), "{missing:?}");
}

#[test]
fn who_comes_back_to_a_server_that_was_killed_is_told_what_it_missed() {
    let mut server = Server::start();
    let mut listener = Listener::open(&server.http(), "topic=t", None);
    publish(&server.http(), "t", b"before");
    assert_eq!(listener.next_text(), "before");
    server.kill();
    server.restart();
    let id = listener.id.clone();
    let mut listener = Listener::open(&server.http(), "topic=t", Some(&id));
    let told = listener.next().expect("it goes on");
    assert_eq!((told.name.as_str(), told.data), ("cannot_resume", json!({ "topic": "t", "after": id })));
    publish(&server.http(), "t", b"after");
    assert_eq!(listener.next_text(), "after");
}

#[test]
fn a_server_that_stops_says_goodbye_and_waits_for_nobody() {
    let mut server = Server::start();
    let mut listener = Listener::open(&server.http(), "topic=t", None);
    server.terminate();
    let told = listener.next().expect("it says why");
    assert_eq!((told.name.as_str(), told.data), ("end", json!({ "reason": "closed" })));
    assert!(listener.next().is_none());
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("before their requests ended"), "{log}");
}

#[test]
fn deleting_a_namespace_ends_its_streams() {
    let server = Server::start();
    server.orama(["namespace", "create", "abroad"]).ok();
    let key = server.orama(["auth", "keys", "create", "--name", "k", "--scope", "pubsub", "--namespace", "abroad"]);
    let key = key.ok().split_whitespace().find(|word| word.starts_with("ak_")).expect("a key").to_owned();
    let theirs = Http::new(server.address(), Some(&key));
    let (mut there, mut here) =
        (Listener::open(&theirs, "topic=t", None), Listener::open(&server.http(), "topic=t", None));
    publish(&theirs, "t", b"theirs");
    assert_eq!(there.next_text(), "theirs");
    server.orama(["namespace", "delete", "abroad", "--force"]).ok();
    assert_eq!(there.next().expect("it says why").data, json!({ "reason": "closed" }));
    publish(&server.http(), "t", b"ours");
    assert_eq!(here.next_text(), "ours", "a topic of the same name elsewhere goes on, and heard nothing");
}

/// A client that takes nothing is dropped; one that reads gets everything meanwhile, and so does the first when it comes back.
#[test]
fn a_stuck_client_costs_the_others_nothing() {
    const MESSAGES: usize = 300;
    const IN_FLIGHT: usize = 8;
    let server = Server::start();
    let http = server.http();
    let stuck = Listener::open(&http, "topic=t", None);
    let mut reads = Listener::open(&http, "topic=t", None);
    let (seen, turns) = mpsc::channel();
    let reader = thread::spawn(move || {
        for number in 0..MESSAGES {
            let text = reads.next_text();
            assert!(text.starts_with(&format!("{number} ")), "{number}");
            // Nobody listens any more when the last were sent.
            let _ = seen.send(());
        }
    });
    for number in 0..MESSAGES {
        if number >= IN_FLIGHT {
            turns.recv().expect("it reads on");
        }
        publish(&http, "t", format!("{number} {}", "x".repeat(100_000)).as_bytes());
    }
    reader.join().expect("it got everything in order");
    let metrics = http.get("/metrics").body;
    assert!(metrics.contains("orama_pubsub_dropped_slow_total 1\n"), "{metrics}");
    assert!(metrics.contains(&format!("orama_pubsub_published_total {MESSAGES}\n")), "{metrics}");
    drop(stuck);
}

/// Many on many topics, by HTTP. Whoever is dropped on a busy machine comes back where it was.
#[test]
fn under_load_nothing_is_missing_double_or_out_of_order() {
    const TOPICS: usize = 10;
    const LISTENERS: usize = 50;
    const PUBLISHERS: usize = 4;
    const ROUNDS: usize = 25;
    let server = Server::start();
    let listen = |number: usize| {
        let (http, query) = (server.http(), format!("topic={}", number % TOPICS));
        let first = Listener::open(&http, &query, None);
        move || follow(&http, &query, first, PUBLISHERS * ROUNDS * 10)
    };
    let listeners: Vec<_> = (0..LISTENERS).map(|number| thread::spawn(listen(number))).collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let http = server.http();
            thread::spawn(move || (0..ROUNDS).for_each(|round| publish_round(&http, publisher, round, TOPICS)))
        })
        .collect();
    publishers.into_iter().for_each(|publisher| publisher.join().expect("it published everything"));
    for listener in listeners {
        let seen = listener.join().expect("it got everything");
        for publisher in 0..PUBLISHERS {
            let own: Vec<&String> = seen.iter().filter(|text| text.starts_with(&format!("{publisher} "))).collect();
            let want: Vec<String> = (0..ROUNDS * 10).map(|number| format!("{publisher} {number}")).collect();
            assert!(own.iter().copied().eq(&want), "of publisher {publisher}: {own:?}");
        }
    }
}

/// Ten messages for each topic, in one batch.
fn publish_round(http: &Http, publisher: usize, round: usize, topics: usize) {
    let message = |(number, topic): (usize, usize)| {
        let data = STANDARD.encode(format!("{publisher} {}", round * 10 + number));
        json!({ "topic": topic.to_string(), "data_base64": data })
    };
    let all = (0..10).flat_map(|number| (0..topics).map(move |topic| (number, topic)));
    let body = json!({ "messages": all.map(message).collect::<Vec<_>>() });
    let reply = http.post("/v1/pubsub/publish-batch", body.to_string().as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.body);
}

fn follow(http: &Http, query: &str, first: Listener, expected: usize) -> Vec<String> {
    let (mut listener, mut seen) = (first, Vec::with_capacity(expected));
    while seen.len() < expected {
        match listener.next() {
            Some(event) if event.name.is_empty() => seen.push(text_of(&event.data)),
            Some(event) => assert_eq!(event.data, json!({ "reason": "too_slow" }), "nothing else may happen"),
            None => {
                let id = listener.id.clone();
                listener = Listener::open(http, query, Some(&id));
            }
        }
    }
    seen
}
