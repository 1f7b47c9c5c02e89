//! Devices: each user's own.

use domain::{ErrorCode, Scope};
use ports::Push;

use super::*;

#[tokio::test]
async fn a_user_registers_lists_and_deletes_their_own() {
    let node = node().await;
    let (ada, eve) = (user("0xada"), user("0xeve"));
    let new = NewDevice {
        platform: Some("ios".to_owned()),
        app_version: Some("1.2".to_owned()),
        ..device("phone", PushKind::Apns, &"a".repeat(64))
    };
    let id = node.platform.register_device(&ada, new).await.expect("registered");
    let listed = node.platform.own_devices(&ada).await.expect("listed");
    assert_eq!((listed.len(), &listed[0].id, listed[0].platform.as_deref()), (1, &id, Some("ios")));
    assert!(!format!("{listed:?}").contains("aaaa"), "no token");
    node.clock.advance(Duration::from_secs(60));
    assert_eq!(register(&node, "0xada", "phone", PushKind::Apns, &"b".repeat(64)).await, id, "renewed");
    let renewed = node.platform.own_devices(&ada).await.expect("listed").remove(0);
    assert_eq!(renewed.created_at, listed[0].created_at);
    assert!(renewed.updated_at > listed[0].updated_at && renewed.platform.is_none());

    assert_eq!(node.platform.own_devices(&eve).await.expect("listed"), []);
    assert_eq!(refusal(node.platform.delete_device(&eve, &id).await), "NOT_FOUND: device not found");
    node.platform.delete_device(&ada, &id).await.expect("deleted");
    assert_eq!(refusal(node.platform.delete_device(&ada, &id).await), "NOT_FOUND: device not found");
}

#[tokio::test]
async fn a_user_is_an_account_or_a_wallet_however_it_is_written() {
    let node = node().await;
    let wallet = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    let mut ada = user(&wallet.to_lowercase());
    node.platform.register_device(&ada, device("phone", PushKind::Ntfy, "topic")).await.expect("registered");
    let found = node.platform.devices(&admin(), &home(), wallet).await.expect("listed");
    assert_eq!(found.len(), 1, "with a checksum or without");
    ada.claims.insert("account_id".to_owned(), "ada".to_owned());
    node.platform.register_device(&ada, device("tablet", PushKind::Ntfy, "other")).await.expect("registered");
    assert_eq!(node.platform.devices(&admin(), &home(), "ada").await.expect("listed").len(), 1);
    assert_eq!(node.platform.own_devices(&ada).await.expect("listed")[0].device_id, "tablet");
}

#[tokio::test]
async fn only_users_have_devices() {
    let node = node().await;
    let exchanged = user("key:k1");
    for caller in [Caller::anonymous(), admin(), operator(), exchanged] {
        let said = format!("{caller:?}");
        let registered = node.platform.register_device(&caller, device("phone", PushKind::Ntfy, "t")).await;
        assert_eq!(registered.err().map(|error| error.code), Some(ErrorCode::Unauthorized), "{said}");
        let listed = node.platform.own_devices(&caller).await;
        assert_eq!(listed.err().map(|error| error.code), Some(ErrorCode::Unauthorized), "{said}");
        let deleted = node.platform.delete_device(&caller, "x").await;
        assert_eq!(deleted.err().map(|error| error.code), Some(ErrorCode::Unauthorized), "{said}");
        let inbox = node.platform.inbox(&caller, None, 10).await;
        assert_eq!(inbox.err().map(|error| error.code), Some(ErrorCode::Unauthorized), "{said}");
    }
    for (caller, code) in [
        (user("0xa"), Some(ErrorCode::Forbidden)),
        (key_of(&home(), Scope::Invoke), Some(ErrorCode::Forbidden)),
        (key_of(&abroad(), Scope::Admin), Some(ErrorCode::NotFound)),
        (key_of(&home(), Scope::Data), None),
    ] {
        let listed = node.platform.devices(&caller, &home(), "0xa").await;
        assert_eq!(listed.err().map(|error| error.code), code, "{caller:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_device_is_said_and_no_token_is_repeated() {
    let node = node().await;
    let ada = user("0xada");
    let long = "canary".repeat(100);
    let odd = NewDevice { platform: Some("a\nb".to_owned()), ..device("phone", PushKind::Ntfy, "t") };
    let newest = NewDevice { app_version: Some("v".repeat(65)), ..device("phone", PushKind::Ntfy, "t") };
    for (new, want) in [
        (device("", PushKind::Ntfy, "t"), "`device_id` must be 1 to 128 bytes on one line"),
        (device(&"d".repeat(129), PushKind::Ntfy, "t"), "`device_id` must be 1 to 128 bytes on one line"),
        (odd, "`platform` must be 1 to 64 bytes on one line"),
        (newest, "`app_version` must be 1 to 64 bytes on one line"),
        (device("phone", PushKind::Fcm, &long), "`token` is 600 bytes, the limit is 512"),
        (device("phone", PushKind::Apns, "canary"), "`token` must be 64 to 200 hexadecimal digits"),
        (device("phone", PushKind::Fcm, ""), "`token` is empty"),
    ] {
        let refused = refusal(node.platform.register_device(&ada, new).await);
        assert_eq!(refused, format!("VALIDATION_FAILED: {want}"));
    }
    let named = node.platform.devices(&admin(), &home(), &"u".repeat(257)).await;
    assert!(refusal(named).starts_with("VALIDATION_FAILED: `user_id`"));
}

#[tokio::test]
async fn a_user_has_so_many_devices_and_no_more() {
    let node = node().await;
    for index in 0..20 {
        register(&node, "0xada", &format!("d{index}"), PushKind::Fcm, &format!("t{index}")).await;
    }
    let more = node.platform.register_device(&user("0xada"), device("d20", PushKind::Fcm, "t20")).await;
    assert!(refusal(more).starts_with("CONFLICT: no room for another device: a user has at most 20"));
    register(&node, "0xada", "d7", PushKind::Fcm, "new").await;
    register(&node, "0xeve", "d20", PushKind::Fcm, "t20").await;
}

/// The phone is sold: whoever signs in on it gets the messages, and nobody else does.
#[tokio::test]
async fn a_token_belongs_to_who_registered_it_last() {
    let node = node().await;
    register(&node, "0xada", "phone", PushKind::Fcm, "same").await;
    register(&node, "0xbob", "phone", PushKind::Fcm, "same").await;
    assert_eq!((devices_of(&node, "0xada").await.len(), devices_of(&node, "0xbob").await.len()), (0, 1));
    let rows = node.registry.devices(&home(), "0xbob").await.expect("readable");
    assert!(!format!("{rows:?}").contains("same"), "no token in a log");
}
