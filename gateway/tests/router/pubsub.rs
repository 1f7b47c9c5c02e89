//! Topics by HTTP: publishing, and listening by Server-Sent Events.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Caller, Scope, Scopes};
use expect_test::{Expect, expect};
use futures_util::FutureExt;
use gateway::Reply;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::support::{HISTORY, House, PEER, Seen, home, request, with_header, with_key};

const SSE: &str = "/v1/pubsub/sse?topic=t";

async fn publish(house: &House, topic: &str, data: &str) -> String {
    let seen = house.post("/v1/pubsub/publish", json!({ "topic": topic, "data_base64": STANDARD.encode(data) })).await;
    assert_eq!((seen.status.as_u16(), seen.text("status").as_str()), (200, "ok"), "{seen:?}");
    seen.text("position")
}

/// A stream of events, read as far as it goes.
struct Stream(Reply);

impl Stream {
    async fn open(house: &House, path: &str) -> Self {
        Self::ask(house, with_key(request(Method::GET, path, ""), &house.client)).await
    }

    async fn ask(house: &House, request: Request<gateway::RequestBody>) -> Self {
        let reply = house.gateway.handle(request, PEER.parse().expect("an address")).await;
        assert_eq!(reply.status(), 200);
        Self(reply)
    }

    /// What comes next, waited for.
    async fn next(&mut self) -> String {
        let frame = self.0.body_mut().frame().await.expect("it goes on").expect("it does not break off");
        String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text")
    }

    /// What is there now.
    fn ready(&mut self) -> Option<String> {
        self.next().now_or_never()
    }

    /// Does it end here?
    fn is_over(&mut self) -> bool {
        self.0.body_mut().frame().now_or_never().is_some_and(|frame| frame.is_none())
    }
}

/// The text without the numbers of this run: epochs become `E`, times `T`.
fn settled(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let digits = rest[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - start);
            let (number, behind) = (&rest[start..start + digits], &rest[start + digits..]);
            out.push_str(&rest[..start]);
            out.push_str(match () {
                () if number.len() == 13 => "T",
                () if number.len() > 8 && behind.starts_with('-') => "E",
                () => number,
            });
            rest = behind;
        }
        out.push_str(rest);
    }
    out
}

#[track_caller]
fn check(seen: &str, want: Expect) {
    want.assert_eq(&settled(seen));
}

#[tokio::test]
async fn a_message_reaches_who_listens() {
    let house = House::open().await;
    let mut stream = Stream::open(&house, SSE).await;
    let headers = stream.0.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(
        (headers["cache-control"].as_bytes(), headers["x-accel-buffering"].as_bytes()),
        (&b"no-store"[..], &b"no"[..])
    );
    assert_eq!(headers["access-control-allow-origin"], "*");
    check(
        &stream.next().await,
        expect![[r#"
        retry: 3000
        id: E-0

    "#]],
    );
    assert_eq!(stream.ready(), None);
    let position = publish(&house, "t", "hi").await;
    publish(&house, "other", "elsewhere").await;
    publish(&house, "t", r#"{"a":1}"#).await;
    let seen = stream.next().await;
    assert!(seen.starts_with(&format!("id: {position}\n")), "{seen}");
    check(
        &seen,
        expect![[r#"
        id: E-1
        data: {"data":"aGk=","timestamp":T,"topic":"t","position":"E-1"}

        id: E-2
        data: {"data":"eyJhIjoxfQ==","timestamp":T,"topic":"t","position":"E-2"}

    "#]],
    );
    assert_eq!(stream.ready(), None);
    drop(stream);
    assert_eq!(house.gateway.platform().metrics().pubsub.subscriptions, 0, "who goes has unsubscribed");
}

#[tokio::test]
async fn the_credential_may_stand_in_the_query_as_browsers_need_it() {
    let house = House::open().await;
    let path = format!("{SSE}&api_key={}", house.client);
    Stream::ask(&house, request(Method::GET, &path, "")).await.next().await;
    let asked = request(Method::OPTIONS, SSE, "");
    let asked = with_header(asked, "access-control-request-method", "GET");
    let seen = house.send(with_header(asked, "origin", "https://example.com")).await;
    assert!(seen.header("access-control-allow-headers").contains("Last-Event-ID"));
    let seen = house.client(Method::HEAD, SSE, "").await;
    assert_eq!((seen.status.as_u16(), seen.body.len()), (200, 0));
    assert_eq!(house.gateway.platform().metrics().pubsub.subscriptions, 0);
}

#[tokio::test]
async fn several_topics_share_a_stream() {
    let house = House::open().await;
    let mut stream = Stream::open(&house, "/v1/pubsub/sse?topic=a&topic=b%3A%221%22&topic=a").await;
    check(
        &stream.next().await,
        expect![[r#"
        retry: 3000
        id: E-0,E-0

    "#]],
    );
    publish(&house, "a", "1").await;
    publish(&house, "a", "2").await;
    publish(&house, "b:\"1\"", "3").await;
    let seen = stream.next().await;
    check(
        &seen,
        expect![[r#"
        id: E-1,E-0
        data: {"data":"MQ==","timestamp":T,"topic":"a","position":"E-1"}

        id: E-1,E-1
        data: {"data":"Mw==","timestamp":T,"topic":"b:\"1\"","position":"E-1"}

        id: E-2,E-1
        data: {"data":"Mg==","timestamp":T,"topic":"a","position":"E-2"}

    "#]],
    );
    // Whoever comes back with the id of the first of these events has missed the others.
    let id = seen.lines().next().and_then(|line| line.strip_prefix("id: ")).expect("an id");
    let mut again = Stream::open(&house, &format!("/v1/pubsub/sse?topic=a&topic=b%3A%221%22&after={id}")).await;
    let missed = again.next().await;
    assert_eq!(missed.matches("\ndata: ").count(), 2, "{missed}");
    assert!(missed.contains(r#""data":"Mg==""#) && missed.contains(r#""data":"Mw==""#), "{missed}");
}

#[tokio::test]
async fn who_comes_back_misses_nothing_or_is_told() {
    let house = House::open().await;
    let first = publish(&house, "t", "1").await;
    publish(&house, "t", "2").await;
    let back = |id: &str| with_header(with_key(request(Method::GET, SSE, ""), &house.client), "last-event-id", id);
    let mut stream = Stream::ask(&house, back(&first)).await;
    check(
        &stream.next().await,
        expect![[r#"
        retry: 3000
        id: E-1

        id: E-2
        data: {"data":"Mg==","timestamp":T,"topic":"t","position":"E-2"}

    "#]],
    );
    // The header is from now, the query from when the page was made.
    let last = first.replace("-1", "-2");
    let ask = with_key(request(Method::GET, &format!("{SSE}&after={first}"), ""), &house.client);
    let mut stream = Stream::ask(&house, with_header(ask, "last-event-id", &last)).await;
    check(
        &stream.next().await,
        expect![[r#"
        retry: 3000
        id: E-2

    "#]],
    );
    let mut last = String::new();
    for _ in 0..HISTORY {
        last = publish(&house, "t", "x").await;
    }
    for gone in [first.as_str(), "7-1"] {
        let mut stream = Stream::ask(&house, back(gone)).await;
        let told = format!("event: cannot_resume\ndata: {{\"after\":\"{gone}\",\"topic\":\"t\"}}\n\n");
        assert_eq!(stream.next().await, format!("retry: 3000\nid: {last}\n\n{told}"));
        last = publish(&house, "t", "y").await;
        assert!(stream.next().await.contains(r#""data":"eQ==""#), "it goes on with what comes");
    }
}

#[tokio::test]
async fn what_the_platform_says_is_bare() {
    let house = House::open().await;
    let mut stream = Stream::open(&house, SSE).await;
    stream.next().await;
    let caller = Caller::key("k", home(), Scopes::of([Scope::Pubsub]));
    let joined = house.gateway.platform().presence_join(&caller, &home(), "t", "ada", None).await.expect("joined");
    let mut seen = stream.next().await;
    while !seen.contains("presence.join") {
        seen = stream.next().await;
    }
    let data = seen.lines().filter_map(|line| line.strip_prefix("data: ")).find(|data| data.contains("presence.join"));
    let data: Value = serde_json::from_str(data.expect("an event with data")).expect("JSON");
    assert_eq!(data["member_id"], "ada");
    assert!(data.get("data").is_none() && data.get("position").is_none(), "{data}");
    drop(joined);
    // What others send never looks like it.
    publish(&house, "t", r#"{"type":"presence.leave","member_id":"ada"}"#).await;
    let mut seen = stream.next().await;
    while !seen.contains("\"position\"") {
        seen = stream.next().await;
    }
    assert!(seen.contains(r#"{"data":""#), "{seen}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_that_it_is_there() {
    let house = House::open().await;
    let mut stream = Stream::open(&house, SSE).await;
    stream.next().await;
    let begun = tokio::time::Instant::now();
    assert_eq!(stream.next().await, ": ping\n\n");
    let silent = begun.elapsed();
    assert!((Duration::from_secs(15)..=Duration::from_secs(30)).contains(&silent), "{silent:?}");
    assert_eq!(stream.next().await, ": ping\n\n");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_credential() {
    let house = House::open().await;
    let id = house.admin(Method::GET, "/v1/auth/keys", "").await.json();
    let id = id["keys"].as_array().and_then(|keys| keys.iter().find(|key| key["scopes"] == json!(["data"]))).cloned();
    let id = id.expect("the client's key is listed")["id"].as_str().expect("an id").to_owned();
    let token =
        house.send(with_key(request(Method::POST, "/v1/auth/token", ""), &house.client)).await.text("access_token");
    let mut by_key = Stream::open(&house, SSE).await;
    let mut by_token = Stream::ask(&house, request(Method::GET, &format!("{SSE}&token={token}"), "")).await;
    for stream in [&mut by_key, &mut by_token] {
        stream.next().await;
        assert_eq!(stream.next().await, ": ping\n\n");
    }
    house.clock.advance(Duration::from_secs(17 * 60));
    let unauthorized = "event: end\ndata: {\"reason\":\"unauthorized\"}\n\n";
    assert_eq!(by_token.next().await, unauthorized, "it has expired");
    assert!(by_token.is_over());
    assert_eq!(by_key.next().await, ": ping\n\n");
    house.admin(Method::DELETE, &format!("/v1/auth/keys/{id}"), "").await;
    // Also one that is never silent.
    let admin = |body: Value| house.admin(Method::POST, "/v1/pubsub/publish", body.to_string());
    let mut seen = String::new();
    while !seen.contains("event: end") {
        admin(json!({ "topic": "t", "data_base64": "eA==" })).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        seen = by_key.next().await;
    }
    assert!(seen.contains(unauthorized), "{seen}");
    assert!(by_key.is_over());
    assert_eq!(house.client(Method::GET, SSE, "").await.status, 401, "and nobody comes back with it");
}

#[tokio::test]
async fn who_does_not_read_is_told_where_to_go_on() {
    let house = House::open().await;
    let (mut stuck, mut reads) = (Stream::open(&house, SSE).await, Stream::open(&house, SSE).await);
    let id = stuck.next().await;
    reads.next().await;
    for _ in 0..=ports::SUBSCRIBER_MESSAGES_MAX {
        publish(&house, "t", "x").await;
        reads.next().await;
        house.clock.advance(Duration::from_millis(10));
    }
    assert_eq!(stuck.next().await, "event: end\ndata: {\"reason\":\"too_slow\"}\n\n");
    assert!(stuck.is_over());
    assert!(id.contains("id: "), "it has an id to come back with");
    publish(&house, "t", "x").await;
    assert!(reads.next().await.contains("-130\n"));
    let metrics = house.operator(Method::GET, "/metrics", "").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in [
        "orama_pubsub_published_total 130",
        "orama_pubsub_delivered_total 130",
        "orama_pubsub_subscriptions 1",
        "orama_pubsub_dropped_slow_total 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let house = House::open().await;
    let mut stream = Stream::open(&house, SSE).await;
    stream.next().await;
    house.gateway.platform().close(Duration::from_secs(1)).await;
    assert_eq!(stream.next().await, "event: end\ndata: {\"reason\":\"closed\"}\n\n");
    assert!(stream.is_over());
}

fn refusal(seen: &Seen) -> String {
    format!("{} {}: {}\n", seen.status.as_u16(), seen.code(), seen.text("message"))
}

#[tokio::test]
async fn what_cannot_be_listened_to_is_refused() {
    let house = House::open().await;
    let topics: String = (0..33).map(|number| format!("&topic={number}")).collect();
    let mut all = String::new();
    for query in [
        "",
        "topic=",
        "topic=%ff",
        "topic=a%00b",
        &format!("topic={}", "t".repeat(257)),
        &topics,
        "topic=t&after=x",
        "topic=t&after=1-2,3-4",
        "topic=t&topic=u&after=1-2",
        "topic=t&after=1-99999999999999999999",
    ] {
        all.push_str(&refusal(&house.client(Method::GET, &format!("/v1/pubsub/sse?{query}"), "").await));
    }
    expect![[r#"
        400 VALIDATION_FAILED: missing 'topic'
        400 VALIDATION_FAILED: the topic is empty; use 1 to 256 bytes, such as `orders:new`
        400 VALIDATION_FAILED: `topic` has an escape that is not UTF-8 text
        400 VALIDATION_FAILED: the topic contains the control character '\0'
        400 VALIDATION_FAILED: the topic is 257 bytes long, the limit is 256
        400 VALIDATION_FAILED: 33 topics are too many, the limit is 32
        400 VALIDATION_FAILED: "x" is no position; send back what a message had, such as `1767225600000-42`
        400 VALIDATION_FAILED: `Last-Event-ID` or `after` must have a position for each topic, with commas between
        400 VALIDATION_FAILED: `Last-Event-ID` or `after` must have a position for each topic, with commas between
        400 VALIDATION_FAILED: "1-99999999999999999999" is no position; send back what a message had, such as `1767225600000-42`
    "#]]
    .assert_eq(&all);
    assert_eq!(house.gateway.platform().metrics().pubsub.subscriptions, 0);
}

#[tokio::test]
async fn what_cannot_be_published_is_refused() {
    let house = House::open().await;
    let base64 = |text: &str| STANDARD.encode(text);
    let mut all = String::new();
    for body in [
        String::new(),
        "[]".to_owned(),
        r#"{"topic":"t"}"#.to_owned(),
        r#"{"topic":"t","data_base64":""}"#.to_owned(),
        r#"{"topic":"","data_base64":"eA=="}"#.to_owned(),
        r#"{"topic":7,"data_base64":"eA=="}"#.to_owned(),
        r#"{"topic":"t","data_base64":"x!"}"#.to_owned(),
        r#"{"topic":"t","data_base64":"eA"}"#.to_owned(),
        r#"{"topic":"t","data_base64":"eA==","trigger_depth":0}"#.to_owned(),
        r#"{"topic":"a\tb","data_base64":"eA=="}"#.to_owned(),
        json!({ "topic": "t".repeat(257), "data_base64": "eA==" }).to_string(),
        json!({ "topic": "t", "data_base64": base64(r#"{"_orama":"ephemeral.set","key":"k"}"#) }).to_string(),
        json!({ "topic": "t", "data_base64": base64(r#"{"a":1,"__orama":"auth.refresh"}"#) }).to_string(),
        json!({ "topic": "t", "data_base64": base64("{\"\\u005forama\":1}") }).to_string(),
        json!({ "topic": "t", "data_base64": base64(&"x".repeat(ports::MESSAGE_BYTES_MAX + 1)) }).to_string(),
        json!({ "topic": "t", "data_base64": base64(&"x".repeat(ports::MESSAGE_BYTES_MAX + 65_536)) }).to_string(),
    ] {
        all.push_str(&refusal(&house.client(Method::POST, "/v1/pubsub/publish", body).await));
    }
    expect![[r#"
        400 VALIDATION_FAILED: invalid body: expected {topic,data_base64}
        400 VALIDATION_FAILED: the body must be a JSON object
        400 VALIDATION_FAILED: invalid body: expected {topic,data_base64}
        400 VALIDATION_FAILED: invalid body: expected {topic,data_base64}
        400 VALIDATION_FAILED: invalid body: expected {topic,data_base64}
        400 VALIDATION_FAILED: `topic` must be a text
        400 VALIDATION_FAILED: `data_base64` is not base64
        400 VALIDATION_FAILED: `data_base64` is not base64
        400 VALIDATION_FAILED: unknown field `trigger_depth`; known are `topic`, `data_base64`
        400 VALIDATION_FAILED: the topic contains the control character '\t'
        400 VALIDATION_FAILED: the topic is 257 bytes long, the limit is 256
        400 VALIDATION_FAILED: a message that is a JSON object must not have a field `_orama` or `__orama`
        400 VALIDATION_FAILED: a message that is a JSON object must not have a field `_orama` or `__orama`
        400 VALIDATION_FAILED: a message that is a JSON object must not have a field `_orama` or `__orama`
        413 PAYLOAD_TOO_LARGE: the message is 1048577 bytes, the limit is 1048576
        413 PAYLOAD_TOO_LARGE: the body has 1485514 bytes or more, the limit is 1463636
    "#]]
    .assert_eq(&all);
    let largest = "x".repeat(ports::MESSAGE_BYTES_MAX);
    publish(&house, &"t".repeat(256), &largest).await;
    assert_eq!(house.gateway.platform().metrics().pubsub.published, 1);
}

#[tokio::test]
async fn a_batch_is_published_whole_or_not_at_all() {
    let house = House::open().await;
    let message = |topic: &str, data: &str| json!({ "topic": topic, "data_base64": STANDARD.encode(data) });
    let batch = async |messages: Value| house.post("/v1/pubsub/publish-batch", json!({ "messages": messages })).await;
    let seen = batch(json!([message("t", "a"), message("u", "b"), message("t", "c")])).await;
    assert_eq!((seen.status.as_u16(), seen.text("status").as_str()), (200, "ok"));
    let positions = seen.json()["positions"].as_array().cloned().unwrap_or_default();
    let numbers: Vec<_> = positions.iter().filter_map(|position| position.as_str()?.rsplit('-').next()).collect();
    assert_eq!(numbers, ["1", "1", "2"]);
    let mut all = String::new();
    for messages in [
        json!([]),
        json!("t"),
        json!([1]),
        json!(vec![message("t", "x"); 101]),
        json!([message("t", "x"), { "topic": "t" }]),
        json!([message("t", "x"), message("", "x")]),
        json!([message("t", "x"), { "topic": "t", "data_base64": "!" }]),
        json!([message("t", "x"), { "topic": "t", "data_base64": "eA==", "depth": 1 }]),
        json!([message("t", "x"), message("a\u{7f}", "x")]),
        json!([message("t", "x"), message("t", r#"{"_orama":1}"#)]),
        json!([message("t", "x"), message("t", &"x".repeat(ports::MESSAGE_BYTES_MAX + 1))]),
    ] {
        all.push_str(&refusal(&batch(messages).await));
    }
    expect![[r#"
        400 VALIDATION_FAILED: invalid body: expected {messages:[{topic,data_base64}]} with 1 to 100 messages
        400 VALIDATION_FAILED: `messages` must be a list of objects
        400 VALIDATION_FAILED: `messages` must be a list of objects
        400 VALIDATION_FAILED: invalid body: expected {messages:[{topic,data_base64}]} with 1 to 100 messages
        400 VALIDATION_FAILED: message 2 of the batch: invalid body: expected {topic,data_base64}
        400 VALIDATION_FAILED: message 2 of the batch: invalid body: expected {topic,data_base64}
        400 VALIDATION_FAILED: message 2 of the batch: `data_base64` is not base64
        400 VALIDATION_FAILED: message 2 of the batch: unknown field `depth`; known are `topic`, `data_base64`
        400 VALIDATION_FAILED: message 2 of the batch: the topic contains the control character '\u{7f}'
        400 VALIDATION_FAILED: message 2 of the batch: a message that is a JSON object must not have a field `_orama` or `__orama`
        413 PAYLOAD_TOO_LARGE: message 2 of the batch: the message is 1048577 bytes, the limit is 1048576
    "#]]
    .assert_eq(&all);
    assert_eq!(house.gateway.platform().metrics().pubsub.published, 3, "nothing of a batch that is refused");
    let large = vec![message("t", &"x".repeat(ports::MESSAGE_BYTES_MAX)); 12];
    assert_eq!(batch(json!(large)).await.status, 413, "16 MiB are enough");
}

#[tokio::test]
async fn what_can_be_published_of_a_batch_is() {
    let house = House::open().await;
    let good = json!({ "topic": "t", "data_base64": "eA==" });
    let messages =
        json!([good, { "topic": "t", "data_base64": "!" }, { "topic": "a\nb", "data_base64": "eA==" }, good]);
    let seen = house.post("/v1/pubsub/publish-batch", json!({ "messages": messages, "best_effort": true })).await;
    check(
        &seen.snapshot(),
        expect![[r#"
        200
        {
          "failed": [
            {
              "code": "VALIDATION_FAILED",
              "index": 1,
              "message": "`data_base64` is not base64"
            },
            {
              "code": "VALIDATION_FAILED",
              "index": 2,
              "message": "the topic contains the control character '\\n'"
            }
          ],
          "positions": [
            "E-1",
            null,
            null,
            "E-2"
          ],
          "status": "partial"
        }
    "#]],
    );
    let seen = house.post("/v1/pubsub/publish-batch", json!({ "messages": [good], "best_effort": true })).await;
    assert_eq!((seen.text("status").as_str(), &seen.json()["failed"]), ("ok", &json!([])));
}

#[tokio::test]
async fn topics_are_listed_with_who_listens() {
    let house = House::open().await;
    let empty = house.client(Method::GET, "/v1/pubsub/topics", "").await.json();
    assert_eq!(empty, json!({ "topics": [], "details": [], "count": 0 }));
    publish(&house, "b", "x").await;
    let _stream = Stream::open(&house, "/v1/pubsub/sse?topic=a").await;
    check(
        &house.client(Method::GET, "/v1/pubsub/topics", "").await.snapshot(),
        expect![[r#"
        200
        {
          "count": 2,
          "details": [
            {
              "history": 0,
              "position": "E-0",
              "subscribers": 1,
              "topic": "a"
            },
            {
              "history": 1,
              "position": "E-1",
              "subscribers": 0,
              "topic": "b"
            }
          ],
          "topics": [
            "a",
            "b"
          ]
        }
    "#]],
    );
}

/// A scope of its own for clients that shall do nothing else.
#[tokio::test]
async fn a_key_for_topics_alone_reaches_nothing_else() {
    let house = House::open().await;
    let key = json!({ "name": "chat", "scopes": ["pubsub"] }).to_string();
    let key = house.admin(Method::POST, "/v1/auth/keys", key).await.text("key");
    let ask = async |method: Method, path: &str, body: Value| {
        house.send(with_key(request(method, path, body.to_string()), &key)).await.status.as_u16()
    };
    assert_eq!(ask(Method::POST, "/v1/pubsub/publish", json!({ "topic": "t", "data_base64": "eA==" })).await, 200);
    assert_eq!(ask(Method::GET, "/v1/pubsub/topics", Value::Null).await, 200);
    assert_eq!(ask(Method::POST, "/v1/cache/get", json!({ "dmap": "m", "key": "k" })).await, 403);
    assert_eq!(ask(Method::GET, "/v1/functions", Value::Null).await, 403);
}
