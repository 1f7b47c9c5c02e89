//! The client of a gateway: requests out, documents or failures back.
//!
//! Blocking for the verbs that call it; a verb that wants several requests at once uses [`Gateway::block_on`]. The sign-in of a
//! wallet is renewed here, when its access token is about to end.

use std::error::Error as _;
use std::future::Future;
use std::io::ErrorKind;
use std::sync::{Arc, Once};
use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::credentials::{Lock, Session};
use crate::failure::{Exit, Failure, Outcome};
use crate::screen;
use crate::wire::ErrorBody;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For everything but invocations, which take as long as their functions.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// An access token with less left than this is renewed first.
const TOKEN_REST: Duration = Duration::from_secs(30);
/// What stays as it is in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub struct Gateway {
    client: Client,
    connection: Connection,
    runtime: Runtime,
    /// Held while it is renewed, so that calls at once renew it once.
    session: Mutex<Option<Session>>,
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
        let known = connection.api_key.is_some() || connection.session.is_some();
        if url.scheme() == "http" && !is_loopback(&url) && known {
            screen::warning(&format!("the credential travels unencrypted to {}", connection.gateway));
        }
        let client =
            client(&url).map_err(|error| Failure::failed(format!("failed to set up HTTP: {}", chain(&error))))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(format!("failed to start a runtime: {error}")))?;
        let session = Mutex::new(connection.session.clone());
        Ok(Self { client, connection, runtime, session })
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A request with the namespace when one was asked for; the credential comes when it is sent.
    pub fn request(&self, method: Method, path: &str, query: &[(&str, String)]) -> RequestBuilder {
        let mut url = Url::parse(&format!("{}{path}", self.connection.gateway)).expect("our paths are plain");
        let namespace = self.connection.namespace.as_ref().map(|namespace| ("namespace", namespace.to_string()));
        let query: Vec<(&str, String)> = namespace.into_iter().chain(query.iter().cloned()).collect();
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client.request(method, url)
    }

    /// Sends a request with the credential; the answer's body is still to come.
    pub async fn send(&self, request: RequestBuilder) -> Outcome<Response> {
        let request = match self.bearer().await? {
            Some(bearer) => request.bearer_auth(bearer),
            None => request,
        };
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub async fn answer(&self, request: RequestBuilder) -> Outcome<Answer> {
        let response = self.send(request).await?;
        self.read_whole(response).await
    }

    pub async fn read_whole(&self, response: Response) -> Outcome<Answer> {
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (request_id, duration_ms) = (header("x-request-id"), header("x-duration-ms"));
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok(Answer { status, request_id, duration_ms: duration_ms.and_then(|text| text.parse().ok()), body })
    }

    /// Sends a request whose answer is a JSON document; any other answer is a failure.
    pub fn document(&self, request: RequestBuilder) -> Outcome<Value> {
        self.parse(&self.text(request)?)
    }

    /// The same, for what may take as long as it takes.
    pub fn document_at_last(&self, request: RequestBuilder) -> Outcome<Value> {
        self.parse(&self.block_on(self.answer(request))?.succeeded()?.body)
    }

    /// Sends a request and returns the body of a successful answer as it is.
    pub fn text(&self, request: RequestBuilder) -> Outcome<Bytes> {
        Ok(self.block_on(self.answer(request.timeout(ANSWER_TIMEOUT)))?.succeeded()?.body)
    }

    /// Reads an answer into what a verb shows of it, digit by digit.
    pub fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Outcome<T> {
        serde_json::from_slice(body).map_err(|_| {
            Failure::failed(format!("the answer of {} is not understood", self.connection.gateway))
                .hint("is this the address of an Orama gateway?")
        })
    }

    pub fn get(&self, path: &str, query: &[(&str, String)]) -> Outcome<Value> {
        self.document(self.request(Method::GET, path, query))
    }

    pub fn post(&self, path: &str, body: &impl Serialize) -> Outcome<Value> {
        self.document(self.request(Method::POST, path, &[]).json(body))
    }

    pub fn put(&self, path: &str, body: &impl Serialize) -> Outcome<Value> {
        self.document(self.request(Method::PUT, path, &[]).json(body))
    }

    pub fn delete(&self, path: &str) -> Outcome<Value> {
        self.document(self.request(Method::DELETE, path, &[]))
    }

    /// The namespace that verbs work in: the one that was asked for, else the one that the gateway takes us to be in.
    pub fn namespace(&self) -> Outcome<String> {
        if let Some(known) = self.connection.known_namespace() {
            return Ok(known.to_owned());
        }
        let identity = self.get("/v1/auth/whoami", &[])?;
        identity["namespace"].as_str().map(str::to_owned).ok_or_else(|| {
            Failure::usage("the gateway does not say which namespace you are in").hint("use `--namespace NAME`")
        })
    }

    async fn bearer(&self) -> Outcome<Option<String>> {
        let mut session = self.session.lock().await;
        let Some(current) = &*session else { return Ok(self.connection.api_key.clone()) };
        let fresh = is_fresh(current);
        let current = match fresh {
            true => current.clone(),
            false => self.renew().await?,
        };
        Ok(Some(session.insert(current).access_token.clone()))
    }

    /// Uses the refresh token that is stored now: another process may have renewed the sign-in meanwhile.
    async fn renew(&self) -> Outcome<Session> {
        let lock = Lock::take()?;
        let mut credentials = lock.read()?;
        let stored = credentials.gateways.get_mut(&self.connection.gateway).and_then(|stored| stored.session.as_mut());
        let session = stored.ok_or_else(|| sign_in_again("the sign-in has ended meanwhile"))?;
        if is_fresh(session) {
            return Ok(session.clone());
        }
        let url = format!("{}/v1/auth/refresh", self.connection.gateway);
        let request = self.client.post(url).json(&json!({ "refresh_token": session.refresh_token }));
        let response = request.timeout(ANSWER_TIMEOUT).send().await.map_err(|error| self.unreachable(&error))?;
        let answer = self.read_whole(response).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(sign_in_again("the sign-in has ended"));
        }
        *session = self.parse::<Tokens>(&answer.succeeded()?.body)?.session(&session.wallet);
        let renewed = session.clone();
        lock.write(&credentials)?;
        Ok(renewed)
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

/// What a sign-in and its renewal bring.
#[derive(serde::Deserialize)]
pub struct Tokens {
    pub access_token: String,
    pub refresh_token: String,
    pub expires_in: u32,
}

impl Tokens {
    pub fn session(self, wallet: &str) -> Session {
        let Self { access_token, refresh_token, expires_in } = self;
        let expires_at = Timestamp::now() + Duration::from_secs(expires_in.into());
        Session { wallet: wallet.to_owned(), access_token, refresh_token, expires_at }
    }
}

fn is_fresh(session: &Session) -> bool {
    Timestamp::now() + TOKEN_REST < session.expires_at
}

fn sign_in_again(message: &str) -> Failure {
    Failure::new(Exit::NotAllowed, message).hint("sign in again with `orama login --wallet --key-file FILE`")
}

/// A part of a path that a person typed. What would lead to another path is refused.
pub fn segment(text: &str) -> Outcome<String> {
    match text {
        "" | "." | ".." => Err(Failure::usage(format!("`{text}` is no name"))),
        _ => Ok(utf8_percent_encode(text, SEGMENT).to_string()),
    }
}

impl Answer {
    /// This answer, or the failure that it is.
    pub fn succeeded(self) -> Outcome<Self> {
        if self.status.is_success() { Ok(self) } else { Err(self.failure()) }
    }

    /// This answer as a failure, with what the gateway says about it.
    pub fn failure(&self) -> Failure {
        let error = ErrorBody::parse(&self.body);
        let exit = Exit::of_status(self.status.as_u16());
        let hint = error.hint.or_else(|| own_hint(self.status, error.code.as_deref()));
        let message = match (error.message, error.code) {
            (Some(message), Some(code)) => with_code(&message, &code),
            (Some(message), None) => message,
            (None, _) => format!("the gateway answered {}: {}", self.status, excerpt(&self.body)),
        };
        let failure = Failure::new(exit, message);
        match hint {
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

fn own_hint(status: StatusCode, code: Option<&str>) -> Option<String> {
    let hint = match status.as_u16() {
        // It is the statement that is refused, whoever sends it.
        403 if code == Some("SQL_NOT_ALLOWED") => return None,
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

pub(crate) fn client(url: &Url) -> reqwest::Result<Client> {
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

pub(crate) fn chain(error: &reqwest::Error) -> String {
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
    fn a_segment_stays_one_segment() {
        assert_eq!(segment("a b/../ü?#%").ok().as_deref(), Some("a%20b%2F..%2F%C3%BC%3F%23%25"));
        assert!(["", ".", ".."].into_iter().all(|text| segment(text).is_err()));
        let url = Url::parse(&format!("http://h/v1/{}", segment("a/../b").expect("a name"))).expect("an address");
        assert_eq!(url.path(), "/v1/a%2F..%2Fb");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let loopback = |text| is_loopback(&Url::parse(text).expect("an address"));
        assert!(loopback("http://127.0.0.1:6001") && loopback("http://[::1]:1") && loopback("http://localhost"));
        assert!(!loopback("http://127.0.0.1.example.org") && !loopback("http://10.0.0.1"));
    }
}
