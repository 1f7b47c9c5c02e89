//! Copies are whole or there are none, and nothing that a copy says leads out of the folder it is restored to.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use backends::backup::{BackupError, backup, restore};
use backends::fsck::fsck;
use backends::{DataFolder, FolderError, keys, records, storage};
use bytes::Bytes;
use common::{at, code, namespace, new_version, record, registry_with_one, scratch};
use domain::SqlStatement;
use ports::{ContentInfo, Contents, Databases, Functions, Keys, Records, SqlBounds, Storage};

/// A stopped node with something of everything.
async fn node(path: &Path) {
    let folder = DataFolder::open(path).expect("open the folder");
    storage::open(&folder.code()).expect("open the code").put(code()).await.expect("put");
    let registry = registry_with_one(&folder.system_db()).await;
    registry.publish_version(new_version("hello", "a")).await.expect("publish");
    let contents = storage::open(&folder.content()).expect("open the content");
    let cid = contents.put(Bytes::from_static(b"hello")).await.expect("put");
    contents.put(Bytes::from_static(b"nobody's")).await.expect("put");
    let info = ContentInfo { cid, name: "photo".to_owned(), bytes: 5, pinned: true, created_at: at(1) };
    registry.own_content(&namespace("one"), info, None).await.expect("own");
    let log = records::open(&folder.logs_db()).await.expect("open the log");
    log.append(&[record("r1", "one", 1)]).await.expect("append");
    keys::open(&folder.keys()).expect("open the keys").node_key("cache").expect("make a key");
    let databases = backends::database::open(&folder.databases(), Default::default()).expect("open the databases");
    for owner in ["one", "nobody"] {
        let database = databases.of(&namespace(owner));
        let bounds = SqlBounds::until(std::time::Instant::now() + std::time::Duration::from_secs(60));
        database.execute(SqlStatement::new("CREATE TABLE t (a)".to_owned(), Vec::new()), bounds).await.expect("run");
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}

#[tokio::test]
async fn a_copy_holds_what_the_registry_refers_to_and_no_more() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    node(&data).await;
    for name in ["copy", "copy.tar"] {
        let (copy, restored) = (scratch.path().join(name), scratch.path().join(format!("{name}-restored")));
        let summary = backup(&data, &copy).expect("copied");
        assert_eq!((summary.databases, summary.code_files, summary.content_files), (1, 1, 1));
        assert!(!summary.has_master_key, "this node never had one");
        restore(&copy, &restored).expect("restored");
        let report = fsck(&restored).expect("examined");
        assert!(report.problems.is_empty(), "{report}");
        assert_eq!((report.counts.databases, report.counts.records), (1, 1));
        let open = |path: &PathBuf| fs::metadata(path).expect("a file").permissions().mode() & 0o077 != 0;
        assert!(files_below(&restored).iter().all(|file| !open(file)));
    }
}

#[tokio::test]
async fn what_is_missing_is_named_and_no_half_copy_stays() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    node(&data).await;
    let lost = files_below(&data.join("code")).pop().expect("code");
    fs::remove_file(&lost).expect("removed");
    for name in ["copy", "copy.tar"] {
        match backup(&data, &scratch.path().join(name)) {
            Err(BackupError::Missing { missing }) => assert_eq!(missing, lost),
            other => panic!("{other:?}"),
        }
    }
    let left: Vec<_> =
        fs::read_dir(scratch.path()).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(left, ["data"]);
}

/// Name, content and kind of what an archive holds.
type Entry<'a> = (&'a str, &'a [u8], tar::EntryType);

/// Whatever an archive says, nothing is written outside the folder, and what is refused leaves it empty.
#[tokio::test]
async fn hostile_archives_are_refused() {
    let scratch = scratch();
    let restored = scratch.path().join("restored");
    let format = ("format", &b"1\n"[..], tar::EntryType::Regular);
    let cases: [(&str, &[Entry<'_>]); 9] = [
        ("above", &[format, ("../escaped", b"x", tar::EntryType::Regular)]),
        ("absolute", &[format, ("/tmp/escaped", b"x", tar::EntryType::Regular)]),
        ("within", &[format, ("keys/../../escaped", b"x", tar::EntryType::Regular)]),
        ("link", &[format, ("admin.key", b"", tar::EntryType::Symlink)]),
        (
            "twice",
            &[format, ("admin.key", b"x", tar::EntryType::Regular), ("admin.key", b"y", tar::EntryType::Regular)],
        ),
        ("alone", &[format]),
        (
            "less",
            &[
                format,
                ("admin.key", b"x", tar::EntryType::Regular),
                ("inventory", b"2 admin.key\n", tar::EntryType::Regular),
            ],
        ),
        ("late", &[("admin.key", b"x", tar::EntryType::Regular), format]),
        ("newer", &[("format", b"99\n", tar::EntryType::Regular)]),
    ];
    for (what, entries) in cases {
        let archive = scratch.path().join("hostile.tar");
        fs::write(&archive, archive_of(entries)).expect("written");
        let refused = restore(&archive, &restored).expect_err(what);
        match what {
            "newer" => {
                assert!(matches!(refused, BackupError::Folder(FolderError::TooNew { found: 99, .. })), "{refused}")
            }
            "twice" => assert!(matches!(refused, BackupError::Io { .. }), "{refused}"),
            _ => assert!(matches!(refused, BackupError::NotABackup { .. }), "{what}: {refused}"),
        }
        assert!(is_empty(&restored), "{what}");
        assert!(!scratch.path().join("escaped").exists(), "{what}");
    }
}

/// By hand: the library refuses to write some of these names.
fn archive_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content, kind) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_entry_type(*kind);
        header.set_mode(0o600);
        if kind.is_symlink() {
            header.set_link_name("/etc/passwd").expect("a name");
        }
        header.set_cksum();
        archive.append(&header, *content).expect("appended");
    }
    archive.into_inner().expect("an archive")
}

#[tokio::test]
async fn an_archive_that_was_cut_is_refused() {
    let scratch = scratch();
    let (data, archive) = (scratch.path().join("data"), scratch.path().join("copy.tar"));
    node(&data).await;
    backup(&data, &archive).expect("copied");
    let whole = fs::read(&archive).expect("an archive");
    let restored = scratch.path().join("restored");
    // Before each file, what is left is an archive to every program that reads such.
    let mut archived = tar::Archive::new(&*whole);
    let entries = archived.entries().expect("entries").map(|entry| entry.expect("an entry").raw_header_position());
    for length in entries.flat_map(|at| [at, at + 100, at + 512, at + 600]).map(|at| at as usize) {
        fs::write(&archive, &whole[..length]).expect("written");
        assert!(restore(&archive, &restored).is_err(), "the first {length} of {} bytes", whole.len());
        assert!(is_empty(&restored), "{length}");
    }
}
