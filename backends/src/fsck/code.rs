//! The code: what versions use is there and is what its identifier says; what nobody uses is listed.

use std::path::Path;

use domain::Cid;
use ports::StorageError;

use super::system::UsedCode;
use super::{ProblemKind, Report, listed, unreadable};
use crate::durable;
use crate::folder::DataFolder;
use crate::storage::{TEMPORARY, path_of, read_verified};

pub(super) fn check(folder: &DataFolder, used: &UsedCode, report: &mut Report) {
    let root = folder.code();
    for (cid, version) in used.iter().flatten() {
        check_used(&root, cid, version, report);
    }
    for fan in listed(durable::folders_in(&root), report).iter().filter(|fan| !fan.ends_with(TEMPORARY)) {
        for file in listed(durable::files_in(fan), report) {
            check_file(&root, &file, used, report);
        }
    }
    for file in listed(durable::files_in(&root), report) {
        unknown(&file, report);
    }
}

fn check_used(root: &Path, cid: &Cid, version: &str, report: &mut Report) {
    match read_verified(root, cid) {
        Ok(bytes) => {
            report.counts.code_files += 1;
            report.counts.code_bytes += bytes.len() as u64;
        }
        Err(StorageError::NotFound(_)) => {
            report.add(ProblemKind::CodeMissing, format!("the code {cid} of `{version}` is missing; deploy it again"));
        }
        Err(StorageError::Corrupt(_)) => {
            report.add(ProblemKind::CodeDamaged, format!("the code {cid} of `{version}` is damaged; deploy it again"));
        }
        Err(error) => unreadable(&path_of(root, cid), &error, report),
    }
}

fn check_file(root: &Path, file: &Path, used: &UsedCode, report: &mut Report) {
    let name = file.file_name().and_then(|name| name.to_str());
    match name.and_then(|name| Cid::parse(name).ok()).filter(|cid| path_of(root, cid) == file) {
        None => unknown(file, report),
        Some(cid) if used.as_ref().is_some_and(|used| !used.contains_key(&cid)) => {
            report.add(ProblemKind::CodeUnused, format!("no version uses the code {cid}; the next start removes it"));
        }
        Some(_) => {}
    }
}

fn unknown(file: &Path, report: &mut Report) {
    report.add(ProblemKind::UnknownFile, format!("`{}` is no code of ours", file.display()));
}
