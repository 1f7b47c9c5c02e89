//! Values and times to live, as clients of the cache write them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::Refusal;

/// The longest time to live.
const TTL_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// JSON text without the spaces between its parts; every digit stays.
pub(crate) fn compact(value: &RawValue) -> Vec<u8> {
    let text = value.get();
    let mut out = Vec::with_capacity(text.len());
    let (mut in_text, mut escaped) = (false, false);
    for byte in text.bytes() {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        if in_text || !space {
            out.push(byte);
        }
        (in_text, escaped) = match (in_text, escaped, byte) {
            (true, false, b'\\') => (true, true),
            (inside, false, b'"') => (!inside, false),
            (inside, _, _) => (inside, false),
        };
    }
    out
}

/// Stored bytes as JSON.
pub(crate) fn shown(bytes: &[u8]) -> Box<RawValue> {
    if let Ok(json) = serde_json::from_slice::<Box<RawValue>>(bytes) {
        return json;
    }
    let made = match std::str::from_utf8(bytes) {
        Ok(text) => to_raw_value(text),
        Err(_) => to_raw_value(&serde_json::json!({ "base64": STANDARD.encode(bytes) })),
    };
    made.expect("texts serialize")
}

/// Do both mean the same? The order of keys and the spaces do not matter.
pub(crate) fn same(one: &RawValue, other: &RawValue) -> bool {
    let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).ok();
    compact(one) == compact(other) || value(one).is_some_and(|one| value(other) == Some(one))
}

/// A time to live as Go writes durations: `90s`, `1h30m`, `1.5h`. Nothing, and zero, mean that the entry does not expire.
pub(crate) fn parse_ttl(text: &str) -> Result<Option<Duration>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let refused = || Refusal::invalid("`ttl` must be a duration such as `90s`, `15m` or `1h30m`, up to ten years");
    let ttl = parse_duration(text).filter(|ttl| *ttl <= TTL_MAX).ok_or_else(refused)?;
    Ok(Some(ttl).filter(|ttl| !ttl.is_zero()))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut whole = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !(c.is_ascii_digit() || c == '.'));
        let (unit, after) = split_where(after, |c| c.is_ascii_digit() || c == '.');
        whole = whole.checked_add(part(number, unit)?)?;
        rest = after;
    }
    (!text.is_empty() && text != "+").then_some(whole)
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

fn part(number: &str, unit: &str) -> Option<Duration> {
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let number: f64 = Some(number).filter(|number| number.bytes().any(|b| b.is_ascii_digit()))?.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    #[test]
    fn durations_are_those_of_go() {
        let ttl = |text: &str| parse_ttl(text).ok().map(|ttl| ttl.map(|ttl| ttl.as_millis()));
        assert_eq!(ttl("1h"), Some(Some(3_600_000)));
        assert_eq!(ttl("1h30m"), Some(Some(5_400_000)));
        assert_eq!(ttl("1.5s"), Some(Some(1500)));
        assert_eq!(ttl("250ms"), Some(Some(250)));
        assert_eq!(ttl("+1m0.5s"), Some(Some(60_500)));
        for never in ["", "0", "0s", "0h0m"] {
            assert_eq!(ttl(never), Some(None), "{never:?}");
        }
        for wrong in ["-1s", "1", "s", "1x", "1h-1m", ".s", "1..2s", "1e3s", "99999999h", "+", "1 s", "NaNs", "infs"] {
            assert_eq!(ttl(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_value_comes_back_as_it_was() {
        let text = r#" { "a\" b" : [ 1.0 , 12345678901234567890123 , "x\\" , true ] , "n" : null } "#;
        let compacted = compact(&raw(text.trim()));
        assert_eq!(
            String::from_utf8_lossy(&compacted),
            r#"{"a\" b":[1.0,12345678901234567890123,"x\\",true],"n":null}"#
        );
        assert_eq!(shown(&compacted).get().as_bytes(), &compacted[..]);
    }

    #[test]
    fn what_is_no_json_is_shown_nevertheless() {
        assert_eq!(shown(b"17").get(), "17");
        assert_eq!(shown(b"plain text").get(), r#""plain text""#);
        assert_eq!(shown(b"").get(), r#""""#);
        assert_eq!(shown(&[0xff, 0x00]).get(), r#"{"base64":"/wA="}"#);
    }

    #[test]
    fn values_are_compared_by_what_they_mean() {
        assert!(same(&raw(r#"{"a":1,"b":[2]}"#), &raw(r#"{ "b": [2], "a": 1 }"#)));
        assert!(same(&raw("12345678901234567890123"), &raw("12345678901234567890123")));
        assert!(!same(&raw("1"), &raw("2")));
        assert!(!same(&raw("1"), &raw("\"1\"")));
    }
}
