//! HTTP through the engine: nothing lost on the way in or out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{HttpHead, Level};
use futures_util::StreamExt;
use ports::{Body, BoxError, Call, Engine, Observed, Piece};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::bench::{Bench, Function, failure, head, lines, next, whole};

/// Answers with the body that it got, and says in a header what else it saw.
const ECHO: &str = "
export default {
  async fetch(request) {
    const seen = [request.method, request.url, [...request.headers]];
    const body = new Uint8Array(await request.arrayBuffer());
    return new Response(body, { status: 299, headers: { seen: btoa(JSON.stringify(seen)) } });
  },
};";

/// The same numbers every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// Of headers that workerd itself has in a table, such as `accept` and `cookie`, it drops empty values: those are not among these.
fn generated(numbers: &mut Numbers) -> (HttpHead, Vec<u8>) {
    let method = numbers.one_of(&["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"]);
    let path =
        numbers.one_of(&["/", "/a/b", "/%41%2f%20%C3%BC", "//two//slashes", "/dots.../x", "/;p=1,2@:!$&'()*+", "/a%"]);
    let query = numbers.one_of(&["", "?", "?a=1&a=2", "?q=%00%26&&=", "?a=/?:@", "?%F0%9F%98%80"]);
    let mut headers = vec![("host", "guest.test:8080")];
    for _ in 0..numbers.below(6) {
        headers.push((
            numbers.one_of(&["x-one", "x-two", "x-three", "x-oyster-signature", "orama-call", "x-call", "x-empty"]),
            numbers.one_of(&["1", "a, b", "", "tab\tinside", "quote\"d; x=y", "2"]),
        ));
    }
    let bytes = match numbers.below(5) {
        0 => 0,
        1 => 1,
        2 => 300_000,
        _ => numbers.below(2000),
    };
    let body = if method == "GET" { Vec::new() } else { (0..bytes).map(|_| numbers.below(256) as u8).collect() };
    (head(method, &format!("{path}{query}"), &headers), body)
}

/// Whole, or in a few pieces.
fn body_of(bytes: &[u8], numbers: &mut Numbers) -> Body {
    if bytes.is_empty() || numbers.below(2) == 0 {
        return Body::Whole(Bytes::copy_from_slice(bytes));
    }
    let size = bytes.len().div_ceil(1 + numbers.below(4));
    let pieces: Vec<Result<Piece, BoxError>> =
        bytes.chunks(size).map(|piece| Ok(Piece::Data(Bytes::copy_from_slice(piece)))).collect();
    Body::Stream(Box::pin(futures_util::stream::iter(pieces)))
}

/// The headers as JavaScript shows them: names in order, values of one name joined.
fn shown(head: &HttpHead) -> Vec<(String, String)> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut shown: Vec<(String, String)> = Vec::new();
    for (name, value) in &head.headers {
        match shown.iter_mut().find(|(known, _)| *known == text(name)) {
            Some((_, values)) => *values += &format!(", {}", text(value)),
            None => shown.push((text(name), text(value))),
        }
    }
    shown.sort();
    shown
}

#[tokio::test]
async fn two_hundred_requests_arrive_as_they_were_sent() {
    let bench = Bench::new();
    let function = bench.deploy("echo", ECHO.as_bytes(), "").await;
    let mut numbers = Numbers(5);
    for round in 0..200 {
        let (head, sent) = generated(&mut numbers);
        let body = body_of(&sent, &mut numbers);
        let answer = function.exchange(head.clone(), body).await.expect("an answer");
        let (status, headers, body, _) = whole(answer).await;
        assert_eq!((status, body.len(), body == sent), (299, sent.len(), true), "{round}: {head:?}");
        let seen = headers.iter().find(|(name, _)| name == "seen").map(|(_, seen)| STANDARD.decode(seen));
        let seen = seen.expect("what it saw").expect("base64");
        let (method, url, mut headers): (String, String, Vec<(String, String)>) =
            serde_json::from_slice(&seen).expect("JSON");
        headers.retain(|(name, _)| name != "content-length");
        assert_eq!((method, url), (head.method.clone(), format!("http://guest.test:8080{}", head.target)), "{round}");
        assert_eq!(headers, shown(&head), "{round}");
    }
}

#[tokio::test]
async fn replies_come_back_as_they_were_made() {
    let bench = Bench::new();
    let code = "
      export default {
        fetch(request) {
          const path = new URL(request.url).pathname;
          if (path === '/cookies') {
            const headers = new Headers([['set-cookie', 'a=1'], ['set-cookie', 'b=2; Path=/'], ['x-One', 'Zwei']]);
            return new Response('body', { status: 418, headers });
          }
          if (path === '/many') {
            const headers = new Headers();
            for (let n = 0; n < 400; n++) headers.append('x-' + n, 'v'.repeat(50));
            return new Response('many', { headers });
          }
          if (path === '/huge') return new Response('', { headers: { 'x-huge': 'v'.repeat(300000) } });
          if (path === '/none') return new Response(null, { status: 204 });
          if (path === '/stay') return new Response(null, { status: 304, headers: { etag: '\"1\"' } });
          if (path === '/head') return new Response('seven b', { headers: { 'x-a': 'b' } });
          if (path === '/signed') return new Response('mine', { headers: { 'x-oyster-signature': 'forged' } });
          return new Response(new Uint8Array([0, 255, 1]), { status: 599 });
        },
      };";
    let function = bench.deploy("replies", code.as_bytes(), "").await;
    let has = |headers: &[(String, String)], name: &str| -> Vec<String> {
        headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    };
    let (status, headers, body, _) = function.get("/cookies").await;
    assert_eq!((status, &body[..]), (418, &b"body"[..]));
    assert_eq!(has(&headers, "set-cookie"), ["a=1", "b=2; Path=/"]);
    assert_eq!(has(&headers, "x-one"), ["Zwei"]);
    let (_, headers, _, _) = function.get("/many").await;
    assert_eq!(headers.iter().filter(|(name, value)| name.starts_with("x-") && value.len() == 50).count(), 400);
    let huge = function.exchange(head("GET", "/huge", &[("host", "a")]), Body::empty()).await;
    assert!(failure(huge).starts_with("FUNCTION_EXECUTION_FAILED Some(OutputLimit): the head of the reply is larger"));
    let (status, _, body, _) = function.get("/none").await;
    assert_eq!((status, body.len()), (204, 0));
    let (status, headers, body, _) = function.get("/stay").await;
    assert_eq!((status, body.len(), has(&headers, "etag")), (304, 0, vec!["\"1\"".to_owned()]));
    let (status, headers, _, _) = function.get("/signed").await;
    assert_eq!(
        (status, has(&headers, "x-oyster-signature")),
        (200, vec!["forged".to_owned()]),
        "the gateway overwrites it"
    );
    assert_eq!(&function.get("/").await.2[..], [0, 255, 1]);
    let asked = function.exchange(head("HEAD", "/head", &[("host", "a")]), Body::empty()).await.expect("an answer");
    let (status, headers, body, _) = whole(asked).await;
    assert_eq!((status, body.len(), has(&headers, "x-a")), (200, 0, vec!["b".to_owned()]));
    assert!(has(&headers, "connection").is_empty() && has(&headers, "transfer-encoding").is_empty());
}

#[tokio::test]
async fn a_piece_arrives_before_the_next_is_sent() {
    let bench = Bench::new();
    let code = "export default { fetch(request) { return new Response(request.body); } };";
    let function = bench.deploy("stream", code.as_bytes(), "").await;
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let pieces = futures_util::stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((Ok(Piece::Data(piece)), receiver))
    });
    let asked = head("POST", "/", &[("host", "a")]);
    let sent = tokio::spawn({
        let function = function.clone();
        async move { function.exchange(asked, Body::Stream(Box::pin(pieces))).await }
    });
    sender.send("one".into()).await.expect("sent");
    let answer = sent.await.expect("no panic").expect("an answer");
    let Body::Stream(mut body) = answer.body else { panic!("the body is not streamed") };
    assert_eq!(next(&mut body).await, "one");
    sender.send("two".into()).await.expect("sent");
    assert_eq!(next(&mut body).await, "two");
    drop(sender);
    assert!(body.next().await.is_none());
    answer.end.await.expect("the call ends");
}

#[tokio::test]
async fn a_websocket_goes_both_ways() {
    let mut bench = Bench::new();
    bench.services.secrets = std::sync::Arc::new(ports::memory::MemorySecrets::of(&[("KEY", b"of the house")]));
    let code = "
      export default {
        fetch(request, env) {
          const [client, server] = Object.values(new WebSocketPair());
          server.accept();
          server.addEventListener('message', async ({ data }) => {
            console.log('got', data);
            // Past the deadline of a call: the socket lives on, and each thing that it asks has the time of a call.
            await new Promise(resolve => setTimeout(resolve, 1500));
            server.send(`${data} ${await env.ORAMA.secrets.get('KEY')}`);
          });
          return new Response(null, { status: 101, webSocket: client });
        },
      };";
    let function = bench.deploy("socket", code.as_bytes(), "timeout: 1").await;
    let asked = head(
        "GET",
        "/",
        &[
            ("host", "a"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ],
    );
    let answer = function.exchange(asked, Body::empty()).await.expect("an answer");
    assert_eq!(answer.head.status, 101);
    // The example of RFC 6455, 1.3.
    let accepted = (Bytes::from("sec-websocket-accept"), Bytes::from("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(answer.head.headers.contains(&accepted), "{:?}", answer.head);
    let mut socket = answer.upgraded.expect("a connection");
    socket.write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]).await.expect("sent");
    let want = [&[0x81, 15][..], b"hi of the house"].concat();
    let mut got = vec![0; want.len()];
    socket.read_exact(&mut got).await.expect("a frame");
    assert_eq!(got, want);
    drop(socket);
    let ended = answer.end.await.expect("the call ends");
    assert_eq!(lines(&ended.logs), ["info got hi"]);
}

const FAULTS: &str = "
export default {
  async fetch(request, env, context) {
    const path = new URL(request.url).pathname;
    const what = path === '/' ? (await request.text()) : path.slice(1);
    console.log('asked', what, { n: 1n, list: [1] });
    console.warn('careful'); console.error(new Error('shown')); console.debug('fine');
    if (what === 'throw') throw new TypeError('boom');
    if (what === 'hang') await new Promise(() => {});
    if (what === 'own') return new Response('Internal Server Error', { status: 500 });
    if (what === 'odd') return 'no response';
    if (what === 'endless') return new Response(new ReadableStream({ pull(to) { to.enqueue(new Uint8Array(65536)); } }));
    if (what === 'late') {
      context.waitUntil((async () => {
        await new Promise(resolve => setTimeout(resolve, 100));
        await env.ORAMA.cache.set('late', 'done');
        console.log('later');
      })());
    }
    return new Response('ok');
  },
};";

#[tokio::test]
async fn exceptions_fail_a_call_and_are_a_reply_by_http() {
    let bench = Bench::new();
    let function = bench.deploy("faults", FAULTS.as_bytes(), "").await;
    let threw = function.invoke("throw").await;
    let logged = lines(&threw.as_ref().expect_err("it fails").ended.logs);
    let message = failure(threw);
    assert!(
        message.starts_with("FUNCTION_EXECUTION_FAILED Some(Trap): the worker threw: TypeError: boom\n    at "),
        "{message}"
    );
    assert!(message.contains("index.js:8:") && !message.contains("__orama"), "{message}");
    assert_eq!(logged.len(), 5, "{logged:?}");
    assert_eq!(logged[..2], ["info asked throw {\"n\":\"1\",\"list\":[1]}", "warn careful"]);
    assert!(logged[2].starts_with("error Error: shown") && logged[3] == "debug fine", "{logged:?}");
    assert!(logged[4].starts_with("error TypeError: boom"), "{logged:?}");
    assert!(failure(function.invoke("hang").await).contains("gave no reply of its own"));
    assert!(failure(function.invoke("odd").await).contains("Some(Trap): the worker threw: TypeError"));
    assert!(failure(function.invoke("endless").await).contains("the reply is larger than 8 MiB"));
    // Its own words are its own, whatever they are.
    let own = function.invoke("own").await.expect("a reply");
    assert_eq!((own.head.expect("a head").status, &own.body[..]), (500, &b"Internal Server Error"[..]));

    let (status, _, body, ended) = function.get("/throw").await;
    assert_eq!((status, &body[..]), (500, &b"Internal Server Error"[..]));
    assert!(ended.logs.iter().any(|line| line.level == Level::Error && line.message.contains("boom")));
    let fault = ended.fault.expect("it is known for a failure");
    assert!(fault.message.starts_with("the worker threw: TypeError: boom"), "{fault:?}");
    let http = Some(std::sync::Arc::new(head("GET", "/throw", &[("host", "a")])));
    let call = Call { context: function.context("ada"), http, input: Bytes::new(), observed: Observed::default() };
    let reply = function.engine.invoke(call, function.services.clone()).await.expect("a reply");
    assert_eq!(reply.head.expect("a head").status, 500);
}

#[tokio::test]
async fn work_behind_the_reply_belongs_to_the_call() {
    let bench = Bench::new();
    let function = bench.deploy("late", FAULTS.as_bytes(), "").await;
    let (status, _, body, ended) = function.get("/late").await;
    assert_eq!((status, &body[..]), (200, &b"ok"[..]));
    assert_eq!(lines(&ended.logs).last().map(String::as_str), Some("info later"));
    assert!(ended.usage.memory_peak_bytes > 20 << 20, "{:?}", ended.usage);
}

#[tokio::test]
async fn a_reply_that_nobody_reads_ends() {
    let bench = Bench::new();
    let function = bench.deploy("endless", FAULTS.as_bytes(), "").await;
    let answer = function.exchange(head("GET", "/endless", &[("host", "a")]), Body::empty()).await.expect("an answer");
    let Body::Stream(mut body) = answer.body else { panic!("the body is not streamed") };
    body.next().await.expect("a piece").expect("bytes");
    drop(body);
    answer.end.await.expect_err("nobody read it to its end");
    assert_eq!(function.get("/").await.0, 200, "the process goes on");
}

#[tokio::test]
async fn what_workerd_adds_is_not_shown() {
    let bench = Bench::new();
    let code = "
      export default {
        async fetch(request, env) {
          const inner = await import('cloudflare:workers').then(module => Object.keys(module.env), () => []);
          return Response.json([request.cf ?? null, [...request.headers.keys()], Object.keys(env), env.NAME, inner]);
        },
      };";
    let function: Function = bench.deploy("facts", code.as_bytes(), "env: {NAME: value}").await;
    let (_, _, body, _) = function.get("/").await;
    assert_eq!(
        String::from_utf8_lossy(&body),
        r#"[null,["host"],["NAME","ORAMA"],"value",["host","variables"]]"#,
        "the binding that `inner` shows refuses whoever has no token"
    );
}

/// At old dates a request has properties of its own, at newer ones its prototype has them, which the flag makes the same.
#[tokio::test]
async fn nothing_of_ours_is_in_a_request_at_any_date() {
    const CURIOUS: &str = "
        export default {
          async fetch(request, env) {
            const again = [request.clone(), new Request(request.url, request)];
            env.ORAMA.log.info('known');
            return Response.json({
              facts: [request, ...again].map(each => each.cf ?? null),
              same: request.headers === request.headers,
              names: [request, ...again].map(each => [...each.headers.keys()].join()),
              cut: request.headers.get('transfer-encoding'),
              body: await request.text(),
            });
          },
        };";
    let bench = Bench::new();
    for date in ["2021-06-01", "2023-03-07", "2026-11-01"] {
        let function = bench.deploy("curious", CURIOUS.as_bytes(), &format!("compatibility_date: '{date}'")).await;
        for pieces in [1, 2] {
            let piece = || Ok::<_, BoxError>(Piece::Data(Bytes::from_static(b"x")));
            let body = match pieces {
                1 => Body::Whole(Bytes::from_static(b"x")),
                _ => Body::Stream(Box::pin(futures_util::stream::iter([piece(), piece()]))),
            };
            let names = if pieces == 1 { ["content-length,host"; 3] } else { ["host"; 3] };
            let answer = function.exchange(head("POST", "/", &[("host", "a")]), body).await.expect("answered");
            let (_, _, bytes, ended) = whole(answer).await;
            let seen: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
            let want = serde_json::json!({
                "facts": [null, null, null], "same": true, "names": names, "cut": null, "body": "x".repeat(pieces),
            });
            assert_eq!(seen, want, "{date}, {pieces}");
            assert_eq!(lines(&ended.logs), ["info known"], "{date}");
        }
    }
}

#[tokio::test]
async fn a_worker_knows_the_scheme_that_its_client_used() {
    let bench = Bench::new();
    let code = "export default { fetch(request) { return new Response(request.url + [...request.headers.keys()]); } };";
    let function = bench.deploy("scheme", code.as_bytes(), "").await;
    for (is_secure, want) in [(true, "https://a/x?yhost"), (false, "http://a/x?yhost")] {
        let answer = function.exchange_by(is_secure, head("GET", "/x?y", &[("host", "a")]), Body::empty()).await;
        assert_eq!(whole(answer.expect("answered")).await.2, want);
    }
}

/// workerd closes a connection whose request was not read; its reply stands all the same, and whoever sends the rest is let go.
#[tokio::test]
async fn a_reply_to_a_body_that_nobody_reads_is_not_lost() {
    let bench = Bench::new();
    let code = "export default { fetch() { return new Response('early'); } };";
    let function = bench.deploy("early", code.as_bytes(), "timeout: 20").await;
    for _ in 0..20 {
        let (sender, pieces) = mpsc::channel::<Result<Piece, BoxError>>(1);
        let sending = tokio::spawn(async move {
            let piece = Bytes::from(vec![0; 64 << 10]);
            while sender.send(Ok(Piece::Data(piece.clone()))).await.is_ok() {}
        });
        let body = Body::Stream(Box::pin(futures_util::stream::unfold(pieces, |mut pieces| async {
            pieces.recv().await.map(|piece| (piece, pieces))
        })));
        let answer = function.exchange(head("POST", "/", &[("host", "a")]), body).await.expect("answered");
        assert_eq!(whole(answer).await.2, "early");
        // Ends, although the body never would.
        sending.await.expect("sent in vain");
    }
}

/// Its reply is complete, its code is not done, and what it was sent lies unread before the next request.
#[tokio::test]
async fn nobody_waits_behind_a_call_that_leaves_its_request_unread() {
    const LATE: &str = "const { readable, writable } = new FixedLengthStream(5); const writer = writable.getWriter();
      ctx.waitUntil((async () => { await writer.write(new TextEncoder().encode('abcd\\n')); await new Promise(() => {}); })());
      return new Response(readable);";
    let code = format!(
        "export default {{ async fetch(request, env, ctx) {{
          if (request.method === 'GET') return new Response('ok');
          {LATE} }} }};"
    );
    let bench = Bench::new();
    let function = bench.deploy("late", code.as_bytes(), "timeout: 5").await;
    let streamed = |size| {
        let piece: Result<Piece, BoxError> = Ok(Piece::Data(Bytes::from(vec![b'x'; size])));
        Body::Stream(Box::pin(futures_util::stream::iter([piece])))
    };
    let whole = |size| Body::Whole(Bytes::from(vec![b'x'; size]));
    for body in [whole(10), whole(60 << 10), streamed(10), streamed(100 << 10)] {
        let asked = format!("{body:?}");
        let answer = function.exchange(head("POST", "/", &[("host", "a")]), body).await.expect("a reply");
        assert_eq!(answer.body.read_whole(5).await.expect("all of it"), "abcd\n");
        for _ in 0..3 {
            let (status, _, body, _) = function.get("/").await;
            assert_eq!((status, &body[..]), (200, &b"ok"[..]), "{asked}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_body_of_a_request_is_not_the_fault_of_the_worker() {
    let bench = Bench::new();
    let function = bench.deploy("echo", ECHO.as_bytes(), "").await;
    let told = domain::Error::new(domain::ErrorCode::Timeout, "the body arrived too slowly");
    for (cause, want) in [
        (BoxError::from(told), "TIMEOUT None: the body arrived too slowly"),
        ("cut".into(), "VALIDATION_FAILED None: the body ended before it was complete"),
    ] {
        let pieces = [Ok(Piece::Data(Bytes::from_static(b"begun"))), Err(cause)];
        let body = Body::Stream(Box::pin(futures_util::stream::iter(pieces)));
        assert_eq!(failure(function.exchange(head("POST", "/", &[("host", "a")]), body).await), want);
    }
}

#[tokio::test]
async fn what_cannot_be_shown_is_logged_all_the_same() {
    const ODD: &str = "
        export default {
          async fetch(request, env, ctx) {
            console.table([1]); console.assert(false, 'no'); console.assert(true, 'yes');
            console.log({ get broken() { throw new Error('never'); } });
            Promise.reject(new Error('nobody cares'));
            await new Promise(resolve => setTimeout(resolve, 10));
            const error = new Error('odd');
            Object.defineProperty(error, 'stack', { get() { throw new Error('hidden'); } });
            throw error;
          },
        };";
    let bench = Bench::new();
    let function = bench.deploy("odd", ODD.as_bytes(), "").await;
    let failed = function.invoke("").await.expect_err("it throws");
    let logged = lines(&failed.ended.logs);
    assert_eq!(logged[..3], ["info [1]", "error assertion failed no", "info [object Object]"], "{logged:?}");
    assert!(logged[3].starts_with("error unhandled rejection: Error: nobody cares"), "{logged:?}");
    assert_eq!(logged[4], "error Error: odd", "{logged:?}");
    assert_eq!(failed.error.message, "the worker threw: Error: odd");
}
