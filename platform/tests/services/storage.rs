//! Content: owners, quotas, pins, and sweeps beside uploads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Caller, Cid, Error, ErrorCode, Namespace, NamespaceSettings, Scope};
use platform::Config;
use ports::{ContentInfo, Storage};

use crate::gate::Point;
use crate::node::*;

async fn put(node: &Node, namespace: &Namespace, content: &[u8]) -> Result<ContentInfo, Error> {
    let mut upload = node.platform.upload(&operator(), namespace).await?;
    for piece in content.chunks(1000) {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    upload.finish("a name", true).await
}

async fn stored(node: &Node, namespace: &Namespace, content: &[u8]) -> Cid {
    put(node, namespace, content).await.expect("stored").cid
}

/// Everything that the namespace reads under the identifier.
async fn read(node: &Node, namespace: &Namespace, cid: &Cid) -> Result<Vec<u8>, Error> {
    let (info, content) = node.platform.open_content(&operator(), namespace, cid).await?;
    let mut bytes = Vec::new();
    while bytes.len() < info.bytes as usize {
        bytes.extend(content.read(bytes.len() as u64, 700).await.expect("readable"));
    }
    Ok(bytes)
}

async fn unpin(node: &Node, namespace: &Namespace, cid: &Cid) {
    node.platform.pin_content(&operator(), namespace, cid, false, None).await.expect("unpinned");
}

async fn used(node: &Node, namespace: &Namespace) -> u64 {
    node.platform.storage_usage(&operator(), namespace).await.expect("counted").0
}

async fn with_quota(bytes: u64) -> Node {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    node.set(&home(), quota(bytes)).await;
    node
}

fn quota(bytes: u64) -> NamespaceSettings {
    NamespaceSettings { storage_bytes_max: Some(bytes), ..NamespaceSettings::default() }
}

async fn in_store(node: &Node) -> usize {
    node.content.list().await.expect("listed").len()
}

#[tokio::test]
async fn what_is_uploaded_in_pieces_comes_back_whole() {
    let node = node().await;
    for size in [0, 1, 1000, 262_144, 262_145, 1_000_000] {
        let content: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let info = put(&node, &home(), &content).await.expect("stored");
        assert_eq!((info.cid, info.bytes, info.name.as_str()), (Cid::of(&content), size as u64, "a name"));
        assert_eq!(read(&node, &home(), &info.cid).await, Ok(content));
        assert_eq!(node.platform.content(&operator(), &home(), &info.cid).await, Ok(info));
    }
    let node = node.restarted().await;
    assert_eq!(read(&node, &home(), &Cid::of(&[0])).await, Ok(vec![0]));
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_nothing() {
    let node = with_quota(100).await;
    for _ in 0..3 {
        let mut upload = node.platform.upload(&operator(), &home()).await.expect("begun");
        upload.write(Bytes::from_static(&[1; 100])).await.expect("within the quota");
    }
    assert_eq!((used(&node, &home()).await, in_store(&node).await), (0, 0));
    stored(&node, &home(), &[2; 100]).await;
}

#[tokio::test]
async fn who_may_use_content() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    let cid = stored(&node, &home(), b"ours").await;
    for (caller, code) in [
        (Caller::anonymous(), Some(ErrorCode::Unauthorized)),
        (key_of(&home(), Scope::Invoke), Some(ErrorCode::Forbidden)),
        (key_of(&home(), Scope::Deploy), Some(ErrorCode::Forbidden)),
        (key_of(&home(), Scope::Data), None),
        (admin(), None),
        (operator(), None),
        (key_of(&abroad(), Scope::Admin), Some(ErrorCode::NotFound)),
    ] {
        let platform = &node.platform;
        let refusals = [
            platform.upload(&caller, &home()).await.err(),
            platform.open_content(&caller, &home(), &cid).await.err(),
            platform.content(&caller, &home(), &cid).await.err(),
            platform.list_contents(&caller, &home(), None, 10).await.err(),
            platform.pin_content(&caller, &home(), &cid, true, None).await.err(),
            platform.sweep_contents(&caller, &home()).await.err(),
            platform.storage_usage(&caller, &home()).await.err(),
        ];
        for refused in refusals {
            assert_eq!(refused.map(|error| error.code), code, "{caller:?}");
        }
    }
}

#[tokio::test]
async fn what_others_own_looks_as_if_it_did_not_exist() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    let stranger = key_of(&abroad(), Scope::Admin);
    let (theirs, nowhere) = (stored(&node, &home(), b"ours").await, Cid::of(b"nobody's"));
    let services = node.services(&abroad()).await;
    for cid in [theirs, nowhere] {
        let unknown = format!("NOT_FOUND: content `{cid}` not found");
        let platform = &node.platform;
        assert_eq!(refusal(platform.open_content(&stranger, &abroad(), &cid).await), unknown);
        assert_eq!(refusal(platform.content(&stranger, &abroad(), &cid).await), unknown);
        assert_eq!(refusal(platform.pin_content(&stranger, &abroad(), &cid, false, Some("mine")).await), unknown);
        assert_eq!(refusal(services.storage.get(&cid, 100).await), unknown);
        assert_eq!(refusal(services.storage.head(&cid).await), unknown);
    }
    assert_eq!(node.platform.list_contents(&stranger, &abroad(), None, 10).await, Ok(Vec::new()));
    assert_eq!(used(&node, &abroad()).await, 0);
    stored(&node, &abroad(), b"ours").await;
    assert_eq!(read(&node, &abroad(), &theirs).await.as_deref(), Ok(&b"ours"[..]));
}

#[tokio::test]
async fn a_quota_is_exact() {
    let node = with_quota(3000).await;
    stored(&node, &home(), &[1; 2000]).await;
    let over = put(&node, &home(), &[2; 1001]).await;
    let said = "STORAGE_QUOTA_EXCEEDED: the namespace has 2000 of 3000 bytes of content already, and this would pass the limit";
    assert_eq!(refusal(over), said);
    assert_eq!((used(&node, &home()).await, in_store(&node).await), (2000, 1));
    stored(&node, &home(), &[2; 1000]).await;
    assert_eq!(refusal(put(&node, &home(), &[3]).await).split(':').next(), Some("STORAGE_QUOTA_EXCEEDED"));
    stored(&node, &home(), b"").await;
    assert_eq!(node.platform.storage_usage(&admin(), &home()).await, Ok((3000, Some(3000))));
    stored(&node, &abroad(), &[9; 5000]).await;
    node.set(&home(), quota(3001)).await;
    stored(&node, &home(), &[3]).await;
}

#[tokio::test]
async fn content_is_counted_once_for_each_owner() {
    let node = with_quota(2500).await;
    for _ in 0..2 {
        stored(&node, &home(), &[1; 1000]).await;
        stored(&node, &abroad(), &[1; 1000]).await;
    }
    assert_eq!((used(&node, &home()).await, used(&node, &abroad()).await), (1000, 1000));
    assert_eq!(in_store(&node).await, 1);
}

#[tokio::test]
async fn uploads_at_once_share_the_quota() {
    let node = with_quota(1000).await;
    let mut first = node.platform.upload(&operator(), &home()).await.expect("begun");
    let mut second = node.platform.upload(&operator(), &home()).await.expect("begun");
    first.write(Bytes::from_static(&[1; 600])).await.expect("within the quota");
    let over = second.write(Bytes::from_static(&[2; 401])).await;
    assert_eq!(over.expect_err("together they pass it").code, ErrorCode::StorageQuotaExceeded);
    drop(second);
    first.write(Bytes::from_static(&[1; 400])).await.expect("the other one is gone");
    first.finish("", true).await.expect("stored");
}

/// Both read an empty namespace when they began; the registry sees them one after the other.
#[tokio::test]
async fn the_quota_is_asked_again_when_content_gets_its_owner() {
    let node = with_quota(1000).await;
    let mut late = node.platform.upload(&operator(), &home()).await.expect("begun");
    stored(&node, &home(), &[1; 600]).await;
    late.write(Bytes::from_static(&[2; 600])).await.expect("it does not know");
    assert_eq!(late.finish("", true).await.expect_err("over").code, ErrorCode::StorageQuotaExceeded);
    assert_eq!((used(&node, &home()).await, in_store(&node).await), (600, 1));
}

#[tokio::test]
async fn a_node_may_have_a_quota_for_all() {
    let node = node_with(Config { namespace_defaults: quota(10), ..Config::default() }).await;
    assert_eq!(refusal(put(&node, &home(), &[1; 11]).await).split(':').next(), Some("STORAGE_QUOTA_EXCEEDED"));
    node.set(&home(), quota(11)).await;
    stored(&node, &home(), &[1; 11]).await;
}

#[tokio::test]
async fn a_full_disk_is_called_so() {
    let node = node().await;
    for operation in ["write", "finish"] {
        node.content_faults.fail(operation, 1);
        let full = put(&node, &home(), b"content").await;
        assert_eq!(refusal(full), "STORAGE_QUOTA_EXCEEDED: the disk of the node is full; nothing was stored");
    }
    assert_eq!((used(&node, &home()).await, in_store(&node).await), (0, 0));
}

#[tokio::test]
async fn bytes_that_got_no_owner_are_removed_unless_somebody_has_them() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    node.faults.fail("own_content", 1);
    assert_eq!(refusal(put(&node, &home(), b"content").await), "INTERNAL: something went wrong on our side");
    assert_eq!(in_store(&node).await, 0);
    let cid = stored(&node, &abroad(), b"content").await;
    node.faults.fail("own_content", 1);
    put(&node, &home(), b"content").await.expect_err("a fault");
    assert_eq!(read(&node, &abroad(), &cid).await.as_deref(), Ok(&b"content"[..]));
    assert_eq!(used(&node, &home()).await, 0);
}

#[tokio::test]
async fn an_upload_into_a_namespace_that_is_deleted_meanwhile_leaves_nothing() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    let mut upload = node.platform.upload(&operator(), &abroad()).await.expect("begun");
    upload.write(Bytes::from_static(b"content")).await.expect("written");
    node.platform.delete_namespace(&operator(), &abroad()).await.expect("deleted");
    assert_eq!(refusal(upload.finish("", true).await), "NOT_FOUND: the namespace was deleted");
    assert_eq!(in_store(&node).await, 0);
}

#[tokio::test]
async fn names_are_for_people_and_short() {
    let node = node().await;
    for name in ["x".repeat(256), "a\nb".to_owned(), "\u{7f}".to_owned()] {
        let upload = node.platform.upload(&operator(), &home()).await.expect("begun");
        assert!(refusal(upload.finish(&name, true).await).starts_with("VALIDATION_FAILED: a name is at most"));
    }
    let cid = stored(&node, &home(), b"content").await;
    let renamed = node.platform.pin_content(&admin(), &home(), &cid, true, Some("\u{e4} new name.png")).await;
    assert_eq!(renamed.expect("renamed").name, "\u{e4} new name.png");
    let kept = node.platform.pin_content(&admin(), &home(), &cid, false, None).await.expect("unpinned");
    assert_eq!((kept.name.as_str(), kept.pinned), ("\u{e4} new name.png", false));
}

#[tokio::test]
async fn lists_are_pages_newest_first() {
    let node = node().await;
    let mut wanted = Vec::new();
    for index in 0..5 {
        node.clock.advance(Duration::from_secs(1));
        wanted.insert(0, stored(&node, &home(), &[index]).await);
    }
    let mut listed = Vec::new();
    loop {
        let page = node.platform.list_contents(&admin(), &home(), listed.last(), 2).await.expect("listed");
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        listed.extend(page.iter().map(|info| info.cid));
    }
    assert_eq!(listed, wanted);
}

#[tokio::test]
async fn a_sweep_takes_what_is_not_pinned_and_nothing_else() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    let (gone, pinned) = (stored(&node, &home(), b"gone").await, stored(&node, &home(), b"pinned").await);
    let shared = stored(&node, &home(), b"shared").await;
    stored(&node, &abroad(), b"shared").await;
    for cid in [&gone, &shared] {
        unpin(&node, &home(), cid).await;
    }
    let elsewhere = node.platform.sweep_contents(&operator(), &abroad()).await.expect("swept");
    assert_eq!((elsewhere.contents, elsewhere.bytes), (0, 0));
    let swept = node.platform.sweep_contents(&admin(), &home()).await.expect("swept");
    assert_eq!((swept.contents, swept.bytes), (2, 10));
    assert_eq!(refusal(read(&node, &home(), &gone).await), format!("NOT_FOUND: content `{gone}` not found"));
    assert_eq!(refusal(read(&node, &home(), &shared).await), format!("NOT_FOUND: content `{shared}` not found"));
    assert_eq!(read(&node, &home(), &pinned).await.as_deref(), Ok(&b"pinned"[..]));
    assert_eq!(read(&node, &abroad(), &shared).await.as_deref(), Ok(&b"shared"[..]));
    assert_eq!(in_store(&node).await, 2);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_pins_stays_for_a_day() {
    let node = node().await;
    let (unpinned, pinned) = (stored(&node, &home(), b"unpinned").await, stored(&node, &home(), b"pinned").await);
    unpin(&node, &home(), &unpinned).await;
    for (hours, left) in [(23, 2), (2, 1)] {
        node.clock.advance(Duration::from_secs(hours * 3600));
        // Housekeeping comes once a minute.
        // On the paused clock: until housekeeping has had its turn.
        tokio::time::sleep(Duration::from_secs(150)).await;
        assert_eq!(in_store(&node).await, left);
    }
    assert_eq!(read(&node, &home(), &pinned).await.as_deref(), Ok(&b"pinned"[..]));
}

#[tokio::test]
async fn bytes_without_an_owner_go_at_the_start() {
    let node = node().await;
    let cid = stored(&node, &home(), b"owned").await;
    node.content.put(Bytes::from_static(b"left by a crash")).await.expect("stored");
    let node = node.restarted().await;
    assert_eq!(node.content.list().await.expect("listed"), [cid]);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_could_not_be_deleted_are_deleted_later() {
    let node = node().await;
    let cid = stored(&node, &home(), b"unpinned").await;
    unpin(&node, &home(), &cid).await;
    node.content_faults.fail("delete", 1);
    assert_eq!(node.platform.sweep_contents(&admin(), &home()).await.expect("disowned").contents, 1);
    assert_eq!(in_store(&node).await, 1);
    // On the paused clock: until housekeeping has had its turn.
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!(in_store(&node).await, 0);
}

#[tokio::test]
async fn content_that_is_gone_or_damaged_is_called_damaged() {
    let node = node().await;
    let cid = stored(&node, &home(), b"content").await;
    node.content.delete(&cid).await.expect("deleted behind the platform's back");
    let said = format!("CORRUPT: content `{cid}` is damaged; upload it again to repair it");
    assert_eq!(refusal(read(&node, &home(), &cid).await), said);
    assert_eq!(refusal(node.services(&home()).await.storage.get(&cid, 100).await), said);
    stored(&node, &home(), b"content").await;
    assert_eq!(read(&node, &home(), &cid).await.as_deref(), Ok(&b"content"[..]));
}

#[tokio::test]
async fn functions_store_and_read_what_their_namespace_owns() {
    let node = with_quota(20 << 20).await;
    let storage = node.services(&home()).await.storage.clone();
    let info = storage.put("thumbnail", Bytes::from_static(b"content")).await.expect("stored");
    assert!(info.pinned);
    assert_eq!(storage.head(&info.cid).await.as_ref(), Ok(&info));
    assert_eq!(storage.get(&info.cid, 7).await.as_deref(), Ok(&b"content"[..]));
    assert_eq!(
        refusal(storage.get(&info.cid, 6).await),
        "RESULT_TOO_LARGE: the content is 7 bytes, the limit here is 6"
    );
    assert_eq!(read(&node, &home(), &info.cid).await.as_deref(), Ok(&b"content"[..]));
    storage.put("large", vec![1; 16 << 20].into()).await.expect("as large as can be");
    let larger = storage.put("larger", vec![1; (16 << 20) + 1].into()).await;
    assert_eq!(larger.expect_err("too large").code, ErrorCode::PayloadTooLarge);
    let over = storage.put("over", vec![2; 5 << 20].into()).await;
    assert_eq!(over.expect_err("over the quota").code, ErrorCode::StorageQuotaExceeded);
}

/// The sweep has listed the bytes as nobody's when they become somebody's.
#[tokio::test]
async fn a_sweep_looks_again_before_it_deletes() {
    let node = Arc::new(node().await);
    node.create_namespace(&abroad()).await;
    let cid = stored(&node, &home(), b"content").await;
    unpin(&node, &home(), &cid).await;
    let listed = node.gates.hold(Point::Listed);
    let sweep = tokio::spawn({
        let node = node.clone();
        async move { node.platform.sweep_contents(&admin(), &home()).await.expect("swept").contents }
    });
    listed.reached().await;
    stored(&node, &abroad(), b"content").await;
    listed.release();
    assert_eq!(sweep.await.expect("no panic"), 1);
    assert_eq!(read(&node, &abroad(), &cid).await.as_deref(), Ok(&b"content"[..]));
}

/// The sweep is about to delete the very bytes that an upload brings.
#[tokio::test]
async fn an_upload_waits_for_a_sweep_that_deletes() {
    let node = Arc::new(node().await);
    node.create_namespace(&abroad()).await;
    let cid = stored(&node, &home(), b"content").await;
    unpin(&node, &home(), &cid).await;
    let deleting = node.gates.hold(Point::Deleting);
    let sweep = tokio::spawn({
        let node = node.clone();
        async move { node.platform.sweep_contents(&admin(), &home()).await.expect("swept").contents }
    });
    deleting.reached().await;
    let upload = tokio::spawn({
        let node = node.clone();
        async move { stored(&node, &abroad(), b"content").await }
    });
    // As far as it gets without the sweep.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!upload.is_finished());
    deleting.release();
    assert_eq!(upload.await.expect("no panic"), cid);
    sweep.await.expect("no panic");
    assert_eq!(read(&node, &abroad(), &cid).await.as_deref(), Ok(&b"content"[..]));
}

/// The upload is stored and has no owner yet when a sweep comes.
#[tokio::test]
async fn a_sweep_waits_for_uploads_that_have_no_owner_yet() {
    let node = Arc::new(node().await);
    node.create_namespace(&abroad()).await;
    let other = stored(&node, &home(), b"other").await;
    unpin(&node, &home(), &other).await;
    let held = node.gates.hold(Point::Stored);
    let upload = tokio::spawn({
        let node = node.clone();
        async move { stored(&node, &abroad(), b"content").await }
    });
    held.reached().await;
    let sweep = tokio::spawn({
        let node = node.clone();
        async move { node.platform.sweep_contents(&admin(), &home()).await.expect("swept").contents }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(in_store(&node).await, 2);
    held.release();
    let cid = upload.await.expect("no panic");
    sweep.await.expect("no panic");
    assert_eq!(read(&node, &abroad(), &cid).await.as_deref(), Ok(&b"content"[..]));
    assert_eq!(in_store(&node).await, 1);
}

#[tokio::test]
async fn an_upload_whose_client_goes_away_at_the_end_is_stored_whole() {
    let node = Arc::new(node().await);
    let held = node.gates.hold(Point::Stored);
    let upload = tokio::spawn({
        let node = node.clone();
        async move { stored(&node, &home(), b"content").await }
    });
    held.reached().await;
    upload.abort();
    assert!(upload.await.expect_err("aborted").is_cancelled());
    held.release();
    let cid = Cid::of(b"content");
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&node, &home(), &cid).await.as_deref(), Ok(&b"content"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn content_that_comes_and_goes_is_there_for_whoever_owns_it() {
    let node = Arc::new(node().await);
    node.create_namespace(&abroad()).await;
    let coming_and_going = tokio::spawn({
        let node = node.clone();
        async move {
            for _ in 0..200 {
                let cid = stored(&node, &home(), b"content").await;
                unpin(&node, &home(), &cid).await;
                node.platform.sweep_contents(&admin(), &home()).await.expect("swept");
            }
        }
    });
    let mut rounds = 0;
    while !coming_and_going.is_finished() || rounds < 10 {
        let cid = stored(&node, &abroad(), b"content").await;
        for _ in 0..5 {
            assert_eq!(read(&node, &abroad(), &cid).await.as_deref(), Ok(&b"content"[..]));
            tokio::task::yield_now().await;
        }
        unpin(&node, &abroad(), &cid).await;
        node.platform.sweep_contents(&operator(), &abroad()).await.expect("swept");
        rounds += 1;
    }
    coming_and_going.await.expect("no panic");
    assert_eq!(in_store(&node).await, 0);
}
