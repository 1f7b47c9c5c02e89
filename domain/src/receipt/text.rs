//! Parts of a request as a receipt writes them. Whoever compares a request with a receipt writes it the same way first.

/// Bytes as visible ASCII: what is not that is percent-encoded.
pub fn printable_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte.is_ascii_graphic() {
            true => text.push(char::from(*byte)),
            false => text += &format!("%{byte:02X}"),
        }
    }
    text
}

/// The value of `Host` as `@authority` (RFC 9421, 2.2.3): lower case, and without a port that HTTP or HTTPS has by itself.
pub fn authority_text(host: &[u8]) -> String {
    let text = printable_text(host).to_ascii_lowercase();
    let stripped = text.strip_suffix(":80").or_else(|| text.strip_suffix(":443"));
    match stripped {
        Some(stripped) => stripped.to_owned(),
        None => text,
    }
}

/// The target of a request as `@path` and `@query` (RFC 9421, 2.2.6 and 2.2.7).
pub fn split_target(target: &str) -> (String, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = if path.is_empty() { "/" } else { path };
    (printable_text(path.as_bytes()), format!("?{}", printable_text(query.as_bytes())))
}
