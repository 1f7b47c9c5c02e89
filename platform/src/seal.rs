//! Sealing: bytes that only the holder of a key can read, and only at the place that they were sealed for.
//!
//! AES-256-GCM. What is sealed is `version (1) | nonce (12) | ciphertext | tag (16)`. The nonce is drawn at random, which is
//! safe for as many messages as one key here ever seals: a data key seals the secrets of one namespace until the next rotation.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use hkdf::Hkdf;
use ports::NodeKey;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::internal;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + NONCE_BYTES;

/// Seals `plain` for the place that `aad` describes: opening it anywhere else fails.
pub(crate) fn seal(key: &[u8; 32], aad: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, domain::Error> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|cause| internal("draw a nonce", cause))?;
    let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + TAG_BYTES);
    sealed.push(VERSION);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let tag = Aes256Gcm::new(key.into())
        .encrypt_inout_detached(&Nonce::from(nonce), &associated(aad), (&mut sealed[HEAD_BYTES..]).into())
        .map_err(|cause| internal("seal", cause))?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// What was sealed with this key for this place; `None` when it was not, or was changed since.
pub(crate) fn open(key: &[u8; 32], aad: &[&[u8]], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (&VERSION, rest) = sealed.split_first()? else { return None };
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
    let mut plain = Zeroizing::new(ciphertext.to_vec());
    let buffer = plain.as_mut_slice().into();
    let cipher = Aes256Gcm::new(key.into());
    cipher.decrypt_inout_detached(&Nonce::from(*nonce), &associated(aad), buffer, &Tag::from(*tag)).ok()?;
    Some(plain)
}

/// A key for one purpose alone, so that no two uses of a master key can be mistaken for each other.
pub(crate) fn derive(master: &NodeKey, purpose: &str) -> [u8; 32] {
    let mut key = [0; 32];
    let expanded = Hkdf::<Sha256>::new(None, master.expose()).expand(purpose.as_bytes(), &mut key);
    expanded.expect("32 bytes are within what HKDF can expand");
    key
}

/// The parts, each behind its length, so that no two lists of parts give the same bytes.
fn associated(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests;
