//! Is the data folder of a stopped node whole? Changes nothing.
//!
//! An *error* is damage: something that was acknowledged is missing or is not what it was. A *notice* is what a killed process
//! may leave and the next start removes.

mod code;
mod content;
mod databases;
mod files;
mod logs;
mod namespaces;
mod sqlite;
mod system;

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::durable;
use crate::folder::{DataFolder, FolderError};
use crate::keys::{self, ReadError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Notice,
}

/// What is wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    DatabaseMissing,
    DatabaseDamaged,
    DatabaseForeign,
    DatabaseTooNew,
    BrokenReference,
    ActiveVersionMissing,
    RowDamaged,
    CodeMissing,
    CodeDamaged,
    CodeUnused,
    ContentMissing,
    ContentDamaged,
    ContentUnowned,
    KeyUnusable,
    UsageWrong,
    UnknownFile,
    Leftover,
    Unreadable,
}

impl ProblemKind {
    fn severity(self) -> Severity {
        match self {
            Self::CodeUnused | Self::ContentUnowned | Self::UnknownFile | Self::Leftover => Severity::Notice,
            _ => Severity::Error,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub severity: Severity,
    pub kind: ProblemKind,
    /// What is wrong, for people.
    pub message: String,
}

/// What was examined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub functions: u64,
    pub versions: u64,
    pub code_files: u64,
    pub code_bytes: u64,
    pub content_files: u64,
    pub content_bytes: u64,
    pub databases: u64,
    pub records: u64,
}

/// The result of an examination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub problems: Vec<Problem>,
    pub counts: Counts,
}

impl Report {
    /// No errors; notices do not count.
    pub fn is_clean(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity != Severity::Error)
    }

    fn add(&mut self, kind: ProblemKind, message: impl Into<String>) {
        self.problems.push(Problem { severity: kind.severity(), kind, message: message.into() });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            let severity = match problem.severity {
                Severity::Error => "error",
                Severity::Notice => "notice",
            };
            writeln!(f, "{severity}: {}", problem.message)?;
        }
        let Counts { functions, versions, code_files, code_bytes, content_files, content_bytes, databases, records } =
            self.counts;
        writeln!(
            f,
            "examined: {functions} functions, {versions} versions, {code_files} files of code \
             ({code_bytes} bytes), {content_files} files of content ({content_bytes} bytes), {databases} databases, \
             {records} records of calls"
        )?;
        let errors = self.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        match errors {
            0 => write!(f, "result: no damage"),
            1 => write!(f, "result: 1 error"),
            _ => write!(f, "result: {errors} errors"),
        }
    }
}

/// Examines the data folder at `path`; blocks until done. A folder that a running node has is refused.
pub fn fsck(path: &Path) -> Result<Report, FolderError> {
    let folder = DataFolder::open_existing(path)?;
    let mut report = Report::default();
    let used = system::check(&folder, &mut report);
    code::check(&folder, used.as_ref(), &mut report);
    content::check(&folder, used.as_ref(), &mut report);
    databases::check(&folder, used.as_ref().map(|used| &*used.namespaces), &mut report);
    logs::check(&folder, &mut report);
    check_keys(&folder, &mut report);
    check_leftovers(&folder, &mut report);
    Ok(report)
}

fn check_keys(folder: &DataFolder, report: &mut Report) {
    for path in listed(durable::files_in(&folder.keys()), report) {
        if path.extension().is_none_or(|extension| extension != "key") {
            continue;
        }
        match keys::read(&path) {
            Ok(_) | Err(ReadError::Absent) => {}
            Err(ReadError::Unusable(reason)) => report.add(ProblemKind::KeyUnusable, reason),
            Err(ReadError::Io(error)) => unreadable(&path, &error, report),
        }
    }
}

fn check_leftovers(folder: &DataFolder, report: &mut Report) {
    let storages = [folder.code(), folder.content()].map(|root| root.join(crate::storage::TEMPORARY));
    let temporary = storages.iter().chain([&folder.tmp()]).map(|path| durable::files_in(path)).collect::<Vec<_>>();
    for listing in temporary.into_iter().chain([folder.leftovers()]) {
        for path in listed(listing, report) {
            let message =
                format!("`{}` was being written when a process died; the next start removes it", path.display());
            report.add(ProblemKind::Leftover, message);
        }
    }
}

/// What could be listed; what could not becomes a problem.
fn listed<T>(listing: std::io::Result<Vec<T>>, report: &mut Report) -> Vec<T> {
    listing.unwrap_or_else(|error| {
        report.add(ProblemKind::Unreadable, format!("a folder cannot be read: {error}"));
        Vec::new()
    })
}

fn unreadable(path: &Path, error: &dyn std::error::Error, report: &mut Report) {
    report.add(ProblemKind::Unreadable, format!("`{}` cannot be read: {error}", path.display()));
}
