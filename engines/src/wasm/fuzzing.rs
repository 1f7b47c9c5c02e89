//! The parsers of this crate, as the fuzz targets in `fuzz/` call them. Public only because those and the replay of their
//! corpus stand outside of the crate; nothing else may use it.

use domain::fuzzing::Target;

use super::check;
use crate::host::{HEADERS_MAX, parse_headers};

/// Every target of this crate.
pub const TARGETS: &[Target] = &[
    ("wasm_check", wasm_check),
    ("wasm_response_headers", wasm_response_headers),
    ("worker_code", worker_code),
    ("worker_arguments", worker_arguments),
];

pub use crate::worker::fuzzing::{worker_arguments, worker_code};

/// An upload is refused or passes; what the first check refuses never reaches the second, which must not rely on it.
pub fn wasm_check(data: &[u8]) {
    if let Ok(outline) = check::outline(data) {
        assert!(outline.exports.iter().map(String::len).sum::<usize>() <= data.len());
    }
    drop(check::bodies(data));
}

/// The headers are bounded in number, and no longer than what they were read from.
pub fn wasm_response_headers(data: &[u8]) {
    let Some(headers) = parse_headers(data) else { return };
    assert!(headers.len() <= HEADERS_MAX);
    assert!(headers.iter().all(|(name, value)| name.len() + value.len() <= data.len()));
}
