//! The modules of a worker: one file as it is, or a folder of them as a tar.

use std::io::Read;
use std::str;

use bytes::Bytes;
use domain::{Error, ErrorCode, Manifest, WORKER_MAIN, is_module_path};

const MODULES_MAX: usize = 500;
const MODULE_BYTES_MAX: u64 = 4 << 20;
const CODE_BYTES_MAX: usize = 10 << 20;
/// The folder of our own modules.
pub(super) const OURS: &str = "__orama";

/// The code of a worker, found to be well-formed as far as we look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Modules {
    /// The path of the one that begins.
    pub(super) main: String,
    /// Paths and texts, each path once, by path.
    pub(super) all: Vec<(String, String)>,
}

impl Modules {
    /// The modules in `bytes`: a tar, or the one file that the manifest calls main.
    pub(super) fn read(bytes: &Bytes, manifest: &Manifest) -> Result<Self, Error> {
        if bytes.len() > CODE_BYTES_MAX {
            let message = format!("the worker is {} bytes, the limit is {} MiB", bytes.len(), CODE_BYTES_MAX >> 20);
            return Err(Error::new(ErrorCode::PayloadTooLarge, message));
        }
        let main = manifest.main.clone().unwrap_or_else(|| WORKER_MAIN.to_owned());
        let all = match is_tar(bytes) {
            true => unpacked(bytes)?,
            false => vec![(main.clone(), text_of(&main, bytes)?)],
        };
        let ours = main.split('/').next() == Some(OURS);
        if ours || !all.iter().any(|(path, _)| *path == main) {
            let message = format!("the worker has no module `{main}`");
            return Err(Error::invalid(message).hint("name the module that begins as `main` in function.yaml"));
        }
        Ok(Self { main, all })
    }
}

fn is_tar(bytes: &[u8]) -> bool {
    const MAGIC_AT: usize = 257;
    bytes.get(MAGIC_AT..MAGIC_AT + 5) == Some(b"ustar")
}

fn unpacked(bytes: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let damaged = |cause: std::io::Error| Error::invalid(format!("the packed worker is damaged: {cause}"));
    let mut modules: Vec<(String, String)> = Vec::new();
    for entry in tar::Archive::new(bytes).entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = path_of(&entry)?;
        if modules.len() >= MODULES_MAX {
            return Err(Error::invalid(format!("the worker has more than {MODULES_MAX} modules")));
        }
        if entry.size() > MODULE_BYTES_MAX {
            let message = format!("`{path}` is {} bytes, the limit is {} MiB", entry.size(), MODULE_BYTES_MAX >> 20);
            return Err(Error::new(ErrorCode::PayloadTooLarge, message));
        }
        let mut module = Vec::new();
        entry.read_to_end(&mut module).map_err(damaged)?;
        modules.push((path.clone(), text_of(&path, &module)?));
    }
    modules.sort();
    match modules.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(twice) => Err(Error::invalid(format!("the packed worker has `{}` twice", twice[0].0))),
        None => Ok(modules),
    }
}

/// The path of a plain file with modules of ours out of reach; nothing else may be packed.
fn path_of(entry: &tar::Entry<'_, &[u8]>) -> Result<String, Error> {
    let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let module = is_module_path(&shown) && (shown.ends_with(".js") || shown.ends_with(".mjs"));
    let ours = shown.split('/').next() == Some(OURS);
    match entry.header().entry_type().is_file() && module && !ours {
        true => Ok(shown),
        false => {
            let message = format!("{shown:?} cannot be a module of a worker");
            let hint =
                "modules are files that end with .js or .mjs, at paths of letters, digits, `.`, `_`, `-` and `/`";
            Err(Error::invalid(message).hint(hint))
        }
    }
}

fn text_of(path: &str, bytes: &[u8]) -> Result<String, Error> {
    if bytes.is_empty() {
        return Err(Error::invalid(format!("`{path}` is empty")));
    }
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(wrong) => Err(Error::invalid(format!("`{path}` is not UTF-8, from byte {} on", wrong.valid_up_to()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], manifest: &str) -> Result<Modules, String> {
        let manifest = Manifest::parse(&format!("name: a\nlanguage: js\n{manifest}")).expect("a good manifest");
        Modules::read(&Bytes::copy_from_slice(bytes), &manifest).map_err(|error| error.message)
    }

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, bytes) in files {
            let mut header = tar::Header::new_ustar();
            // Not by `set_path`, which refuses what a hostile one may have.
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            tar.append(&header, *bytes).expect("packed");
        }
        tar.into_inner().expect("packed")
    }

    fn names(modules: Modules) -> Vec<String> {
        modules.all.into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn one_file_is_the_main_module() {
        let modules = read(b"export default {}", "").expect("read");
        assert_eq!(modules.all, [("index.js".to_owned(), "export default {}".to_owned())]);
        assert_eq!(read(b"//", "main: src/w.mjs").expect("read").main, "src/w.mjs");
    }

    #[test]
    fn a_folder_is_a_tar() {
        let tar = tar_of(&[("lib/b.js", b"2"), ("index.js", b"1")]);
        assert_eq!(read(&tar, "").map(names), Ok(vec!["index.js".to_owned(), "lib/b.js".to_owned()]));
        assert_eq!(read(&tar, "main: main.js"), Err("the worker has no module `main.js`".into()));
    }

    #[test]
    fn a_hostile_tar_is_refused() {
        for path in ["../a.js", "/a.js", "a/../b.js", "__orama/runtime.js", "a.wasm", "a\\b.js", ".a.js", "a\nb.js"] {
            let refused = read(&tar_of(&[("index.js", b"1"), (path, b"2")]), "").expect_err(path);
            assert!(refused.ends_with("cannot be a module of a worker"), "{refused}");
        }
        let twice = read(&tar_of(&[("index.js", b"1"), ("index.js", b"2")]), "");
        assert_eq!(twice, Err("the packed worker has `index.js` twice".into()));
        let files: Vec<(String, &[u8])> = (0..=MODULES_MAX).map(|n| (format!("m{n}.js"), b"1".as_slice())).collect();
        let many: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect();
        assert_eq!(read(&tar_of(&many), ""), Err("the worker has more than 500 modules".into()));
        let mut cut = tar_of(&[("index.js", b"12345")]);
        cut.truncate(514);
        assert!(read(&cut, "").expect_err("refused").starts_with("the packed worker is damaged"));
        assert!(read(&vec![b' '; CODE_BYTES_MAX + 1], "").expect_err("refused").contains("the limit is 10 MiB"));
        assert_eq!(read(b"a\xff", ""), Err("`index.js` is not UTF-8, from byte 1 on".into()));
        assert_eq!(read(b"", ""), Err("`index.js` is empty".into()));
    }

    #[test]
    fn a_link_is_no_module() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "index.js", "/etc/passwd").expect("packed");
        let refused = read(&tar.into_inner().expect("packed"), "").expect_err("refused");
        assert!(refused.ends_with("cannot be a module of a worker"), "{refused}");
    }
}
