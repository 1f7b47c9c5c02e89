//! Which files a copy has, and where. Whatever else lies there is not ours.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use domain::{Cid, Namespace};

use crate::certificates::is_kept_name;
use crate::durable;
use crate::storage::path_of;

pub(super) const FORMAT: &str = "format";
/// What a copy was made of: the size and the name of each file, a line each. It tells a copy that was cut from a small one.
pub(super) const INVENTORY: &str = "inventory";
pub(super) const ADMIN_KEY: &str = "admin.key";
pub(super) const SYSTEM: &str = "system.db";
pub(super) const LOGS: &str = "logs.db";
/// The folders of a copy.
pub(super) const FOLDERS: [&str; 5] = ["certificates", "code", "content", "databases", "keys"];

/// Is this the name of a file that a copy may have? It comes from an archive, so it may try to lead elsewhere.
pub(super) fn is_ours(name: &Path) -> bool {
    let parts: Option<Vec<&str>> = name.components().map(part).collect();
    match parts.as_deref() {
        Some([file]) => [FORMAT, ADMIN_KEY, SYSTEM, LOGS].contains(file),
        Some(["keys", "published.json"]) => true,
        Some(["keys", key]) => {
            let purpose = key.strip_suffix(".key").or_else(|| key.strip_suffix(".signer"));
            purpose.is_some_and(is_purpose)
        }
        Some(["certificates", file]) => is_kept_name(file),
        Some(["databases", file]) => namespace_of(file).is_some(),
        Some([root @ ("code" | "content"), _, cid]) => {
            Cid::parse(cid).is_ok_and(|cid| path_of(Path::new(root), &cid) == name)
        }
        _ => false,
    }
}

fn part(component: Component<'_>) -> Option<&str> {
    match component {
        Component::Normal(part) => part.to_str(),
        _ => None,
    }
}

fn is_purpose(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// The namespace whose database has this file name.
pub(crate) fn namespace_of(file: &str) -> Option<Namespace> {
    Namespace::parse(file.strip_suffix(".db")?).ok()
}

/// The names of every file in a folder that has the layout of a copy, `format` first and the inventory last.
pub(super) fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(next) = folders.pop() {
        folders.extend(durable::folders_in(&next)?);
        found.extend(durable::files_in(&next)?);
    }
    let name = |path: PathBuf| path.strip_prefix(folder).map(Path::to_owned).map_err(io::Error::other);
    let mut names = found.into_iter().map(name).collect::<io::Result<Vec<_>>>()?;
    names.sort_by_key(|name| (name != Path::new(FORMAT), name == Path::new(INVENTORY), name.clone()));
    Ok(names)
}

pub(super) fn inventory(files: &BTreeMap<PathBuf, u64>) -> String {
    files.iter().map(|(name, bytes)| format!("{bytes} {}\n", name.display())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_copy_are_ours() {
        let cid = Cid::of(b"hello").to_string();
        let fan = &cid[cid.len() - 2..];
        let content = format!("content/{fan}/{cid}");
        for name in [
            "format",
            "system.db",
            "logs.db",
            "admin.key",
            "keys/api-keys.key",
            "keys/oyster.signer",
            "keys/published.json",
            "databases/team.db",
            "certificates/a.example.com.pem",
            &content,
        ] {
            assert!(is_ours(Path::new(name)), "{name}");
        }
        let elsewhere = format!("content/xx/{cid}");
        for name in [
            "",
            "lock",
            "../format",
            "/etc/passwd",
            "keys/../format",
            "keys/a/b.key",
            "keys/A.key",
            "keys/.key",
            "keys/.signer",
            "keys/other.json",
            "databases/a.b.db",
            "databases/../x.db",
            "databases/-x.db",
            "content/a/b",
            "compiled/x",
            "certificates/a.key",
            &elsewhere,
        ] {
            assert!(!is_ours(Path::new(name)), "{name}");
        }
    }
}
