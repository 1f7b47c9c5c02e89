//! The tree as data: its sources and documents, for the tests beside this file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub fn root() -> &'static Path {
    // Asked of who starts the tests: a build that another copy of the tree made is as good.
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        Path::new(&own).parent().expect("the crate lies in the tree").to_owned()
    });
    &ROOT
}

/// Every file below `folder` with this extension, but for what is built or fetched.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    const NOT_OURS: [&str; 5] = ["target", "node_modules", "orama-data", "dist", ".git"];
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && !NOT_OURS.iter().any(|skipped| name == *skipped) {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|this| this == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// The path as the reader knows it.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
