//! The SDKs as `init --sdk` copies them into a new folder, so that a build there needs neither this tree nor the network.

use domain::Language;

use crate::failure::{Failure, Outcome};

/// The folder of the copy.
pub const FOLDER: &str = "orama";

/// What a language needs for its SDK.
pub struct Sdk {
    /// A handler that uses it, and what its build needs.
    pub templates: &'static [(&'static str, &'static str)],
    /// The SDK itself, file by file.
    pub files: &'static [(&'static str, &'static str)],
    /// What else is to be said about its builds.
    note: &'static str,
}

macro_rules! copied {
    ($folder:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../sdk/", $folder, "/", $path)))),+]
    };
}

const GO: Sdk = Sdk {
    templates: &[
        ("function.go", include_str!("../../templates/sdk/function.go")),
        ("go.mod", include_str!("../../templates/sdk/go.mod.txt")),
    ],
    files: copied!("go":
        "go.mod",
        "fn/context.go",
        "fn/db.go",
        "fn/doc.go",
        "fn/error.go",
        "fn/handle.go",
        "fn/host_other.go",
        "fn/host_wasip1.go",
        "fn/http.go",
        "fn/malloc_go.go",
        "fn/realtime.go",
        "fn/realtime_wasip1.go",
        "fn/sockets.go",
        "fn/storage.go",
    ),
    note: "It has no dependencies: `orama function build` works offline.",
};

const RUST: Sdk = Sdk {
    templates: &[
        ("src/main.rs", include_str!("../../templates/sdk/main.rs")),
        ("Cargo.toml", include_str!("../../templates/sdk/Cargo.toml.txt")),
        // The versions that the SDK was tested with.
        ("Cargo.lock", include_str!("../../../../sdk/rust/Cargo.lock")),
    ],
    files: copied!("rust":
        "Cargo.toml",
        "macros/Cargo.toml",
        "macros/src/lib.rs",
        "src/db.rs",
        "src/host.rs",
        "src/http.rs",
        "src/jobs.rs",
        "src/lib.rs",
        "src/push.rs",
        "src/realtime.rs",
        "src/services.rs",
        "src/socket.rs",
    ),
    note: "It depends on the crates `serde`, `serde_json` and `base64`, which cargo downloads at the first build; the next ones work \
           offline.",
};

const ASSEMBLYSCRIPT: Sdk = Sdk {
    templates: &[("function.ts", include_str!("../../templates/sdk/function.ts"))],
    files: copied!("js/assembly": "index.ts"),
    note: "It has no dependencies but the compiler: `orama function build` works offline.",
};

/// The SDK of a language, if there is one.
pub fn of(language: Language) -> Outcome<&'static Sdk> {
    match language {
        Language::Go => Ok(&GO),
        Language::Rust => Ok(&RUST),
        Language::AssemblyScript => Ok(&ASSEMBLYSCRIPT),
        Language::C | Language::Zig | Language::JavaScript => {
            Err(Failure::usage(format!("there is no SDK for {}", language.as_str()))
                .hint("leave `--sdk` out, or take `--lang go`, `rust` or `assemblyscript`"))
        }
    }
}

impl Sdk {
    /// What stands beside the copy about it.
    pub fn readme(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "# The SDK of Orama {version}\n\n\
             A copy, made by `orama function init --sdk`; licensed under Apache-2.0 OR MIT, as Orama is. {}\n\n\
             For a newer one, make another function with `--sdk` and take its folder `{FOLDER}`.\n",
            self.note
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Every file below a folder that belongs into a copy, as a path with `/`.
    fn sources(folder: &Path, below: &str) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder.join(below)).expect("the folder is there").flatten() {
            let name = entry.file_name().into_string().expect("a plain name");
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            if entry.path().is_dir() {
                found.extend(if name == "target" { Vec::new() } else { sources(folder, &path) });
            } else if !name.ends_with("_test.go") && name != "Cargo.lock" {
                found.push(path);
            }
        }
        found.sort();
        found
    }

    #[test]
    fn every_file_of_an_sdk_is_copied() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk");
        for (folder, sdk) in [("go", GO), ("rust", RUST), ("js/assembly", ASSEMBLYSCRIPT)] {
            let mut listed: Vec<&str> = sdk.files.iter().map(|(path, _)| *path).collect();
            listed.sort_unstable();
            assert_eq!(listed, sources(&root.join(folder), ""), "sdk/{folder}");
        }
    }

    #[test]
    fn languages_without_an_sdk_are_refused() {
        let refused = of(Language::Zig).err().expect("there is none");
        assert_eq!(refused.message, "there is no SDK for zig");
    }
}
