//! The edge with real sockets: slow, broken and hostile clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway::{EdgeConfig, Gateway, GatewayConfig, bind, serve};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ports::Storage;
use ports::memory::Script;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use support::{Form, House, with_key};

mod support;

/// Short enough to wait for, long enough for everything else.
const SHORT: Duration = Duration::from_millis(200);
/// Nothing here may take this long.
const GUARD: Duration = Duration::from_secs(30);

struct Server {
    house: House,
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(EdgeConfig::default()).await
    }

    async fn start_with(edge: EdgeConfig) -> Self {
        let house = House::open_with(GatewayConfig { edge, ..GatewayConfig::default() }).await;
        house.deploy("echo", &Script::Echo.code(), &[("is_public", "true")]).await;
        house.deploy("block", &Script::Block.code(), &[("is_public", "true")]).await;
        let mut bound = bind("127.0.0.1:0".parse().expect("an address"), 1).expect("a free port");
        let listener = bound.listeners.pop().expect("one shard");
        let listener = TcpListener::from_std(listener).expect("it is not blocking");
        let shutdown = CancellationToken::new();
        let gateway: Arc<Gateway> = house.gateway.clone();
        let serving = tokio::spawn(serve(listener, gateway, shutdown.clone()));
        Self { house, address: bound.address, shutdown, serving }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.expect("the server accepts"))
    }

    /// Everything the server says to `bytes`, until it closes.
    async fn says(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.rest().await
    }
}

struct Client(TcpStream);

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("the server reads");
    }

    /// Everything up to the end of the connection, a reset included.
    async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = async { while self.0.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {} };
        tokio::time::timeout(GUARD, read).await.expect("the server closes");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// One reply, by its `content-length`.
    async fn reply(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = async {
            loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    let length: usize = length.and_then(|length| length.parse().ok()).expect("a length");
                    if body.len() >= length {
                        return text;
                    }
                }
                assert!(self.0.read_buf(&mut bytes).await.expect("a reply") > 0, "closed after {text:?}");
            }
        };
        tokio::time::timeout(GUARD, read).await.expect("the server answers")
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

#[track_caller]
fn refused(reply: &str, status: u16) {
    assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
    assert!(reply.contains("x-request-id: ") && reply.contains(r#""ok":false"#), "{reply}");
}

#[tokio::test]
async fn connections_that_say_nothing_or_half_a_head_are_closed() {
    let edge = EdgeConfig { first_byte: SHORT, header: SHORT, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    for half in ["", "G", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost: a\r\nx-slow"] {
        assert_eq!(server.says(half).await, "", "{half:?}");
    }
    // The second head of a connection has the same time.
    let mut client = server.connect().await;
    client.send(get("/health")).await;
    assert!(client.reply().await.starts_with("HTTP/1.1 200"));
    client.send("GET / HT").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_drip_of_header_bytes_does_not_buy_time() {
    let edge = EdgeConfig { header: SHORT, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    let (mut reading, mut writing) = server.connect().await.0.into_split();
    let dripping = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        writing.write_all(b"GET / HTTP/1.1\r\nx: ").await?;
        loop {
            pace.tick().await;
            writing.write_all(b"x").await?;
        }
        #[expect(unreachable_code, reason = "names the type of the loop's error")]
        Ok::<(), std::io::Error>(())
    });
    let mut bytes = Vec::new();
    let closed = tokio::time::timeout(GUARD, reading.read_buf(&mut bytes)).await.expect("the server closes");
    assert!(closed.is_ok_and(|count| count == 0) || bytes.is_empty());
    dripping.abort();
}

#[tokio::test]
async fn a_connection_may_rest_between_requests_but_not_for_ever() {
    let edge = EdgeConfig { keep_alive: SHORT, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    let mut client = server.connect().await;
    for _ in 0..5 {
        client.send(get("/health")).await;
        assert!(client.reply().await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn requests_that_two_servers_could_read_differently_are_refused() {
    let server = Server::start().await;
    let post = "POST /v1/invoke/default/echo HTTP/1.1\r\n";
    for head in [
        "host: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "host: a\r\ntransfer-encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "host: a\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab",
        "content-length: 0\r\n\r\n",
        "host: a\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        "host: a b\r\ncontent-length: 0\r\n\r\n",
    ] {
        refused(&server.says(format!("{post}{head}")).await, 400);
        // Behind a good request in the same packet.
        let both = server.says(format!("{post}host: a\r\ncontent-length: 2\r\n\r\n{{}}{post}{head}")).await;
        let (first, second) = both.split_at(both.rfind("HTTP/1.1 ").expect("two replies"));
        assert!(first.starts_with("HTTP/1.1 200"), "{both}");
        refused(second, 400);
    }
    refused(&server.says("GET http://b/health HTTP/1.1\r\nhost: a\r\n\r\n").await, 400);
}

#[tokio::test]
async fn what_the_parser_refuses_is_refused() {
    let server = Server::start().await;
    let post = "POST /v1/invoke/default/echo HTTP/1.1\r\nhost: a\r\n";
    for tail in [
        "content-length: +2\r\n\r\nab",
        "content-length: 0x2\r\n\r\nab",
        "content-length: -1\r\n\r\n",
        "content-length: 2, 2\r\n\r\nab",
        "content-length: 2\r\ncontent-length: 3\r\n\r\nabc",
        "transfer-encoding: xchunked\r\n\r\n",
        "transfer-encoding: chunked, identity\r\n\r\n",
        "transfer-encoding : chunked\r\n\r\n",
        "x: a\r\n folded\r\n\r\n",
        "x: a\0b\r\n\r\n",
    ] {
        refused(&server.says(format!("{post}{tail}")).await, 400);
    }
    // Behind one that was good.
    let mut client = server.connect().await;
    client.send(get("/health")).await;
    assert!(client.reply().await.starts_with("HTTP/1.1 200 "));
    client.send("no request\r\n\r\n").await;
    let said = client.rest().await;
    refused(&said, 400);
    assert!(said.contains("\r\ndate: ") && said.contains("\r\nconnection: close\r\n"), "{said}");
    for chunks in ["zz\r\n", "fffffffffffffffff\r\n", "-1\r\n"] {
        let reply = server.says(format!("{post}transfer-encoding: chunked\r\n\r\n{chunks}")).await;
        assert!(reply.starts_with("HTTP/1.1 400 ") || reply.is_empty(), "{chunks:?}: {reply}");
    }
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = Server::start().await;
    refused(&server.says(get(&format!("/{}", "a".repeat(9000)))).await, 414);
    let large = format!("GET /health HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(66_000));
    refused(&server.says(large).await, 431);
    let huge = format!("GET /health HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(600_000));
    refused(&server.says(huge).await, 431);
    let many: String = (0..101).map(|number| format!("x-{number}: 1\r\n")).collect();
    refused(&server.says(format!("GET /health HTTP/1.1\r\nhost: a\r\n{many}\r\n")).await, 431);
    refused(&server.says(get(&format!("/{}", "a".repeat(70_000)))).await, 414);
}

#[tokio::test]
async fn slow_bodies_are_cut() {
    let edge = EdgeConfig { body_idle: SHORT, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    let head = "POST /v1/invoke/default/echo HTTP/1.1\r\nhost: a\r\n";
    refused(&server.says(format!("{head}content-length: 10\r\n\r\nabc")).await, 408);
    refused(&server.says(format!("{head}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")).await, 408);
    let form = "POST /v1/functions HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\n";
    let key = &server.house.admin;
    refused(&server.says(format!("{form}x-api-key: {key}\r\ncontent-length: 99\r\n\r\n--b\r\n")).await, 408);
    let slow = server.says(format!("{}content-length: 99\r\n\r\n{FORM_BEGIN}slow", upload_head(&server))).await;
    refused(&slow, 408);
    assert!(server.house.content.list().await.expect("memory lists").is_empty());
}

/// The beginning of a form with a file.
const FORM_BEGIN: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";

fn upload_head(server: &Server) -> String {
    let key = &server.house.client;
    format!(
        "POST /v1/storage/upload HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\nx-api-key: {key}\r\n"
    )
}

#[tokio::test]
async fn an_upload_that_is_cut_stores_nothing() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(format!("{}content-length: 9999999\r\n\r\n{FORM_BEGIN}", upload_head(&server))).await;
    client.send(vec![b'x'; 1 << 20]).await;
    client.0.shutdown().await.expect("it is open");
    let reply = client.rest().await;
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert!(server.house.content.list().await.expect("memory lists").is_empty());
    // Whole, it is stored.
    let form = format!("{FORM_BEGIN}whole\r\n--b--\r\n");
    let whole = format!("{}connection: close\r\ncontent-length: {}\r\n\r\n{form}", upload_head(&server), form.len());
    assert!(server.says(whole).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(server.house.content.list().await.expect("memory lists").len(), 1);
}

#[tokio::test]
async fn a_download_lasts_as_long_as_the_client_reads() {
    // Shorter than the download by far, each of them.
    let edge = EdgeConfig { keep_alive: SHORT, write: SHORT, body_idle: SHORT, header: SHORT, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    // More than sockets hold.
    let bytes = vec![b'x'; 24 << 20];
    let form = Form::default().file("file", &bytes).post("/v1/storage/upload");
    let cid = server.house.send(with_key(form, &server.house.client)).await.text("cid");
    let key = &server.house.client;
    let mut client = server.connect().await;
    client.send(format!("GET /v1/storage/get/{cid} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n")).await;
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    let (mut taken, mut piece) = (0, vec![0; 256 << 10]);
    let taking = async {
        while taken < bytes.len() {
            pace.tick().await;
            match client.0.read(&mut piece).await.expect("the server goes on") {
                0 => break,
                count => taken += count,
            }
        }
    };
    tokio::time::timeout(GUARD, taking).await.expect("it ends");
    assert!(taken >= bytes.len(), "{taken}");
    // At rest, the connection is closed like any other.
    client.rest().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_a_download_is_dropped() {
    let edge = EdgeConfig { write: SHORT, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    let form = Form::default().file("file", &vec![b'x'; 24 << 20]).post("/v1/storage/upload");
    let cid = server.house.send(with_key(form, &server.house.client)).await.text("cid");
    let key = &server.house.client;
    let client = server.connect().await;
    let (reading, mut writing) = client.0.into_split();
    let get = format!("GET /v1/storage/get/{cid} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n");
    writing.write_all(get.as_bytes()).await.expect("the server reads");
    // It closes although we neither read nor go away; then writing fails.
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let endless = async {
        loop {
            pace.tick().await;
            if writing.write_all(b"x").await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(GUARD, endless).await.expect("the server gives up");
    drop(reading);
}

#[tokio::test]
async fn a_client_that_takes_a_download_in_drops_is_dropped() {
    // More a second than a client can take that rests after every piece; no rest is as long as a write may wait.
    let edge = EdgeConfig { write: SHORT, write_bytes_per_second_min: 64 << 20, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    let form = Form::default().file("file", &vec![b'x'; 24 << 20]).post("/v1/storage/upload");
    let cid = server.house.send(with_key(form, &server.house.client)).await.text("cid");
    let key = &server.house.client;
    let mut client = server.connect().await;
    client.send(format!("GET /v1/storage/get/{cid} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n")).await;
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let (mut taken, mut piece) = (0, vec![0; 128 << 10]);
    let taking = async {
        loop {
            pace.tick().await;
            match client.0.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(count) => taken += count,
            }
        }
    };
    tokio::time::timeout(GUARD, taking).await.expect("the server gives up");
    assert!(taken < 24 << 20, "{taken}");
}

/// A body that goes on in such pieces is answered with 408.
async fn check_dripping(edge: EdgeConfig, piece: &'static [u8]) {
    let server = Server::start_with(edge).await;
    let (mut reading, mut writing) = server.connect().await.0.into_split();
    let dripping = tokio::spawn(async move {
        let head = b"POST /v1/invoke/default/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let mut sent = writing.write_all(head).await;
        while sent.is_ok() {
            pace.tick().await;
            sent = writing.write_all(piece).await;
        }
    });
    let mut bytes = Vec::new();
    let read = async { while reading.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {} };
    tokio::time::timeout(GUARD, read).await.expect("the server closes");
    refused(&String::from_utf8_lossy(&bytes), 408);
    dripping.abort();
}

#[tokio::test]
async fn a_body_that_keeps_its_pace_for_ever_is_cut() {
    let edge = EdgeConfig { body_total: SHORT, body_bytes_per_second_min: 1, ..EdgeConfig::default() };
    check_dripping(edge, b"xxxxxxxxxx").await;
}

#[tokio::test]
async fn a_body_that_drips_is_cut_although_it_never_rests() {
    check_dripping(EdgeConfig { body_idle: SHORT, ..EdgeConfig::default() }, b"x").await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_arrives() {
    let server = Server::start().await;
    let head = "POST /v1/invoke/default/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 314572800\r\n\r\n";
    let mut client = server.connect().await;
    client.send(head).await;
    refused(&client.reply().await, 413);
    // A client that goes on sending still learns why it was refused.
    let mut stubborn = server.connect().await;
    stubborn.send(head).await;
    stubborn.send(vec![b'x'; 8 << 20]).await;
    refused(&stubborn.reply().await, 413);
    // Without an announcement, the count decides.
    let mut chunked = server.connect().await;
    chunked.send("POST /v1/invoke/default/echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..20 {
        chunked.send(&piece).await;
    }
    refused(&chunked.reply().await, 413);
}

#[tokio::test]
async fn a_client_that_never_reads_is_dropped() {
    let edge = EdgeConfig { write: SHORT, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    let mut client = server.connect().await;
    let body = "[".repeat(1 << 20);
    let call =
        format!("POST /v1/invoke/default/echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let endless = async { while client.0.write_all(call.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(GUARD, endless).await.expect("the server gives up");
}

#[tokio::test]
async fn connections_are_counted() {
    let edge = EdgeConfig { connections_per_address_max: 1, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    let mut first = server.connect().await;
    first.send(get("/health")).await;
    first.reply().await;
    assert_eq!(server.connect().await.rest().await, "");
    first.send(get("/health")).await;
    assert!(first.reply().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn pipelined_and_chunked_requests_are_answered_in_order() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let chunked =
        "POST /v1/invoke/default/echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{1\r\n0\r\n\r\n";
    let last = "GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    client.send(format!("{chunked}{chunked}{}{last}", get("/nowhere"))).await;
    let replies = client.rest().await;
    let statuses: Vec<&str> = replies.split("HTTP/1.1 ").skip(1).map(|reply| &reply[..3]).collect();
    assert_eq!(statuses, ["200", "200", "404", "200"]);
}

#[tokio::test]
async fn http2_is_spoken_by_prior_knowledge() {
    let edge = EdgeConfig { keep_alive: SHORT, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    let tcp = TcpStream::connect(server.address).await.expect("the server accepts");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.expect("a handshake");
    let connection = tokio::spawn(connection);
    for _ in 0..5 {
        let request = http::Request::post(format!("http://{}/v1/invoke/default/echo", server.address));
        let request = request.body(Full::new(Bytes::from_static(b"{\"h2\":true}"))).expect("a request");
        let reply = sender.send_request(request).await.expect("a reply");
        assert_eq!((reply.status().as_u16(), reply.version()), (200, http::Version::HTTP_2));
        assert_eq!(reply.into_body().collect().await.expect("a body").to_bytes(), "{\"h2\":true}");
    }
    let large = http::Request::post(format!("http://{}/v1/invoke/default/echo", server.address));
    let large = large.body(Full::new(Bytes::from(vec![0; (1 << 20) + 1]))).expect("a request");
    assert_eq!(sender.send_request(large).await.expect("a reply").status(), 413);
    // At rest, it is closed like any other.
    let ended = tokio::time::timeout(GUARD, connection).await.expect("the server closes");
    assert!(ended.is_ok());
}

#[tokio::test]
async fn a_stop_waits_for_running_requests_and_for_nothing_else() {
    let server = Server::start().await;
    let mut idle = server.connect().await;
    idle.send(get("/health")).await;
    idle.reply().await;
    let mut silent = server.connect().await;
    let mut running = server.connect().await;
    running.send("POST /v1/invoke/default/block HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}").await;
    while server.house.engine.plain.running() == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    assert_eq!(idle.rest().await, "");
    assert_eq!(silent.rest().await, "");
    assert!(!server.serving.is_finished());
    server.house.engine.plain.release();
    let reply = running.rest().await;
    assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("connection: close"), "{reply}");
    tokio::time::timeout(GUARD, server.serving).await.expect("serving ends").expect("without a panic");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let server = Server::start_with(EdgeConfig { drain: SHORT, ..EdgeConfig::default() }).await;
    let mut running = server.connect().await;
    running.send("POST /v1/invoke/default/block HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}").await;
    while server.house.engine.plain.running() == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    tokio::time::timeout(GUARD, server.serving).await.expect("serving ends").expect("without a panic");
    assert_eq!(running.rest().await, "");
}

#[tokio::test]
async fn noise_disturbs_nobody() {
    let edge =
        EdgeConfig { first_byte: SHORT, header: SHORT, body_idle: SHORT, keep_alive: SHORT, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    let seed = b"POST /v1/invoke/default/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}".to_vec();
    let mut state = 11_u64;
    let mut conversations = Vec::new();
    for _ in 0..200 {
        let mut bytes = seed.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] = (state >> 24) as u8;
        }
        conversations.push(server.says(bytes));
    }
    for reply in futures_util::future::join_all(conversations).await {
        assert!(!reply.contains(" 500 "), "{reply}");
    }
    assert!(server.says("GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.contains(" 200 "));
}
