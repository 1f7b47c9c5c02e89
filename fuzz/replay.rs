//! Replays the saved corpus of a fuzz target on the stable toolchain: each file as it is, then changed at random.
//!
//! The crates whose parsers are fuzzed include this file in a test. The seed is fixed, so that a failure stays one. The
//! targets are in `fuzz_targets/`; a crate's `fuzzing` module has what both of them call.

use std::fs;
use std::path::{Path, PathBuf};

/// Changed inputs, over all files of a target: a few hundred of each.
const CHANGED_INPUTS: usize = 6_000;
const INPUT_BYTES_MAX: usize = 8 << 10;
/// What parsers tend to treat apart from other bytes.
const MARKS: &[u8] = b"\0\x01\x7f\x80\xff\r\n\t -:;,.@%+&*#'\"\\/[]{}()<>=09afzAZ";

/// Calls `run` with every file of `fuzz/corpus/<target>`, and with changed copies of each.
pub fn replay(target: &str, run: fn(&[u8])) {
    let files = saved(target);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (path, saved) in &files {
        call(path, saved, run);
        for _ in 0..CHANGED_INPUTS / files.len() {
            call(path, &changed(saved, &mut random), run);
        }
    }
}

/// The files, in the order of their names: the order decides which changes a file meets.
fn saved(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus")).join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("read {}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of the corpus").path()).collect();
    assert!(!paths.is_empty(), "{} has no file", folder.display());
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

fn call(path: &Path, input: &[u8], run: fn(&[u8])) {
    let named = Named { path, input };
    run(input);
    drop(named);
}

/// Says which input it was when the parser panics.
struct Named<'a> {
    path: &'a Path,
    input: &'a [u8],
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input, made from {}: b\"{}\"", self.path.display(), self.input.escape_ascii());
        }
    }
}

/// A copy with one to four changes.
fn changed(saved: &[u8], random: &mut Random) -> Vec<u8> {
    let mut input = saved.to_vec();
    for _ in 0..=random.below(4) {
        change(&mut input, random);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(input: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = (at + 1 + random.below(16)).min(input.len());
    match random.below(6) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = MARKS[random.below(MARKS.len())],
        2 => input.truncate(at),
        3 => drop(input.drain(at..end)),
        4 => {
            let part = input[at..end].to_vec();
            input.splice(at..at, part.repeat(1 + random.below(8)));
        }
        _ => input.insert(at, MARKS[random.below(MARKS.len())]),
    }
}

/// Xorshift: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }
}
