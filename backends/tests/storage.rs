//! Content in real files.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use backends::storage;
use bytes::Bytes;
use common::scratch;
use domain::{CHUNK_BYTES, Cid};
use ports::{Content, Storage, StorageError, conformance};

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
    let bytes = Bytes::from(vec![7; CHUNK_BYTES + 1000]);
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

/// Four chunks that differ, the last one short.
fn four_chunks() -> Bytes {
    (0..3 * CHUNK_BYTES + 1000).map(|i| (i ^ (i >> 8) ^ (i >> 18)) as u8).collect()
}

fn leaves_of(content: &Path) -> PathBuf {
    content.with_added_extension("leaves")
}

async fn read_all(content: &dyn Content) -> Result<Vec<u8>, StorageError> {
    let mut all = Vec::new();
    while (all.len() as u64) < content.bytes() {
        all.extend_from_slice(&content.read(all.len() as u64, usize::MAX).await?);
    }
    Ok(all)
}

fn is_corrupt<T>(result: Result<T, StorageError>, cid: &Cid) -> bool {
    matches!(result.err(), Some(StorageError::Corrupt(found)) if found == *cid)
}

#[tokio::test]
async fn a_damaged_piece_is_noticed_when_it_is_read_and_the_others_are_read() {
    let folder = scratch();
    let storage = storage::open(folder.path()).expect("open");
    let bytes = four_chunks();
    let cid = storage.put(bytes.clone()).await.expect("put");
    let path = path_of(folder.path(), &cid);
    let mut stored = bytes.to_vec();
    stored[CHUNK_BYTES + 7] ^= 1;
    std::fs::write(&path, stored).expect("damage the second chunk");

    let content = storage.open(&cid).await.expect("its size and its leaves are right");
    for whole in [0, 2, 3] {
        let offset = whole * CHUNK_BYTES;
        let read = content.read(offset as u64, usize::MAX).await.expect("this chunk is whole");
        assert!(bytes[offset..].starts_with(&read));
    }
    let second = CHUNK_BYTES as u64;
    assert!(is_corrupt(content.read(second, 1).await, &cid));
    assert!(is_corrupt(content.read(2 * second - 1, 1).await, &cid), "no byte of the chunk is handed on");
}

#[tokio::test]
async fn content_of_the_wrong_size_is_noticed_when_it_is_opened_or_read() {
    let folder = scratch();
    let storage = storage::open(folder.path()).expect("open");
    for bytes in [four_chunks(), four_chunks().slice(..1000), four_chunks().slice(..CHUNK_BYTES)] {
        let cid = storage.put(bytes.clone()).await.expect("put");
        let path = path_of(folder.path(), &cid);
        for wrong in [0, 1, bytes.len() - 1, bytes.len() + 1, bytes.len() + 2 * CHUNK_BYTES] {
            let mut stored = bytes.to_vec();
            stored.resize(wrong, 0);
            std::fs::write(&path, stored).expect("damage");
            assert!(is_corrupt(storage.open(&cid).await, &cid), "{wrong} bytes for {}", bytes.len());
        }
        assert_eq!(storage.put(bytes).await.expect("repair"), cid);
    }
    let cid = Cid::of(&four_chunks());
    let content = storage.open(&cid).await.expect("it is whole again");
    std::fs::File::options()
        .write(true)
        .open(path_of(folder.path(), &cid))
        .and_then(|file| file.set_len(5))
        .expect("cut");
    assert!(is_corrupt(content.read(3 * CHUNK_BYTES as u64, 10).await, &cid));
}

#[tokio::test]
async fn leaves_that_are_missing_or_wrong_are_made_again() {
    let folder = scratch();
    let storage = storage::open(folder.path()).expect("open");
    let bytes = four_chunks();
    let cid = storage.put(bytes.clone()).await.expect("put");
    let path = path_of(folder.path(), &cid);
    let right = std::fs::read(leaves_of(&path)).expect("leaves lie beside the content");
    let wrong =
        [None, Some(vec![]), Some(vec![7; right.len()]), Some(right[1..].to_vec()), Some([&right[..], b"x"].concat())];
    for leaves in wrong {
        match &leaves {
            None => std::fs::remove_file(leaves_of(&path)).expect("remove"),
            Some(leaves) => std::fs::write(leaves_of(&path), leaves).expect("damage"),
        }
        let content = storage.open(&cid).await.expect("the content is whole");
        assert_eq!(read_all(&*content).await.expect("read"), bytes);
        assert_eq!(std::fs::read(leaves_of(&path)).expect("they are back"), right);
    }

    // Leaves are never made from damaged content.
    let mut damaged = bytes.to_vec();
    damaged[5] ^= 1;
    std::fs::write(&path, damaged).expect("damage");
    std::fs::remove_file(leaves_of(&path)).expect("remove");
    assert!(is_corrupt(storage.open(&cid).await, &cid));
    assert!(!leaves_of(&path).exists());
}

#[tokio::test]
async fn content_that_is_deleted_leaves_nothing_and_is_read_to_its_end_by_who_has_it_open() {
    let folder = scratch();
    let storage = storage::open(folder.path()).expect("open");
    let cid = storage.put(four_chunks()).await.expect("put");
    let open = storage.open(&cid).await.expect("open");
    storage.delete(&cid).await.expect("delete");
    assert!(matches!(storage.open(&cid).await.err(), Some(StorageError::NotFound(_))));
    let path = path_of(folder.path(), &cid);
    assert_eq!(std::fs::read_dir(path.parent().expect("it is in a folder")).expect("list").count(), 0);
    assert_eq!(read_all(&*open).await.expect("read"), four_chunks());
}

#[tokio::test]
async fn an_upload_repairs_what_is_damaged() {
    let folder = scratch();
    let storage = storage::open(folder.path()).expect("open");
    let cid = storage.put(four_chunks()).await.expect("put");
    std::fs::write(path_of(folder.path(), &cid), "damaged").expect("damage");
    let mut upload = storage.begin().await.expect("begin");
    upload.write(four_chunks()).await.expect("write");
    assert_eq!(upload.finish().await.expect("finish"), (cid, four_chunks().len() as u64));
    assert_eq!(storage.get(&cid).await.expect("get"), four_chunks());
}

/// Its own runtime: when that is gone, so is everything that was still to be done.
#[test]
fn an_upload_that_is_given_up_leaves_nothing() {
    let folder = scratch();
    let temporary = || std::fs::read_dir(folder.path().join("tmp")).expect("list").count();
    let runtime = || tokio::runtime::Runtime::new().expect("a runtime");
    let storage = storage::open(folder.path()).expect("open");

    let dropped = runtime();
    dropped.block_on(async {
        let mut upload = storage.begin().await.expect("begin");
        upload.write(four_chunks()).await.expect("write");
        assert_eq!(temporary(), 1);
    });
    drop(dropped);
    assert_eq!(temporary(), 0);

    // In the middle of a write, of a finish, and by nobody's runtime.
    let cancelled = runtime();
    cancelled.block_on(async {
        // On a busy machine a write may be over before it is looked at: then another is begun.
        let mut attempts = 0..100;
        let mut upload = loop {
            assert!(attempts.next().is_some(), "it takes its time");
            let mut upload = storage.begin().await.expect("begin");
            if futures_util::FutureExt::now_or_never(upload.write(four_chunks())).is_none() {
                break upload;
            }
        };
        let refused = upload.write("more".into()).await;
        assert!(matches!(refused, Err(StorageError::Unavailable(_))), "a hole in the content is not kept");
        assert!(upload.finish().await.is_err());
    });
    drop(cancelled);
    let elsewhere = runtime();
    drop(elsewhere.block_on(storage.begin()).expect("begin"));
    drop(elsewhere);
    assert_eq!(temporary(), 0);
    let listed = runtime().block_on(storage.list()).expect("list");
    assert_eq!(listed, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_may_be_uploaded_and_read_by_many_at_once() {
    let folder = scratch();
    let storage = storage::open(folder.path()).expect("open");
    let upload_and_read = async |_| {
        let mut upload = storage.begin().await?;
        for piece in four_chunks().chunks(100_000) {
            upload.write(Bytes::copy_from_slice(piece)).await?;
        }
        let (cid, _) = upload.finish().await?;
        read_all(&*storage.open(&cid).await?).await
    };
    for read in futures_util::future::join_all((0..16).map(upload_and_read)).await {
        assert_eq!(read.expect("upload and read"), four_chunks());
    }
    assert_eq!(storage.list().await.expect("list"), [Cid::of(&four_chunks())]);
}
