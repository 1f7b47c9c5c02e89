//! Which part of content a client wants, and whether it has it already (RFC 9110, sections 13 and 14).

use http::header;

use crate::exchange::Exchange;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Everything,
    /// From `start` up to but without `end`.
    Part {
        start: u64,
        end: u64,
    },
    /// A range that is not within the content.
    Nothing,
}

/// Does the client hold this very content? It does if it names it: content never changes.
pub(super) fn is_known(exchange: &Exchange, etag: &str) -> bool {
    let known = exchange.header(header::IF_NONE_MATCH);
    known.is_some_and(|list| list.split(',').map(str::trim).any(|tag| tag == "*" || without_weak(tag) == etag))
}

fn without_weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

pub(super) fn wanted(exchange: &Exchange, etag: &str, size: u64) -> Wanted {
    // A range of another content would be a range of nothing.
    let still_the_same = exchange.header(header::IF_RANGE).is_none_or(|tag| tag == etag);
    match exchange.header(header::RANGE) {
        Some(range) if still_the_same => parse(range, size),
        _ => Wanted::Everything,
    }
}

/// One range of bytes. Several ranges, other units and what cannot be read mean everything, as the standard allows.
pub(crate) fn parse(range: &str, size: u64) -> Wanted {
    let Some((unit, spec)) = range.split_once('=') else { return Wanted::Everything };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Everything };
    if !unit.eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return Wanted::Everything;
    }
    let (start, end) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(size)),
        (Some(first), None) if last.is_empty() => (first, size),
        (None, Some(count)) if first.is_empty() => (size.saturating_sub(count), size),
        _ => return Wanted::Everything,
    };
    if start < end { Wanted::Part { start, end } } else { Wanted::Nothing }
}

/// Digits alone; more than fit mean the end.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_standard_says() {
        let part = |start, end| Wanted::Part { start, end };
        for (range, want) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-", part(0, 10)),
            ("bytes=2-5", part(2, 6)),
            ("bytes=5-99999999999999999999999", part(5, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-99", part(0, 10)),
            ("Bytes=9-9", part(9, 10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=99999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-2", Wanted::Everything),
            ("bytes=0-1,3-4", Wanted::Everything),
            ("lines=0-1", Wanted::Everything),
            ("bytes=+1-2", Wanted::Everything),
            ("bytes=", Wanted::Everything),
            ("bytes=-", Wanted::Everything),
            ("", Wanted::Everything),
        ] {
            assert_eq!(parse(range, 10), want, "{range}");
        }
        assert_eq!(parse("bytes=0-", 0), Wanted::Nothing);
        assert_eq!(parse("bytes=-1", 0), Wanted::Nothing);
    }
}
