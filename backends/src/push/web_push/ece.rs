//! The encryption of RFC 8291: `aes128gcm` of RFC 8188, with keys that only the browser and one message have in common.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use domain::PushSubscription;

const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 16;
/// The size of records that the message says it has. There is one, and it is shorter.
const RECORD_BYTES: u32 = 4096;
/// The mark behind the last record's text.
const LAST: u8 = 2;
/// What push services take at least, and not all take more: the head, the text, its mark and the tag.
const BODY_BYTES_MAX: usize = 4096;
const HEAD_BYTES: usize = SALT_BYTES + 4 + 1 + 65;
const PLAIN_BYTES_MAX: usize = BODY_BYTES_MAX - HEAD_BYTES - 1 - 16;

/// Why a message cannot be encrypted for a browser.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotSealed {
    #[error("the message is {0} bytes, a browser takes {PLAIN_BYTES_MAX}")]
    TooLarge(usize),
    #[error("the keys of the subscription are no keys; register the device anew")]
    BadKeys,
    #[error("there are no random bytes")]
    NoRandom,
}

impl NotSealed {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "PayloadTooLarge",
            Self::BadKeys => "BadSubscription",
            Self::NoRandom => "NoRandom",
        }
    }
}

/// Encrypts a message for the browser behind a subscription.
pub(super) fn seal(subscription: &PushSubscription, plain: &[u8]) -> Result<Vec<u8>, NotSealed> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|_| NotSealed::NoRandom)?;
    let key = PrivateKey::generate(&ECDH_P256).map_err(|_| NotSealed::NoRandom)?;
    seal_with(&key, salt, subscription, plain)
}

/// A key and a salt must never serve twice.
pub(super) fn seal_with(
    key: &PrivateKey,
    salt: [u8; SALT_BYTES],
    subscription: &PushSubscription,
    plain: &[u8],
) -> Result<Vec<u8>, NotSealed> {
    if plain.len() > PLAIN_BYTES_MAX {
        return Err(NotSealed::TooLarge(plain.len()));
    }
    let PushSubscription { p256dh, auth, .. } = subscription;
    let public = key.compute_public_key().map_err(|_| NotSealed::BadKeys)?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, p256dh);
    let shared = agree(key, theirs, NotSealed::BadKeys, |secret| Ok(extract(auth, secret)))?;
    let input = expand(&shared, &[b"WebPush: info\0", p256dh, public.as_ref()]);
    let secret = extract(&salt, &input);
    let content_key = &expand(&secret, &[b"Content-Encoding: aes128gcm\0"])[..KEY_BYTES];
    let nonce = &expand(&secret, &[b"Content-Encoding: nonce\0"])[..NONCE_LEN];

    let mut record = [plain, &[LAST]].concat();
    let content_key = UnboundKey::new(&AES_128_GCM, content_key).expect("the key has its length");
    let nonce = Nonce::try_assume_unique_for_key(nonce).expect("the nonce has its length");
    let sealed = LessSafeKey::new(content_key).seal_in_place_append_tag(nonce, Aad::empty(), &mut record);
    sealed.expect("a message of a few KiB can be sealed");
    let head = [&salt[..], &RECORD_BYTES.to_be_bytes(), &[public.as_ref().len() as u8], public.as_ref()].concat();
    Ok([head, record].concat())
}

/// The first half of HKDF (RFC 5869).
fn extract(salt: &[u8], secret: &[u8]) -> [u8; 32] {
    mac(salt, &[secret])
}

/// The second half, for what is no longer than one hash.
fn expand(secret: &[u8; 32], info: &[&[u8]]) -> [u8; 32] {
    mac(secret, &[&info.concat(), &[1]])
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, key), &parts.concat());
    tag.as_ref().try_into().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests;
