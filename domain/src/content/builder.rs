//! A content identifier from the chunks of the content, one after the other, in memory that hardly grows with it: each level
//! of the tree holds the nodes that have no parent yet, which are at most [`FANOUT`].

use sha2::{Digest, Sha256};

use super::{CHUNK_BYTES, Cid, DAG_PB, FANOUT, RAW, named};

/// A chunk of content, known by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    digest: [u8; 32],
    bytes: u64,
}

impl Leaf {
    /// The leaf of a chunk of at most [`CHUNK_BYTES`].
    pub fn of(chunk: &[u8]) -> Self {
        debug_assert!(chunk.len() <= CHUNK_BYTES, "a leaf is one chunk");
        Self { digest: Sha256::digest(chunk).into(), bytes: chunk.len() as u64 }
    }

    /// The leaf of a chunk whose hash and size were kept.
    pub fn known(digest: [u8; 32], bytes: u64) -> Self {
        Self { digest, bytes }
    }

    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// Computes the identifier of content that comes chunk by chunk.
#[derive(Debug, Default)]
pub struct CidBuilder {
    /// From the leaves upwards; no level is empty.
    levels: Vec<Vec<Node>>,
}

impl CidBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next chunk. Every one but the last has [`CHUNK_BYTES`].
    pub fn push(&mut self, leaf: Leaf) {
        let node = Node { cid: named(RAW, &leaf.digest), content_bytes: leaf.bytes, stored_bytes: leaf.bytes };
        self.add(0, node);
    }

    /// The identifier of everything that was added; of the empty content when nothing was.
    pub fn finish(mut self) -> Cid {
        if self.levels.is_empty() {
            self.push(Leaf::of(b""));
        }
        let mut level = 0;
        while level + 1 < self.levels.len() || self.levels[level].len() > 1 {
            self.close(level);
            level += 1;
        }
        Cid(self.levels[level][0].cid)
    }

    fn add(&mut self, level: usize, node: Node) {
        if level == self.levels.len() {
            self.levels.push(Vec::new());
        }
        // Not as soon as it is full: a level that nothing follows may be the last one below the root.
        if self.levels[level].len() == FANOUT {
            self.close(level);
        }
        self.levels[level].push(node);
    }

    /// Gives the nodes of a level their parent.
    fn close(&mut self, level: usize) {
        let children = std::mem::take(&mut self.levels[level]);
        self.add(level + 1, parent(&children));
    }
}

/// A node of the tree that has no parent yet.
#[derive(Debug)]
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
        cid: named(DAG_PB, &Sha256::digest(&encoded)),
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
