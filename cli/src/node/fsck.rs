//! `orama fsck`: what `backends` found, as the verb shows it.

use std::path::Path;

use backends::fsck::Severity;

use super::FsckReport;

/// Checks a data folder that no server uses.
pub fn fsck(data: &Path) -> anyhow::Result<FsckReport> {
    let report = backends::fsck::fsck(data)?;
    let counts = &report.counts;
    let checked = [
        ("functions", counts.functions),
        ("versions", counts.versions),
        ("code files", counts.code_files),
        ("code bytes", counts.code_bytes),
        ("content files", counts.content_files),
        ("content bytes", counts.content_bytes),
        ("databases", counts.databases),
        ("records", counts.records),
    ];
    let (errors, notices) =
        report.problems.iter().partition::<Vec<_>, _>(|problem| problem.severity == Severity::Error);
    Ok(FsckReport {
        checked: checked.map(|(what, count)| (what.to_owned(), count)).to_vec(),
        problems: errors.iter().map(|problem| problem.message.clone()).collect(),
        notices: notices.iter().map(|problem| problem.message.clone()).collect(),
    })
}
