//! A chain behind JSON-RPC: what a node of it may answer, and what it must not get away with.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backends::chain;
use ports::{ChainTransaction, CodeSource, CodeSourceError};

const HASH: [u8; 32] = [0xab; 32];
const INPUT_BYTES_MAX: usize = 100_000;
const PATIENCE: Duration = Duration::from_millis(400);

/// A node that gives one answer, whatever it is asked; what it was asked is kept.
struct Node {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Node {
    fn answering(answer: impl Fn(&mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                seen.lock().expect("no holder panics").push(request(&mut stream));
                answer(&mut stream);
            }
        });
        Self { url, asked }
    }

    fn saying(body: impl Into<String>) -> Self {
        let body = body.into();
        Self::answering(move |stream| respond(stream, "200 OK", &body))
    }

    async fn ask(&self) -> Result<ChainTransaction, CodeSourceError> {
        let url = self.url.parse().expect("a URL");
        chain::open_with(url, PATIENCE).expect("open").transaction(&HASH, INPUT_BYTES_MAX).await
    }
}

/// Head and body of a request.
fn request(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        seen.extend_from_slice(&piece[..count]);
        if seen.ends_with(b"}") {
            break;
        }
    }
    String::from_utf8_lossy(&seen).into_owned()
}

fn respond(stream: &mut TcpStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // The client may have had enough.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn transaction(fields: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"hash":"0x{}",{fields}}}}}"#, "ab".repeat(32))
}

#[tokio::test]
async fn a_transaction_is_read_as_it_is() {
    let node = Node::saying(transaction(r#""to":"0xAbC","input":"0x00fF","blockHash":"0x1","value":"0x0"}"#));
    let read = node.ask().await;
    // One brace too many is no JSON; a node that cannot write its own answer is not believed.
    assert!(matches!(read, Err(CodeSourceError::Unavailable(_))), "{read:?}");
    let node = Node::saying(transaction(r#""to":"0xAbC","input":"0x00fF","blockHash":"0x1","value":"0x0""#));
    let read = node.ask().await.expect("a transaction");
    assert_eq!((read.to.as_deref(), &read.input[..]), (Some("0xAbC"), &[0, 0xff][..]));
    let asked = node.asked.lock().expect("no holder panics").join("");
    assert!(asked.starts_with("POST / HTTP/1.1\r\n"), "{asked}");
    let wanted = format!(r#""method":"eth_getTransactionByHash","params":["0x{}"]"#, "ab".repeat(32));
    assert!(asked.contains(&wanted), "{asked}");
}

#[tokio::test]
async fn a_pending_transaction_has_its_input_already() {
    let node = Node::saying(transaction(r#""to":"0xabc","input":"0x01","blockHash":null,"blockNumber":null"#));
    assert_eq!(node.ask().await.expect("a transaction").input[..], [1]);
}

#[tokio::test]
async fn a_transaction_that_makes_a_contract_goes_nowhere() {
    let node = Node::saying(transaction(r#""to":null,"input":"0x""#));
    assert_eq!(node.ask().await.expect("a transaction").to, None);
}

#[tokio::test]
async fn an_unknown_transaction_is_not_found() {
    let node = Node::saying(r#"{"jsonrpc":"2.0","id":1,"result":null}"#);
    assert!(matches!(node.ask().await, Err(CodeSourceError::NotFound)));
}

#[tokio::test]
async fn an_answer_about_another_transaction_is_not_believed() {
    let other = transaction(r#""to":"0xabc","input":"0x01""#).replace("abab", "abac");
    let without = r#"{"result":{"to":"0xabc","input":"0x01"}}"#.to_owned();
    for lie in [other, without, transaction(r#""to":"0xabc","input":"0x01""#).replace("0xab", "ab")] {
        let read = Node::saying(lie.clone()).ask().await;
        assert!(matches!(read, Err(CodeSourceError::OtherTransaction)), "{lie}: {read:?}");
    }
}

#[tokio::test]
async fn what_is_no_transaction_says_which_part_is_not() {
    for (fields, want) in [
        (r#""to":7,"input":"0x01""#, "to field of transaction is not an address"),
        (r#""to":"0xabc""#, "calldata field is not a string"),
        (r#""to":"0xabc","input":["0x01"]"#, "calldata field is not a string"),
        (r#""to":"0xabc","input":"0x0""#, "calldata is not a valid hex string"),
        (r#""to":"0xabc","input":"01""#, "calldata is not a valid hex string"),
        (r#""to":"0xabc","input":"0x0g""#, "calldata is not a valid hex string"),
        (r#""to":"0xabc","input":"0x+1é""#, "calldata is not a valid hex string"),
    ] {
        match Node::saying(transaction(fields)).ask().await {
            Err(CodeSourceError::Malformed(told)) => assert_eq!(told, want),
            other => panic!("{fields}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_node_in_trouble_is_unavailable() {
    let body = transaction(r#""to":"0xabc","input":"0x01""#);
    let failing = [
        Node::saying(""),
        Node::saying("<html>"),
        Node::saying("[]"),
        Node::saying(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"limit exceeded"}}"#),
        Node::saying("[".repeat(100_000)),
        Node::answering({
            let body = body.clone();
            move |stream| respond(stream, "503 Service Unavailable", &body)
        }),
        Node::answering(move |stream| {
            let elsewhere = "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(elsewhere.as_bytes());
        }),
        // Hangs up.
        Node::answering(|_stream| {}),
    ];
    for (number, node) in failing.iter().enumerate() {
        let read = node.ask().await;
        assert!(matches!(read, Err(CodeSourceError::Unavailable(_))), "{number}: {read:?}");
    }
    let dead = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", dead.local_addr().expect("an address"));
    drop(dead);
    let gone = Node { url, asked: Arc::default() };
    assert!(matches!(gone.ask().await, Err(CodeSourceError::Unavailable(_))));
}

#[tokio::test]
async fn a_slow_node_is_given_up() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let silent = Node::answering(move |stream| {
        // A head, and then nothing until the test is over.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{");
        let _ = held.lock().expect("no holder panics").recv();
    });
    let began = Instant::now();
    assert!(matches!(silent.ask().await, Err(CodeSourceError::Unavailable(_))));
    assert!(began.elapsed() < PATIENCE * 10, "{:?}", began.elapsed());
    drop(hold);
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let endless = Node::answering(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&[b'0'; 65_536]).is_ok() {}
    });
    assert!(matches!(endless.ask().await, Err(CodeSourceError::TooLarge { .. })));
    let large = format!(r#""to":"0xabc","input":"0x{}""#, "00".repeat(INPUT_BYTES_MAX + 2));
    assert!(matches!(Node::saying(transaction(&large)).ask().await, Err(CodeSourceError::TooLarge { .. })));
}
