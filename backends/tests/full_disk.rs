//! A full disk: the error says so, and nothing that was acknowledged is lost.

mod common;

use std::path::Path;
use std::process::Command;

use backends::{records, registry, storage};
use bytes::Bytes;
use common::{all, line, new_version, record, registry_with_one, scratch};
use domain::{Level, Record};
use ports::{Functions, Records, RegistryError, Storage, StorageError};

/// A file system of one megabyte.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` when this machine does not let us mount.
    fn mount() -> Option<Self> {
        let folder = scratch();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path()).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self { folder });
        }
        eprintln!("not run: mounting a small file system needs root");
        None
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[tokio::test]
async fn storage_says_that_it_is_full_and_keeps_what_it_has() {
    let Some(disk) = SmallDisk::mount() else { return };
    let storage = storage::open(&disk.path().join("code")).expect("open");
    let kept = storage.put(Bytes::from(vec![1; 400_000])).await.expect("put");
    let refused = storage.put(Bytes::from(vec![2; 900_000])).await;
    assert!(matches!(refused, Err(StorageError::Full(_))), "{refused:?}");

    assert_eq!(storage.list().await.expect("list"), [kept]);
    storage.get(&kept).await.expect("what was stored is still there");
    storage.put(Bytes::from(vec![3; 400_000])).await.expect("the refused bytes take no space");
}

#[tokio::test]
async fn an_upload_that_does_not_fit_is_refused_and_gives_its_space_back() {
    let Some(disk) = SmallDisk::mount() else { return };
    let storage = storage::open(&disk.path().join("content")).expect("open");
    let mut upload = storage.begin().await.expect("begin");
    let refused = loop {
        match upload.write(Bytes::from(vec![7; 100_000])).await {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StorageError::Full(_)), "{refused:?}");
    assert!(upload.finish().await.is_err());
    assert_eq!(storage.list().await.expect("list"), []);
    storage.put(Bytes::from(vec![3; 400_000])).await.expect("the refused bytes take no space");
}

#[tokio::test]
async fn the_registry_loses_nothing_that_it_acknowledged() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.path().join("system.db");
    let registry = registry_with_one(&path).await;
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 500_000]).expect("take half of the space");
    let mut acknowledged = Vec::new();
    let refused = loop {
        match registry.publish_version(new_version("hello", acknowledged.len().to_string())).await {
            Ok(version) => acknowledged.push(version),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, RegistryError::Full(_)), "{refused:?}");
    assert!(acknowledged.len() > 1);
    assert_eq!(registry.load_functions().await.expect("load")[0].versions, acknowledged, "reading goes on");
    std::fs::remove_file(ballast).expect("make room");
    acknowledged.push(registry.publish_version(new_version("hello", "later")).await.expect("publish again"));
    drop(registry);
    let registry = registry::open(&path).await.expect("open again");
    assert_eq!(registry.load_functions().await.expect("load")[0].versions, acknowledged);
}

#[tokio::test]
async fn the_log_writes_a_batch_as_a_whole_or_not_at_all() {
    let Some(disk) = SmallDisk::mount() else { return };
    let records = records::open(&disk.path().join("logs.db")).await.expect("open");
    let one =
        |id: i64| Record { logs: vec![line(Level::Info, "z".repeat(1000))], ..record(&id.to_string(), "one", id) };
    let batch: Vec<Record> = (0..20).map(one).collect();
    let mut acknowledged = 0;
    while records.append(&batch).await.is_ok() {
        acknowledged += batch.len();
    }
    assert!(acknowledged > 0);
    assert_eq!(records.query(&all("one")).await.expect("query").len(), acknowledged);
}
