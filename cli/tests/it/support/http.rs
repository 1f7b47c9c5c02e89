//! A small client for what the command line has no verb for: one request a connection, the whole answer read.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[derive(Clone)]
pub struct Http {
    host: String,
    key: Option<String>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// An answer, unless it is cut.
    pub fn parse(answer: &[u8]) -> Option<Self> {
        parse(answer, false)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Http {
    pub fn new(address: &str, key: Option<&str>) -> Self {
        let host = address.strip_prefix("http://").expect("the server speaks HTTP");
        Self { host: host.to_owned(), key: key.map(str::to_owned) }
    }

    pub fn without_key(mut self) -> Self {
        self.key = None;
        self
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], body)
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.try_send(method, path, headers, body).expect("the server answers")
    }

    /// The same, for a server that may die meanwhile.
    pub fn try_send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Reply> {
        self.open(method, path, headers, body)?.reply()
    }

    /// Sends a request and does not wait for its answer.
    pub fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Exchange> {
        let mut stream = self.connect()?;
        let length = body.len().to_string();
        let headers = [headers, &[("content-length", &*length)]].concat();
        let head = self.head(method, path, &headers);
        stream.write_all(&[head.as_bytes(), body].concat())?;
        Ok(Exchange { stream, bodiless: method == "HEAD" })
    }

    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.host)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The head of a request, for tests that send the body in their own way.
    pub fn head(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.host);
        if let Some(key) = &self.key {
            head.push_str(&format!("x-api-key: {key}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head
    }

    /// Uploads a program.
    pub fn deploy(&self, name: &str, code: &[u8], fields: &[(&str, &str)]) -> io::Result<Reply> {
        self.open_deploy(name, code, fields)?.reply()
    }

    /// Uploads a program and does not wait for the answer.
    pub fn open_deploy(&self, name: &str, code: &[u8], fields: &[(&str, &str)]) -> io::Result<Exchange> {
        let fields = [&[("name", name)], fields].concat();
        let body = form(&fields, Some(code));
        self.open("POST", "/v1/functions", &[("content-type", FORM)], &body)
    }
}

/// A request whose answer was not read yet.
pub struct Exchange {
    pub stream: TcpStream,
    /// Whatever length the answer says, nothing of it comes.
    bodiless: bool,
}

impl Exchange {
    pub fn reply(mut self) -> io::Result<Reply> {
        let mut answer = Vec::new();
        self.stream.read_to_end(&mut answer)?;
        parse(&answer, self.bodiless).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut"))
    }
}

/// The `Content-Type` of [`form`].
pub const FORM: &str = "multipart/form-data; boundary=of-this-form";

/// An upload: text fields, then the program.
pub fn form(fields: &[(&str, &str)], code: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--of-this-form\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.into_bytes());
    }
    if let Some(code) = code {
        body.extend(file_head().into_bytes());
        body.extend(code);
        body.extend(b"\r\n");
    }
    body.extend(b"--of-this-form--\r\n");
    body
}

/// What stands before the bytes of the program.
pub fn file_head() -> String {
    "--of-this-form\r\ncontent-disposition: form-data; name=\"wasm\"; filename=\"function.wasm\"\r\n\
     content-type: application/wasm\r\n\r\n"
        .to_owned()
}

fn parse(answer: &[u8], bodiless: bool) -> Option<Reply> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let body = String::from_utf8_lossy(&answer[end + 4..]).into_owned();
    let value = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let arrived = (answer.len() - end - 4).to_string();
    if !bodiless && value("content-length").is_some_and(|length| length != arrived) {
        return None;
    }
    let chunked = !bodiless && value("transfer-encoding") == Some("chunked");
    let body = if chunked { unchunk(&body)? } else { body };
    Some(Reply { status, headers, body })
}

fn unchunk(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
        if size == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..size)?);
        body = rest[size..].trim_start_matches("\r\n");
    }
}
