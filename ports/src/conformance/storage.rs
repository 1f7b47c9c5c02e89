use bytes::Bytes;
use domain::Cid;

use crate::{Storage, StorageError};

/// Panics when `storage`, which must be empty, does not behave as a content-addressed store.
pub async fn storage(storage: &dyn Storage) {
    let absent = Cid::of(b"absent");
    assert!(matches!(storage.get(&absent).await, Err(StorageError::NotFound(cid)) if cid == absent));
    assert_eq!(storage.list().await.expect("list"), []);

    let sizes = [0, 1, domain::CHUNK_BYTES - 1, domain::CHUNK_BYTES, domain::CHUNK_BYTES + 1, 3 << 20];
    for size in sizes {
        let bytes = Bytes::from(vec![7; size]);
        let cid = storage.put(bytes.clone()).await.expect("put");
        assert_eq!(cid, Cid::of(&bytes), "the identifier of {size} bytes");
        assert_eq!(storage.get(&cid).await.expect("get"), bytes, "{size} bytes come back");
        assert_eq!(storage.put(bytes).await.expect("put again"), cid);
    }
    assert_eq!(storage.list().await.expect("list").len(), sizes.len());

    let gone = Cid::of(b"");
    storage.delete(&gone).await.expect("delete");
    storage.delete(&gone).await.expect("deleting twice is no error");
    assert!(matches!(storage.get(&gone).await, Err(StorageError::NotFound(_))));
}
