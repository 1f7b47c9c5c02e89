use domain::{FunctionRef, TriggerKind};

use super::*;

#[track_caller]
fn check(data: &[u8], rest: &str) {
    let (namespace, topic) = (Namespace::default_namespace(), Topic::parse("calls:invite").expect("a topic"));
    let now = Timestamp::from_second(1_708_972_800).expect("a date within range");
    let event = of_message(&namespace, &topic, data, 1, now, "m1");
    let want = format!(r#"{{"topic":"calls:invite",{rest}}}"#);
    assert_eq!(String::from_utf8_lossy(&event), want);
    serde_json::from_slice::<serde::de::IgnoredAny>(&event).expect("an event is JSON");
}

const TAIL: &str = r#""namespace":"default","trigger_depth":1,"timestamp":1708972800,"message_id":"m1""#;

#[test]
fn json_is_passed_on_as_it_is() {
    check(br#"{"calleeId": 7, "x": 1e400}"#, &format!(r#""data":{{"calleeId": 7, "x": 1e400}},{TAIL}"#));
    check(b" [1, 2] ", &format!(r#""data":[1, 2],{TAIL}"#));
    check(b"\"text\"", &format!(r#""data":"text",{TAIL}"#));
    check(b"null", &format!(r#""data":null,{TAIL}"#));
}

#[test]
fn what_is_no_json_is_text_and_base64() {
    check(b"hello", &format!(r#""data":"hello",{TAIL},"data_base64":"aGVsbG8=""#));
    check(b"", &format!(r#""data":"",{TAIL},"data_base64":"""#));
    check(b"\xff\0", &format!("\"data\":\"\u{fffd}\\u0000\",{TAIL},\"data_base64\":\"/wA=\""));
    check(b"{\"a\":1} {}", &format!(r#""data":"{{\"a\":1}} {{}}",{TAIL},"data_base64":"eyJhIjoxfSB7fQ==""#));
}

/// Whether a function can read it is the function's affair.
#[test]
fn json_of_any_depth_is_passed_on_as_it_is() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    check(deep.as_bytes(), &format!(r#""data":{deep},{TAIL}"#));
}

/// What a message says of itself stays inside `data`.
#[test]
fn nothing_can_be_forged_from_inside_a_message() {
    let data = br#"{"trigger_depth":0,"namespace":"other","_orama":1}"#;
    check(data, &format!(r#""data":{},{TAIL}"#, String::from_utf8_lossy(data)));
    check(
        br#"1},"trigger_depth":0,"x":{"#,
        &format!(
            r#""data":"1}},\"trigger_depth\":0,\"x\":{{",{TAIL},"data_base64":"MX0sInRyaWdnZXJfZGVwdGgiOjAsIngiOns=""#
        ),
    );
}

#[test]
fn a_change_has_its_rows() {
    let change = Change {
        seq: 7,
        table: "users".to_owned(),
        operation: RowOperation::Update,
        row: r#"{"id":1}"#.to_owned(),
        old_row: Some(r#"{"id":0}"#.to_owned()),
        at_ms: 1999,
        depth: 0,
    };
    let event = of_change(&Namespace::default_namespace(), &change, 1).expect("rows are JSON");
    let want = r#"{"table":"users","operation":"UPDATE","row":{"id":1},"old_row":{"id":0},"namespace":"default","timestamp":1,"trigger_depth":1,"change_id":7}"#;
    assert_eq!(String::from_utf8_lossy(&event), want);
}

fn delivery(id: &str, kind: TriggerKind, input: &'static str, batch_max: u32) -> Delivery {
    let function = FunctionRef::parse("f").expect("a reference");
    let namespace = Namespace::default_namespace();
    let new = Delivery::new(namespace, function, kind, Bytes::from_static(input.as_bytes()), Timestamp::UNIX_EPOCH);
    Delivery { id: id.to_owned(), batch_max, ..new }
}

#[test]
fn each_event_has_the_id_of_its_delivery() {
    let event = |id| delivery(id, TriggerKind::Pubsub, r#"{"n":1}"#, 0);
    assert_eq!(input_of(&[event("d1")]), r#"{"n":1,"delivery_id":"d1"}"#);
    let collected = |id| Delivery { batch_max: 2, ..event(id) };
    assert_eq!(
        input_of(&[collected("d1"), collected("d2")]),
        r#"{"batched":true,"events":[{"n":1,"delivery_id":"d1"},{"n":1,"delivery_id":"d2"}]}"#
    );
    assert_eq!(input_of(&[collected("d1")]), r#"{"batched":true,"events":[{"n":1,"delivery_id":"d1"}]}"#);
    assert_eq!(input_of(&[delivery("d1", TriggerKind::Job, r#"{"mine":1}"#, 0)]), r#"{"mine":1}"#);
}
