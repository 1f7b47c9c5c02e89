//! Tables for people, on the screen and in `bench/results/`.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// A page of results.
pub struct Report {
    text: String,
}

impl Report {
    pub fn new(title: &str) -> Self {
        Self { text: format!("# {title}\n\n{}\n", machine()) }
    }

    pub fn say(&mut self, text: &str) {
        self.text += &format!("\n{text}\n");
    }

    pub fn table<const N: usize>(&mut self, heads: [&str; N], rows: &[[String; N]]) {
        self.text += &format!("\n| {} |\n|{}\n", heads.join(" | "), " --- |".repeat(N));
        for row in rows {
            // Writing into a text cannot fail.
            writeln!(self.text, "| {} |", row.join(" | ")).ok();
        }
    }

    /// Prints the page and keeps it as `bench/results/NAME.md`.
    pub fn write(name: &str, report: Self) -> Result<()> {
        println!("{}", report.text);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        std::fs::create_dir_all(&folder).context("make the folder of results")?;
        std::fs::write(folder.join(format!("{name}.md")), report.text).context("write the results")
    }
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory =
        read("/proc/meminfo").split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) >> 20;
    format!("{cores} cores of {model}, {memory} GiB, Linux {}. Load from the same machine.", kernel.trim())
}

/// Microseconds with two figures behind the point.
pub fn us(value: f64) -> String {
    format!("{value:.2}")
}
