//! What namespaces have stored: what somebody owns is there, every file is what its identifier says, and what nobody owns is
//! listed.

use std::path::Path;

use domain::Cid;
use ports::StorageError;

use super::system::Used;
use super::{ProblemKind, Report, files, unreadable};
use crate::folder::DataFolder;
use crate::storage::{path_of, verify};

pub(super) fn check(folder: &DataFolder, used: Option<&Used>, report: &mut Report) {
    let root = folder.content();
    let stored = files::stored(&root, "content", report);
    for cid in &stored {
        check_file(&root, cid, report);
    }
    let Some(owned) = used.map(|used| &used.content) else { return };
    for (cid, namespace) in owned.iter().filter(|(cid, _)| !stored.contains(cid)) {
        let message = format!("the content {cid} of namespace `{namespace}` is missing; upload it again");
        report.add(ProblemKind::ContentMissing, message);
    }
    for cid in stored.iter().filter(|cid| !owned.contains_key(cid)) {
        report.add(ProblemKind::ContentUnowned, format!("no namespace owns the content {cid}"));
    }
}

fn check_file(root: &Path, cid: &Cid, report: &mut Report) {
    match verify(root, cid) {
        Ok(bytes) => {
            report.counts.content_files += 1;
            report.counts.content_bytes += bytes;
        }
        Err(StorageError::Corrupt(_)) => {
            report.add(ProblemKind::ContentDamaged, format!("the content {cid} is damaged; upload it again"));
        }
        Err(error) => unreadable(&path_of(root, cid), &error, report),
    }
}
