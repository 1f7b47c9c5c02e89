//! `orama backup` and `orama restore`: what `backends` does, as the verbs show it.

use std::path::Path;

pub use backends::backup::Summary;

/// Copies a data folder, also of a server that runs.
pub fn backup(data: &Path, target: &Path) -> anyhow::Result<Summary> {
    Ok(backends::backup::backup(data, target)?)
}

/// Makes a data folder of a copy.
pub fn restore(from: &Path, data: &Path) -> anyhow::Result<()> {
    Ok(backends::backup::restore(from, data)?)
}
