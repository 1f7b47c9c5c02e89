use bytes::Bytes;
use domain::{CHUNK_BYTES, Cid};

use crate::{Storage, StorageError};

/// Around the places where the shape of the content's tree changes.
const SIZES: [usize; 6] = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 << 20];

/// Panics when `storage`, which must be empty, does not behave as a content-addressed store.
pub async fn storage(storage: &dyn Storage) {
    let absent = Cid::of(b"absent");
    assert!(matches!(storage.get(&absent).await, Err(StorageError::NotFound(cid)) if cid == absent));
    assert!(matches!(storage.open(&absent).await.err(), Some(StorageError::NotFound(cid)) if cid == absent));
    assert_eq!(storage.list().await.expect("list"), []);

    for size in SIZES {
        let bytes = Bytes::from(vec![7; size]);
        let cid = storage.put(bytes.clone()).await.expect("put");
        assert_eq!(cid, Cid::of(&bytes), "the identifier of {size} bytes");
        assert_eq!(storage.get(&cid).await.expect("get"), bytes, "{size} bytes come back");
        assert_eq!(storage.put(bytes.clone()).await.expect("put again"), cid);
        reads_in_pieces(storage, &cid, &bytes).await;
    }
    assert_eq!(storage.list().await.expect("list").len(), SIZES.len());
    uploads(storage).await;

    let gone = Cid::of(b"");
    storage.delete(&gone).await.expect("delete");
    storage.delete(&gone).await.expect("deleting twice is no error");
    assert!(matches!(storage.get(&gone).await, Err(StorageError::NotFound(_))));
    assert!(matches!(storage.open(&gone).await.err(), Some(StorageError::NotFound(_))));
}

async fn uploads(storage: &dyn Storage) {
    for (size, piece_bytes) in SIZES.into_iter().flat_map(|size| [(size, 60_000), (size, 1_000_000)]) {
        let bytes = Bytes::from(distinct(size));
        let mut upload = storage.begin().await.expect("begin");
        for piece in bytes.chunks(piece_bytes) {
            upload.write(Bytes::copy_from_slice(piece)).await.expect("write");
        }
        let finished = upload.finish().await.expect("finish");
        assert_eq!(finished, (Cid::of(&bytes), size as u64));
        assert_eq!(storage.get(&finished.0).await.expect("get"), bytes);
        reads_in_pieces(storage, &finished.0, &bytes).await;
    }

    let before = storage.list().await.expect("list").len();
    let mut dropped = storage.begin().await.expect("begin");
    dropped.write(Bytes::from_static(b"never finished")).await.expect("write");
    drop(dropped);
    assert_eq!(storage.list().await.expect("list").len(), before, "what is not finished is not kept");
    assert!(storage.get(&Cid::of(b"never finished")).await.is_err());
}

async fn reads_in_pieces(storage: &dyn Storage, cid: &Cid, bytes: &Bytes) {
    let content = storage.open(cid).await.expect("open");
    assert_eq!(content.bytes(), bytes.len() as u64);
    let mut read = Vec::new();
    loop {
        let piece = content.read(read.len() as u64, 100_000).await.expect("read");
        assert!(piece.len() <= 100_000);
        if piece.is_empty() {
            break;
        }
        read.extend_from_slice(&piece);
    }
    assert_eq!(Bytes::from(read), *bytes, "{} bytes in pieces", bytes.len());

    let middle = bytes.len() / 2;
    let piece = content.read(middle as u64, usize::MAX).await.expect("read from the middle to the end");
    assert!(bytes[middle..].starts_with(&piece) && piece.is_empty() == bytes.is_empty());
    for beyond in [bytes.len() as u64, bytes.len() as u64 + 1, u64::MAX] {
        assert_eq!(content.read(beyond, 10).await.expect("read behind the end"), "");
    }
}

/// No two chunks are alike.
fn distinct(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i ^ (i >> 8) ^ (i >> 18)) as u8).collect()
}
