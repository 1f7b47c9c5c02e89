//! The programs that tests deploy.

use std::path::Path;

/// A program of `guests/fixtures`, the same that the engine's own tests run.
#[track_caller]
pub fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/fixtures");
    wat::parse_file(folder.join(format!("{name}.wat"))).expect("the fixture is there, and a module")
}

/// A program from its text.
#[track_caller]
pub fn compiled(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is a module")
}
