//! Habits that a compiler does not hold.

use std::collections::BTreeSet;
use std::path::Path;

use domain::ErrorCode;

use crate::tree::{files, read, root, shown};

/// Complains about every line of our Rust sources that `is_wrong` picks.
#[track_caller]
fn check_lines(what: &str, is_wrong: impl Fn(&Source, usize) -> bool) {
    let mut wrong = Vec::new();
    for path in files(root(), "rs") {
        let source = Source::of(&path);
        let lines = (0..source.lines.len()).filter(|line| is_wrong(&source, *line));
        wrong.extend(lines.map(|line| format!("{}:{}: {}", source.name, line + 1, source.lines[line].trim())));
    }
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

struct Source {
    name: String,
    lines: Vec<String>,
    /// The first line that belongs to tests.
    tests_from: usize,
}

impl Source {
    fn of(path: &Path) -> Self {
        let name = shown(path);
        let lines: Vec<String> = read(path).lines().map(str::to_owned).collect();
        let is_test_file = name.contains("/tests/") || name.ends_with("/tests.rs");
        let module = lines.iter().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(lines.len());
        Self { name, lines, tests_from: if is_test_file { 0 } else { module } }
    }

    /// The code of a line, without its comment.
    fn code(&self, line: usize) -> &str {
        self.lines[line].split("//").next().unwrap_or_default()
    }

    fn is_this_file(&self) -> bool {
        self.name == shown(Path::new(file!())) || self.name.ends_with("xtask/tests/it/tidy.rs")
    }
}

#[test]
fn nothing_is_left_to_do_and_no_test_is_ignored() {
    check_lines("finish it, or file it", |source, line| {
        let code = source.code(line);
        !source.is_this_file()
            && ["todo!(", "unimplemented!(", "#[ignore", "dbg!("].iter().any(|word| code.contains(word))
    });
}

/// A pause between two looks of a bounded poll is allowed, and then the line, or the one above it, says `poll`; so is one on a
/// clock that is paused, which takes no time, and then it says `paused`.
#[test]
fn tests_do_not_sleep() {
    check_lines(
        "wait for what is awaited, not for a time; the pause of a bounded poll is named `poll`",
        |source, line| {
            let sleeps = source.code(line).contains("sleep(") && !source.code(line).contains("fn ");
            let polls = |line: usize| {
                let text = source.lines[line].to_ascii_lowercase();
                text.contains("poll") || text.contains("paused")
            };
            let excused = polls(line) || line.checked_sub(1).is_some_and(polls);
            sleeps && line >= source.tests_from && !excused && !source.is_this_file()
        },
    );
}

#[test]
fn unsafe_code_of_ours_lives_in_engines_alone() {
    check_lines("move it to `engines`, or do without", |source, line| {
        let has =
            |word: &str| source.code(line).split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word);
        // A function in Rust, and the SDK it is made with, declare host calls by hand, but that runs inside the sandbox.
        let inside = ["engines/", "examples/", "sdk/"].iter().any(|folder| source.name.starts_with(folder));
        // SQLite has a message that begins with the word.
        let quoted = source.code(line).contains("\"unsafe use of");
        has("unsafe") && !inside && !quoted && !source.is_this_file()
    });
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    check_lines("write `// SAFETY:` above it", |source, line| {
        let opens = source.code(line).contains("unsafe {") || source.code(line).contains("unsafe impl");
        let above = line.saturating_sub(6)..=line;
        opens && !source.is_this_file() && !source.lines[above].iter().any(|line| line.contains("// SAFETY:"))
    });
}

#[test]
fn every_fixture_has_a_test() {
    let tests: String = files(&root().join("engines/tests"), "rs").iter().map(|path| read(path)).collect();
    let fixtures = files(&root().join("guests/fixtures"), "wat");
    let names = fixtures.iter().filter_map(|path| path.file_stem()).map(|stem| stem.to_string_lossy());
    let untested: Vec<_> = names.filter(|name| !tests.contains(&format!("fn {name}("))).collect();
    assert!(untested.is_empty(), "engines/tests has no test of the name {untested:?}");
}

#[test]
fn every_error_code_has_a_page() {
    let codes: BTreeSet<String> = ErrorCode::ALL.iter().map(|code| code.to_string()).collect();
    let pages = files(&root().join("docs/errors"), "md");
    let named: BTreeSet<String> =
        pages.iter().filter_map(|page| Some(page.file_stem()?.to_string_lossy().into())).collect();
    assert_eq!(codes, named, "docs/errors has one page for each code, named CODE.md");
    for page in pages {
        let title = format!("# {}\n", page.file_stem().unwrap_or_default().to_string_lossy());
        assert!(read(&page).starts_with(&title), "{} starts with `{}`", shown(&page), title.trim());
    }
}

#[test]
fn every_example_is_whole() {
    let examples = files(&root().join("examples"), "yaml");
    assert!((3..=20).contains(&examples.len()), "{} examples", examples.len());
    for manifest in examples {
        let folder = manifest.parent().expect("a file has a folder");
        let parsed = domain::Manifest::parse(&read(&manifest))
            .unwrap_or_else(|refused| panic!("{}: {refused}", shown(&manifest)));
        assert_eq!(folder.file_name().map(|name| name.to_string_lossy().into_owned()), Some(parsed.name.to_string()));
        assert!(parsed.language.is_some(), "{} says its language", shown(&manifest));
        assert!(read(&folder.join("README.md")).lines().count() >= 5);
        let sample = read(&folder.join("sample.json"));
        assert!(serde_json::from_str::<serde_json::Value>(&sample).is_ok(), "{}", shown(folder));
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for page in files(root(), "md") {
        let text = read(&page);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let local =
            targets.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.contains(' '));
        for target in local.map(|target| target.split('#').next().unwrap_or_default()) {
            let folder = page.parent().expect("a file has a folder");
            if !folder.join(target).exists() {
                dead.push(format!("{} -> {target}", shown(&page)));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}
