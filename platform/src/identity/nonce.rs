//! The nonces of challenges: 32 bytes that say themselves what they are for, so that a challenge keeps no state.
//!
//! ```text
//! 8 bytes of chance | expiry and purpose, 8 bytes, under the chance | a keyed hash over all that the nonce is bound to, 16 bytes
//! ```
//! Only a nonce that was used is remembered, by the registry, until it would have expired.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Namespace, Timestamp};

use super::sign_in::Purpose;
use super::wallet::Wallet;

const CHANCE_BYTES: usize = 8;
const MASKED_BYTES: usize = 8;
const MAC_BYTES: usize = 16;
const NONCE_BYTES: usize = CHANCE_BYTES + MASKED_BYTES + MAC_BYTES;

/// Makes nonces and reads them.
pub(super) struct Nonces {
    mac: [u8; 32],
    spent: [u8; 32],
}

/// A nonce that we made for a wallet in a namespace; perhaps expired, perhaps used.
pub(super) struct Nonce {
    pub(super) expires_at: Timestamp,
    /// By which the registry remembers that it was used.
    pub(super) hash: [u8; 32],
    tag: [u8; 4],
}

impl Nonce {
    pub(super) fn is_for(&self, purpose: Purpose) -> bool {
        let own = [Purpose::SignIn, purpose].map(Purpose::number);
        own.contains(&self.tag[0])
    }

    /// Was this the purpose in the challenge, word for word?
    pub(super) fn names(&self, purpose: &str) -> bool {
        self.tag == tag_of(purpose)
    }
}

impl Nonces {
    /// `secret` is the node's; everything here is derived from it.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self {
            mac: blake3::derive_key("orama 2026-11 nonces of challenges", secret),
            spent: blake3::derive_key("orama 2026-11 spent nonces", secret),
        }
    }

    /// A nonce of letters and digits alone: EIP-4361 allows nothing else, and base64url has two characters more.
    pub(super) fn draw(
        &self,
        wallet: &Wallet,
        namespace: &Namespace,
        purpose: &str,
        expires_at: Timestamp,
    ) -> Result<String, getrandom::Error> {
        loop {
            let mut chance = [0; CHANCE_BYTES];
            getrandom::fill(&mut chance)?;
            let facts = facts(expires_at, tag_of(purpose));
            let text = URL_SAFE_NO_PAD.encode(self.seal(chance, facts, wallet, namespace));
            // One in four is.
            if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Ok(text);
            }
        }
    }

    fn seal(&self, chance: [u8; 8], facts: [u8; 8], wallet: &Wallet, namespace: &Namespace) -> [u8; NONCE_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.mac);
        for field in [&chance[..], &facts, wallet.as_str().as_bytes(), namespace.as_str().as_bytes()] {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field);
        }
        let mut nonce = [0; NONCE_BYTES];
        nonce[..CHANCE_BYTES].copy_from_slice(&chance);
        // Under the chance, so that no expiry brings the same forbidden character into every draw.
        nonce[CHANCE_BYTES..][..MASKED_BYTES].copy_from_slice(&masked(chance, facts));
        nonce[CHANCE_BYTES + MASKED_BYTES..].copy_from_slice(&hasher.finalize().as_bytes()[..MAC_BYTES]);
        nonce
    }

    /// Reads a nonce of ours; `None` for any other, and for one made for another wallet or namespace.
    pub(super) fn open(&self, text: &str, wallet: &Wallet, namespace: &Namespace) -> Option<Nonce> {
        let mut nonce = [0; NONCE_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut nonce).ok()?;
        let chance = *nonce.first_chunk().filter(|_| length == NONCE_BYTES)?;
        let facts = masked(chance, *nonce[CHANCE_BYTES..].first_chunk()?);
        let ours = self.seal(chance, facts, wallet, namespace);
        // The comparison of hashes takes the same time wherever they differ.
        if blake3::hash(&ours) != blake3::hash(&nonce) {
            return None;
        }
        let (expiry, tag) = facts.split_at(4);
        Some(Nonce {
            expires_at: Timestamp::from_second(u32::from_be_bytes(expiry.try_into().ok()?).into()).ok()?,
            hash: *blake3::keyed_hash(&self.spent, &nonce).as_bytes(),
            tag: tag.try_into().ok()?,
        })
    }
}

/// Seconds in 32 bits last until 2106.
fn facts(expires_at: Timestamp, tag: [u8; 4]) -> [u8; MASKED_BYTES] {
    let mut facts = [0; MASKED_BYTES];
    facts[..4].copy_from_slice(&(expires_at.as_second() as u32).to_be_bytes());
    facts[4..].copy_from_slice(&tag);
    facts
}

fn masked(chance: [u8; CHANCE_BYTES], facts: [u8; MASKED_BYTES]) -> [u8; MASKED_BYTES] {
    std::array::from_fn(|index| chance[index] ^ facts[index])
}

/// The kind of purpose, by which a nonce is admitted, and enough of its text to notice another.
fn tag_of(purpose: &str) -> [u8; 4] {
    let hash = blake3::hash(purpose.as_bytes());
    let [first, second, third, ..] = *hash.as_bytes();
    [Purpose::of(purpose).number(), first, second, third]
}
