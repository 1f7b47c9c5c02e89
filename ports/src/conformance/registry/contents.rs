//! Who owns which content, within which quota.

use domain::Cid;

use super::{at, create, namespace, refused};
use crate::RegistryError::NotFound;
use crate::{ContentInfo, Owned, Registry};

pub(super) fn content(text: &str, bytes: u64, second: i64) -> ContentInfo {
    ContentInfo {
        cid: Cid::of(text.as_bytes()),
        name: format!("{text}.txt"),
        bytes,
        pinned: true,
        created_at: at(second),
    }
}

fn unpinned(text: &str, bytes: u64, second: i64) -> ContentInfo {
    ContentInfo { pinned: false, ..content(text, bytes, second) }
}

pub(super) async fn contents(registry: &dyn Registry) {
    create(registry, "files").await;
    create(registry, "files2").await;
    quota(registry).await;
    owning_again(registry).await;
    pages(registry).await;
    pinning(registry).await;
    sweeping(registry).await;
}

async fn own(registry: &dyn Registry, ns: &str, content: ContentInfo, bytes_max: Option<u64>) -> Owned {
    registry.own_content(&namespace(ns), content, bytes_max).await.expect("own")
}

async fn used(registry: &dyn Registry, ns: &str) -> u64 {
    registry.owned_bytes(&namespace(ns)).await.expect("owned bytes")
}

async fn names(registry: &dyn Registry, ns: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let after = after.map(|text| Cid::of(text.as_bytes()));
    let page = registry.list_contents(&namespace(ns), after.as_ref(), limit).await.expect("list");
    page.into_iter().map(|content| content.name).collect()
}

async fn quota(registry: &dyn Registry) {
    assert_eq!(own(registry, "files", content("a", 60, 1), Some(100)).await, Owned::Yes);
    assert_eq!(own(registry, "files", content("b", 41, 2), Some(100)).await, Owned::OverQuota { used: 60 });
    assert_eq!(registry.content(&namespace("files"), &Cid::of(b"b")).await.expect("content"), None);
    assert_eq!(own(registry, "files", content("b", 40, 2), Some(100)).await, Owned::Yes, "up to the last byte");
    assert_eq!(own(registry, "files", content("c", 1, 3), Some(100)).await, Owned::OverQuota { used: 100 });
    assert_eq!(own(registry, "files", content("empty", 0, 3), Some(100)).await, Owned::Yes);
    assert_eq!(own(registry, "files", content("a", 60, 4), Some(0)).await, Owned::Yes, "it is owned already");
    assert_eq!(used(registry, "files").await, 100);
    assert_eq!(own(registry, "files2", content("a", 60, 1), Some(60)).await, Owned::Yes, "each has a quota of its own");
    assert_eq!(own(registry, "files2", unpinned("big", 1 << 40, 2), None).await, Owned::Yes);
    assert_eq!(used(registry, "files2").await, (1 << 40) + 60);
    assert_eq!(used(registry, "nowhere").await, 0);
    refused!(registry.own_content(&namespace("nowhere"), content("a", 1, 1), None), NotFound);
}

async fn owning_again(registry: &dyn Registry) {
    let (files, cid) = (namespace("files"), Cid::of(b"a"));
    let renamed = ContentInfo { name: "new".to_owned(), pinned: false, ..content("a", 60, 9) };
    own(registry, "files", renamed.clone(), None).await;
    let expected = ContentInfo { pinned: true, ..renamed };
    assert_eq!(registry.content(&files, &cid).await.expect("content"), Some(expected), "pinned if either was");
    assert_eq!(registry.content(&namespace("files2"), &cid).await.expect("content"), Some(content("a", 60, 1)));
    own(registry, "files2", content("big", 1 << 40, 2), None).await;
    let big = registry.content(&namespace("files2"), &Cid::of(b"big")).await.expect("content");
    assert_eq!(big, Some(content("big", 1 << 40, 2)));
    assert_eq!(used(registry, "files").await, 100, "the same bytes count once");
}

async fn pages(registry: &dyn Registry) {
    assert_eq!(names(registry, "files", None, 10).await, ["new", "empty.txt", "b.txt"]);
    assert_eq!(names(registry, "files", None, 1).await, ["new"]);
    assert_eq!(names(registry, "files", Some("a"), 1).await, ["empty.txt"]);
    assert_eq!(names(registry, "files", Some("empty"), 10).await, ["b.txt"]);
    assert_eq!(names(registry, "files", Some("b"), 10).await, [""; 0]);
    assert_eq!(names(registry, "files", Some("big"), 10).await, [""; 0], "another's content is no place to go on from");

    create(registry, "twins").await;
    let twins: Vec<String> = (0..9).map(|number| format!("twin{number}")).collect();
    for twin in &twins {
        own(registry, "twins", content(twin, 1, 1), None).await;
    }
    let mut walked = Vec::new();
    let mut after: Option<Cid> = None;
    loop {
        let page = registry.list_contents(&namespace("twins"), after.as_ref(), 2).await.expect("list");
        let Some(last) = page.last() else { break };
        after = Some(last.cid);
        walked.extend(page.into_iter().map(|content| content.name));
    }
    walked.sort();
    let names: Vec<String> = twins.iter().map(|twin| format!("{twin}.txt")).collect();
    assert_eq!(walked, names, "of the same time, each comes once");
}

async fn pinning(registry: &dyn Registry) {
    let (files, cid) = (namespace("files"), Cid::of(b"b"));
    registry.pin_content(&files, &cid, false, None).await.expect("unpin");
    assert_eq!(registry.content(&files, &cid).await.expect("content"), Some(unpinned("b", 40, 2)));
    registry.pin_content(&files, &cid, true, Some("kept")).await.expect("pin");
    let kept = ContentInfo { name: "kept".to_owned(), ..content("b", 40, 2) };
    assert_eq!(registry.content(&files, &cid).await.expect("content"), Some(kept));
    refused!(registry.pin_content(&namespace("files2"), &cid, true, None), NotFound);
}

async fn sweeping(registry: &dyn Registry) {
    for (ns, text, second) in [("files", "x", 10), ("files", "y", 20), ("files2", "x", 10), ("files2", "z", 12)] {
        own(registry, ns, unpinned(text, 5, second), None).await;
    }
    let files = namespace("files");
    let sweep = async |ns, second| registry.disown_unpinned(ns, at(second)).await.expect("disown");
    assert_eq!(sweep(Some(&files), 10).await, (0, 0), "before means before");
    assert_eq!(sweep(Some(&files), 11).await, (1, 5));
    assert_eq!(used(registry, "files").await, 105);
    own(registry, "files2", unpinned("x", 5, 15), None).await;
    assert_eq!(sweep(None, 13).await, (1, 5), "what is stored again is new again");
    assert_eq!(sweep(None, 99).await, (2, 10), "of every namespace");
    assert_eq!(sweep(None, 99).await, (0, 0), "pinned content stays");
    assert_eq!(used(registry, "files").await, 100);

    let mut owned = registry.owned_contents().await.expect("owned contents");
    owned.sort();
    let mut expected: Vec<Cid> = ["a", "b", "empty", "big"].map(|text| Cid::of(text.as_bytes())).into();
    expected.extend((0..9).map(|number| Cid::of(format!("twin{number}").as_bytes())));
    expected.sort();
    assert_eq!(owned, expected, "each once, however many own it");
}
