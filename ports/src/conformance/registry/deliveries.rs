//! The queue of calls that are owed.

use bytes::Bytes;
use domain::{FunctionRef, TriggerKind, TriggerSpec};

use super::functions::new_version;
use super::triggers::trigger;
use super::{at, create, name, namespace};
use crate::{Asked, Begun, Death, Delivery, DeliveryEnd, Lane, Registry};

pub(super) fn delivery(id: &str, ns: &str, function: &str, second: i64) -> Delivery {
    Delivery {
        id: id.to_owned(),
        event: format!("event of {id}"),
        ..Delivery::new(
            namespace(ns),
            FunctionRef { name: name(function), version: None },
            TriggerKind::Pubsub,
            Bytes::from(format!("{{\"n\":\"{id}\"}}")),
            at(second),
        )
    }
}

fn of_trigger(id: &str, trigger: &str, second: i64) -> Delivery {
    Delivery { trigger: Some(trigger.to_owned()), ..delivery(id, "owes", "hello", second) }
}

fn asked(function: &str, limit: usize) -> Asked {
    Asked { namespace: namespace("owes"), function: name(function), limit }
}

fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.id.as_str()).collect()
}

/// What waits in a namespace and is due before long, in the order in which it is due. It is begun and put back for that.
pub(super) async fn waiting(registry: &dyn Registry, ns: &str) -> Vec<String> {
    let lanes = registry.lanes(Some(&namespace(ns))).await.expect("lanes");
    let asked = lanes.iter().map(|lane| Asked {
        namespace: lane.namespace.clone(),
        function: lane.function.clone(),
        limit: 1000,
    });
    let begun = registry.begin_deliveries(asked.collect(), at(10_000)).await.expect("begin").deliveries;
    registry.release_deliveries().await.expect("release");
    begun.into_iter().map(|delivery| delivery.id).collect()
}

async fn begin(registry: &dyn Registry, function: &str, limit: usize, second: i64) -> Begun {
    registry.begin_deliveries(vec![asked(function, limit)], at(second)).await.expect("begin")
}

async fn write(registry: &dyn Registry, new: Vec<Delivery>) {
    assert_eq!(registry.write_deliveries(new, vec![]).await.expect("write"), [""; 0]);
}

async fn end(registry: &dyn Registry, id: &str, end: DeliveryEnd) {
    registry.write_deliveries(vec![], vec![(id.to_owned(), end)]).await.expect("end");
}

fn dead(second: i64) -> DeliveryEnd {
    DeliveryEnd::Dead(Death { at: at(second), why: "it says no".to_owned() })
}

pub(super) async fn deliveries(registry: &dyn Registry) {
    create(registry, "owes").await;
    for function in ["hello", "other"] {
        registry.publish_version(new_version("owes", function, 1)).await.expect("publish");
    }
    in_and_out(registry).await;
    in_their_order(registry).await;
    what_became_of_them(registry).await;
    after_a_crash(registry).await;
    shared_events(registry).await;
    collected(registry).await;
    one_at_a_time(registry).await;
    of_a_deleted_trigger(registry).await;
    dead_ones(registry).await;
    expired(registry).await;
}

async fn in_and_out(registry: &dyn Registry) {
    let full = Delivery {
        function: FunctionRef::parse("hello@3").expect("a reference"),
        trigger: Some("t".to_owned()),
        input: Bytes::from_static(b"\0\xff"),
        bytes: 7,
        depth: 5,
        batch_max: 1000,
        in_turn: true,
        kind: TriggerKind::Database,
        created_at: at(0),
        ..delivery("full", "owes", "hello", 4)
    };
    write(registry, vec![full.clone()]).await;
    let lane =
        Lane { namespace: namespace("owes"), function: name("hello"), due_at: Some(at(4)), deliveries: 1, bytes: 7 };
    assert_eq!(registry.lanes(Some(&namespace("owes"))).await.expect("lanes"), std::slice::from_ref(&lane));
    assert!(registry.lanes(None).await.expect("lanes").contains(&lane));
    assert_eq!(begin(registry, "hello", 5, 3).await, Begun { deliveries: vec![], next: vec![Some(at(4))] });
    assert_eq!(begin(registry, "other", 5, 9).await, Begun { deliveries: vec![], next: vec![None] });
    let begun = begin(registry, "hello", 5, 4).await;
    assert_eq!(begun, Begun { deliveries: vec![Delivery { begun: 1, ..full }], next: vec![None] });
    assert_eq!(begin(registry, "hello", 5, 9).await.deliveries, [], "it is begun once");
    let running = registry.lanes(Some(&namespace("owes"))).await.expect("lanes");
    assert_eq!(running, [Lane { due_at: None, ..lane }], "what runs is owed still");
    end(registry, "full", DeliveryEnd::Done).await;
    assert_eq!(registry.lanes(Some(&namespace("owes"))).await.expect("lanes"), []);
    end(registry, "full", DeliveryEnd::Later(at(1))).await;
    assert_eq!(registry.lanes(Some(&namespace("owes"))).await.expect("lanes"), [], "what is gone has no end");
}

async fn in_their_order(registry: &dyn Registry) {
    let batch = [("c", "hello", 3), ("a", "hello", 1), ("b", "hello", 1), ("o", "other", 2), ("late", "hello", 50)];
    write(registry, batch.map(|(id, function, second)| delivery(id, "owes", function, second)).to_vec()).await;
    let both = vec![asked("other", 9), asked("hello", 2)];
    let begun = registry.begin_deliveries(both, at(9)).await.expect("begin");
    assert_eq!(ids(&begun.deliveries), ["o", "a", "b"], "as asked, and of one time as they came");
    assert_eq!(begun.next, [None, Some(at(3))]);
    let rest = begin(registry, "hello", 9, 9).await;
    assert_eq!((ids(&rest.deliveries), rest.next), (vec!["c"], vec![Some(at(50))]));

    let again = registry.write_deliveries(vec![delivery("a", "owes", "hello", 1)], vec![]).await.expect("write");
    assert_eq!(again, ["a"], "the same id is the same delivery");
    let unknown = vec![
        delivery("x", "owes", "nobody", 1),
        delivery("y", "nowhere", "hello", 1),
        delivery("z", "owes", "other", 1),
    ];
    let ended = ["a", "b", "c", "o"].map(|id| (id.to_owned(), DeliveryEnd::Done)).to_vec();
    assert_eq!(registry.write_deliveries(unknown, ended).await.expect("write"), ["x", "y"]);
    assert_eq!(waiting(registry, "owes").await, ["late", "z"]);
    assert!(registry.withdraw_delivery(&namespace("owes"), "late").await.expect("withdraw"));
    assert!(!registry.withdraw_delivery(&namespace("owes"), "late").await.expect("withdraw"));
    assert!(!registry.withdraw_delivery(&namespace("one"), "z").await.expect("withdraw"));
    begin(registry, "other", 9, 9).await;
    assert!(!registry.withdraw_delivery(&namespace("owes"), "z").await.expect("withdraw"), "it has begun");
    end(registry, "z", DeliveryEnd::Done).await;
}

async fn what_became_of_them(registry: &dyn Registry) {
    write(registry, vec![delivery("d", "owes", "hello", 1)]).await;
    begin(registry, "hello", 1, 1).await;
    end(registry, "d", DeliveryEnd::Later(at(5))).await;
    assert_eq!(begin(registry, "hello", 1, 4).await.next, [Some(at(5))]);
    let later = begin(registry, "hello", 1, 5).await.deliveries.remove(0);
    assert_eq!((later.begun, later.put_off, later.failed), (1, 1, 0));
    end(registry, "d", DeliveryEnd::Retry(at(6))).await;
    let again = begin(registry, "hello", 1, 6).await.deliveries.remove(0);
    assert_eq!((again.begun, again.put_off, again.failed), (1, 0, 1));
    end(registry, "d", dead(7)).await;
    assert_eq!(begin(registry, "hello", 1, 9).await, Begun { deliveries: vec![], next: vec![None] });
    assert_eq!(registry.lanes(Some(&namespace("owes"))).await.expect("lanes"), [], "the dead are owed nothing");
    end(registry, "d", DeliveryEnd::Later(at(1))).await;
    assert_eq!(begin(registry, "hello", 1, 9).await.deliveries, [], "the dead stay dead");
    end(registry, "d", DeliveryEnd::Done).await;
}

async fn after_a_crash(registry: &dyn Registry) {
    let timer = Delivery { kind: TriggerKind::Timer, ..delivery("timer", "owes", "hello", 90) };
    write(registry, vec![delivery("d", "owes", "hello", 1), delivery("ahead", "owes", "hello", 80), timer]).await;
    for times in 1..=3 {
        assert_eq!(begin(registry, "hello", 1, 1).await.deliveries[0].begun, times);
        assert_eq!(registry.release_deliveries().await.expect("release"), 1);
    }
    assert_eq!(registry.release_deliveries().await.expect("release"), 0);

    begin(registry, "hello", 1, 1).await;
    end(registry, "d", DeliveryEnd::Retry(at(70))).await;
    assert_eq!(registry.hasten_deliveries(at(2), at(9)).await.expect("hasten"), 2);
    let begun = begin(registry, "hello", 9, 2).await;
    assert_eq!(ids(&begun.deliveries), ["ahead"], "what has happened is due, whatever the clock said");
    let begun = begin(registry, "hello", 9, 9).await;
    assert_eq!(ids(&begun.deliveries), ["d"], "what was tried waits a little");
    assert_eq!(begun.next, [Some(at(90))], "a timer has a time of its own");
    for id in ["d", "ahead", "timer"] {
        end(registry, id, DeliveryEnd::Done).await;
    }
}

async fn shared_events(registry: &dyn Registry) {
    let shared = |id: &str| Delivery {
        event: "shared".to_owned(),
        input: Bytes::from_static(b"the same"),
        bytes: 4,
        ..delivery(id, "owes", "hello", 1)
    };
    let nobody = Delivery { event: "lost".to_owned(), ..delivery("n", "owes", "nobody", 1) };
    let left_out = registry.write_deliveries(vec![shared("s1"), shared("s2"), nobody, shared("s1")], vec![]).await;
    assert_eq!(left_out.expect("write"), ["n", "s1"]);
    assert_eq!(registry.lanes(Some(&namespace("owes"))).await.expect("lanes")[0].bytes, 8);
    let first = begin(registry, "hello", 1, 1).await.deliveries.remove(0);
    end(registry, &first.id, DeliveryEnd::Done).await;
    let second = begin(registry, "hello", 1, 1).await.deliveries.remove(0);
    assert_eq!((second.id.as_str(), second.input), ("s2", Bytes::from_static(b"the same")));
    end(registry, "s2", DeliveryEnd::Done).await;
    write(registry, vec![Delivery { input: Bytes::from_static(b"new"), ..shared("s3") }]).await;
    assert_eq!(
        begin(registry, "hello", 1, 1).await.deliveries[0].input,
        Bytes::from_static(b"new"),
        "it was forgotten"
    );
    end(registry, "s3", DeliveryEnd::Done).await;
}

async fn collected(registry: &dyn Registry) {
    let collects = |id: &str, second: i64| Delivery { batch_max: 3, ..of_trigger(id, "window", second) };
    let alone = of_trigger("alone", "window", 9);
    write(registry, vec![collects("w1", 5), collects("w2", 5), alone, collects("w3", 8), collects("w4", 8)]).await;
    assert_eq!(ids(&begin(registry, "hello", 1, 5).await.deliveries), ["w1"]);
    let companions = registry.begin_companions(&namespace("owes"), "window", 2).await.expect("begin");
    assert_eq!(ids(&companions), ["w2", "w3"], "due or not, the first ones first");
    assert_eq!(companions[0].begun, 1);
    assert_eq!(registry.owed_by(&namespace("owes"), "window").await.expect("owed"), 5, "what runs is owed still");
    assert_eq!(registry.owed_by(&namespace("one"), "window").await.expect("owed"), 0);
    let rest = registry.begin_companions(&namespace("owes"), "window", 9).await.expect("begin");
    assert_eq!(ids(&rest), ["w4"]);
    for id in ["w1", "w2", "w3", "w4", "alone"] {
        end(registry, id, DeliveryEnd::Done).await;
    }
}

async fn one_at_a_time(registry: &dyn Registry) {
    let turns = |id: &str, second: i64| Delivery { in_turn: true, ..of_trigger(id, "turns", second) };
    write(registry, vec![turns("1st", 2), turns("2nd", 1), of_trigger("free", "other", 3)]).await;
    let begun = begin(registry, "hello", 9, 9).await;
    assert_eq!(ids(&begun.deliveries), ["1st", "free"], "what came first is first");
    assert_eq!(begun.next, [Some(at(1))], "the second waits its turn");
    assert_eq!(begin(registry, "hello", 9, 9).await.deliveries, []);
    end(registry, "1st", DeliveryEnd::Later(at(50))).await;
    assert_eq!(begin(registry, "hello", 9, 9).await.deliveries, [], "put off is not ended");
    begin(registry, "hello", 9, 50).await;
    end(registry, "1st", DeliveryEnd::Done).await;
    assert_eq!(ids(&begin(registry, "hello", 9, 9).await.deliveries), ["2nd"]);
    for id in ["2nd", "free"] {
        end(registry, id, DeliveryEnd::Done).await;
    }
}

async fn of_a_deleted_trigger(registry: &dyn Registry) {
    registry.add_trigger(trigger("goes", "owes", "hello", TriggerSpec::topic("a"))).await.expect("add");
    write(
        registry,
        vec![of_trigger("runs", "goes", 1), of_trigger("waits", "goes", 2), of_trigger("stays", "other", 2)],
    )
    .await;
    begin(registry, "hello", 1, 1).await;
    registry.delete_trigger(&namespace("owes"), "goes").await.expect("delete");
    registry.release_deliveries().await.expect("release");
    assert_eq!(waiting(registry, "owes").await, ["runs", "stays"], "what has begun goes on");
    for id in ["runs", "stays"] {
        end(registry, id, DeliveryEnd::Done).await;
    }
}

async fn dead_ids(registry: &dyn Registry, function: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let dead = registry.dead_deliveries(&namespace("owes"), &name(function), after, limit).await.expect("dead");
    dead.into_iter().map(|delivery| delivery.id).collect()
}

async fn dead_ones(registry: &dyn Registry) {
    for (id, second) in [("d1", 5), ("d3", 6), ("d2", 6)] {
        write(registry, vec![delivery(id, "owes", "hello", 1)]).await;
        begin(registry, "hello", 1, 1).await;
        end(registry, id, dead(second)).await;
    }
    let found = registry.dead_deliveries(&namespace("owes"), &name("hello"), None, 1).await.expect("dead").remove(0);
    let death = Death { at: at(6), why: "it says no".to_owned() };
    assert_eq!((found.dead, found.input), (Some(death), Bytes::from_static(b"{\"n\":\"d3\"}")));
    assert_eq!(dead_ids(registry, "hello", None, 9).await, ["d3", "d2", "d1"], "the last to die first");
    assert_eq!(dead_ids(registry, "hello", Some("d3"), 1).await, ["d2"]);
    assert_eq!(dead_ids(registry, "hello", Some("unknown"), 9).await, [""; 0]);
    assert_eq!(dead_ids(registry, "other", None, 9).await, [""; 0]);

    let (owes, hello) = (namespace("owes"), name("hello"));
    let some = ["d1".to_owned(), "d9".to_owned()];
    assert_eq!(registry.redrive(&owes, &name("other"), Some(&some), at(9)).await.expect("redrive"), 0);
    assert_eq!(registry.redrive(&owes, &hello, Some(&some), at(9)).await.expect("redrive"), 1);
    let redriven = begin(registry, "hello", 9, 9).await.deliveries.remove(0);
    assert_eq!((redriven.id.as_str(), redriven.dead, redriven.begun, redriven.due_at), ("d1", None, 1, at(9)));
    assert_eq!(registry.delete_dead(&owes, &hello, Some(&some)).await.expect("delete"), 0, "it is not dead any more");
    end(registry, "d1", DeliveryEnd::Done).await;
    assert_eq!(registry.delete_dead(&owes, &hello, Some(&["d3".to_owned()])).await.expect("delete"), 1);
    assert_eq!(registry.redrive(&owes, &hello, None, at(9)).await.expect("redrive"), 1);
    assert_eq!(registry.delete_dead(&owes, &hello, None).await.expect("delete"), 0);
    assert_eq!(waiting(registry, "owes").await, ["d2"]);
    end(registry, "d2", DeliveryEnd::Done).await;
}

async fn expired(registry: &dyn Registry) {
    for second in 1..=5 {
        let id = format!("e{second}");
        write(registry, vec![Delivery { bytes: 10, ..delivery(&id, "owes", "hello", 1) }]).await;
        begin(registry, "hello", 1, 1).await;
        end(registry, &id, dead(second)).await;
    }
    assert_eq!(registry.expire_dead(at(2), 9, 999).await.expect("expire"), 1, "the old ones");
    assert_eq!(registry.expire_dead(at(2), 3, 999).await.expect("expire"), 1, "the many");
    assert_eq!(registry.expire_dead(at(2), 3, 29).await.expect("expire"), 1, "the large");
    assert_eq!(dead_ids(registry, "hello", None, 9).await, ["e5", "e4"]);
    assert_eq!(registry.delete_dead(&namespace("owes"), &name("hello"), None).await.expect("delete"), 2);
}
