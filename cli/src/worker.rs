//! The code of a worker, as it is uploaded: one module as it is, or a folder of them as a tar that is the same for the same
//! modules, whenever and by whomever it is packed.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::{Manifest, WORKER_MAIN, is_module_path};

use crate::failure::{Failure, Outcome};

/// A folder that holds no modules of the worker.
const PACKAGES: &str = "node_modules";
const READABLE: u32 = 0o644;

/// Could this file be a module of a worker, by its name?
pub fn is_module(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "js" || ending == "mjs")
}

/// The file that begins.
pub fn main_module(folder: &Path, manifest: &Manifest) -> PathBuf {
    folder.join(manifest.main.as_deref().unwrap_or(WORKER_MAIN))
}

/// One module alone.
pub fn read(path: &Path) -> Outcome<Bytes> {
    fs::read(path).map(Bytes::from).map_err(Failure::file("read", path))
}

/// Every module in the folder and below; no links, nothing hidden, no `node_modules`.
pub fn pack(folder: &Path, manifest: &Manifest) -> Outcome<Bytes> {
    let main = main_module(folder, manifest);
    if !main.is_file() {
        return Err(Failure::usage(format!("there is no `{}`", main.display()))
            .hint("write the handler there, or name its file as `main` in function.yaml"));
    }
    let mut modules = Vec::new();
    collect(folder, "", &mut modules)?;
    modules.sort();
    match modules.as_slice() {
        [only] if folder.join(only) == main => read(&main),
        all => packed(folder, all),
    }
}

fn collect(folder: &Path, below: &str, modules: &mut Vec<String>) -> Outcome {
    let here = folder.join(below);
    for entry in fs::read_dir(&here).map_err(Failure::file("read", &here))? {
        let entry = entry.map_err(Failure::file("read", &here))?;
        let kind = entry.file_type().map_err(Failure::file("inspect", &entry.path()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name == PACKAGES {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if kind.is_dir() {
            collect(folder, &path, modules)?;
        } else if kind.is_file() && is_module(&entry.path()) {
            match is_module_path(&path) {
                true => modules.push(path),
                false => {
                    return Err(Failure::usage(format!("{path:?} cannot be the name of a module"))
                        .hint("use letters, digits, `.`, `_` and `-`"));
                }
            }
        }
    }
    Ok(())
}

/// Sorted, without times and owners.
fn packed(folder: &Path, modules: &[String]) -> Outcome<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    for module in modules {
        let text = read(&folder.join(module))?;
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(READABLE);
        let added = tar.append_data(&mut header, module, &text[..]);
        added.map_err(|error| Failure::failed(format!("failed to pack `{module}`: {error}")))?;
    }
    let packed = tar.into_inner().map_err(|error| Failure::failed(format!("failed to pack the worker: {error}")))?;
    Ok(packed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        folder
    }

    fn pack_with(files: &[(&str, &str)], manifest: &str) -> Outcome<Bytes> {
        let manifest = Manifest::parse(&format!("name: a\nlanguage: js\n{manifest}")).expect("a good manifest");
        pack(folder(files).path(), &manifest)
    }

    fn names(tar: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().expect("a tar").map(|entry| entry.expect("an entry"));
        entries.map(|entry| entry.path().expect("a path").display().to_string()).collect()
    }

    #[test]
    fn one_module_is_uploaded_as_it_is() {
        let files =
            [("index.js", "// one"), ("README.md", "text"), ("node_modules/a/index.js", "//"), (".x/a.js", "//")];
        assert_eq!(pack_with(&files, "").expect("packed"), "// one");
        assert_eq!(pack_with(&[("src/w.mjs", "// it")], "main: src/w.mjs").expect("packed"), "// it");
        let missing = pack_with(&[("main.js", "//")], "").expect_err("refused");
        assert!(missing.message.ends_with("index.js`"), "{}", missing.message);
    }

    #[test]
    fn several_are_a_tar_that_is_always_the_same() {
        let files = [("index.js", "1"), ("lib/b.mjs", "2"), ("a.js", "3"), ("sample.json", "{}")];
        let (one, other) = (pack_with(&files, "").expect("packed"), pack_with(&files, "").expect("packed"));
        assert_eq!(one, other);
        assert_eq!(names(&one), ["a.js", "index.js", "lib/b.mjs"]);
        assert!(pack_with(&[("index.js", "1"), ("a b.js", "2")], "").is_err());
    }
}
