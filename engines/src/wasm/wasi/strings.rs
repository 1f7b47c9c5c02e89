//! Arguments and environment: the function's name, and for `http: true` the request in CGI variables (RFC 3875).

use domain::HttpHead;
use wasmtime::{Caller, Linker};

use super::{Errno, MODULE, errno, parts, put};
use crate::wasm::state::State;

/// Each entry ends with NUL.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strings {
    arguments: Vec<Vec<u8>>,
    environment: Vec<Vec<u8>>,
}

impl Strings {
    fn of(state: &State) -> Self {
        let name = state.host.services.version.name.as_str();
        let http = state.http.as_deref().filter(|_| state.host.services.version.manifest.http);
        let variables = http.map(|head| variables(head, state.streams.input.len())).unwrap_or_default();
        Self { arguments: vec![terminated(name.as_bytes())], environment: variables }
    }
}

fn terminated(bytes: &[u8]) -> Vec<u8> {
    // A NUL inside would end the string early.
    bytes.iter().copied().filter(|byte| *byte != 0).chain([0]).collect()
}

/// `REQUEST_METHOD`, `PATH_INFO` (as received, not decoded), `QUERY_STRING`, `CONTENT_LENGTH`, `CONTENT_TYPE`, `HTTP_…`.
fn variables(head: &HttpHead, input_bytes: usize) -> Vec<Vec<u8>> {
    let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    let fixed = [
        ("GATEWAY_INTERFACE", "CGI/1.1".to_owned()),
        ("REQUEST_METHOD", head.method.clone()),
        ("PATH_INFO", path.to_owned()),
        ("QUERY_STRING", query.to_owned()),
        ("REQUEST_URI", head.target.clone()),
        ("CONTENT_LENGTH", input_bytes.to_string()),
    ];
    let mut all: Vec<Vec<u8>> = fixed.iter().map(|(name, value)| variable(name, value.as_bytes())).collect();
    all.extend(header_variables(head));
    all
}

/// A header that came twice becomes one variable, its values joined by a comma (RFC 3875 4.1.18).
fn header_variables(head: &HttpHead) -> Vec<Vec<u8>> {
    let mut joined: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, value) in &head.headers {
        let name = String::from_utf8_lossy(name).to_ascii_uppercase().replace('-', "_");
        let name = match name.as_str() {
            "CONTENT_TYPE" => name,
            // Said by its own variable; and a header `Proxy` would become HTTP_PROXY, which clients obey.
            "CONTENT_LENGTH" | "PROXY" => continue,
            _ => format!("HTTP_{name}"),
        };
        match joined.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => {
                values.extend_from_slice(b", ");
                values.extend_from_slice(value);
            }
            None => joined.push((name, value.to_vec())),
        }
    }
    joined.iter().map(|(name, value)| variable(name, value)).collect()
}

fn variable(name: &str, value: &[u8]) -> Vec<u8> {
    terminated(&[name.as_bytes(), b"=", value].concat())
}

pub(super) fn add(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "args_sizes_get", |mut caller: Caller<'_, State>, count: u32, bytes: u32| {
        errno(sizes(&mut caller, |strings| &strings.arguments, count, bytes))
    })?;
    linker.func_wrap(MODULE, "args_get", |mut caller: Caller<'_, State>, pointers: u32, buffer: u32| {
        errno(place(&mut caller, |strings| &strings.arguments, pointers, buffer))
    })?;
    linker.func_wrap(MODULE, "environ_sizes_get", |mut caller: Caller<'_, State>, count: u32, bytes: u32| {
        errno(sizes(&mut caller, |strings| &strings.environment, count, bytes))
    })?;
    linker.func_wrap(MODULE, "environ_get", |mut caller: Caller<'_, State>, pointers: u32, buffer: u32| {
        errno(place(&mut caller, |strings| &strings.environment, pointers, buffer))
    })?;
    Ok(())
}

type Pick = fn(&Strings) -> &[Vec<u8>];

/// The strings of this call, made at their first use, while the whole input is still there to be measured.
fn strings(state: &mut State) -> &Strings {
    if state.strings.is_none() {
        state.strings = Some(Strings::of(state));
    }
    state.strings.as_ref().expect("just set")
}

fn sizes(caller: &mut Caller<'_, State>, pick: Pick, count: u32, bytes: u32) -> Result<(), Errno> {
    let (memory, state) = parts(caller)?;
    let list = pick(strings(state));
    let total: usize = list.iter().map(Vec::len).sum();
    put(memory, count, &(list.len() as u32).to_le_bytes())?;
    put(memory, bytes, &(total as u32).to_le_bytes())
}

fn place(caller: &mut Caller<'_, State>, pick: Pick, pointers: u32, buffer: u32) -> Result<(), Errno> {
    let (memory, state) = parts(caller)?;
    let (mut pointer, mut address) = (pointers, buffer);
    for string in pick(strings(state)) {
        put(memory, pointer, &address.to_le_bytes())?;
        put(memory, address, string)?;
        pointer = pointer.wrapping_add(4);
        address = address.wrapping_add(string.len() as u32);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_request_becomes_cgi_variables() {
        let header = |name: &'static str, value: &'static str| (Bytes::from(name), Bytes::from(value));
        let head = HttpHead {
            method: "POST".into(),
            target: "/a%20b/c?x=1&y=%00".into(),
            headers: vec![
                header("content-type", "text/plain"),
                header("content-length", "3"),
                header("x-two", "1"),
                header("X-Two", "2"),
                header("proxy", "http://evil"),
            ],
        };
        let shown: Vec<String> =
            variables(&head, 3).iter().map(|entry| String::from_utf8_lossy(entry).into_owned()).collect();
        assert_eq!(
            shown,
            [
                "GATEWAY_INTERFACE=CGI/1.1\0",
                "REQUEST_METHOD=POST\0",
                "PATH_INFO=/a%20b/c\0",
                "QUERY_STRING=x=1&y=%00\0",
                "REQUEST_URI=/a%20b/c?x=1&y=%00\0",
                "CONTENT_LENGTH=3\0",
                "CONTENT_TYPE=text/plain\0",
                "HTTP_X_TWO=1, 2\0",
            ]
        );
    }
}
