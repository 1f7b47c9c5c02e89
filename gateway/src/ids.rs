//! Ids: ours for each request, and the ones that a client sends along.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::{Error, RequestId};
use http::HeaderMap;

use crate::error::Refusal;

/// Random bytes in one UUIDv7.
const RANDOM_BYTES: usize = 10;
/// Ids that one draw of randomness serves.
const IDS_PER_DRAW: usize = 100;

/// Makes UUIDv7s. The system is asked for randomness once in a hundred ids: asking costs as much as a small function call.
#[derive(Default)]
pub(crate) struct RequestIds {}

struct Randomness {
    bytes: [u8; RANDOM_BYTES * IDS_PER_DRAW],
    used: usize,
}

thread_local! {
    static RANDOMNESS: RefCell<Randomness> =
        const { RefCell::new(Randomness { bytes: [0; RANDOM_BYTES * IDS_PER_DRAW], used: RANDOM_BYTES * IDS_PER_DRAW }) };
}

impl RequestIds {
    pub(crate) fn next(&self) -> RequestId {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let random = RANDOMNESS.with_borrow_mut(Randomness::take);
        let uuid = uuid::Builder::from_unix_timestamp_millis(since_epoch.as_millis() as u64, &random).into_uuid();
        RequestId::new(&*uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))
    }
}

impl Randomness {
    fn take(&mut self) -> [u8; RANDOM_BYTES] {
        if self.used == self.bytes.len() {
            getrandom::fill(&mut self.bytes).expect("the system has randomness");
            self.used = 0;
        }
        let mut taken = [0; RANDOM_BYTES];
        taken.copy_from_slice(&self.bytes[self.used..self.used + RANDOM_BYTES]);
        self.used += RANDOM_BYTES;
        taken
    }
}

/// The client's own id for a request: 1 to 128 of `[A-Za-z0-9._-]`; anything else is ignored.
pub(crate) fn client_request_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(crate::reply::REQUEST_ID)?.to_str().ok()?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    ((1..=128).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}

/// The trace id of a W3C `traceparent`; a malformed one is ignored, as the standard demands.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("traceparent").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    parse_traceparent(value.to_str().ok()?).map(str::to_owned)
}

fn parse_traceparent(text: &str) -> Option<&str> {
    let mut fields = text.split('-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let nonzero = |text: &str| text.bytes().any(|b| b != b'0');
    let known_shape = version != "ff" && (version != "00" || fields.next().is_none());
    let valid = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    (known_shape && valid && nonzero(trace) && nonzero(span)).then_some(trace)
}

/// The `Idempotency-Key`: 1 to 255 visible ASCII characters, and only one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
    match value.to_str() {
        Ok(text) if visible && (1..=255).contains(&text.len()) && values.next().is_none() => Ok(Some(text.to_owned())),
        _ => Err(Error::invalid("`Idempotency-Key` must be one value of 1 to 255 visible ASCII characters").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_7_and_differ() {
        let ids = RequestIds::default();
        let made: std::collections::HashSet<String> = (0..1000).map(|_| ids.next().to_string()).collect();
        assert_eq!(made.len(), 1000);
        for id in made {
            assert_eq!(uuid::Uuid::parse_str(&id).expect("an id is a UUID").get_version_num(), 7);
        }
    }

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(parse_traceparent(&format!("00-{trace}-00f067aa0ba902b7-01")), Some(trace));
        assert_eq!(parse_traceparent(&format!("cc-{trace}-00f067aa0ba902b7-01-what-the-future-brings")), Some(trace));
        for wrong in [
            format!("00-{trace}-00f067aa0ba902b7-01-more"),
            format!("ff-{trace}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            format!("00-{trace}-0000000000000000-01"),
            String::new(),
        ] {
            assert_eq!(parse_traceparent(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn noise_is_never_a_trace_and_never_a_panic() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let valid = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_vec();
        for _ in 0..20_000 {
            let mut bytes = valid.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (state >> 33) as usize % bytes.len();
                bytes[at] = (state >> 24) as u8;
            }
            let text = String::from_utf8_lossy(&bytes);
            if let Some(trace) = parse_traceparent(&text) {
                assert_eq!(trace.len(), 32);
            }
        }
    }
}
