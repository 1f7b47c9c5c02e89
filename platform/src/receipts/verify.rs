//! Checking what a node signed, with nothing of the node but its public keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::oyster::SignedExchange;
use domain::{KeyUse, PublishedKeys, Receipt};
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

const SIGNATURE_BYTES: usize = 65;

/// What is wrong with a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    #[error("the key `{0}` is none of the node's keys for receipts")]
    UnknownKey(String),
    /// The key signed before or after the time in which it was in use.
    #[error("the key `{0}` was not in use at the time of the receipt")]
    KeyNotInUse(String),
    #[error("the signature is not 64 bytes in base64")]
    NoSignature,
    #[error("the signature is not that of what the receipt says")]
    WrongSignature,
}

/// The address whose key signed this exchange, with its checksum (EIP-55); `None` when `signature` is not 130 lower-case
/// hexadecimal digits that some key could have signed.
pub fn oyster_signer(exchange: &SignedExchange<'_>, signature: &str) -> Option<String> {
    let bytes = unhex::<SIGNATURE_BYTES>(signature)?;
    let (scalars, v) = bytes.split_at(SIGNATURE_BYTES - 1);
    let recovery = RecoveryId::from_byte(v[0].checked_sub(27).filter(|recovery| *recovery < 2)?)?;
    let signature = Signature::from_slice(scalars).ok()?;
    // Of the two forms of a signature only one counts, else anybody could make a second one of it.
    if signature.normalize_s() != signature {
        return None;
    }
    let digest = Keccak256::digest(exchange.message());
    VerifyingKey::recover_from_prehash(&digest, &signature, recovery).ok().map(|key| address_of(&key))
}

/// Did one of these keys sign what the receipt says? Whether it is about a certain exchange is for who has that.
pub fn verify_receipt(receipt: &Receipt, keys: &PublishedKeys) -> Result<(), ReceiptFault> {
    let kid = || receipt.kid.clone();
    let key = keys.find(&receipt.kid).filter(|key| key.purpose == KeyUse::Receipts);
    let key = key.ok_or_else(|| ReceiptFault::UnknownKey(kid()))?;
    let public = unhex::<32>(&key.public_key).and_then(|bytes| ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok());
    let public = public.ok_or_else(|| ReceiptFault::UnknownKey(kid()))?;
    let signature = BASE64.decode(&receipt.signature).map_err(|_| ReceiptFault::NoSignature)?;
    let signature = ed25519_dalek::Signature::from_slice(&signature).map_err(|_| ReceiptFault::NoSignature)?;
    let base = receipt.signature_base();
    public.verify_strict(base.as_bytes(), &signature).map_err(|_| ReceiptFault::WrongSignature)?;
    // A call may begin with one key, just before the next one is made.
    let signed_at = i64::try_from(receipt.facts.timestamp).unwrap_or(i64::MAX);
    let began = key.not_before.as_second().saturating_sub(LONGEST_CALL_SECONDS);
    let in_use = signed_at >= began && key.not_after.is_none_or(|end| signed_at <= end.as_second());
    in_use.then_some(()).ok_or_else(|| ReceiptFault::KeyNotInUse(kid()))
}

/// The time of a receipt is that at which its call began, which may have been under the key before.
const LONGEST_CALL_SECONDS: i64 = 3600;

/// The address of a key, with its checksum (EIP-55).
pub(super) fn address_of(key: &VerifyingKey) -> String {
    let point = key.to_sec1_point(false);
    with_checksum(&hex(&Keccak256::digest(&point.as_bytes()[1..])[12..]))
}

/// An address as people see it; `None` when the text is none, or has the checksum of another one.
pub fn checksummed_address(text: &str) -> Option<String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let lower = digits.to_ascii_lowercase();
    unhex::<20>(&lower)?;
    let address = with_checksum(&lower);
    let mixed = digits != lower && digits != digits.to_ascii_uppercase();
    (!mixed || address[2..] == *digits).then_some(address)
}

/// A digit is upper case where the hash of the lower-case digits has a nibble from 8.
fn with_checksum(digits: &str) -> String {
    let hash = Keccak256::digest(digits.as_bytes());
    let nibble = |index: usize| (hash[index / 2] >> (4 * (1 - index % 2))) & 0xf;
    let digit = |(index, c): (usize, char)| if nibble(index) >= 8 { c.to_ascii_uppercase() } else { c };
    "0x".chars().chain(digits.chars().enumerate().map(digit)).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |text, byte| text + &format!("{byte:02x}"))
}

/// Exactly `N` bytes in lower-case hexadecimal.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
