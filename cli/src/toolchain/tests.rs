//! Every template of `orama function init` builds here. A missing toolchain fails the test: set-up installs them all.

use domain::Language;

use super::*;
use crate::commands::init;

#[track_caller]
fn check(lang: Language, sdk: bool) {
    if let Err(missing) = find(lang) {
        panic!("{}; {}; or run `cargo xtask setup`", missing.message, missing.install);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let name = domain::FunctionName::parse("my-function").expect("a name");
    let made = init::create(folder.path(), &init::Args { name, lang, sdk }).expect("a project");
    let project = Project::open(&made).expect("the manifest is right");
    assert_eq!(project.language().map_err(|failure| failure.message), Ok(lang));
    assert!(project.is_stale().expect("looked"));
    build(&project).unwrap_or_else(|failure| panic!("{}", failure.message));
    assert!(project.read_code().expect("a module").len() > 8);
    assert!(!project.is_stale().expect("looked"));
}

#[test]
fn the_go_template_builds() {
    check(Language::Go, false);
}

#[test]
fn the_rust_template_builds() {
    check(Language::Rust, false);
}

#[test]
fn the_c_template_builds() {
    check(Language::C, false);
}

#[test]
fn the_zig_template_builds() {
    check(Language::Zig, false);
}

#[test]
fn the_assemblyscript_template_builds() {
    check(Language::AssemblyScript, false);
}

#[test]
fn the_go_template_with_the_sdk_builds() {
    check(Language::Go, true);
}

#[test]
fn the_rust_template_with_the_sdk_builds() {
    check(Language::Rust, true);
}

#[test]
fn the_assemblyscript_template_with_the_sdk_builds() {
    check(Language::AssemblyScript, true);
}

fn project(manifest: &str) -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("function.yaml"), manifest).expect("written");
    let project = Project::open(folder.path()).expect("a good manifest");
    (folder, project)
}

#[test]
fn commands_of_the_manifest_replace_the_build() {
    let (_folder, project) =
        project("name: a\nlanguage: go\nbuild:\n  - printf '\\0asm\\1\\0\\0\\0' > part\n  - mv part function.wasm");
    assert_eq!(build(&project).map_err(|failure| failure.message), Ok("its own commands".to_owned()));
}

#[test]
fn a_failing_command_ends_the_build() {
    let (_folder, project) = project("name: a\nbuild: ['exit 3', 'touch never']");
    let failure = build(&project).expect_err("it fails");
    assert_eq!(failure.message, "`exit 3` failed: exit status: 3");
    assert!(!project.folder.join("never").exists());
}

#[test]
fn a_build_without_a_module_is_no_success() {
    let (_folder, project) = project("name: a\nbuild: ['echo no > function.wasm']");
    assert!(build(&project).expect_err("refused").message.contains("is not a WebAssembly module"));
}
