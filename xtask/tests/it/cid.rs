//! Content identifiers, judged by the implementation that IPFS publishes.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use domain::Cid;

use crate::tree::root;

const CHUNK: usize = 262_144;
/// The most links of a node: one more chunk makes the tree a level deeper.
const FANOUT: usize = 174;

const SIZES: [usize; 9] =
    [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, FANOUT * CHUNK - 1, FANOUT * CHUNK, FANOUT * CHUNK + 1, (FANOUT + 1) * CHUNK];

#[test]
fn cids_equal_those_of_ipfs() {
    let theirs = judge(&SIZES);
    let longest = bytes(SIZES[SIZES.len() - 1]);
    for size in SIZES {
        assert_eq!(Cid::of(&longest[..size]).to_string(), theirs[&size.to_string()], "{size} bytes");
    }
}

/// The same bytes as in `tools/cid.mjs`: no two chunks are alike.
fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i ^ (i >> 8) ^ (i >> 18)) as u8).collect()
}

fn judge(sizes: &[usize]) -> BTreeMap<String, String> {
    let mut node = Command::new("node");
    node.arg("cid.mjs").args(sizes.iter().map(usize::to_string)).current_dir(root().join("tools"));
    let output = node.stderr(Stdio::inherit()).output().expect("node starts; run `cargo xtask setup`");
    assert!(output.status.success(), "tools/cid.mjs failed; run `cargo xtask setup`");
    serde_json::from_slice(&output.stdout).expect("it prints an object of size to CID")
}
