//! Runs the command blocks of the pages that users follow, so that what they promise is so.
//!
//! A block counts when the line in front of it is `<!-- run -->`. All of a page together are one script, run in an empty
//! folder beside a server of its own.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::command::{command, run};
use crate::guests;
use crate::places::Places;
use crate::server::{self, Server};

const MARK: &str = "<!-- run -->";

/// The pages with blocks to run.
const PAGES: [&str; 2] = ["README.md", "docs/serverless.md"];

pub fn run_readme(places: &Places) -> Result<()> {
    server::build(places)?;
    PAGES.iter().try_for_each(|page| run_page(places, page).with_context(|| format!("follow {page}")))
}

fn run_page(places: &Places, page: &str) -> Result<()> {
    let text = fs::read_to_string(places.root.join(page)).with_context(|| format!("read {page}"))?;
    let script = script(&text, guests::has_rust_target(places))?;
    let folder = tempfile::tempdir().context("make a folder")?;
    let config_home = Some(folder.path().join("config"));
    let server = Server::start(places, "127.0.0.1:0", &folder.path().join("data"), config_home)?;
    let work = folder.path().join("work");
    fs::create_dir(&work).context("make a folder")?;
    eprintln!("{page}: running {} lines", script.lines().count());
    let mut shell = command(places, "bash", &work);
    let program = places.orama();
    let path =
        [program.parent().map(|folder| folder.as_os_str().to_owned()).unwrap_or_default(), places.path_variable()];
    shell.env("PATH", path.join(":".as_ref())).envs(server.variables());
    run(shell.args(["-euxo", "pipefail", "-c", &script]))?;
    server.stop()
}

/// The marked blocks, one after the other; those about Rust only where its target is here.
fn script(text: &str, with_rust: bool) -> Result<String> {
    let mut script = String::new();
    for part in text.split(MARK).skip(1) {
        let block = part.trim_start().strip_prefix("```sh\n").and_then(|block| block.split_once("```"));
        let (block, _) =
            block.with_context(|| format!("`{MARK}` stands before something that is not a block of `sh`"))?;
        match with_rust || !block.contains("--lang rust") {
            true => script.push_str(block),
            false => eprintln!("readme: the part about Rust is left out, the target wasm32-wasip1 is missing"),
        }
    }
    match script.is_empty() {
        true => bail!("no block is marked with `{MARK}`"),
        false => Ok(script),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_blocks_run() {
        let text = "```sh\nno\n```\n<!-- run -->\n```sh\none\n```\ntext\n<!-- run -->\n```sh\ntwo\n```\n";
        assert_eq!(script(text, true).expect("two blocks"), "one\ntwo\n");
        assert_eq!(script(&text.replace("one", "init --lang rust"), false).expect("one block"), "two\n");
        assert!(script("nothing", true).is_err());
        assert!(script("<!-- run -->\ntext", true).is_err());
    }
}
