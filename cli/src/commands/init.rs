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
  orama function init hello --lang rust")]
pub struct Args {
    /// Name of the function and of the folder
    #[arg(value_parser = function_name)]
    name: FunctionName,
    /// Language of the handler
    #[arg(long, value_name = "LANGUAGE", default_value = "go", value_parser = language)]
    lang: Language,
}

fn language(text: &str) -> Result<Language, String> {
    Language::parse(text).ok_or_else(|| format!("known are {}", Language::ALL.map(Language::as_str).join(", ")))
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let folder = create(Path::new(""), &args.name, args.lang)?;
    let files: Vec<PathBuf> = files(args.lang).iter().map(|(path, _)| folder.join(path)).collect();
    if shared.json {
        screen::json(&json!({"name": args.name, "language": args.lang, "folder": folder, "files": files}));
    } else {
        files.iter().for_each(|file| screen::line(&file.display().to_string()));
        screen::talk(&format!("next: `cd {}`, then `orama function deploy`", args.name));
    }
    Ok(())
}

/// Writes the template into a new folder below `parent`; an existing one is left alone.
pub fn create(parent: &Path, name: &FunctionName, language: Language) -> Outcome<PathBuf> {
    let folder = parent.join(name.as_str());
    fs::create_dir(&folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::usage(format!("`{}` exists already", folder.display()))
            .hint("choose another name, or remove it first"),
        _ => Failure::file("create", &folder)(error),
    })?;
    for (path, text) in files(language) {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Failure::file("create", parent))?;
        }
        fs::write(&path, fill_in(text, name, language)).map_err(Failure::file("write", &path))?;
    }
    Ok(folder)
}

/// Path and text of each file; the manifest comes last, as in the documents.
fn files(language: Language) -> Vec<(&'static str, &'static str)> {
    const MANIFEST: (&str, &str) = ("function.yaml", include_str!("../templates/function.yaml.txt"));
    match language {
        Language::Go => vec![("function.go", include_str!("../templates/function.go")), MANIFEST],
        Language::Rust => vec![
            ("src/main.rs", include_str!("../templates/main.rs")),
            ("Cargo.toml", include_str!("../templates/Cargo.toml.txt")),
            MANIFEST,
        ],
        Language::C => vec![("function.c", include_str!("../templates/function.c")), MANIFEST],
        Language::Zig => vec![("function.zig", include_str!("../templates/function.zig")), MANIFEST],
        Language::AssemblyScript => vec![("function.ts", include_str!("../templates/function.ts")), MANIFEST],
    }
}

/// Go is what the document shows, and shows in the file's name; the others are named.
fn fill_in(text: &str, name: &FunctionName, language: Language) -> String {
    let language = match language {
        Language::Go => String::new(),
        other => format!("language: {}\n", other.as_str()),
    };
    text.replace("{{name}}", name.as_str()).replace("{{language}}\n", &language)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn name() -> FunctionName {
        FunctionName::parse("my-function").expect("a name")
    }

    #[test]
    fn a_go_function_is_exactly_a_handler_and_a_manifest() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = create(parent.path(), &name(), Language::Go).expect("made");
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
        let text = fill_in(include_str!("../templates/function.yaml.txt"), &name(), Language::Zig);
        assert!(text.starts_with("name: my-function\nlanguage: zig\n"), "{text}");
    }

    #[test]
    fn an_existing_folder_is_left_alone() {
        let parent = tempfile::tempdir().expect("a folder");
        fs::create_dir(parent.path().join("my-function")).expect("made");
        assert!(create(parent.path(), &name(), Language::Go).expect_err("refused").message.ends_with("exists already"));
        assert_eq!(fs::read_dir(parent.path().join("my-function")).expect("a folder").count(), 0);
    }
}
