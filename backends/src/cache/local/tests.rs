use bytes::Bytes;
use ports::CacheKey;
use ports::memory::ManualClock;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_removed_without_being_asked_for() {
    let clock = Arc::new(ManualClock::new());
    let caches = LocalCaches::open(LocalConfig::default(), clock.clone());
    let cache = caches.of(&Namespace::parse("one").expect("a valid namespace"));
    let ttl = Some(Duration::from_secs(5));
    for number in 0..10_000 {
        let key = CacheKey { map: "map", key: &number.to_string() };
        cache.set(key, Bytes::from_static(b"v"), ttl).await.expect("set");
    }
    let held = || caches.node.bytes.load(Ordering::Relaxed);
    // On the paused clock: until housekeeping has had its turn.
    tokio::time::sleep(2 * SWEEP_EVERY).await;
    assert!(held() > 0, "nothing has expired");
    clock.advance(Duration::from_secs(5));
    // On the paused clock: until housekeeping has had its turn.
    tokio::time::sleep(2 * SWEEP_EVERY).await;
    assert_eq!(held(), 0);
}

#[tokio::test]
async fn a_cache_outlives_those_it_came_from_and_nothing_outlives_it() {
    let caches = LocalCaches::open(LocalConfig::default(), Arc::new(ManualClock::new()));
    let node = Arc::downgrade(&caches.node);
    let cache = caches.of(&Namespace::parse("one").expect("a valid namespace"));
    drop(caches);
    let key = CacheKey { map: "map", key: "k" };
    assert_eq!(cache.add(key, 1).await.expect("add"), 1);
    drop(cache);
    assert!(node.upgrade().is_none());
}
