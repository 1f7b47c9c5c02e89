mod sdk;

use std::fs;
use std::path::{Path, PathBuf};

use domain::{FunctionName, Language};
use serde_json::json;

use crate::args::{Shared, function_name};
use crate::failure::{Failure, Outcome};
use crate::screen;

/// Make a folder with a function in it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function init hello
  orama function init hello --lang rust
  orama function init hello --sdk")]
pub struct Args {
    /// Name of the function and of the folder
    #[arg(value_parser = function_name)]
    pub name: FunctionName,
    /// Language of the handler
    #[arg(long, alias = "language", value_name = "LANGUAGE", default_value = "go", value_parser = language)]
    pub lang: Language,
    /// Also copy the SDK of the language into the folder, and use it: go, rust, assemblyscript
    #[arg(long)]
    pub sdk: bool,
}

fn language(text: &str) -> Result<Language, String> {
    Language::parse(text).ok_or_else(|| format!("known are {}", Language::ALL.map(Language::as_str).join(", ")))
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let folder = create(Path::new(""), args)?;
    let files: Vec<PathBuf> = files(args)?.into_iter().map(|file| folder.join(file.path)).collect();
    if shared.json {
        screen::json(&json!({"name": args.name, "language": args.lang, "folder": folder, "files": files}));
    } else {
        files.iter().for_each(|file| screen::line(&file.display().to_string()));
        screen::talk(&format!("next: `cd {}`, then `orama function deploy`", args.name));
    }
    Ok(())
}

/// Writes the files into a new folder below `parent`; an existing one is left alone.
pub fn create(parent: &Path, args: &Args) -> Outcome<PathBuf> {
    let files = files(args)?;
    let folder = parent.join(args.name.as_str());
    fs::create_dir(&folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::usage(format!("`{}` exists already", folder.display()))
            .hint("choose another name, or remove it first"),
        _ => Failure::file("create", &folder)(error),
    })?;
    for File { path, text } in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Failure::file("create", parent))?;
        }
        fs::write(&path, text).map_err(Failure::file("write", &path))?;
    }
    Ok(folder)
}

/// A file of the new folder.
struct File {
    path: String,
    text: String,
}

/// The manifest comes last, as in the documents; before it, what the handler needs.
fn files(args: &Args) -> Outcome<Vec<File>> {
    const OF_WASM: (&str, &str) = ("function.yaml", include_str!("../templates/function.yaml.txt"));
    const OF_WORKER: (&str, &str) = ("function.yaml", include_str!("../templates/worker.yaml.txt"));
    let manifest = if args.lang == Language::JavaScript { OF_WORKER } else { OF_WASM };
    let filled = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: fill_in(text, args) };
    let mut files: Vec<File> = match args.sdk {
        true => sdk::of(args.lang)?.templates.iter().map(filled).collect(),
        false => templates(args.lang).iter().map(filled).collect(),
    };
    if args.sdk {
        files.extend(copy_of(sdk::of(args.lang)?));
    }
    files.push(filled(&manifest));
    Ok(files)
}

fn templates(language: Language) -> &'static [(&'static str, &'static str)] {
    match language {
        Language::Go => &[("function.go", include_str!("../templates/function.go"))],
        Language::Rust => &[
            ("src/main.rs", include_str!("../templates/main.rs")),
            ("Cargo.toml", include_str!("../templates/Cargo.toml.txt")),
        ],
        Language::C => &[("function.c", include_str!("../templates/function.c"))],
        Language::Zig => &[("function.zig", include_str!("../templates/function.zig"))],
        Language::AssemblyScript => &[("function.ts", include_str!("../templates/function.ts"))],
        Language::JavaScript => &[(domain::WORKER_MAIN, include_str!("../templates/index.js"))],
    }
}

fn copy_of(sdk: &sdk::Sdk) -> impl Iterator<Item = File> {
    let below = |path: &str, text: &str| File { path: format!("{}/{path}", sdk::FOLDER), text: text.to_owned() };
    let files = sdk.files.iter().map(move |(path, text)| below(path, text));
    files.chain([below("README.md", &sdk.readme())])
}

/// Go is what the document shows, and shows in the file's name; the others are named.
fn fill_in(text: &str, args: &Args) -> String {
    let language = match args.lang {
        Language::Go => String::new(),
        other => format!("language: {}\n", other.as_str()),
    };
    text.replace("{{name}}", args.name.as_str()).replace("{{language}}\n", &language)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn args(lang: Language, sdk: bool) -> Args {
        Args { name: FunctionName::parse("my-function").expect("a name"), lang, sdk }
    }

    #[test]
    fn a_go_function_is_exactly_a_handler_and_a_manifest() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = create(parent.path(), &args(Language::Go, false)).expect("made");
        let mut names: Vec<_> =
            fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        assert_eq!(names, ["function.go", "function.yaml"]);
        expect![[r#"
            name: my-function
            public: false         # Allow calls without a credential (default: false)
            memory: 64            # Memory limit in MB (1-256, default: 64)
            timeout: 30           # Seconds a call may take (1-300, default: 30);
                                  # a call that takes longer answers the TIMEOUT error
            retry:
              count: 0            # Further attempts after a failure (0-5, default: 0)
              delay: 5            # Seconds between attempts (default: 5)
            env:                  # Read by the function with get_env
              MY_VAR: "value"
        "#]]
        .assert_eq(&fs::read_to_string(folder.join("function.yaml")).expect("a manifest"));
    }

    #[test]
    fn the_other_languages_are_named_in_the_manifest() {
        let text = fill_in(include_str!("../templates/function.yaml.txt"), &args(Language::Zig, false));
        assert!(text.starts_with("name: my-function\nlanguage: zig\n"), "{text}");
    }

    #[test]
    fn a_worker_is_one_module_and_a_manifest() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = create(parent.path(), &args(Language::JavaScript, false)).expect("made");
        let manifest = fs::read_to_string(folder.join("function.yaml")).expect("a manifest");
        let manifest = domain::Manifest::parse(&manifest).expect("a good manifest");
        assert_eq!((manifest.engine, manifest.memory_mb), (domain::EngineKind::Worker, 256));
        assert!(fs::read_to_string(folder.join("index.js")).expect("a module").contains("async fetch(request"));
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 2);
        assert_eq!(crate::worker::pack(&folder, &manifest).expect("packed"), include_str!("../templates/index.js"));
    }

    #[test]
    fn an_existing_folder_is_left_alone() {
        let parent = tempfile::tempdir().expect("a folder");
        fs::create_dir(parent.path().join("my-function")).expect("made");
        assert!(
            create(parent.path(), &args(Language::Go, false)).expect_err("refused").message.ends_with("exists already")
        );
        assert_eq!(fs::read_dir(parent.path().join("my-function")).expect("a folder").count(), 0);
    }

    #[test]
    fn an_sdk_is_copied_beside_a_handler_that_uses_it() {
        let parent = tempfile::tempdir().expect("a folder");
        for (lang, handler, word) in [
            (Language::Go, "function.go", "orama/sdk/fn"),
            (Language::Rust, "src/main.rs", "orama_fn"),
            (Language::AssemblyScript, "function.ts", "./orama"),
        ] {
            let name = FunctionName::parse(lang.as_str()).expect("a name");
            let folder = create(parent.path(), &Args { name, ..args(lang, true) }).expect("made");
            assert!(fs::read_to_string(folder.join(handler)).expect("a handler").contains(word), "{handler}");
            let readme = fs::read_to_string(folder.join("orama/README.md")).expect("a page");
            assert!(readme.starts_with("# The SDK of Orama") && readme.contains("offline"), "{readme}");
        }
        create(parent.path(), &args(Language::C, true)).expect_err("there is none for C");
        assert!(!parent.path().join("my-function").exists(), "a refusal leaves no folder");
    }
}
