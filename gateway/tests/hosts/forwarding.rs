//! Perfect forwarding: what the function saw equals what was sent, and what the client got what was answered.

use bytes::Bytes;
use domain::AddressRange;
use gateway::GatewayConfig;

use crate::server::{Reply, Server};
use crate::support::mirror::{Fields, MIRROR, Told};

const HOST: &str = "mirror.default.apps.test";
const REQUESTS: usize = 200;
const METHODS: [&str; 14] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "PURGE", "M-SEARCH", "x", "BREW",
    "REPORT",
];
const SEGMENTS: [&str; 20] = [
    "a",
    "",
    "..",
    ".",
    "%2F",
    "%00",
    "%ff",
    "%C3%A9",
    "%zz",
    "%",
    "a%20b",
    "a+b",
    "~u",
    ":@",
    "!$&'()*,;=",
    "é",
    "v1",
    "health",
    "[x]",
    "{y}|\"",
];
const QUERIES: [&str; 10] =
    ["", "?", "?a", "?a=1&a=2", "?%3F=%26", "?q=a+b%20c", "?a=1?b=2", "?token=x&api_key=y", "?é", "?&&="];
const NAMES: [&str; 14] = [
    "accept",
    "cookie",
    "x-a",
    "x-b",
    "X-Mixed-Case",
    "authorization",
    "x-oyster-signature",
    "x-internal-depth",
    "x-forwarded-for",
    "x-request-id",
    "proxy-authorization",
    "traceparent",
    "x-api-key",
    "referer",
];
const VALUES: [&[u8]; 10] =
    [b"", b"a", b"b, c", b"\"quoted \\\" text\"", b"a\tb", b"\xe9\xff", b"Bearer nobody", b"*/*;q=0.1", b"=", b"x  y"];

/// Chance that is the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn headers(&mut self) -> Vec<(String, Vec<u8>)> {
        let count = self.below(12);
        (0..count).map(|_| (self.one(&NAMES).to_owned(), self.one(&VALUES).to_vec())).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let size = [0, 0, 1, 7, 1000, 70_000, 300_000][self.below(7)];
        (0..size).map(|_| self.below(256) as u8).collect()
    }
}

/// A request as it was sent.
struct Sent {
    method: &'static str,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    chunked: bool,
}

impl Sent {
    fn of(chance: &mut Chance) -> Self {
        let depth = chance.below(4);
        let path: String = (0..=depth).map(|_| format!("/{}", chance.one(&SEGMENTS))).collect();
        let (method, body) = (chance.one(&METHODS), chance.bytes());
        let target = path + chance.one(&QUERIES);
        Self { method, target, headers: chance.headers(), body, chunked: chance.below(2) == 0 }
    }

    fn bytes(&self, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nhost: {HOST}\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"connection: close\r\n");
        match self.chunked {
            false => {
                bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes());
                bytes.extend_from_slice(&self.body);
            }
            true => {
                bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                let mut rest = self.body.as_slice();
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at((1 + chance.below(100_000)).min(rest.len()));
                    bytes.extend_from_slice(format!("{:x};ignored=1\r\n", piece.len()).as_bytes());
                    bytes.extend_from_slice(&[piece, b"\r\n"].concat());
                    rest = after;
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        bytes
    }

    /// The headers that the function must see.
    fn expected(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = vec![("host".to_owned(), HOST.as_bytes().to_vec())];
        all.extend(self.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())));
        if !self.chunked {
            all.push(("content-length".to_owned(), self.body.len().to_string().into_bytes()));
        }
        by_name(all)
    }
}

/// Sorted by name; the order among equal names stays.
fn by_name(mut fields: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

fn text_of(fields: Fields) -> Vec<(String, Vec<u8>)> {
    let field = |(name, value): (Bytes, Bytes)| (String::from_utf8_lossy(&name).into_owned(), value.to_vec());
    by_name(fields.into_iter().map(field).collect())
}

#[tokio::test]
async fn a_function_sees_what_was_sent() {
    let server = Server::with_mirror().await;
    let mut chance = Chance(7);
    for number in 0..REQUESTS {
        let sent = Sent::of(&mut chance);
        let bytes = sent.bytes(&mut chance);
        let reply = server.says(&bytes).await;
        let label = format!("{number}: {} {} {:?}", sent.method, sent.target, sent.headers);
        assert_eq!(reply.status, 200, "{label}: {}", reply.text());
        let asked = server.house.engine.mirror.asked();
        assert_eq!((asked.head.method.as_str(), asked.head.target.as_str()), (sent.method, &*sent.target), "{label}");
        assert_eq!(text_of(asked.head.headers), sent.expected(), "{label}");
        assert!(asked.body == sent.body, "{label}: the body differs");
        assert!(reply.body == sent.body, "{label}: the body came back different");
    }
}

#[tokio::test]
async fn a_client_sees_what_was_answered() {
    let server = Server::with_mirror().await;
    let mut chance = Chance(11);
    for number in 0..REQUESTS {
        let status = chance.one(&[200, 201, 202, 206, 301, 307, 400, 401, 404, 418, 429, 500, 503, 599]);
        let headers = chance.headers();
        let pieces: Vec<Bytes> = (0..chance.below(4)).map(|_| Bytes::from(chance.bytes())).collect();
        let field = |(name, value): &(String, Vec<u8>)| (Bytes::from(name.clone()), Bytes::from(value.clone()));
        let told =
            Told { status, headers: headers.iter().map(field).collect(), pieces: pieces.clone(), trailers: None };
        server.house.engine.mirror.answer(told);
        let reply = server.get(HOST, "/", "").await;
        assert_eq!(reply.status, status, "{number}");
        assert!(reply.whole && reply.body == pieces.concat(), "{number}: the body differs");
        // What the connection itself needs, and the date that every server tells.
        let ours = ["transfer-encoding", "connection", "date", "content-length"];
        let seen = reply.headers.into_iter().filter(|(name, _)| !ours.contains(&name.as_str())).collect();
        let lower = headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        assert_eq!(by_name(seen), by_name(lower), "{number}");
    }
}

#[tokio::test]
async fn only_what_concerns_one_connection_is_kept_back() {
    let server = Server::with_mirror().await;
    let headers = "keep-alive: timeout=5\r\nte: trailers\r\nproxy-connection: x\r\nconnection: x-mine\r\nx-mine: 1\r\n\
                   x-kept: 2\r\nupgrade: h2c\r\n";
    server.get(HOST, "/", headers).await;
    let seen = text_of(server.house.engine.mirror.asked().head.headers);
    let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "x-kept"]);
    let field = |name: &'static str, value: &'static str| {
        (Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes()))
    };
    let headers = vec![
        field("Connection", "X-Hop"),
        field("x-hop", "1"),
        field("Keep-Alive", "timeout=5"),
        field("Transfer-Encoding", "gzip, chunked"),
        field("Upgrade", "h2c"),
        field("x-split", "a\r\nset-cookie: stolen=1"),
        field("bad name", "x"),
        field("x-request-id", "mine"),
        field("x-content-type-options", "mine"),
    ];
    server.house.engine.mirror.answer(Told { status: 200, headers, ..Told::default() });
    let reply = server.get(HOST, "/", "").await;
    let names: Vec<&str> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
    let mine: Vec<&&str> = names.iter().filter(|name| name.starts_with("x-")).collect();
    assert_eq!((mine, reply.header("x-request-id")), (vec![&"x-request-id", &"x-content-type-options"], "mine"));
    assert!(!names.contains(&"set-cookie") && !names.contains(&"upgrade"), "{names:?}");
}

#[tokio::test]
async fn a_credential_that_opens_something_here_is_not_shown() {
    let server = Server::with_mirror().await;
    let key = &server.house.invoker;
    let headers = format!("x-api-key: {key}\r\nauthorization: Bearer {key}\r\nauthorization: Basic abc\r\n");
    server.get(HOST, &format!("/p?a=%20&api_key={key}&b=1&token=theirs"), &headers).await;
    let asked = server.house.engine.mirror.asked();
    assert_eq!(asked.head.target, "/p?a=%20&b=1&token=theirs");
    let seen = format!("{:?}", asked.head);
    assert!(!seen.contains(key.as_str()) && seen.contains("Basic abc"), "{seen}");
    // A credential of another namespace is kept back as well, and makes nobody of whoever shows it.
    let stranger = &server.house.stranger;
    server.get(HOST, &format!("/?token={stranger}"), &format!("x-api-key: {stranger}\r\n")).await;
    let asked = server.house.engine.mirror.asked();
    assert_eq!((asked.head.target.as_str(), asked.head.headers.len()), ("/", 1));
}

#[tokio::test]
async fn a_head_that_nobody_could_read_is_refused() {
    let server = Server::with_mirror().await;
    let field = |number: usize| (Bytes::from(format!("x-{number}")), Bytes::from_static(b"v"));
    for (status, count) in [(200, 1000), (99, 1), (101, 1), (102, 0), (600, 1), (65535, 1)] {
        let headers = (0..count).map(field).collect();
        server.house.engine.mirror.answer(Told { status, headers, ..Told::default() });
        let reply = server.get(HOST, "/", "").await;
        assert_eq!(reply.status, 500, "{status} with {count}");
        assert!(reply.text().contains("FUNCTION_EXECUTION_FAILED"), "{}", reply.text());
    }
    let headers = (0..200).map(field).collect();
    server.house.engine.mirror.answer(Told { status: 200, headers, ..Told::default() });
    assert_eq!(server.get(HOST, "/", "").await.status, 200);
}

#[tokio::test]
async fn a_reply_without_a_body_has_none() {
    let server = Server::with_mirror().await;
    let told = |status, headers: &[(&'static str, &'static str)]| Told {
        status,
        headers: headers.iter().map(|(name, value)| (Bytes::from(*name), Bytes::from(*value))).collect(),
        pieces: vec![Bytes::from_static(b"body")],
        trailers: None,
    };
    for status in [204, 304] {
        server.house.engine.mirror.answer(told(status, &[]));
        let reply = server.get(HOST, "/", "").await;
        assert_eq!((reply.status, reply.body.len()), (status, 0));
    }
    for (headers, length) in [(&[][..], "4"), (&[("content-length", "1234")], "1234")] {
        server.house.engine.mirror.answer(told(200, headers));
        let head = format!("HEAD / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        let reply = server.says(head).await;
        assert_eq!((reply.status, reply.body.len(), reply.header("content-length")), (200, 0, length));
        assert_eq!(server.house.engine.mirror.asked().head.method, "HEAD");
    }
    // A length that is not that of the body.
    server.house.engine.mirror.answer(told(200, &[("content-length", "9")]));
    let reply = server.get(HOST, "/", "").await;
    assert!(!reply.whole, "nobody may take the beginning for the whole");
    server.house.engine.mirror.answer(told(200, &[("content-length", "x"), ("content-length", "4")]));
    let reply: Reply = server.get(HOST, "/", "").await;
    assert_eq!((reply.whole, reply.text().as_str()), (true, "body"));
}

/// Empty refusals look like those that the HTTP library makes by itself, which are replaced.
#[tokio::test]
async fn an_empty_refusal_of_the_function_stays_its_own() {
    let server = Server::with_mirror().await;
    for status in [400, 414, 431] {
        server.house.engine.mirror.answer(Told { status, ..Told::default() });
        let reply = server.get(HOST, "/", "").await;
        assert_eq!((reply.status, reply.header("x-request-id"), reply.body.len()), (status, "", 0));
    }
}

/// So do bodies that look like one, however they are cut.
#[tokio::test]
async fn a_body_that_looks_like_a_refusal_stays_what_it_is() {
    const LIKE: &[u8] = b"HTTP/1.1 404 Not Found\r\n\r\n";
    let server = Server::with_mirror().await;
    let length: Fields = vec![("content-length".into(), LIKE.len().to_string().into())];
    for _ in 0..20 {
        let pieces = vec![Bytes::new(), Bytes::from_static(LIKE)];
        server.house.engine.mirror.answer(Told { status: 200, headers: length.clone(), pieces, trailers: None });
        let reply = server.get(HOST, "/", "").await;
        assert!(reply.whole && reply.body == LIKE, "{:?}", String::from_utf8_lossy(&reply.body));
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_says_that_the_client_came_by_tls() {
    for (proxies, is_secure) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let trusted_proxies = vec![AddressRange::parse(proxies).expect("a range")];
        let server = Server::start_as(GatewayConfig { trusted_proxies, ..GatewayConfig::default() }).await;
        server.worker("mirror", MIRROR, &[]).await;
        for (told, is_secure) in [("https", is_secure), ("http", false), ("https, http", false)] {
            assert_eq!(server.get(HOST, "/", &format!("x-forwarded-proto: {told}\r\n")).await.status, 200);
            assert_eq!(server.house.engine.mirror.asked().is_secure, is_secure, "{proxies} {told}");
        }
    }
}
