//! Addresses by EIP-55, signatures by EIP-191.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

const DIGITS: usize = 40;
const SIGNATURE_BYTES: usize = 65;

/// Is this meant to be an address of Ethereum? Not yet whether it is one.
pub(super) fn looks_like(text: &str) -> bool {
    text.starts_with("0x") || digits(text).is_some()
}

fn digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    (digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

/// `0x` and 40 lower-case digits. Mixed case is a checksum (EIP-55), and a wrong one is a mistyped address.
pub(super) fn canonical(text: &str) -> Result<String, &'static str> {
    let digits = digits(text).ok_or("the wallet is no address of Ethereum: write `0x` and 40 hexadecimal digits")?;
    let canonical = format!("0x{}", digits.to_ascii_lowercase());
    let mixed = digits.bytes().any(|byte| byte.is_ascii_lowercase()) && digits.bytes().any(|b| b.is_ascii_uppercase());
    match mixed && with_checksum(&canonical)[2..] != *digits {
        true => Err("the checksum of the wallet is wrong (EIP-55): copy the address again"),
        false => Ok(canonical),
    }
}

/// The form of EIP-55: a digit is upper case where the hash of the lower-case digits has a nibble from 8.
pub(super) fn with_checksum(canonical: &str) -> String {
    let digits = &canonical[2..];
    let hash = Keccak256::digest(digits.as_bytes());
    let nibble = |index: usize| (hash[index / 2] >> (4 * (1 - index % 2))) & 0xf;
    let digit = |(index, c): (usize, char)| if nibble(index) >= 8 { c.to_ascii_uppercase() } else { c };
    "0x".chars().chain(digits.chars().enumerate().map(digit)).collect()
}

/// The address whose key signed `message`, in its canonical form.
pub(super) fn signer_of(message: &[u8], signature: &str) -> Option<String> {
    let bytes = signature_bytes(signature)?;
    let (scalars, v) = bytes.split_at(SIGNATURE_BYTES - 1);
    let recovery = match v[0] {
        0 | 27 => 0,
        1 | 28 => 1,
        _ => return None,
    };
    // Refuses r and s of zero, and what is not below the order of the group.
    let signature = Signature::from_slice(scalars).ok()?;
    // Of the two forms of a signature only one may count, else a second one could be made of it without the key.
    if signature.normalize_s() != signature {
        return None;
    }
    let key = VerifyingKey::recover_from_prehash(&hash(message), &signature, RecoveryId::from_byte(recovery)?).ok()?;
    Some(address_of(&key))
}

fn signature_bytes(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    if digits.len() != 2 * SIGNATURE_BYTES {
        return None;
    }
    let mut bytes = [0; SIGNATURE_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(bytes)
}

/// What `personal_sign` signs (EIP-191, version `E`): the prefix keeps it from ever being a transaction.
fn hash(message: &[u8]) -> [u8; 32] {
    let prefix = format!("\x19Ethereum Signed Message:\n{}", message.len());
    Keccak256::new().chain_update(prefix).chain_update(message).finalize().into()
}

fn address_of(key: &VerifyingKey) -> String {
    let point = key.to_sec1_point(false);
    let hash = Keccak256::digest(&point.as_bytes()[1..]);
    hash[12..].iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}
