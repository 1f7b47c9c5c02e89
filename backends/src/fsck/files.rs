//! The files of a storage: which identifiers it holds, and what lies there without being content.

use std::collections::BTreeSet;
use std::path::Path;

use domain::Cid;

use super::{ProblemKind, Report, listed};
use crate::durable;
use crate::storage::{TEMPORARY, owner_of_leaves, path_of};

/// The identifiers that the storage in the folder `root` has files of. `what` it should hold, for people.
pub(super) fn stored(root: &Path, what: &str, report: &mut Report) -> BTreeSet<Cid> {
    let fans = listed(durable::folders_in(root), report);
    let fans = fans.iter().filter(|fan| !fan.ends_with(TEMPORARY));
    let mut files: Vec<_> = fans.flat_map(|fan| listed(durable::files_in(fan), report)).collect();
    files.extend(listed(durable::files_in(root), report));
    let found: BTreeSet<Cid> = files.iter().filter_map(|file| content_of(root, file)).collect();
    for file in files {
        let content = owner_of_leaves(&file).unwrap_or_else(|| file.clone());
        if content_of(root, &content).is_none_or(|cid| !found.contains(&cid)) {
            report.add(ProblemKind::UnknownFile, format!("`{}` is no {what} of ours", file.display()));
        }
    }
    found
}

/// The identifier of the content in a file that lies where that content belongs.
fn content_of(root: &Path, file: &Path) -> Option<Cid> {
    let cid = Cid::parse(file.file_name()?.to_str()?).ok()?;
    (path_of(root, &cid) == file).then_some(cid)
}
