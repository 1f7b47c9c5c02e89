use std::path::Path;

use serde_json::json;

use crate::args::Shared;
use crate::config::{ConfigFlags, ServeConfig, Settings};
use crate::failure::{Failure, Outcome};
use crate::table::Table;
use crate::{node, printable, screen};

/// Check the data folder of a server that is not running
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama fsck
  orama fsck --data /var/lib/orama")]
pub struct Args {
    #[command(flatten)]
    config: ConfigFlags,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    show(&ServeConfig::from(&Settings::load(&args.config)?).data, shared)
}

/// Checks a data folder and prints what was found; damage is a failure.
pub fn show(data: &Path, shared: &Shared) -> Outcome {
    let report = node::fsck(data)?;
    if shared.json {
        let checked: serde_json::Map<_, _> =
            report.checked.iter().map(|(what, count)| (what.clone(), json!(count))).collect();
        screen::json(
            &json!({"data": data, "checked": checked, "problems": report.problems, "notices": report.notices}),
        );
    } else {
        print(&report);
    }
    match report.problems.len() {
        0 => Ok(()),
        count => Err(Failure::failed(format!("{count} problems in `{}`", data.display()))),
    }
}

fn print(report: &node::FsckReport) {
    let mut table = Table::new(["CHECKED", "COUNT"]);
    for (what, count) in &report.checked {
        table.row([what.clone(), count.to_string()]);
    }
    screen::data(table.render().as_bytes());
    for notice in &report.notices {
        screen::line(&format!("notice: {}", printable::line(notice)));
    }
    for problem in &report.problems {
        screen::line(&format!("problem: {}", printable::line(problem)));
    }
}
