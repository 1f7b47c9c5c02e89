//! What is said to a head that nobody can read.
//!
//! hyper answers such a head itself, before a service sees it, with a status alone. What is made here takes the place of that, so
//! that these refusals say what was wrong, as all others do.

use http::StatusCode;

use super::admission::{headers_too_large, uri_too_long};
use crate::Gateway;
use crate::error::Refusal;
use crate::reply::Reply;

/// The longest head that hyper makes by itself.
const OWN_BYTES_MAX: usize = 256;

/// The status of a reply that hyper may have made by itself: a head of HTTP/1, short, refusing, with nothing behind it.
pub(super) fn status_of(bytes: &[u8]) -> Option<StatusCode> {
    let status = bytes.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    let is_bare = bytes.len() <= OWN_BYTES_MAX && bytes.ends_with(b"\r\n\r\n");
    StatusCode::from_bytes(status).ok().filter(|status| is_bare && status.is_client_error())
}

/// All bytes of our own reply in the place of `theirs`.
pub(super) fn answer(gateway: &Gateway, status: StatusCode, theirs: &[u8]) -> Vec<u8> {
    let config = &gateway.config.edge;
    let refusal = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => headers_too_large(config),
        StatusCode::URI_TOO_LONG => uri_too_long(config),
        _ => Refusal::invalid("this is no request of HTTP/1.1: the request line or a header is malformed").close(),
    };
    written(gateway.refuse(refusal), date_of(theirs))
}

/// The line with the date (RFC 9110, 6.6.1) of a head.
fn date_of(head: &[u8]) -> Option<&str> {
    let lines = std::str::from_utf8(head).ok()?.split_inclusive("\r\n");
    lines.into_iter().find(|line| line.starts_with("date:"))
}

fn written(reply: Reply, date: Option<&str>) -> Vec<u8> {
    let (status, body) = (reply.status(), reply.body().whole().unwrap_or_default());
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in reply.headers() {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(format!("content-length: {}\r\n{}\r\n", body.len(), date.unwrap_or_default()).as_bytes());
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";

    #[test]
    fn only_bare_refusals_are_taken_for_those_of_the_library() {
        assert_eq!(status_of(OWN), Some(StatusCode::BAD_REQUEST));
        assert_eq!(date_of(OWN), Some("date: now\r\n"));
        let body = [OWN, b"body"].concat();
        let long = [b"HTTP/1.1 400 Bad Request\r\n".as_slice(), &[b'x'; 300], b"\r\n\r\n"].concat();
        for other in
            [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1", &body, &long, b""]
        {
            assert_eq!(status_of(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
