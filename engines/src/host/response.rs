//! `set_http_response`: a reply that the function composes itself.

use bytes::Bytes;
use domain::ReplyHead;
use serde_json::{Map, Value};

use super::{Host, TEXT_BYTES_MAX};

pub(crate) const HEADERS_MAX: usize = 64;
const BODY_BYTES_MAX: usize = 8 << 20;

impl Host {
    /// Composes the reply; false when it is refused, and then an earlier one stays.
    pub(crate) fn set_http_response(&mut self, status: i64, headers: &[u8], body: &[u8]) -> bool {
        let manifest = &self.services.version.manifest;
        let wanted = manifest.raw_http_response || manifest.http;
        let composed = compose(status, headers, body).filter(|_| wanted);
        let success = composed.is_some();
        if success {
            self.response = composed;
        }
        success
    }
}

fn compose(status: i64, headers: &[u8], body: &[u8]) -> Option<(ReplyHead, Bytes)> {
    // A status below 200 is not the end of an exchange: whoever receives it goes on waiting for the reply.
    let status = u16::try_from(status).ok().filter(|status| (200..=599).contains(status))?;
    if headers.len() > TEXT_BYTES_MAX || body.len() > BODY_BYTES_MAX {
        return None;
    }
    let headers = parse_headers(headers)?;
    Some((ReplyHead { status, headers }, Bytes::copy_from_slice(body)))
}

/// A JSON object of texts or lists of texts; nothing at all means no headers.
pub(crate) fn parse_headers(json: &[u8]) -> Option<Vec<(Bytes, Bytes)>> {
    if json.is_empty() {
        return Some(Vec::new());
    }
    let object: Map<String, Value> = serde_json::from_slice(json).ok()?;
    let mut headers = Vec::new();
    for (name, value) in object {
        // Shared by all values of the name: copies of a long one for each would be many times what the guest wrote.
        let name = Bytes::from(name);
        let values = match value {
            Value::String(text) => vec![text],
            Value::Array(items) => items.into_iter().map(text).collect::<Option<_>>()?,
            _ => return None,
        };
        headers.extend(values.into_iter().map(|value| (name.clone(), Bytes::from(value))));
    }
    (headers.len() <= HEADERS_MAX).then_some(headers)
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
