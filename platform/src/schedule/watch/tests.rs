//! The loop is looked at from tick to tick, with the time that the test says: the slots that fired are the calls that are owed.

use std::sync::Arc;

use domain::{Caller, CatchUp, DayRule, FunctionName, Manifest, Namespace, Scope, Scopes};
use ports::decorate::{Failing, Faults};
use ports::memory::{
    ManualClock, MemoryCaches, MemoryEgress, MemoryEngine, MemoryKeys, MemoryPubSub, MemoryPush, MemoryRecords,
    MemoryRegistry, MemoryStorage, Script, ScriptedDatabases,
};
use ports::{Asked, Clock, Deliveries, DeliveryEnd, Triggers};
use tokio::task::yield_now;

use super::*;
use crate::{Config, Deploy, Ports};

/// A platform with the function `f`, which makes no calls by itself: what it is owed stays for the test to see.
struct Stage {
    platform: Arc<Platform>,
    registry: Arc<Failing<MemoryRegistry>>,
    faults: Arc<Faults>,
    engine: Arc<MemoryEngine>,
    clock: Arc<ManualClock>,
    watch: Watch,
}

fn home() -> Namespace {
    Namespace::default_namespace()
}

fn admin() -> Caller {
    Caller::key("key-1", home(), Scopes::of([Scope::Admin]))
}

fn f() -> FunctionName {
    FunctionName::parse("f").expect("a valid name")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

fn cron(expression: &str) -> TriggerSpec {
    TriggerSpec::cron(expression, None)
}

fn with(expression: &str, zone: &str, overlap: Overlap, catch_up: CatchUp) -> TriggerSpec {
    let tz = Some(zone.to_owned());
    TriggerSpec::Cron { cron: expression.to_owned(), tz, overlap, catch_up, day_rule: DayRule::Or }
}

impl Stage {
    /// The clock shows 2026-01-01T00:00:00Z.
    async fn open() -> Self {
        let stage = Self::that_calls(Script::Echo).await;
        // Nothing is begun while a platform is closing.
        stage.platform.draining.store(true, Ordering::SeqCst);
        stage
    }

    /// The same with a platform that makes the calls.
    async fn that_calls(script: Script) -> Self {
        let (registry, faults) = Failing::new(MemoryRegistry::default());
        let (registry, engine, clock) =
            (Arc::new(registry), Arc::<MemoryEngine>::default(), Arc::<ManualClock>::default());
        let ports = Ports {
            registry: registry.clone(),
            records: Arc::new(MemoryRecords::default()),
            storage: Arc::new(MemoryStorage::default()),
            content: Arc::new(MemoryStorage::default()),
            databases: Arc::new(ScriptedDatabases::default()),
            caches: Arc::new(MemoryCaches::new(clock.clone())),
            pubsub: Arc::new(MemoryPubSub::default()),
            egress: Arc::new(MemoryEgress::default()),
            push: Arc::new(MemoryPush::default()),
            keys: Arc::new(MemoryKeys::default()),
            names: Arc::new(ports::memory::MemoryNames::default()),
            chain: None,
            engine: engine.clone(),
            clock: clock.clone(),
        };
        let platform = Platform::open(Config::default(), ports).await.expect("memory opens");
        let manifest = Manifest::parse("name: f").expect("a valid manifest");
        let deploy = Deploy { namespace: home(), manifest, code: script.code(), if_changed: false, dry_run: false };
        platform.deploy(&admin(), deploy).await.expect("deployed");
        Self { platform, registry, faults, engine, clock, watch: Watch::default() }
    }

    async fn add(&self, spec: TriggerSpec) -> String {
        let added = self.platform.add_trigger(&admin(), &home(), &f(), spec).await;
        added.expect("added").id.clone()
    }

    fn trigger(&self, id: &str) -> Arc<Trigger> {
        let all = self.platform.triggers.of_namespace(&home());
        all.into_iter().find(|trigger| trigger.id == id).expect("it is there")
    }

    /// The slots that fire as the clock shows `now`, each to the second; their calls are made then.
    async fn fired(&mut self, now: &str) -> Vec<String> {
        self.watch.tick(&self.platform, at(now)).await;
        self.made().await
    }

    /// Makes the calls that are owed; returns their slots.
    async fn made(&self) -> Vec<String> {
        let mut slots = Vec::new();
        loop {
            let begun = self.begin().await;
            if begun.is_empty() {
                return slots;
            }
            let ends = begun.iter().map(|delivery| (delivery.id.clone(), DeliveryEnd::Done)).collect();
            self.registry.write_deliveries(vec![], ends).await.expect("end");
            slots.extend(begun.iter().map(|delivery| {
                let event: serde_json::Value = serde_json::from_slice(&delivery.input).expect("an event is JSON");
                event["scheduled_at"].as_str().expect("it has a slot").to_owned()
            }));
        }
    }

    async fn begin(&self) -> Vec<Delivery> {
        let asked = Asked { namespace: home(), function: f(), limit: usize::MAX };
        self.registry.begin_deliveries(vec![asked], Timestamp::MAX).await.expect("begin").deliveries
    }

    async fn enable(&self, id: &str, enabled: bool) {
        let platform = &self.platform;
        platform.set_trigger_enabled(&admin(), &home(), &f(), id, enabled).await.expect("switched");
    }
}

const NONE: [&str; 0] = [];

#[tokio::test]
async fn each_slot_fires_once_and_tells_the_function_which() {
    let mut stage = Stage::open().await;
    let id = stage.add(cron("0 * * * *")).await;
    assert_eq!(stage.fired("2026-01-01T00:59:59.999Z").await, NONE);
    stage.watch.tick(&stage.platform, at("2026-01-01T01:00:00Z")).await;
    let owed = stage.begin().await;
    let event: serde_json::Value = serde_json::from_slice(&owed[0].input).expect("JSON");
    let want = serde_json::json!({
        "trigger": "cron", "trigger_id": id, "namespace": "default", "cron": "0 * * * *",
        "scheduled_at": "2026-01-01T01:00:00Z", "timestamp": 1_767_229_200,
    });
    assert_eq!((owed.len(), event, owed[0].depth), (1, want, 0));
    stage.registry.write_deliveries(vec![], vec![(owed[0].id.clone(), DeliveryEnd::Done)]).await.expect("end");
    assert_eq!(stage.fired("2026-01-01T01:00:00Z").await, NONE, "once");
    let trigger = stage.trigger(&id);
    assert_eq!(trigger.last_run_at, Some(at("2026-01-01T01:00:00Z")));
    assert_eq!(trigger.next_run_at, Some(at("2026-01-01T02:00:00Z")));
    let kept = stage.registry.load_triggers().await.expect("load");
    assert_eq!(kept, [Trigger::clone(&trigger)], "the registry knows the same");
}

#[tokio::test]
async fn clocks_go_forward_and_back() {
    let mut stage = Stage::open().await;
    stage.add(with("30 2 * * *", "Europe/Berlin", Overlap::Skip, CatchUp::Skip)).await;
    // 02:30 in winter.
    assert_eq!(stage.fired("2026-03-28T01:30:00Z").await, ["2026-03-28T01:30:00Z"]);
    // On the 29th there is no 02:30: it is due at 03:00 in summer, which is an hour before 02:30 would have been.
    assert_eq!(stage.fired("2026-03-29T00:59:59Z").await, NONE);
    assert_eq!(stage.fired("2026-03-29T01:00:00Z").await, ["2026-03-29T01:00:00Z"]);
    assert_eq!(stage.fired("2026-03-29T01:30:00Z").await, NONE);
    assert_eq!(stage.fired("2026-03-30T00:30:00Z").await, ["2026-03-30T00:30:00Z"]);
    // On the 25th of October 02:30 comes twice.
    assert_eq!(stage.fired("2026-10-24T12:00:00Z").await, NONE);
    assert_eq!(stage.fired("2026-10-25T00:30:00Z").await, ["2026-10-25T00:30:00Z"]);
    assert_eq!(stage.fired("2026-10-25T01:30:00Z").await, NONE);
    assert_eq!(stage.fired("2026-10-26T01:30:00Z").await, ["2026-10-26T01:30:00Z"]);
}

#[tokio::test]
async fn a_leap_day_comes_when_it_comes() {
    let mut stage = Stage::open().await;
    stage.add(with("0 0 29 2 *", "UTC", Overlap::Skip, CatchUp::Skip)).await;
    assert_eq!(stage.fired("2026-03-01T00:00:00Z").await, NONE);
    assert_eq!(stage.fired("2028-02-28T23:59:59Z").await, NONE);
    assert_eq!(stage.fired("2028-02-29T00:00:00Z").await, ["2028-02-29T00:00:00Z"]);
    assert_eq!(stage.fired("2029-03-01T00:00:00Z").await, NONE);
}

#[tokio::test]
async fn a_clock_that_jumps_fires_no_slot_twice_and_loses_none_but_those_it_skips() {
    let mut stage = Stage::open().await;
    let id = stage.add(cron("0 * * * *")).await;
    assert_eq!(stage.fired("2026-01-01T05:30:00Z").await, ["2026-01-01T05:00:00Z"], "forward: the last of what passed");
    for back in ["2026-01-01T04:59:59Z", "2026-01-01T05:00:00Z", "2026-01-01T03:00:01Z"] {
        assert_eq!(stage.fired(back).await, NONE, "{back}");
    }
    assert_eq!(stage.fired("2026-01-01T06:00:00Z").await, ["2026-01-01T06:00:00Z"]);

    // Ahead by a year, and set right: it must not stay silent for a year.
    assert_eq!(stage.fired("2027-01-01T00:00:00Z").await, ["2027-01-01T00:00:00Z"]);
    assert_eq!(stage.fired("2026-01-01T06:30:00Z").await, NONE);
    assert_eq!(stage.trigger(&id).next_run_at, Some(at("2026-01-01T07:00:00Z")));
    assert_eq!(stage.fired("2026-01-01T07:00:00Z").await, ["2026-01-01T07:00:00Z"]);
}

#[tokio::test]
async fn after_a_stop_of_a_day_the_catch_up_policy_decides() {
    let (stopped, started) = ("2026-01-01T12:00:00Z", "2026-01-02T12:30:00Z");
    for (policy, count) in [(CatchUp::Skip, 0), (CatchUp::Last, 1), (CatchUp::All, 24)] {
        let mut stage = Stage::open().await;
        stage.add(with("0 * * * *", "UTC", Overlap::Skip, policy)).await;
        stage.fired(stopped).await;
        stage.watch = Watch::default();
        let fired = stage.fired(started).await;
        assert_eq!(fired.len(), count, "{policy:?}: {fired:?}");
        assert!(fired.last().is_none_or(|last| last == "2026-01-02T12:00:00Z"), "{policy:?}: {fired:?}");
        assert_eq!(stage.fired("2026-01-02T13:00:00Z").await, ["2026-01-02T13:00:00Z"]);
    }
}

#[tokio::test]
async fn what_is_made_up_for_does_not_overlap() {
    let mut stage = Stage::open().await;
    stage.add(with("0 * * * *", "UTC", Overlap::Skip, CatchUp::All)).await;
    stage.watch.tick(&stage.platform, at("2026-01-01T03:00:00Z")).await;
    assert_eq!((stage.begin().await.len(), stage.begin().await.len()), (1, 0), "one after the other");
}

#[tokio::test]
async fn one_moment_fires_once_and_stays_listed() {
    let mut stage = Stage::open().await;
    let (late, soon) = (at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:10Z"));
    let late = stage.add(TriggerSpec::Once { once: late }).await;
    let soon = stage.add(TriggerSpec::Once { once: soon }).await;
    assert_eq!(stage.fired("2026-01-01T00:00:00Z").await, ["2020-01-01T00:00:00Z"], "somebody asked for it");
    assert_eq!(stage.fired("2026-01-01T00:00:10Z").await, ["2026-01-01T00:00:10Z"]);
    for id in [&late, &soon] {
        assert_eq!(stage.trigger(id).next_run_at, None);
        stage.enable(id, false).await;
        stage.enable(id, true).await;
    }
    assert_eq!(stage.fired("2026-01-01T00:00:20Z").await, NONE, "not again because it was paused");
}

#[tokio::test]
async fn what_is_paused_does_not_fire_and_makes_up_for_nothing() {
    let mut stage = Stage::open().await;
    let id = stage.add(with("0 * * * *", "UTC", Overlap::Skip, CatchUp::All)).await;
    stage.enable(&id, false).await;
    assert_eq!(stage.fired("2026-01-01T03:00:00Z").await, NONE);
    stage.clock.advance(Duration::from_secs(3 * 3600 + 60));
    stage.enable(&id, true).await;
    assert_eq!(stage.fired("2026-01-01T03:30:00Z").await, NONE);
    assert_eq!(stage.fired("2026-01-01T04:00:00Z").await, ["2026-01-01T04:00:00Z"]);
}

#[tokio::test]
async fn slots_of_a_disabled_function_pass_and_one_moment_waits() {
    let mut stage = Stage::open().await;
    stage.add(cron("0 * * * *")).await;
    stage.add(TriggerSpec::Once { once: at("2026-01-01T01:00:00Z") }).await;
    stage.platform.set_enabled(&admin(), &home(), &f(), false).await.expect("disabled");
    assert_eq!(stage.fired("2026-01-01T01:00:00Z").await, NONE);
    assert_eq!((stage.platform.watched.fired(), stage.platform.watched.left_out()), (0, 1));
    stage.platform.set_enabled(&admin(), &home(), &f(), true).await.expect("enabled");
    assert_eq!(stage.fired("2026-01-01T01:30:00Z").await, ["2026-01-01T01:00:00Z"], "the one moment");
    assert_eq!(stage.fired("2026-01-01T02:00:00Z").await, ["2026-01-01T02:00:00Z"]);
}

/// Slots at 01:00, 02:00 and 03:00 while a call does not end: what is owed after each.
async fn owed_while_blocked(overlap: Overlap) -> Vec<u64> {
    let mut stage = Stage::that_calls(Script::Block).await;
    let id = stage.add(with("0 * * * *", "UTC", overlap, CatchUp::Last)).await;
    let mut owed = Vec::new();
    for _ in 0..3 {
        stage.clock.advance(Duration::from_secs(3600));
        stage.watch.tick(&stage.platform, stage.clock.now()).await;
        // A bounded poll: the first call has begun.
        for _ in 0..1000 {
            yield_now().await;
        }
        owed.push(stage.registry.owed_by(&home(), &id).await.expect("owed"));
    }
    owed.push(stage.engine.running() as u64);
    owed.push(stage.platform.watched.left_out());
    owed
}

#[tokio::test]
async fn the_overlap_policy_says_what_happens_while_a_call_runs() {
    // Owed after each slot, calls that run at the end, slots left out.
    assert_eq!(owed_while_blocked(Overlap::Skip).await, [1, 1, 1, 1, 2]);
    assert_eq!(owed_while_blocked(Overlap::Queue).await, [1, 2, 3, 1, 0]);
    assert_eq!(owed_while_blocked(Overlap::Allow).await, [1, 2, 3, 3, 0]);
}

#[tokio::test]
async fn a_slot_that_is_claimed_twice_fires_once() {
    let stage = Stage::open().await;
    let id = stage.add(cron("0 * * * *")).await;
    let (trigger, slot) = (stage.trigger(&id), at("2026-01-01T01:00:00Z"));
    let claim = || {
        let deliveries = vec![crate::schedule::delivery(&trigger, slot, slot)];
        stage.platform.claim(&trigger, slot, Some(at("2026-01-01T02:00:00Z")), deliveries)
    };
    let (first, second) = tokio::join!(claim(), claim());
    let claimed = [first, second].map(|claimed| claimed.expect("it can be claimed"));
    assert_eq!(claimed.iter().filter(|claimed| **claimed).count(), 1);
    assert_eq!(stage.made().await, ["2026-01-01T01:00:00Z"]);
}

#[tokio::test]
async fn a_registry_that_fails_is_asked_again_later_and_no_slot_is_lost() {
    let mut stage = Stage::open().await;
    stage.add(cron("0 * * * *")).await;
    stage.faults.fail("claim_slot", 3);
    let now = at("2026-01-01T01:00:00Z");
    let mut pauses = Vec::new();
    for _ in 0..3 {
        pauses.push(stage.watch.tick(&stage.platform, now).await.as_secs());
    }
    assert_eq!(pauses, [1, 2, 4]);
    assert_eq!(stage.fired("2026-01-01T01:00:07Z").await, ["2026-01-01T01:00:00Z"]);
}

#[tokio::test]
async fn a_look_at_the_clock_has_a_bound_and_sleep_has_another() {
    let mut stage = Stage::open().await;
    assert_eq!(stage.watch.tick(&stage.platform, at("2026-01-01T00:00:00Z")).await, SLEEP_IDLE);
    let functions = 3;
    for function in 0..functions {
        let manifest = Manifest::parse(&format!("name: g{function}")).expect("a valid manifest");
        let code = Script::Echo.code();
        let deploy = Deploy { namespace: home(), manifest, code, if_changed: false, dry_run: false };
        stage.platform.deploy(&admin(), deploy).await.expect("deployed");
        let function = FunctionName::parse(&format!("g{function}")).expect("a valid name");
        for minute in 0..crate::triggers::TRIGGER_LIMITS.per_function {
            // All of them are due at midnight of some day before long, and no two are the same.
            let spec = TriggerSpec::cron(format!("0 0 {} * *", 1 + minute % 28), Some(ZONES[minute / 28].to_owned()));
            stage.platform.add_trigger(&admin(), &home(), &function, spec).await.expect("added");
        }
    }
    let all = functions * crate::triggers::TRIGGER_LIMITS.per_function;
    let now = at("2026-02-28T12:00:00Z");
    assert_eq!(stage.watch.tick(&stage.platform, now).await, Duration::ZERO, "there is more to do");
    assert_eq!(stage.platform.watched.fired(), PER_LOOK_MAX as u64);
    assert_eq!(stage.watch.tick(&stage.platform, now).await, SLEEP_MAX);
    assert_eq!(stage.platform.watched.fired(), all as u64);
}

const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "Asia/Tokyo", "America/New_York"];

#[tokio::test]
async fn schedules_of_manifests_that_are_older_than_schedules_begin_at_a_start() {
    let mut stage = Stage::open().await;
    let id = stage.add(cron("0 * * * *")).await;
    let old = stage.add(TriggerSpec::Once { once: at("2020-01-01T00:00:00Z") }).await;
    for id in [&id, &old] {
        stage.registry.set_next_run(&home(), id, None).await.expect("set");
        stage.platform.triggers.update(&home(), id, |trigger| trigger.next_run_at = None);
    }
    assert_eq!(stage.fired("2026-01-01T00:30:00Z").await, NONE);
    assert_eq!(stage.fired("2026-01-01T01:00:00Z").await, ["2026-01-01T01:00:00Z"], "but not what had passed by then");
}
