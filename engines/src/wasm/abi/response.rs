//! `set_http_response`: a reply that the function composes itself.

use bytes::Bytes;
use domain::ReplyHead;
use serde_json::{Map, Value};
use wasmtime::{Caller, Linker};

use super::guest::take;
use crate::wasm::state::State;

pub(crate) const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: u32 = 64 << 10;
const BODY_BYTES_MAX: u32 = 8 << 20;

pub(super) fn add(linker: &mut Linker<State>, module: &str) -> wasmtime::Result<()> {
    let set =
        |mut caller: Caller<'_, State>, status: u32, headers: u32, headers_len: u32, body: u32, body_len: u32| -> u32 {
            let manifest = &caller.data().host.services.version.manifest;
            if !manifest.raw_http_response && !manifest.http {
                return 0;
            }
            let composed = compose(&mut caller, status, (headers, headers_len), (body, body_len));
            let success = composed.is_some();
            if success {
                caller.data_mut().response = composed;
            }
            u32::from(success)
        };
    linker.func_wrap(module, "set_http_response", set)?;
    Ok(())
}

fn compose(
    caller: &mut Caller<'_, State>,
    status: u32,
    headers: (u32, u32),
    body: (u32, u32),
) -> Option<(ReplyHead, Bytes)> {
    let status = u16::try_from(status).ok().filter(|status| (100..=599).contains(status))?;
    if headers.1 > HEADER_BYTES_MAX || body.1 > BODY_BYTES_MAX {
        return None;
    }
    let headers = parse_headers(take(caller, headers.0, headers.1)?)?;
    let body = Bytes::copy_from_slice(take(caller, body.0, body.1)?);
    Some((ReplyHead { status, headers }, body))
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
