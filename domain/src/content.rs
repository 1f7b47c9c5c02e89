//! Content identifiers, equal to what `ipfs add --cid-version=1 --raw-leaves` computes.
//!
//! Up to one chunk the identifier is that of the raw block; above it, of a balanced UnixFS file: 262,144-byte raw leaves,
//! at most 174 links a node (UnixFS and dag-pb specifications).

use std::fmt;
use std::str::FromStr;

use cid::multihash::Multihash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
        if bytes.len() <= CHUNK_BYTES {
            return Self(block(RAW, bytes));
        }
        let leaves = bytes.chunks(CHUNK_BYTES).map(|chunk| Node {
            cid: block(RAW, chunk),
            content_bytes: chunk.len() as u64,
            stored_bytes: chunk.len() as u64,
        });
        let mut level: Vec<Node> = leaves.collect();
        while level.len() > 1 {
            level = level.chunks(FANOUT).map(parent).collect();
        }
        Self(level[0].cid)
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

    /// The 32 bytes of the hash.
    pub fn digest(&self) -> &[u8] {
        self.0.hash().digest()
    }
}

/// A node of the tree while it is being built.
struct Node {
    cid: cid::Cid,
    /// Bytes of the file below this node.
    content_bytes: u64,
    /// Bytes of all blocks below and including this node (dag-pb's `Tsize`).
    stored_bytes: u64,
}

fn parent(children: &[Node]) -> Node {
    let encoded = encode_file_node(children);
    Node {
        cid: block(DAG_PB, &encoded),
        content_bytes: children.iter().map(|child| child.content_bytes).sum(),
        stored_bytes: encoded.len() as u64 + children.iter().map(|child| child.stored_bytes).sum::<u64>(),
    }
}

/// A dag-pb node with its links before its data, the data being a UnixFS `File` with the sizes of its parts.
fn encode_file_node(children: &[Node]) -> Vec<u8> {
    let mut node = Vec::new();
    for child in children {
        let mut link = Vec::new();
        put_bytes(&mut link, 1, &child.cid.to_bytes());
        put_bytes(&mut link, 2, b"");
        put_number(&mut link, 3, child.stored_bytes);
        put_bytes(&mut node, 2, &link);
    }
    const FILE: u64 = 2;
    let mut unixfs = Vec::new();
    put_number(&mut unixfs, 1, FILE);
    put_number(&mut unixfs, 3, children.iter().map(|child| child.content_bytes).sum());
    for child in children {
        put_number(&mut unixfs, 4, child.content_bytes);
    }
    put_bytes(&mut node, 1, &unixfs);
    node
}

fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn block(codec: u64, bytes: &[u8]) -> cid::Cid {
    let digest = Sha256::digest(bytes);
    let hash = Multihash::wrap(SHA2_256, digest.as_slice()).expect("32 bytes fit a 64-byte multihash");
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
