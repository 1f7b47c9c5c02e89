//! The code: what versions use is there and is what its identifier says; what nobody uses is listed.

use std::path::Path;

use domain::Cid;
use ports::StorageError;

use super::system::Used;
use super::{ProblemKind, Report, files, unreadable};
use crate::folder::DataFolder;
use crate::storage::{path_of, verify};

pub(super) fn check(folder: &DataFolder, used: Option<&Used>, report: &mut Report) {
    let root = folder.code();
    let stored = files::stored(&root, "code", report);
    let Some(used) = used.map(|used| &used.code) else { return };
    for (cid, version) in used {
        check_used(&root, cid, version, report);
    }
    for cid in stored.iter().filter(|cid| !used.contains_key(cid)) {
        report.add(ProblemKind::CodeUnused, format!("no version uses the code {cid}; the next start removes it"));
    }
}

fn check_used(root: &Path, cid: &Cid, version: &str, report: &mut Report) {
    match verify(root, cid) {
        Ok(bytes) => {
            report.counts.code_files += 1;
            report.counts.code_bytes += bytes;
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
