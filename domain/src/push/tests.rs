use expect_test::{Expect, expect};

use super::*;

#[track_caller]
fn check(json: &str, want: Expect) {
    want.assert_eq(&match PushMessage::parse(json.as_bytes()) {
        Ok(message) => message.to_json(),
        Err(refused) => refused.to_string(),
    });
}

#[test]
fn a_message_is_read_field_by_field() {
    check(
        r#"{"title":"Call","body":"from Ada","channel":"calls","priority":"high","badge":3,"sound":"ring.caf",
            "data":{"call":7},"target_provider":"apns_voip","exclude_provider":"ntfy","message_id":"call-7","user_id":"u"}"#,
        expect![[
            r#"{"title":"Call","body":"from Ada","channel":"calls","priority":"high","badge":3,"sound":"ring.caf","data":{"call":7},"target_provider":"apns_voip","exclude_provider":"ntfy","message_id":"call-7"}"#
        ]],
    );
    check(r#"{"body":"x","title":null,"priority":"","data":null}"#, expect![[r#"{"body":"x"}"#]]);
}

#[test]
fn a_wrong_message_is_refused_by_the_name_of_its_field() {
    for json in ["", "[]", "\"x\"", "{\"body\":", "\u{0}"] {
        check(json, expect![[r#"the message must be a JSON object, such as `{"title":"…","body":"…"}`"#]]);
    }
    for json in ["{}", r#"{"title":"","body":null,"data":{}}"#, r#"{"badge":1}"#] {
        check(json, expect!["the message is empty; set `title`, `body` or `data`"]);
    }
    check(r#"{"title":5}"#, expect!["`title` must be a text"]);
    check(r#"{"body":"x","priority":"urgent"}"#, expect!["`priority` must be `high` or `normal`"]);
    for badge in ["-1", "1.5", "4294967296", "\"1\"", "true"] {
        let json = format!(r#"{{"body":"x","badge":{badge}}}"#);
        check(&json, expect!["`badge` must be a whole number from 0 to 4294967295"]);
    }
    check(r#"{"body":"x","data":[1]}"#, expect!["`data` must be an object"]);
    check(
        r#"{"body":"x","target_provider":"pigeon"}"#,
        expect![[
            r#"`target_provider`: "pigeon" is no push provider; known are `ntfy`, `expo`, `apns`, `apns_voip`, `webpush` and `fcm`"#
        ]],
    );
    check(r#"{"body":"x","message_id":"a b"}"#, expect!["`message_id` must be 1 to 64 visible ASCII characters"]);
}

#[test]
fn a_message_has_16_kib_and_not_a_byte_more() {
    let of = |size: usize| format!(r#"{{"body":"{}"}}"#, "x".repeat(size - 11));
    assert!(PushMessage::parse(of(16 << 10).as_bytes()).is_ok());
    check(&of((16 << 10) + 1), expect!["the message is 16385 bytes, the limit is 16384"]);
}

#[test]
fn a_token_looks_like_one_of_its_provider() {
    let point = format!("B{}", "A".repeat(86));
    let subscription = |endpoint: &str, p256dh: &str, auth: &str| {
        format!(r#"{{"endpoint":"{endpoint}","expirationTime":null,"keys":{{"p256dh":"{p256dh}","auth":"{auth}"}}}}"#)
    };
    let auth = "A".repeat(22);
    let good = subscription("https://push.example/s/1", &point, &auth);
    let apns = "0123456789abcdefABCDEF0123456789".repeat(2);
    for (kind, token) in [
        (PushKind::Ntfy, "alerts_of-7"),
        (PushKind::Expo, "ExponentPushToken[xxXx-1_]"),
        (PushKind::Expo, "ExpoPushToken[x]"),
        (PushKind::Apns, &apns),
        (PushKind::ApnsVoip, &apns),
        (PushKind::Fcm, "dGVz:APA91b-_"),
        (PushKind::Webpush, &good),
        (PushKind::Webpush, &subscription("https://push.example/", &format!("{point}="), &format!("{auth}=="))),
    ] {
        assert_eq!(kind.check_token(token), Ok(()), "{kind} {token}");
    }
    let mut refusals = String::new();
    let long = "a".repeat(513);
    let longer = format!("{}{}", subscription("https://push.example/", &point, &auth), " ".repeat(4096));
    for (kind, token) in [
        (PushKind::Ntfy, ""),
        (PushKind::Ntfy, "a/../b"),
        (PushKind::Ntfy, &"a".repeat(65)),
        (PushKind::Expo, "ExponentPushToken[]"),
        (PushKind::Expo, "ExponentPushToken[a]b]"),
        (PushKind::Apns, "abc"),
        (PushKind::Apns, &apns.replace('0', "/")),
        (PushKind::Fcm, "a b"),
        (PushKind::Fcm, "a\r\nb"),
        (PushKind::Fcm, &long),
        (PushKind::Webpush, "https://push.example/"),
        (PushKind::Webpush, &subscription("http://push.example/", &point, &auth)),
        (PushKind::Webpush, &subscription("https://push.example/ü", &point, &auth)),
        (PushKind::Webpush, &subscription("https://push.example/", "AAAA", &auth)),
        (PushKind::Webpush, &subscription("https://push.example/", &point.replacen('B', "A", 1), &auth)),
        (PushKind::Webpush, &subscription("https://push.example/", &point, "AAAA")),
        (PushKind::Webpush, &longer),
    ] {
        let refused = kind.check_token(token).expect_err(token);
        refusals += &format!("{kind} token {refused}\n");
    }
    expect![[r#"
        ntfy token is empty
        ntfy token must be the name of a topic: 1 to 64 letters, digits, `_` and `-`
        ntfy token must be the name of a topic: 1 to 64 letters, digits, `_` and `-`
        expo token must look like `ExponentPushToken[…]`
        expo token must look like `ExponentPushToken[…]`
        apns token must be 64 to 200 hexadecimal digits
        apns token must be 64 to 200 hexadecimal digits
        fcm token must be a registration token: letters, digits, `_`, `-` and `:`
        fcm token must be a registration token: letters, digits, `_`, `-` and `:`
        fcm token is 513 bytes, the limit is 512
        webpush token must be a subscription as JSON: `endpoint`, and `keys` with `p256dh` and `auth`
        webpush token must have an `endpoint` that is an https URL
        webpush token must have an `endpoint` that is an https URL
        webpush token must have a point of P-256 as `keys.p256dh`: 65 bytes in base64url
        webpush token must have a point of P-256 as `keys.p256dh`: 65 bytes in base64url
        webpush token must have 16 bytes in base64url as `keys.auth`
        webpush token is 4294 bytes, the limit is 4096
    "#]]
    .assert_eq(&refusals);
}

#[test]
fn a_message_goes_where_it_is_meant_to() {
    let message = |json: &str| PushMessage::parse(json.as_bytes()).expect("a message");
    let only = message(r#"{"body":"x","target_provider":"ntfy"}"#);
    let but = message(r#"{"body":"x","exclude_provider":"ntfy"}"#);
    assert_eq!(PushKind::ALL.map(|kind| only.is_for(kind)), [true, false, false, false, false, false]);
    assert_eq!(PushKind::ALL.map(|kind| but.is_for(kind)), [false, true, true, true, true, true]);
}
