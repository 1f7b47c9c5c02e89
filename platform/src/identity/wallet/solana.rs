//! Addresses that are Ed25519 keys, and their signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};

const NO_ADDRESS: &str = "the wallet is no address of Solana: write 32 bytes in base58";
const NO_KEY: &str = "the wallet is no key that could sign: copy the address again";

/// Base58 of a key that can sign, as the chain itself writes it.
pub(super) fn canonical(text: &str) -> Result<String, &'static str> {
    let bytes = decode(text).ok_or(NO_ADDRESS)?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| NO_KEY)?;
    // A key of small order accepts signatures that nobody made; one in a second encoding would be a second account.
    let usable = !key.is_weak() && key.to_edwards().compress().to_bytes() == bytes;
    if usable { Ok(text.to_owned()) } else { Err(NO_KEY) }
}

/// The 32 bytes, if `text` is the one text that stands for them.
fn decode(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let length = bs58::decode(text).onto(&mut bytes[..]).ok()?;
    (length == bytes.len() && bs58::encode(bytes).into_string() == text).then_some(bytes)
}

/// Strictly: no small order in the key or in the signature, no second form of either.
pub(super) fn signed(wallet: &str, message: &[u8], signature: &str) -> bool {
    let Some(key) = decode(wallet).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()) else { return false };
    let Some(signature) = STANDARD.decode(signature).ok().and_then(|bytes| Signature::from_slice(&bytes).ok()) else {
        return false;
    };
    key.verify_strict(message, &signature).is_ok()
}
