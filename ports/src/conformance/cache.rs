use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Namespace;
use tokio::task::JoinSet;

use crate::{
    CACHE_KEY_BYTES_MAX, CACHE_MAP_BYTES_MAX, CACHE_VALUE_BYTES_MAX, Cache, CacheError, CacheKey, CacheUsage, Caches,
};

const TASKS: i64 = 64;
const INCREMENTS: i64 = 1000;
const MINUTE: Duration = Duration::from_secs(60);

/// Panics when `caches`, which must be empty, do not behave as caches; `pass` lets time pass.
pub async fn cache(caches: &dyn Caches, pass: impl AsyncFn(Duration)) {
    caches.check().await.expect("check");
    let one = caches.of(&namespace("one"));
    values_and_maps(&*one).await;
    limits(&*one).await;
    numbers(&*one).await;
    swaps(&*one).await;
    keys(&*one).await;
    expiry(&*one, &pass).await;
    usage(&*one, &pass).await;
    namespaces_are_apart(caches).await;
    counters_are_exact(caches.of(&namespace("busy"))).await;
    one_swap_of_many_wins(caches.of(&namespace("busy"))).await;
}

fn namespace(text: &str) -> Namespace {
    Namespace::parse(text).expect("a valid namespace")
}

fn key(key: &str) -> CacheKey<'_> {
    CacheKey { map: "map", key }
}

async fn value(cache: &dyn Cache, wanted: &str) -> Option<Bytes> {
    cache.get(key(wanted)).await.expect("get").map(|entry| entry.value)
}

async fn values_and_maps(cache: &dyn Cache) {
    assert_eq!(cache.get(key("k")).await.expect("get"), None);
    assert!(!cache.delete(key("k")).await.expect("delete"));
    for stored in ["first", "second", ""] {
        cache.set(key("k"), stored.into(), None).await.expect("set");
        let found = cache.get(key("k")).await.expect("get").expect("it was set");
        assert_eq!((found.value, found.ttl), (Bytes::from(stored), None));
    }
    // A map and a key are two things: no way of writing them together may confuse these.
    for (map, key) in [("mapk", ""), ("", "mapk"), ("ma", "pk"), ("other", "k")] {
        assert_eq!(cache.get(CacheKey { map, key }).await.expect("get"), None, "{map}/{key}");
    }
    let other = CacheKey { map: "other", key: "k" };
    cache.set(other, "theirs".into(), None).await.expect("set");
    assert!(cache.delete(key("k")).await.expect("delete"));
    assert!(!cache.delete(key("k")).await.expect("delete again"));
    assert_eq!(value(cache, "k").await, None);
    assert_eq!(cache.clear_map("map").await.expect("clear an empty map"), 0);
    assert_eq!(cache.clear_map("other").await.expect("clear"), 1);
    assert_eq!(cache.get(other).await.expect("get"), None);
}

async fn limits(cache: &dyn Cache) {
    let long = |bytes: usize| "x".repeat(bytes);
    let (map, name) = (long(CACHE_MAP_BYTES_MAX), long(CACHE_KEY_BYTES_MAX));
    let largest = Bytes::from(vec![7; CACHE_VALUE_BYTES_MAX]);
    let fits = CacheKey { map: &map, key: &name };
    cache.set(fits, largest.clone(), None).await.expect("the largest of everything fits");
    assert_eq!(cache.get(fits).await.expect("get").expect("it was set").value, largest);
    cache.delete(fits).await.expect("delete");

    let (map, name) = (long(CACHE_MAP_BYTES_MAX + 1), long(CACHE_KEY_BYTES_MAX + 1));
    let above = Bytes::from(vec![7; CACHE_VALUE_BYTES_MAX + 1]);
    for (what, at, stored) in [
        ("map", CacheKey { map: &map, key: "k" }, Bytes::new()),
        ("key", key(&name), Bytes::new()),
        ("value", key("k"), above),
    ] {
        let refused = |result: Result<(), CacheError>| match result {
            Err(CacheError::TooLarge { what, size, limit }) => (what, size) == (what, limit + 1),
            _ => false,
        };
        assert!(refused(cache.set(at, stored.clone(), None).await), "{what}");
        assert!(refused(cache.compare_and_swap(at, None, stored, None).await.map(drop)), "{what}");
        if what != "value" {
            assert!(refused(cache.add(at, 1).await.map(drop)), "{what}");
        }
        assert_eq!(cache.get(at).await.expect("what cannot be there is not there"), None);
        assert!(!cache.delete(at).await.expect("delete"));
    }
}

async fn numbers(cache: &dyn Cache) {
    assert_eq!(cache.add(key("n"), 5).await.expect("from nothing"), 5);
    assert_eq!(cache.add(key("n"), -7).await.expect("add"), -2);
    assert_eq!(value(cache, "n").await.expect("it is there"), "-2", "as decimal text");

    for text in ["", " 1", "1.0", "1e3", "0x10", "one", "1_000", "\u{0661}"] {
        cache.set(key("n"), text.into(), None).await.expect("set");
        assert!(matches!(cache.add(key("n"), 1).await, Err(CacheError::NotANumber)), "{text:?}");
        assert_eq!(value(cache, "n").await.expect("it stays"), text);
    }
    cache.set(key("n"), Bytes::from_static(b"\xff"), None).await.expect("set");
    assert!(matches!(cache.add(key("n"), 1).await, Err(CacheError::NotANumber)));

    for (from, delta) in [(i64::MAX, 1), (i64::MIN, -1), (-2, i64::MIN), (1, i64::MAX)] {
        cache.set(key("n"), from.to_string().into(), None).await.expect("set");
        assert!(matches!(cache.add(key("n"), delta).await, Err(CacheError::Overflow)), "{from} {delta}");
        assert_eq!(value(cache, "n").await.expect("it stays"), from.to_string());
    }
    cache.set(key("n"), "9223372036854775808".into(), None).await.expect("set");
    assert!(matches!(cache.add(key("n"), -1).await, Err(CacheError::Overflow)));
    cache.set(key("n"), i64::MAX.to_string().into(), None).await.expect("set");
    assert_eq!(cache.add(key("n"), i64::MIN).await.expect("add"), -1);
    cache.delete(key("n")).await.expect("delete");
}

async fn swaps(cache: &dyn Cache) {
    let swap = async |expected: Option<&[u8]>, new: &'static str| {
        cache.compare_and_swap(key("s"), expected, new.into(), None).await.expect("compare and swap")
    };
    assert!(!swap(Some(b""), "a").await, "nothing is not the empty value");
    assert!(swap(None, "a").await);
    assert!(!swap(None, "b").await, "there is one");
    assert!(!swap(Some(b"b"), "c").await);
    assert_eq!(value(cache, "s").await.expect("it is there"), "a");
    assert!(swap(Some(b"a"), "b").await);
    assert_eq!(value(cache, "s").await.expect("it is there"), "b");
    cache.delete(key("s")).await.expect("delete");
}

async fn keys(cache: &dyn Cache) {
    for name in ["b", "a", "", "ab", "é", "c", "B"] {
        cache.set(key(name), "v".into(), None).await.expect("set");
        cache.set(CacheKey { map: "map2", key: name }, "v".into(), None).await.expect("set");
    }
    let keys = async |wanted: &(dyn for<'k> Fn(&'k str) -> bool + Sync), after: Option<&str>, limit: usize| {
        cache.keys("map", wanted, after, limit).await.expect("keys")
    };
    assert_eq!(keys(&|_| true, None, 100).await, ["", "B", "a", "ab", "b", "c", "é"]);
    assert_eq!(keys(&|_| true, None, 3).await, ["", "B", "a"]);
    assert_eq!(keys(&|_| true, Some("a"), 2).await, ["ab", "b"]);
    assert_eq!(keys(&|_| true, Some("aa"), 2).await, ["ab", "b"], "`after` need not be there");
    assert_eq!(keys(&|name| name.contains('b'), None, 2).await, ["ab", "b"]);
    assert_eq!(keys(&|_| true, None, 0).await, [""; 0]);
    assert_eq!(keys(&|_| true, Some("é"), 9).await, [""; 0]);
    assert_eq!(cache.keys("nothing", &|_| true, None, 9).await.expect("keys"), [""; 0]);
    assert_eq!(cache.clear_map("map").await.expect("clear"), 7);
    assert_eq!(keys(&|_| true, None, 100).await, [""; 0]);
    assert_eq!(cache.keys("map2", &|_| true, None, 1).await.expect("keys"), [""], "the other map is untouched");
    assert_eq!(cache.clear_map("map2").await.expect("clear"), 7);
}

async fn expiry(cache: &dyn Cache, pass: &impl AsyncFn(Duration)) {
    cache.set(key("short"), "v".into(), Some(MINUTE)).await.expect("set");
    cache.set(key("long"), "7".into(), Some(3 * MINUTE)).await.expect("set");
    cache.set(key("forever"), "v".into(), None).await.expect("set");
    cache.set(key("ages"), "v".into(), Some(Duration::MAX)).await.expect("set");
    cache.set(key("never"), "v".into(), Some(Duration::ZERO)).await.expect("set");
    assert_eq!(value(cache, "never").await, None);
    let left = cache.get(key("short")).await.expect("get").expect("not yet").ttl.expect("it expires");
    assert!(left <= MINUTE && left > MINUTE / 2, "{left:?}");

    pass(MINUTE).await;
    assert_eq!(value(cache, "short").await, None);
    assert!(!cache.delete(key("short")).await.expect("delete"));
    assert_eq!(cache.keys("map", &|_| true, None, 9).await.expect("keys"), ["ages", "forever", "long"]);
    assert_eq!(cache.add(key("short"), 1).await.expect("add"), 1, "it counts from nothing");
    assert!(cache.get(key("short")).await.expect("get").expect("it is new").ttl.is_none());

    assert_eq!(cache.add(key("long"), 1).await.expect("add"), 8);
    let left = cache.get(key("long")).await.expect("get").expect("not yet").ttl.expect("it still expires");
    assert!(left <= 2 * MINUTE && left > MINUTE, "a sum keeps the time to live: {left:?}");
    let swapped = cache.compare_and_swap(key("ages"), Some(b"v"), "w".into(), Some(MINUTE)).await;
    assert!(swapped.expect("compare and swap"));
    cache.set(key("forever"), "w".into(), Some(MINUTE)).await.expect("set");
    cache.set(key("short"), "w".into(), None).await.expect("set");

    pass(2 * MINUTE).await;
    assert_eq!(cache.keys("map", &|_| true, None, 9).await.expect("keys"), ["short"]);
    let fresh = cache.compare_and_swap(key("long"), None, "v".into(), None).await.expect("compare and swap");
    assert!(fresh, "what has expired is not there");
    assert_eq!(cache.clear_map("map").await.expect("clear"), 2);
}

async fn usage(cache: &dyn Cache, pass: &impl AsyncFn(Duration)) {
    let at = async || {
        let CacheUsage { entries, bytes, bytes_max } = cache.usage().await.expect("usage");
        assert!(bytes <= bytes_max);
        (entries, bytes)
    };
    let weight = |name: &str, value_bytes| key(name).weight(value_bytes);
    assert_eq!(at().await, (0, 0));
    cache.set(key("a"), Bytes::from(vec![7; 1000]), None).await.expect("set");
    cache.set(key("bb"), Bytes::from(vec![7; 10]), Some(MINUTE)).await.expect("set");
    assert_eq!(at().await, (2, weight("a", 1000) + weight("bb", 10)));
    cache.set(key("a"), Bytes::from(vec![7; 20]), None).await.expect("set a smaller one");
    cache.add(key("n"), 100).await.expect("add");
    assert_eq!(at().await, (3, weight("a", 20) + weight("bb", 10) + weight("n", 3)));
    pass(MINUTE).await;
    assert_eq!(at().await, (2, weight("a", 20) + weight("n", 3)), "without being touched");
    cache.delete(key("a")).await.expect("delete");
    cache.clear_map("map").await.expect("clear");
    assert_eq!(at().await, (0, 0));
}

async fn namespaces_are_apart(caches: &dyn Caches) {
    let (one, two) = (caches.of(&namespace("one")), caches.of(&namespace("two")));
    one.set(key("k"), "one".into(), None).await.expect("set");
    assert_eq!(value(&*two, "k").await, None);
    two.set(key("k"), "two".into(), None).await.expect("set");
    assert_eq!(value(&*caches.of(&namespace("one")), "k").await.expect("it is there"), "one");
    assert_eq!(two.clear_map("map").await.expect("clear"), 1);

    caches.remove(&namespace("one")).await.expect("remove");
    caches.remove(&namespace("one")).await.expect("removing twice is no error");
    assert_eq!(value(&*caches.of(&namespace("one")), "k").await, None);
    refuses_everything(&*one).await;
    assert_eq!(value(&*caches.of(&namespace("one")), "k").await, None, "nothing comes through the old one");
    assert_eq!(caches.of(&namespace("one")).usage().await.expect("usage").bytes, 0);
}

/// Whoever had the cache of a namespace that was removed must not write into that of a later one.
async fn refuses_everything(removed: &dyn Cache) {
    let answers = [
        removed.get(key("k")).await.map(drop),
        removed.set(key("k"), "late".into(), None).await,
        removed.delete(key("k")).await.map(drop),
        removed.add(key("n"), 1).await.map(drop),
        removed.compare_and_swap(key("k"), None, "late".into(), None).await.map(drop),
        removed.keys("map", &|_| true, None, 10).await.map(drop),
        removed.clear_map("map").await.map(drop),
        removed.usage().await.map(drop),
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        assert!(matches!(answer, Err(CacheError::Removed)), "operation {index}: {answer:?}");
    }
}

async fn counters_are_exact(cache: Arc<dyn Cache>) {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let cache = cache.clone();
        tasks.spawn(async move {
            for _ in 0..INCREMENTS {
                cache.add(key("counter"), 1).await.expect("add");
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(value(&*cache, "counter").await.expect("it is there"), (TASKS * INCREMENTS).to_string());
}

async fn one_swap_of_many_wins(cache: Arc<dyn Cache>) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let cache = cache.clone();
        let swap = async move { cache.compare_and_swap(key("won"), None, task.to_string().into(), None).await };
        tasks.spawn(async move { swap.await.expect("compare and swap") });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|won| *won).count(), 1);
}
