//! Outbound HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::Error;
use ports::{EgressError, FetchReply, FetchRequest};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::json::{JsonText, envelope};
use super::{DATA_BYTES_MAX, Host, InTime, TEXT_BYTES_MAX, check_size, parse_headers, text};

impl Host {
    /// Sends a request and returns the reply as JSON; a request that could not be sent is status 0 and an error.
    pub(crate) async fn http_fetch(&mut self, method: &[u8], url: &[u8], headers: &[u8], body: &[u8]) -> InTime<Bytes> {
        let request = match request_of(method, url, headers, body) {
            Ok(request) => request,
            Err(refused) => return Ok(not_fetched(&refused.message)),
        };
        match self.in_time(self.services.fetcher.fetch(&self.context, request)).await? {
            Ok(reply) => Ok(self.fetched(&reply)),
            Err(EgressError::Deadline) => {
                self.check_deadline()?;
                Ok(not_fetched(&EgressError::Deadline.to_string()))
            }
            Err(error) => Ok(not_fetched(&error.to_string())),
        }
    }

    fn fetched(&self, reply: &FetchReply) -> Bytes {
        let (body, body_base64) = match std::str::from_utf8(&reply.body) {
            Ok(text) => (text, None),
            Err(_) => ("", Some(STANDARD.encode(&reply.body))),
        };
        let shown = Fetched { status: reply.status, headers: Headers(&reply.headers), body, body_base64 };
        let mut json = JsonText::new(self.memory_bytes_max());
        match json.value(&shown) {
            Ok(()) => json.finish(),
            Err(_) => not_fetched("the reply does not fit into the memory of the function"),
        }
    }
}

#[derive(Serialize)]
struct Fetched<'a> {
    status: u16,
    headers: Headers<'a>,
    body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// An object of lists, the names written as in `Content-Type`, in the order in which they first came.
struct Headers<'a>(&'a [(String, Bytes)]);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut grouped: Vec<(&str, Vec<String>)> = Vec::new();
        for (name, value) in self.0 {
            match grouped.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                Some((_, values)) => values.push(readable(value)),
                None => grouped.push((name, vec![readable(value)])),
            }
        }
        let mut map = serializer.serialize_map(Some(grouped.len()))?;
        for (name, values) in &grouped {
            map.serialize_entry(&canonical(name), values)?;
        }
        map.end()
    }
}

/// Values that are not UTF-8 are Latin-1, as HTTP once had them.
fn readable(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// `content-type` as `Content-Type`: guests look for names as Go writes them.
fn canonical(name: &str) -> String {
    let mut start = true;
    let letter = |c: char| {
        let letter = if start { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        start = c == '-';
        letter
    };
    name.chars().map(letter).collect()
}

fn request_of(method: &[u8], url: &[u8], headers: &[u8], body: &[u8]) -> Result<FetchRequest, Error> {
    let method = text("method", method, TEXT_BYTES_MAX)?;
    let url = text("URL", url, TEXT_BYTES_MAX)?;
    check_size("list of headers", headers, TEXT_BYTES_MAX)?;
    check_size("body", body, DATA_BYTES_MAX)?;
    let headers = parse_headers(headers).ok_or_else(|| {
        Error::invalid(
            "the headers are not a JSON object of at most 64 texts or lists of texts: {\"Accept\":\"text/plain\"}",
        )
    })?;
    let owned = |bytes: Bytes| String::from_utf8(bytes.into()).expect("read from JSON, so it is UTF-8");
    Ok(FetchRequest {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: headers.into_iter().map(|(name, value)| (owned(name), owned(value))).collect(),
        body: Bytes::copy_from_slice(body),
    })
}

fn not_fetched(error: &str) -> Bytes {
    #[derive(Serialize)]
    struct NotFetched<'a> {
        error: &'a str,
        status: u16,
    }
    envelope(&NotFetched { error, status: 0 })
}
