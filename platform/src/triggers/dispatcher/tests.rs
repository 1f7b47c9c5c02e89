use domain::{FunctionRef, TriggerKind};

use super::*;

fn delivery(id: &str) -> Delivery {
    let function = FunctionRef::parse("f").expect("a reference");
    let (namespace, input) = (Namespace::default_namespace(), Bytes::from_static(b"{}"));
    let new = Delivery::new(namespace, function, TriggerKind::Pubsub, input, Timestamp::UNIX_EPOCH);
    Delivery { id: id.to_owned(), ..new }
}

fn collected(id: &str, trigger: &str) -> Delivery {
    Delivery { trigger: Some(trigger.to_owned()), batch_max: 2, ..delivery(id) }
}

fn ids(calls: &[Vec<Delivery>]) -> Vec<Vec<&str>> {
    calls.iter().map(|call| call.iter().map(|delivery| delivery.id.as_str()).collect()).collect()
}

fn retry(count: u32) -> Option<Retry> {
    Some(Retry { count, delay: Duration::from_secs(5) })
}

#[track_caller]
fn check(delivery: &Delivery, code: ErrorCode, retry: Option<Retry>, want: Option<DeliveryEnd>) {
    assert_eq!(verdict(delivery, &Error::of(code), retry, Timestamp::UNIX_EPOCH), want, "{code}");
}

#[test]
fn a_call_that_failed_is_made_again_as_often_as_its_manifest_says() {
    let later = Some(DeliveryEnd::Retry(Timestamp::UNIX_EPOCH + Duration::from_secs(5)));
    for code in [ErrorCode::FunctionExecutionFailed, ErrorCode::Timeout, ErrorCode::Internal] {
        check(&delivery("d"), code, retry(1), later.clone());
        check(&delivery("d"), code, retry(0), None);
        check(&Delivery { failed: 1, ..delivery("d") }, code, retry(1), None);
        check(&delivery("d"), code, None, None);
    }
}

#[test]
fn what_cannot_be_called_is_given_up_at_once() {
    for code in [ErrorCode::NotFound, ErrorCode::PayloadTooLarge] {
        check(&delivery("d"), code, retry(5), None);
    }
}

#[test]
fn what_finds_no_room_is_put_off_longer_each_time_but_not_for_ever() {
    let pause = |put_off| put_off_for(&Delivery { put_off, ..delivery("d") });
    for put_off in 0..20 {
        let longest = (PUT_OFF_FIRST * 2u32.pow(put_off.min(10))).min(PUT_OFF_LONGEST);
        assert!((longest / 2..=longest).contains(&pause(put_off)), "{put_off}: {:?}", pause(put_off));
    }
    let scattered: std::collections::HashSet<Duration> =
        (0..100).map(|n| put_off_for(&delivery(&format!("d{n}")))).collect();
    assert!(scattered.len() > 50, "they do not come back all at once");
    let tired = Delivery { put_off: PUT_OFF_MAX, failed: 0, ..delivery("d") };
    check(&tired, ErrorCode::RateLimited, retry(5), None);
    assert!(matches!(
        verdict(&delivery("d"), &Error::of(ErrorCode::ServiceUnavailable), retry(0), Timestamp::UNIX_EPOCH),
        Some(DeliveryEnd::Later(_))
    ));
}

#[test]
fn what_a_trigger_collects_becomes_one_call() {
    let due =
        vec![collected("a1", "a"), delivery("x"), collected("b1", "b"), collected("a2", "a"), collected("a3", "a")];
    assert_eq!(ids(&calls_of(due)), [vec!["a1", "a2"], vec!["x"], vec!["b1"], vec!["a3"]]);
}

#[test]
fn a_call_gets_no_more_bytes_than_it_can_take() {
    let large = |id: &str, bytes: usize| Delivery { input: Bytes::from(vec![b'x'; bytes]), ..collected(id, "a") };
    let call = vec![large("a", BATCH_BYTES_MAX - 1), large("b", 1), large("c", 1), large("d", 2 * BATCH_BYTES_MAX)];
    assert_eq!(ids(&portions(call)), [vec!["a", "b"], vec!["c"], vec!["d"]]);
}

#[test]
fn a_call_that_is_owed_has_no_caller() {
    let deep = Delivery { depth: 4, ..collected("b", "a") };
    let invoke = invoke_of(&[collected("a", "a"), deep]);
    assert_eq!((invoke.caller.wallet(), invoke.caller.subject.as_deref()), ("", None));
    assert_eq!(invoke.cause.depth, 4, "the deepest counts");
    assert_eq!(invoke.client_request_id.as_deref(), Some("a"));
}
