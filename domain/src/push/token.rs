//! The tokens of devices. What they look like is checked when they come, so that a provider is never asked for nonsense and no
//! token can change the request that it is put into.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::PushKind;

/// The longest token that is one word, in bytes.
const TOKEN_BYTES_MAX: usize = 512;
/// The longest subscription of a browser as JSON, in bytes.
const SUBSCRIPTION_BYTES_MAX: usize = 4 << 10;
/// The longest name of a topic of ntfy.
const TOPIC_BYTES_MAX: usize = 64;
/// Apple says that its tokens may grow; today they have 32 bytes.
const APNS_DIGITS: std::ops::RangeInclusive<usize> = 64..=200;
/// A point of P-256, not compressed.
const POINT_BYTES: usize = 65;
const AUTH_BYTES: usize = 16;

pub(super) fn check(kind: PushKind, token: &str) -> Result<(), String> {
    let longest = if kind == PushKind::Webpush { SUBSCRIPTION_BYTES_MAX } else { TOKEN_BYTES_MAX };
    match token.len() {
        0 => return Err("is empty".to_owned()),
        length if length > longest => return Err(format!("is {length} bytes, the limit is {longest}")),
        _ => {}
    }
    let (fits, form) = match kind {
        PushKind::Ntfy => (is_topic(token), "must be the name of a topic: 1 to 64 letters, digits, `_` and `-`"),
        PushKind::Expo => (is_expo(token), "must look like `ExponentPushToken[…]`"),
        PushKind::Apns | PushKind::ApnsVoip => (is_apns(token), "must be 64 to 200 hexadecimal digits"),
        PushKind::Fcm => (is_fcm(token), "must be a registration token: letters, digits, `_`, `-` and `:`"),
        PushKind::Webpush => return PushSubscription::parse(token).map(drop).map_err(str::to_owned),
    };
    if fits { Ok(()) } else { Err(form.to_owned()) }
}

fn all(token: &str, further: &[u8]) -> bool {
    token.bytes().all(|byte| byte.is_ascii_alphanumeric() || further.contains(&byte))
}

fn is_topic(token: &str) -> bool {
    token.len() <= TOPIC_BYTES_MAX && all(token, b"_-")
}

fn is_expo(token: &str) -> bool {
    let inner = ["ExponentPushToken[", "ExpoPushToken["].iter().find_map(|start| token.strip_prefix(start));
    inner.and_then(|inner| inner.strip_suffix(']')).is_some_and(|inner| !inner.is_empty() && all(inner, b"_-"))
}

fn is_apns(token: &str) -> bool {
    APNS_DIGITS.contains(&token.len())
        && token.len().is_multiple_of(2)
        && token.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_fcm(token: &str) -> bool {
    all(token, b"_-:")
}

/// Where a browser gets its messages, and the keys that they are encrypted for (RFC 8291). Its `Debug` shows nothing: who knows
/// the endpoint can send.
#[derive(Clone, PartialEq, Eq)]
pub struct PushSubscription {
    pub endpoint: String,
    /// A point of P-256, not compressed.
    pub p256dh: [u8; POINT_BYTES],
    pub auth: [u8; AUTH_BYTES],
}

impl fmt::Debug for PushSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushSubscription(…)")
    }
}

/// What `PushSubscription.toJSON()` gives in a browser; other fields are left alone.
#[derive(Deserialize)]
struct Written {
    endpoint: String,
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    p256dh: String,
    auth: String,
}

impl PushSubscription {
    /// Reads a subscription. The error is the end of a sentence that begins with it.
    pub fn parse(json: &str) -> Result<Self, &'static str> {
        let written: Written = serde_json::from_str(json)
            .map_err(|_| "must be a subscription as JSON: `endpoint`, and `keys` with `p256dh` and `auth`")?;
        let Written { endpoint, keys } = written;
        let visible = endpoint.bytes().all(|byte| byte.is_ascii_graphic());
        if !endpoint.starts_with("https://") || !visible {
            return Err("must have an `endpoint` that is an https URL");
        }
        let point = decode(&keys.p256dh).filter(|point: &[u8; POINT_BYTES]| point[0] == 4);
        let p256dh = point.ok_or("must have a point of P-256 as `keys.p256dh`: 65 bytes in base64url")?;
        let auth = decode(&keys.auth).ok_or("must have 16 bytes in base64url as `keys.auth`")?;
        Ok(Self { endpoint, p256dh, auth })
    }
}

/// Browsers leave the padding out, some libraries do not.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?.try_into().ok()
}
