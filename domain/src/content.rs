//! Content identifiers, equal to what `ipfs add --cid-version=1 --raw-leaves` computes.
//!
//! Up to one chunk the identifier is that of the raw block; above it, of a balanced UnixFS file: 262,144-byte raw leaves,
//! at most 174 links a node (UnixFS and dag-pb specifications).

mod builder;

use std::fmt;
use std::str::FromStr;

use cid::multihash::Multihash;
use serde::{Deserialize, Serialize};

pub use builder::{CidBuilder, Leaf};

/// The size of a leaf, in bytes.
pub const CHUNK_BYTES: usize = 262_144;
/// The most links one node has.
pub const FANOUT: usize = 174;

const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;
const SHA2_256: u64 = 0x12;
/// The length of every text form: `b`, then 36 bytes in base32.
const TEXT_BYTES: usize = 59;

/// A CIDv1 with a sha2-256 hash: the name of bytes, computed from the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cid(cid::Cid);

/// A text that is not a CIDv1 of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a CIDv1 with a sha2-256 hash, as `ipfs add --cid-version=1` prints it")]
pub struct InvalidCid(String);

impl Cid {
    /// The identifier of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut builder = CidBuilder::new();
        for chunk in bytes.chunks(CHUNK_BYTES) {
            builder.push(Leaf::of(chunk));
        }
        builder.finish()
    }

    /// Reads the canonical text form (base32, lower case).
    pub fn parse(text: &str) -> Result<Self, InvalidCid> {
        let refused = || InvalidCid(text.chars().take(80).collect());
        // Before decoding: another base could take long over a long text, and a hash could be cut short.
        if text.len() != TEXT_BYTES {
            return Err(refused());
        }
        let cid: cid::Cid = text.parse().map_err(|_| refused())?;
        let ours = cid.version() == cid::Version::V1
            && [RAW, DAG_PB].contains(&cid.codec())
            && cid.hash().code() == SHA2_256
            && cid.to_string() == text;
        ours.then_some(Self(cid)).ok_or_else(refused)
    }

    /// Does this name at most one chunk, by its own hash?
    pub fn is_leaf(&self) -> bool {
        self.0.codec() == RAW
    }

    /// The 32 bytes of the hash.
    pub fn digest(&self) -> &[u8] {
        self.0.hash().digest()
    }
}

/// The identifier with this codec and sha2-256 hash.
fn named(codec: u64, digest: &[u8]) -> cid::Cid {
    let hash = Multihash::wrap(SHA2_256, digest).expect("32 bytes fit a 64-byte multihash");
    cid::Cid::new_v1(codec, hash)
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Cid {
    type Err = InvalidCid;
    fn from_str(text: &str) -> Result<Self, InvalidCid> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Cid {
    type Error = InvalidCid;
    fn try_from(text: String) -> Result<Self, InvalidCid> {
        Self::parse(&text)
    }
}

impl From<Cid> for String {
    fn from(cid: Cid) -> String {
        cid.to_string()
    }
}

#[cfg(test)]
mod tests;
