//! A request as a function wrote it, made into one that can be sent; and what a redirect makes of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use ports::{EgressError, FetchRequest};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use url::Url;

use super::EgressConfig;

const URL_BYTES_MAX: usize = 16 << 10;
const METHOD_BYTES_MAX: usize = 32;
/// Names and values together, as they are sent.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Methods that are meant even where they are written in lower case.
const USUAL_METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH];

/// Headers that belong to a connection, or that follow from the URL and the body. A function that sets them, as it may with
/// other clients, is not refused: they are left out.
const OURS: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "expect",
];

/// What must not reach another origin than the one it was written for.
const SECRET: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];

const OF_THE_BODY: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
];

/// One hop: a request that is well formed, to a place that is not checked yet.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// False once a redirect was followed.
    pub(super) written: bool,
}

impl Hop {
    /// Checks everything but the place.
    pub(super) fn first(request: FetchRequest, config: &EgressConfig) -> Result<Self, EgressError> {
        let FetchRequest { method, url, headers, body } = request;
        if body.len() > config.request_bytes_max {
            let limit = config.request_bytes_max;
            return Err(EgressError::Invalid(format!("the body is {} bytes, the limit is {limit}", body.len())));
        }
        let method = parse_method(&method)?;
        let mut url = parse_url(&url)?;
        let mut headers = parse_headers(&headers)?;
        move_credentials(&mut url, &mut headers);
        headers.entry(header::USER_AGENT).or_insert(config.user_agent.clone());
        Ok(Self { method, url, headers, body, written: true })
    }

    pub(super) fn to_request(&self) -> reqwest::Request {
        let mut request = reqwest::Request::new(self.method.clone(), self.url.clone());
        *request.headers_mut() = self.headers.clone();
        if !self.body.is_empty() {
            *request.body_mut() = Some(self.body.clone().into());
        } else if matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
            // Some servers insist on it.
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        request
    }

    /// The hop that a reply asks for, if it is a redirect that says where to.
    pub(super) fn redirected(&self, status: StatusCode, headers: &HeaderMap) -> Result<Option<Self>, EgressError> {
        let Some(location) = headers.get(header::LOCATION).filter(|_| is_redirect(status)) else { return Ok(None) };
        let location = std::str::from_utf8(location.as_bytes()).ok().and_then(|location| self.url.join(location).ok());
        let mut url = location.ok_or_else(|| EgressError::Failed("a redirect leads to no URL".into()))?;
        remove_credentials(&mut url);
        let mut next = Self { url, written: false, ..self.clone() };
        if next.url.origin() != self.url.origin() {
            SECRET.iter().for_each(|name| drop(next.headers.remove(name)));
        }
        if becomes_get(status, &self.method) {
            next.method = Method::GET;
            next.body = Bytes::new();
            OF_THE_BODY.iter().for_each(|name| drop(next.headers.remove(name)));
        }
        Ok(Some(next))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// As clients came to do: 303 asks for it, and after 301 and 302 a POST is not repeated.
fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        303 => *method != Method::GET && *method != Method::HEAD,
        301 | 302 => *method == Method::POST,
        _ => false,
    }
}

fn invalid(reason: impl Into<String>) -> EgressError {
    EgressError::Invalid(reason.into())
}

/// The beginning of a text of the caller's, for an error.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

fn parse_method(text: &str) -> Result<Method, EgressError> {
    if text.is_empty() {
        return Ok(Method::GET);
    }
    if let Some(usual) = USUAL_METHODS.iter().find(|usual| usual.as_str().eq_ignore_ascii_case(text)) {
        return Ok(usual.clone());
    }
    if ["CONNECT", "TRACE", "TRACK"].iter().any(|refused| refused.eq_ignore_ascii_case(text)) {
        return Err(invalid(format!("the method `{text}` is not allowed")));
    }
    let method = Method::from_bytes(text.as_bytes()).ok().filter(|_| text.len() <= METHOD_BYTES_MAX);
    method.ok_or_else(|| invalid(format!("{:?} is no method", cut(text))))
}

fn parse_url(text: &str) -> Result<Url, EgressError> {
    if text.len() > URL_BYTES_MAX {
        return Err(invalid(format!("the URL is {} bytes, the limit is {URL_BYTES_MAX}", text.len())));
    }
    Url::parse(text).map_err(|cause| invalid(format!("{:?} is no URL: {cause}", cut(text))))
}

fn parse_headers(given: &[(String, String)]) -> Result<HeaderMap, EgressError> {
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if bytes > HEADER_BYTES_MAX {
        return Err(invalid(format!("the headers are {bytes} bytes, the limit is {HEADER_BYTES_MAX}")));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid(format!("{:?} is no name of a header", cut(name))))?;
        // The value is not repeated: it may be a secret.
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| invalid(format!("the value of the header `{key}` has characters that no header may have")))?;
        if !OURS.contains(&key.as_str()) {
            headers.append(key, value);
        }
    }
    Ok(headers)
}

/// Name and password in the URL become an `Authorization` header, unless the caller wrote one.
fn move_credentials(url: &mut Url, headers: &mut HeaderMap) {
    if url.username().is_empty() && url.password().is_none() {
        return;
    }
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let pair = [decoded(url.username()), b":".to_vec(), decoded(url.password().unwrap_or_default())].concat();
    remove_credentials(url);
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).expect("base64 is ASCII");
    headers.entry(header::AUTHORIZATION).or_insert(value);
}

/// Fails for URLs that have no host, which have no credentials either.
fn remove_credentials(url: &mut Url) {
    let _ = url.set_username("");
    let _ = url.set_password(None);
}
