//! Builds every test of the workspace once, runs the suites one after the other, and says how long each took.
//!
//! Runs without the network; see [`crate::isolation`]. The last line is the count of tests.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{cargo, command, run};
use crate::places::Places;

/// A test executable.
struct Suite {
    /// Such as `domain` or `engines/tests/guests`.
    name: String,
    executable: PathBuf,
    folder: PathBuf,
}

#[derive(Default)]
struct Count {
    passed: u32,
    failed: u32,
}

pub fn run_suites(places: &Places, only: &[String]) -> Result<()> {
    let started = Instant::now();
    let suites = build(places)?;
    eprintln!("tests: built in {}", seconds(started.elapsed()));
    let wanted = |suite: &&Suite| only.is_empty() || only.iter().any(|part| suite.name.contains(part.as_str()));
    let mut total = Count::default();
    for suite in suites.iter().filter(wanted) {
        let count = suite.run(places)?;
        total.passed += count.passed;
        total.failed += count.failed;
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    match total {
        Count { failed: 1.., .. } => bail!("some tests failed"),
        Count { passed: 0, .. } => bail!("no test ran; `cargo xtask test` alone runs them all"),
        _ => Ok(()),
    }
}

fn build(places: &Places) -> Result<Vec<Suite>> {
    run(cargo(places).args(["build", "--offline", "--profile", "fast", "--quiet", "-p", "cli", "-p", "engines"]))?;
    let mut build = cargo(places);
    build.args(["test", "--workspace", "--offline", "--profile", "fast", "--no-run", "--quiet"]);
    build.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = build.output().context("start cargo")?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    let messages = String::from_utf8(output.stdout).context("read what cargo built")?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut suites: Vec<Suite> = messages.filter_map(|message| Suite::of(&message)).collect();
    suites.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(suites)
}

impl Suite {
    /// The test executable that a message of cargo announces.
    fn of(message: &Value) -> Option<Self> {
        if message["profile"]["test"] != true {
            return None;
        }
        let executable = message["executable"].as_str()?.into();
        let folder = PathBuf::from(message["manifest_path"].as_str()?).parent()?.to_owned();
        let package = folder.file_name()?.to_str()?;
        let target = &message["target"];
        let name = match target["kind"][0].as_str()? {
            "test" => format!("{package}/tests/{}", target["name"].as_str()?),
            "bin" => format!("{package} (binary {})", target["name"].as_str()?),
            _ => package.to_owned(),
        };
        Some(Self { name, executable, folder })
    }

    fn run(&self, places: &Places) -> Result<Count> {
        let started = Instant::now();
        let mut tests = command(places, &self.executable, &self.folder);
        tests.env("CARGO_MANIFEST_DIR", &self.folder).env("CARGO_TARGET_DIR", &places.target);
        let (count, succeeded) = watch(&mut tests).with_context(|| format!("run the suite `{}`", self.name))?;
        let count = match (succeeded, count.failed) {
            (false, 0) => Count { failed: 1, ..count },
            _ => count,
        };
        if count.passed + count.failed > 0 {
            let Count { passed, failed } = count;
            println!("{:>8}  {passed:>4} passed, {failed} failed  {}", seconds(started.elapsed()), self.name);
        }
        Ok(count)
    }
}

/// Runs a suite; shows its output but for the tests that passed.
fn watch(tests: &mut Command) -> Result<(Count, bool)> {
    let mut child = tests.stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("the suite has an output")?;
    let mut count = Count::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        if let Some(result) = line.strip_prefix("test result: ") {
            count.passed += number_before(result, " passed");
            count.failed += number_before(result, " failed");
        } else if !(line.is_empty() || line.starts_with("running ") || line.ends_with("... ok")) {
            println!("{line}");
        }
    }
    Ok((count, child.wait()?.success()))
}

/// The number in front of a word: 3 for `ok. 3 passed; 0 failed` and ` passed`.
fn number_before(text: &str, word: &str) -> u32 {
    let number = text.split(word).next().and_then(|before| before.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f32())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_a_suite_are_read() {
        let line = "ok. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!((number_before(line, " passed"), number_before(line, " failed")), (12, 3));
        assert_eq!(number_before("nothing", " passed"), 0);
    }
}
