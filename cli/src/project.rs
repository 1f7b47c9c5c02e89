//! A folder with a function in it: its manifest, its language, its module.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use domain::{Draft, EngineKind, Language, Manifest};

use crate::failure::{Exit, Failure, Outcome};
use crate::worker;

pub const MANIFEST: &str = "function.yaml";
pub const MODULE: &str = "function.wasm";

/// Folders that hold no sources, whatever is in them.
const NOT_SOURCES: [&str; 3] = ["target", "node_modules", "zig-out"];

#[derive(Debug, Clone)]
pub struct Project {
    pub folder: PathBuf,
    pub manifest: Manifest,
}

impl Project {
    /// Reads the manifest of a folder.
    pub fn open(folder: &Path) -> Outcome<Self> {
        let path = folder.join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(|error| no_manifest(folder, &path, &error))?;
        let manifest = Manifest::parse(&text).map_err(|wrong| {
            let place = format!("{}:{}:{}", path.display(), wrong.line, wrong.column);
            Failure::usage(format!("{place}: {}", wrong.reason))
        })?;
        Ok(Self { folder: folder.to_owned(), manifest })
    }

    pub fn module(&self) -> PathBuf {
        self.folder.join(MODULE)
    }

    /// The language that the manifest names, else the one that the files show.
    pub fn language(&self) -> Outcome<Language> {
        if let Some(language) = self.manifest.language {
            return Ok(language);
        }
        if self.manifest.engine == EngineKind::Worker {
            return Ok(Language::JavaScript);
        }
        let found = languages_of(&self.folder)?;
        match found.as_slice() {
            [language] => Ok(*language),
            [] if self.folder.join(domain::WORKER_MAIN).is_file() => {
                Err(Failure::usage(format!("`{}` holds JavaScript", self.folder.display()))
                    .hint(format!("write `language: js` into `{MANIFEST}`")))
            }
            [] => Err(Failure::usage(format!("no sources in `{}`", self.folder.display()))
                .hint(format!("write the handler, such as `function.go`, beside `{MANIFEST}`"))),
            _ => {
                let names = found.iter().map(|language| language.as_str()).collect::<Vec<_>>().join("`, `");
                Err(Failure::usage(format!("the files are of several languages: `{names}`"))
                    .hint(format!("write `language: {}` into `{MANIFEST}`", found[0].as_str())))
            }
        }
    }

    /// The files with this ending directly in the folder, sorted.
    pub fn files(&self, ending: &str) -> Outcome<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> =
            entries(&self.folder)?.into_iter().filter(|path| has_ending(path, ending)).collect();
        files.sort();
        Ok(files)
    }

    /// Must the module be built before it can be deployed?
    pub fn is_stale(&self) -> Outcome<bool> {
        let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
        let Ok(built) = modified(&self.module()) else { return Ok(true) };
        Ok(newest_source(&self.folder)?.is_some_and(|source| source > built))
    }

    /// What is deployed: the module, whose first bytes are checked, or the modules of a worker.
    pub fn read_code(&self) -> Outcome<Bytes> {
        match self.manifest.engine {
            EngineKind::Wasm => read_module(&self.module()).map(Bytes::from),
            EngineKind::Worker => worker::pack(&self.folder, &self.manifest),
        }
    }
}

/// A module alone, or a worker of one file: the manifest beside it if there is one, else the defaults under the file's name.
pub fn of_module(path: &Path) -> Outcome<Manifest> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.join(MANIFEST).exists() {
        return Ok(Project::open(folder)?.manifest);
    }
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    let engine = worker::is_module(path).then(|| EngineKind::Worker.as_str().to_owned());
    Draft { name: Some(name), engine, ..Draft::default() }.check().map_err(|wrong| {
        Failure::usage(format!("the name of `{}` is no name of a function: {wrong}", path.display()))
            .hint(format!("rename the file, or write a `{MANIFEST}` beside it"))
    })
}

/// Reads a module and checks that it can be one.
pub fn read_module(path: &Path) -> Outcome<Vec<u8>> {
    let bytes = fs::read(path).map_err(Failure::file("read", path))?;
    check_module(&bytes).map_err(|reason| {
        Failure::new(Exit::Usage, format!("`{}` {reason}", path.display()))
            .hint("build it with `orama function build`, or name a WebAssembly file")
    })?;
    Ok(bytes)
}

fn check_module(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(()),
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => {
            Err("is a WebAssembly component, and a module is needed (target wasm32-wasip1)".to_owned())
        }
        [b'\0', b'a', b's', b'm', ..] if bytes.len() < 8 => Err("is cut off".to_owned()),
        [b'\0', b'a', b's', b'm', ..] => Err("has a version of WebAssembly that is not 1".to_owned()),
        _ => Err("is not a WebAssembly module".to_owned()),
    }
}

fn no_manifest(folder: &Path, path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::usage(format!("failed to read `{}`: {error}", path.display()));
    match error.kind() {
        std::io::ErrorKind::NotFound if folder.join("function.yml").exists() => {
            failure.hint(format!("rename `function.yml` to `{MANIFEST}`"))
        }
        std::io::ErrorKind::NotFound => failure.hint("make a function with `orama function init NAME`"),
        _ => failure,
    }
}

fn languages_of(folder: &Path) -> Outcome<Vec<Language>> {
    let files = entries(folder)?;
    let has = |ending: &str| files.iter().any(|path| has_ending(path, ending));
    let shows = |language: &Language| match language {
        Language::Go => has("go"),
        Language::Rust => folder.join("Cargo.toml").is_file(),
        Language::C => has("c"),
        Language::Zig => has("zig"),
        Language::AssemblyScript => has("ts"),
        // The manifest says so: plain scripts lie beside sources of all kinds.
        Language::JavaScript => false,
    };
    Ok(Language::ALL.into_iter().filter(shows).collect())
}

fn entries(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Failure::file("read", folder))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(Failure::file("read", folder))).collect()
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension == ending)
}

/// When the youngest source of a folder was changed; links are not followed, so that no circle is walked.
fn newest_source(folder: &Path) -> Outcome<Option<SystemTime>> {
    let mut newest = None;
    for path in entries(folder)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let found = if name.starts_with('.') || NOT_SOURCES.contains(&name) || name == MODULE || name == MANIFEST {
            None
        } else if metadata.is_dir() {
            newest_source(&path)?
        } else {
            metadata.modified().ok()
        };
        newest = newest.max(found);
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::{Expect, expect};

    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Outcome<Project>) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        let opened = Project::open(folder.path());
        (folder, opened)
    }

    #[track_caller]
    fn check_language(files: &[(&str, &str)], want: Expect) {
        let (_folder, project) = project(files);
        let language = project.and_then(|project| project.language());
        want.assert_eq(&match language {
            Ok(language) => language.as_str().to_owned(),
            Err(failure) => format!("{}; {}", failure.message, failure.hint.unwrap_or_default()),
        });
    }

    #[test]
    fn the_language_is_named_or_shows_in_the_files() {
        check_language(&[(MANIFEST, "name: a"), ("function.go", "")], expect!["go"]);
        check_language(&[(MANIFEST, "name: a"), ("Cargo.toml", ""), ("src/main.rs", "")], expect!["rust"]);
        check_language(&[(MANIFEST, "name: a\nlanguage: c"), ("a.zig", ""), ("a.c", "")], expect!["c"]);
        check_language(
            &[(MANIFEST, "name: a"), ("a.zig", ""), ("a.c", "")],
            expect!["the files are of several languages: `c`, `zig`; write `language: c` into `function.yaml`"],
        );
    }

    #[test]
    fn a_wrong_manifest_names_file_line_and_column() {
        let (folder, project) = project(&[(MANIFEST, "name: a\nmemroy: 1")]);
        let failure = project.expect_err("refused");
        let place = folder.path().join(MANIFEST);
        assert_eq!(failure.message, format!("{}:2:1: unknown key `memroy`; did you mean `memory`?", place.display()));
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn a_module_is_stale_when_a_source_is_younger() {
        let (folder, project) = project(&[(MANIFEST, "name: a"), ("lib/part.go", ""), ("target/out", "")]);
        let project = project.expect("a project");
        let age = |name: &str, seconds: u64| {
            let file = fs::File::options().append(true).open(folder.path().join(name)).expect("a file");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).expect("set");
        };
        assert!(project.is_stale().expect("looked"), "there is no module yet");
        fs::write(project.module(), "").expect("written");
        age(MODULE, 100);
        age("lib/part.go", 99);
        assert!(!project.is_stale().expect("looked"), "neither the manifest nor build output counts");
        age("lib/part.go", 101);
        assert!(project.is_stale().expect("looked"));
    }

    #[test]
    fn only_a_module_is_read() {
        let check = |bytes: &[u8]| check_module(bytes).err().unwrap_or_default();
        assert_eq!(check(b"\0asm\x01\0\0\0"), "");
        assert_eq!(check(b"\0asm\x01\0\0"), "is cut off");
        assert_eq!(check(b"\0asm\x02\0\0\0"), "has a version of WebAssembly that is not 1");
        assert!(check(b"\0asm\x0d\0\x01\0").contains("component"));
        assert_eq!(check(b"#!/bin/sh"), "is not a WebAssembly module");
        assert_eq!(check(b""), "is not a WebAssembly module");
    }

    #[test]
    fn a_module_alone_is_named_after_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = of_module(&folder.path().join("echo.wasm")).expect("a good name");
        assert_eq!(manifest.name.as_str(), "echo");
        assert!(of_module(&folder.path().join("my echo.wasm")).is_err());
    }
}
