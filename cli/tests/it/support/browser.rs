//! A headless Chromium and its pages, driven over the DevTools protocol.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use super::PATIENCE;

pub struct Browser {
    process: Child,
    socket: WebSocket<TcpStream>,
    asked: u64,
    /// Deleted behind the process that writes there.
    _profile: TempDir,
}

/// A page of the browser.
#[derive(Debug, Clone)]
pub struct Page {
    target: String,
    session: String,
}

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("chromium");
        // Tests run as root, in a namespace with nothing but loopback: the browser's own sandbox has no place there.
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.args(["--no-first-run", "--disable-background-networking", "--disable-component-update"]);
        command.args(["--remote-debugging-port=0", "--remote-allow-origins=*", "about:blank"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).env("HOME", profile.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("chromium starts; `cargo xtask setup` installs it");
        let mut lines = BufReader::new(process.stderr.take().expect("stderr is a pipe")).lines();
        let mut said = String::new();
        let address = loop {
            let line = lines.next().and_then(Result::ok);
            let line = line.unwrap_or_else(|| panic!("chromium ended without listening:\n{said}"));
            match line.strip_prefix("DevTools listening on ") {
                Some(address) => break address.trim().to_owned(),
                None => said += &(line + "\n"),
            }
        };
        // What else it says must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        let host = address.trim_start_matches("ws://").split('/').next().expect("an address has a host");
        let stream = TcpStream::connect(host).expect("chromium listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        let (socket, _) = tungstenite::client(&address, stream).expect("chromium speaks WebSocket");
        Self { process, socket, asked: 0, _profile: profile }
    }

    /// Opens a page of its own, as another tab would.
    pub fn open(&mut self, url: &str) -> Page {
        let target = self.ask(None, "Target.createTarget", json!({ "url": url }));
        let target = target["targetId"].as_str().expect("an id").to_owned();
        let attached = self.ask(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        Page { target, session: attached["sessionId"].as_str().expect("an id").to_owned() }
    }

    pub fn close(&mut self, page: &Page) {
        self.ask(None, "Target.closeTarget", json!({ "targetId": page.target }));
    }

    /// The value of an expression in a page.
    pub fn evaluate(&mut self, page: &Page, expression: &str) -> Value {
        self.attempt(page, expression).unwrap_or_else(|thrown| panic!("{expression}: {thrown}"))
    }

    /// The value of an expression in a page, or what it threw.
    fn attempt(&mut self, page: &Page, expression: &str) -> Result<Value, Value> {
        let wanted = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask(Some(&page.session), "Runtime.evaluate", wanted);
        match answer.get("exceptionDetails") {
            Some(thrown) => Err(thrown.clone()),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    /// Waits until an expression has this value; while the page is still loading it may throw.
    #[track_caller]
    pub fn expect(&mut self, page: &Page, expression: &str, want: impl Into<Value>) {
        let want = want.into();
        let patience = Instant::now() + PATIENCE;
        loop {
            let found = self.attempt(page, expression);
            if found.as_ref() == Ok(&want) {
                return;
            }
            assert!(Instant::now() < patience, "{expression} is {found:?} and not {want}");
            // A poll: pages tell nobody what they show.
            std::thread::sleep(Duration::from_millis(20)); // poll
        }
    }

    /// Types into the field that has the focus, key by key.
    pub fn write(&mut self, page: &Page, text: &str) {
        for letter in text.chars() {
            let event = json!({ "type": "char", "text": letter.to_string() });
            self.ask(Some(&page.session), "Input.dispatchKeyEvent", event);
        }
    }

    fn ask(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut question = json!({ "id": self.asked, "method": method, "params": parameters });
        if let Some(session) = session {
            question["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(question.to_string())).expect("chromium listens");
        loop {
            let message = self.socket.read().expect("chromium answers");
            let Ok(text) = message.into_text() else { continue };
            let answer: Value = serde_json::from_str(&text).expect("JSON");
            if answer["id"] == self.asked {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its helpers end with it; already gone is as good.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
