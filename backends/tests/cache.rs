//! The cache in this process.

use std::sync::Arc;
use std::time::Duration;

use backends::cache::{self, Config, LocalConfig};
use bytes::Bytes;
use domain::Namespace;
use ports::memory::{ManualClock, MemoryCaches};
use ports::{Cache, CacheKey, CacheUsage, Caches, conformance};

const NO_LIMIT: LocalConfig = LocalConfig { bytes_max_per_namespace: u64::MAX, bytes_max_total: u64::MAX };

fn open(config: LocalConfig) -> (Arc<dyn Caches>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    (cache::open_by(Config::Local(config), clock.clone()), clock)
}

fn of(caches: &dyn Caches, namespace: &str) -> Arc<dyn Cache> {
    caches.of(&Namespace::parse(namespace).expect("a valid namespace"))
}

fn key(key: &str) -> CacheKey<'_> {
    CacheKey { map: "map", key }
}

/// What an entry of these tests counts: keys of one byte, values of 1,000.
fn weight() -> u64 {
    key("k").weight(1000)
}

async fn set(cache: &dyn Cache, name: &str) {
    cache.set(key(name), Bytes::from(vec![7; 1000]), None).await.expect("set");
}

async fn keys(cache: &dyn Cache) -> Vec<String> {
    cache.keys("map", &|_| true, None, usize::MAX).await.expect("keys")
}

async fn usage(cache: &dyn Cache) -> CacheUsage {
    cache.usage().await.expect("usage")
}

#[tokio::test(flavor = "multi_thread")]
async fn behaves_as_a_cache() {
    let (caches, clock) = open(LocalConfig::default());
    conformance::cache(&*caches, async |time| clock.advance(time)).await;
}

#[tokio::test]
async fn the_least_recently_used_make_room() {
    let budget = 4 * weight() + 10;
    let (caches, _) = open(LocalConfig { bytes_max_per_namespace: budget, ..NO_LIMIT });
    let cache = of(&*caches, "one");
    for name in ["a", "b", "c", "d"] {
        set(&*cache, name).await;
    }
    assert_eq!(usage(&*cache).await, CacheUsage { entries: 4, bytes: 4 * weight(), bytes_max: budget });
    cache.get(key("a")).await.expect("get");
    set(&*cache, "b").await;
    set(&*cache, "e").await;
    assert_eq!(keys(&*cache).await, ["a", "b", "d", "e"]);
    cache.add(key("n"), 1).await.expect("add");
    assert_eq!(keys(&*cache).await, ["a", "b", "e", "n"], "a counter needs room too");

    // One that needs the room of three.
    cache.compare_and_swap(key("f"), None, Bytes::from(vec![7; 4000]), None).await.expect("swap");
    assert_eq!(keys(&*cache).await, ["f", "n"]);
    set(&*of(&*caches, "two"), "a").await;
    assert_eq!(keys(&*cache).await, ["f", "n"], "another namespace has a budget of its own");
}

#[tokio::test]
async fn what_has_expired_makes_room_before_what_has_not() {
    let (caches, clock) = open(LocalConfig { bytes_max_per_namespace: 4 * weight(), ..NO_LIMIT });
    let cache = of(&*caches, "one");
    for name in ["a", "b"] {
        set(&*cache, name).await;
    }
    for name in ["c", "d"] {
        let short = Some(Duration::from_secs(1));
        cache.set(key(name), Bytes::from(vec![7; 1000]), short).await.expect("set");
    }
    clock.advance(Duration::from_secs(1));
    for name in ["e", "f"] {
        set(&*cache, name).await;
    }
    assert_eq!(keys(&*cache).await, ["a", "b", "e", "f"]);
}

#[tokio::test]
async fn the_largest_namespace_makes_room_for_all() {
    let (caches, _) = open(LocalConfig { bytes_max_total: 6 * weight(), ..NO_LIMIT });
    let (large, small) = (of(&*caches, "large"), of(&*caches, "small"));
    set(&*small, "a").await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        set(&*large, name).await;
    }
    assert_eq!(keys(&*large).await, ["b", "c", "d", "e", "f"]);
    set(&*small, "b").await;
    set(&*small, "c").await;
    assert_eq!(keys(&*large).await, ["d", "e", "f"]);
    assert_eq!(keys(&*small).await, ["a", "b", "c"]);

    // What a removed namespace held is free.
    caches.remove(&Namespace::parse("large").expect("a valid namespace")).await.expect("remove");
    assert_eq!(keys(&*of(&*caches, "large")).await, [""; 0]);
    for name in ["d", "e", "f"] {
        set(&*small, name).await;
    }
    assert_eq!(keys(&*small).await, ["a", "b", "c", "d", "e", "f"]);
}

#[tokio::test]
async fn an_entry_larger_than_the_budget_is_not_kept() {
    let (caches, _) = open(LocalConfig { bytes_max_per_namespace: weight() - 1, ..NO_LIMIT });
    let cache = of(&*caches, "one");
    set(&*cache, "a").await;
    assert_eq!(usage(&*cache).await.entries, 0);
}

/// Writers of everything at once, with too little room: whatever order they take, the books are right in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sums_are_exact_after_writes_of_all_kinds_at_once() {
    let (caches, clock) =
        open(LocalConfig { bytes_max_per_namespace: 300 * weight(), bytes_max_total: 500 * weight() });
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8_u64 {
        let (caches, clock) = (caches.clone(), clock.clone());
        tasks.spawn(async move {
            let cache = of(&*caches, ["one", "two"][task as usize % 2]);
            for step in random(task).take(5_000) {
                operate(&*cache, step).await;
                if step % 64 == 0 {
                    clock.advance(Duration::from_millis(10));
                }
            }
        });
    }
    tasks.join_all().await;
    let mut total = 0;
    for namespace in ["one", "two"] {
        let cache = of(&*caches, namespace);
        let CacheUsage { entries, bytes, bytes_max } = usage(&*cache).await;
        assert!(entries > 0 && bytes <= bytes_max, "{entries} entries of {bytes} bytes");
        total += bytes;
        let mut counted = 0;
        for map in ["map", "other"] {
            for name in cache.keys(map, &|_| true, None, usize::MAX).await.expect("keys") {
                let at = CacheKey { map, key: &name };
                counted += at.weight(cache.get(at).await.expect("get").expect("it is listed").value.len());
            }
        }
        assert_eq!(bytes, counted);
        for map in ["map", "other"] {
            cache.clear_map(map).await.expect("clear");
        }
        assert_eq!(usage(&*cache).await, CacheUsage { entries: 0, bytes: 0, bytes_max });
    }
    assert!(total <= 500 * weight());
}

/// The cache in memory that tests use is the model of this one.
#[tokio::test]
async fn any_sequence_of_operations_does_what_the_model_does() {
    let (caches, clock) = open(NO_LIMIT);
    let model_clock = Arc::new(ManualClock::new());
    let models = MemoryCaches::new(model_clock.clone());
    let (cache, model) = (of(&*caches, "one"), of(&models, "one"));
    for step in random(7).take(20_000) {
        assert_eq!(operate(&*cache, step).await, operate(&*model, step).await, "step {step}");
        if step % 8 == 0 {
            let time = Duration::from_millis(step % 700);
            clock.advance(time);
            model_clock.advance(time);
        }
        let (usage, expected) = (usage(&*cache).await, usage(&*model).await);
        assert_eq!((usage.entries, usage.bytes), (expected.entries, expected.bytes));
    }
}

/// Does one operation that `step` chooses, and says what came of it.
async fn operate(cache: &dyn Cache, step: u64) -> String {
    let name = ((step >> 8) % 40).to_string();
    let at = CacheKey { map: ["map", "other"][(step >> 16) as usize % 2], key: &name };
    let value = Bytes::from(vec![b'0' + (step >> 20) as u8 % 10; (step >> 24) as usize % 2000]);
    let ttl = [None, Some(Duration::from_millis((step >> 36) % 2000))][(step >> 48) as usize % 2];
    match (step >> 52) % 100 {
        0..30 => format!("{:?}", cache.get(at).await),
        30..60 => format!("{:?}", cache.set(at, value, ttl).await),
        60..70 => format!("{:?}", cache.delete(at).await),
        70..85 => format!("{:?}", cache.add(at, (step >> 24) as i64 % 1000).await),
        85..90 => format!("{:?}", cache.compare_and_swap(at, None, value, ttl).await),
        90..95 => {
            let present = cache.get(at).await.expect("get").map(|entry| entry.value);
            let swapped = cache.compare_and_swap(at, present.as_deref(), value, ttl).await;
            // Others may have been faster where there are others.
            format!("{:?}", swapped.map(drop))
        }
        95..99 => format!("{:?}", cache.keys(at.map, &|key| key.contains('1'), Some(at.key), 5).await),
        _ => format!("{:?}", cache.clear_map(at.map).await),
    }
}

/// Numbers that look random and are the same in every run.
fn random(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |step: u64| {
        let mixed = (step ^ seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 27
    })
}
