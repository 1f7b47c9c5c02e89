//! Content in real files.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use backends::storage;
use bytes::Bytes;
use common::scratch;
use domain::Cid;
use ports::{Storage, StorageError, conformance};

#[tokio::test]
async fn behaves_as_a_storage() {
    let folder = scratch();
    conformance::storage(&storage::open(folder.path()).expect("open")).await;
}

fn path_of(root: &Path, cid: &Cid) -> PathBuf {
    let text = cid.to_string();
    root.join(&text[text.len() - 2..]).join(text)
}

#[tokio::test]
async fn content_is_there_after_opening_again_and_what_was_half_written_is_not() {
    let folder = scratch();
    let cid = storage::open(folder.path()).expect("open").put("kept".into()).await.expect("put");
    let leftover = folder.path().join("tmp/.new-1-1");
    std::fs::write(&leftover, "half").expect("plant a leftover");

    let storage = storage::open(folder.path()).expect("open again");
    assert_eq!(storage.get(&cid).await.expect("get"), "kept");
    assert_eq!(storage.list().await.expect("list"), [cid]);
    assert!(!leftover.exists());
}

#[tokio::test]
async fn damage_is_noticed_and_repaired_by_storing_the_same_again() {
    let folder = scratch();
    let storage = storage::open(folder.path()).expect("open");
    let bytes = Bytes::from(vec![7; domain::CHUNK_BYTES + 1000]);
    let cid = storage.put(bytes.clone()).await.expect("put");
    let path = path_of(folder.path(), &cid);
    let damages: [fn(&mut Vec<u8>); 3] = [|bytes| bytes[300] ^= 1, |bytes| bytes.truncate(5), Vec::clear];
    for damage in damages {
        let mut stored = std::fs::read(&path).expect("read");
        damage(&mut stored);
        std::fs::write(&path, stored).expect("damage");
        assert!(matches!(storage.get(&cid).await, Err(StorageError::Corrupt(found)) if found == cid));
        assert_eq!(storage.put(bytes.clone()).await.expect("put"), cid);
        assert_eq!(storage.get(&cid).await.expect("get"), bytes);
    }
}

#[tokio::test]
async fn others_cannot_read_the_content() {
    let folder = scratch();
    let root = folder.path().join("code");
    let cid = storage::open(&root).expect("open").put("secret".into()).await.expect("put");
    let mode = |path: &Path| std::fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    let file = path_of(&root, &cid);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().expect("it is in a folder")), 0o700);
    assert_eq!(mode(&root), 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_may_be_stored_by_many_at_once() {
    let folder = scratch();
    let storage = storage::open(folder.path()).expect("open");
    let put = |number: usize| storage.put(Bytes::from(format!("content {}", number % 4)));
    for stored in futures_util::future::join_all((0..40).map(put)).await {
        storage.get(&stored.expect("put")).await.expect("get");
    }
    assert_eq!(storage.list().await.expect("list").len(), 4);
}

#[tokio::test]
async fn files_of_others_are_no_content() {
    let folder = scratch();
    let storage = storage::open(folder.path()).expect("open");
    let cid = storage.put("x".into()).await.expect("put");
    std::fs::create_dir(folder.path().join("zz")).expect("create a folder");
    std::fs::copy(path_of(folder.path(), &cid), folder.path().join("zz").join(cid.to_string())).expect("copy");
    std::fs::write(folder.path().join("zz/readme"), "hello").expect("write");
    assert_eq!(storage.list().await.expect("list"), [cid]);
}
