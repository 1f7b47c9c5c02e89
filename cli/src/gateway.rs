//! The client of a gateway: requests out, documents or failures back.
//!
//! Blocking for the verbs that call it; a verb that wants several requests at once uses [`Gateway::block_on`].

use std::error::Error as _;
use std::future::Future;
use std::io::ErrorKind;
use std::sync::{Arc, Once};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::connection::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::screen;
use crate::wire::ErrorBody;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For everything but invocations, which take as long as their functions.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Gateway {
    client: Client,
    connection: Connection,
    runtime: Runtime,
}

/// An answer of any status.
pub struct Answer {
    pub status: StatusCode,
    pub request_id: Option<String>,
    pub duration_ms: Option<u64>,
    pub body: Bytes,
}

impl Gateway {
    pub fn connect(connection: Connection) -> Outcome<Self> {
        let url = Url::parse(&connection.gateway).expect("a connection holds a checked address");
        if url.scheme() == "http" && !is_loopback(&url) && connection.api_key.is_some() {
            screen::warning(&format!("the API key travels unencrypted to {}", connection.gateway));
        }
        let client =
            client(&url).map_err(|error| Failure::failed(format!("failed to set up HTTP: {}", chain(&error))))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(format!("failed to start a runtime: {error}")))?;
        Ok(Self { client, connection, runtime })
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A request with the credential, and with the namespace when one was asked for.
    pub fn request(&self, method: Method, path: &str, query: &[(&str, String)]) -> RequestBuilder {
        let mut url = Url::parse(&format!("{}{path}", self.connection.gateway)).expect("our paths are plain");
        let namespace = self.connection.namespace.as_ref().map(|namespace| ("namespace", namespace.to_string()));
        let query: Vec<(&str, String)> = namespace.into_iter().chain(query.iter().cloned()).collect();
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.request(method, url);
        match &self.connection.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub async fn answer(&self, request: RequestBuilder) -> Outcome<Answer> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (request_id, duration_ms) = (header("x-request-id"), header("x-duration-ms"));
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok(Answer { status, request_id, duration_ms: duration_ms.and_then(|text| text.parse().ok()), body })
    }

    /// Sends a request whose answer is a JSON document; any other answer is a failure.
    pub fn document(&self, request: RequestBuilder) -> Outcome<Value> {
        let answer = self.block_on(self.answer(request.timeout(ANSWER_TIMEOUT)))?;
        if !answer.status.is_success() {
            return Err(answer.failure());
        }
        serde_json::from_slice(&answer.body).map_err(|_| {
            Failure::failed(format!("the answer of {} is not JSON", self.connection.gateway))
                .hint("is this the address of an Orama gateway?")
        })
    }

    pub fn get(&self, path: &str, query: &[(&str, String)]) -> Outcome<Value> {
        self.document(self.request(Method::GET, path, query))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let gateway = &self.connection.gateway;
        if error.is_timeout() && !error.is_connect() {
            return Failure::new(Exit::Unreachable, format!("{gateway} did not answer in time"));
        }
        let message = format!("{gateway} is not reachable: {}", cause(error));
        let loopback = Url::parse(gateway).is_ok_and(|url| is_loopback(&url));
        Failure::new(Exit::Unreachable, message).hint(match loopback {
            true => "is the server running? start it with `orama serve`",
            false => "check the address (`--gateway` or `ORAMA_GATEWAY_URL`) and the network",
        })
    }
}

impl Answer {
    /// This answer as a failure, with what the gateway says about it.
    pub fn failure(&self) -> Failure {
        let error = ErrorBody::parse(&self.body);
        let exit = Exit::of_status(self.status.as_u16());
        let message = match (error.message, error.code) {
            (Some(message), Some(code)) => with_code(&message, &code),
            (Some(message), None) => message,
            (None, _) => format!("the gateway answered {}: {}", self.status, excerpt(&self.body)),
        };
        let failure = Failure::new(exit, message);
        match error.hint.or_else(|| own_hint(self.status)) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// The id of the request: of the error document, else of the header.
    pub fn id(&self) -> Option<String> {
        ErrorBody::parse(&self.body).request_id.or_else(|| self.request_id.clone())
    }
}

/// The code stands behind the first line; what a function said on stderr follows.
fn with_code(message: &str, code: &str) -> String {
    match message.split_once('\n') {
        Some((first, rest)) => format!("{first} ({code})\n{rest}"),
        None => format!("{message} ({code})"),
    }
}

fn own_hint(status: StatusCode) -> Option<String> {
    let hint = match status.as_u16() {
        401 => "run `orama login`, or give a key with `--api-key` or `ORAMA_API_KEY`",
        403 => "use a key with a wider scope; `orama whoami` shows what yours may do",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(800)]);
    let text: String = text.trim().chars().take(200).collect();
    if text.is_empty() { "nothing".to_owned() } else { text }
}

/// Reads a document into what a verb shows of it.
pub fn read<T: DeserializeOwned>(document: &Value) -> Outcome<T> {
    T::deserialize(document).map_err(|error| {
        Failure::failed(format!("the answer of the gateway is not understood: {error}"))
            .hint("`orama version` and `orama doctor` show whether both sides have the same version")
    })
}

fn client(url: &Url) -> reqwest::Result<Client> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error means that the server part of this process has installed the same one already.
        let _ = Arc::new(rustls::crypto::aws_lc_rs::default_provider().install_default());
    });
    let builder = Client::builder()
        .user_agent(concat!("orama/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT);
    // Plain HTTP needs no certificates, and reading those of the system costs more than the request.
    let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
    if is_loopback(url) { builder.no_proxy().build() } else { builder.build() }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some("localhost") => true,
        Some(host) => host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// The innermost cause says what happened; the layers above only that something did.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match innermost.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(ErrorKind::ConnectionReset) => "connection reset".to_owned(),
        _ => innermost.to_string(),
    }
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer {
            status,
            request_id: Some("header-id".into()),
            duration_ms: None,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn an_answer_becomes_a_failure_with_code_and_hint() {
        let failure = answer(401, r#"{"error":{"code":"UNAUTHORIZED","message":"unauthorized"}}"#).failure();
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::NotAllowed, "unauthorized (UNAUTHORIZED)"));
        assert!(failure.hint.is_some_and(|hint| hint.contains("orama login")));
        let failure = answer(500, r#"{"error":{"code":"C","message":"exit code 3\nboom"}}"#).failure();
        assert_eq!(failure.message, "exit code 3 (C)\nboom");
        let failure = answer(502, "<html>bad gateway</html>").failure();
        assert_eq!(failure.message, "the gateway answered 502 Bad Gateway: <html>bad gateway</html>");
    }

    #[test]
    fn the_id_of_the_document_wins_over_the_header() {
        assert_eq!(answer(500, r#"{"error":{"request_id":"body-id"}}"#).id().as_deref(), Some("body-id"));
        assert_eq!(answer(500, "").id().as_deref(), Some("header-id"));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let loopback = |text| is_loopback(&Url::parse(text).expect("an address"));
        assert!(loopback("http://127.0.0.1:6001") && loopback("http://[::1]:1") && loopback("http://localhost"));
        assert!(!loopback("http://127.0.0.1.example.org") && !loopback("http://10.0.0.1"));
    }
}
