//! Devices and inboxes.

use domain::PushKind;

use super::{at, create, namespace, refused};
use crate::RegistryError::{Conflict, NotFound};
use crate::{InboxMessage, Registry, RowLimits, StoredDevice};

pub(super) const ROOM: RowLimits = RowLimits { owner_max: 10, namespace_max: 100 };

pub(super) fn device(ns: &str, owner: &str, id: &str, provider: PushKind, token: &str) -> StoredDevice {
    StoredDevice {
        id: format!("{ns}-{owner}-{id}"),
        namespace: namespace(ns),
        owner: owner.to_owned(),
        device_id: id.to_owned(),
        provider,
        token: token.to_owned(),
        platform: None,
        app_version: Some("1.0".to_owned()),
        created_at: at(1),
        updated_at: at(1),
    }
}

pub(super) fn message(ns: &str, owner: &str, id: &str, expires: i64) -> InboxMessage {
    InboxMessage {
        id: format!("{ns}-{id}"),
        namespace: namespace(ns),
        owner: owner.to_owned(),
        message: r#"{"body":"hello"}"#.to_owned(),
        created_at: at(1),
        expires_at: at(expires),
    }
}

pub(super) async fn push(registry: &dyn Registry) {
    create(registry, "push").await;
    create(registry, "push2").await;
    devices(registry).await;
    tokens_have_one_device(registry).await;
    devices_have_limits(registry).await;
    inboxes(registry).await;
    inboxes_have_limits(registry).await;
}

async fn names(registry: &dyn Registry, ns: &str, owner: &str) -> Vec<String> {
    let devices = registry.devices(&namespace(ns), owner).await.expect("devices");
    devices.into_iter().map(|device| device.device_id).collect()
}

async fn devices(registry: &dyn Registry) {
    let (ada, home) = ("0xada", namespace("push"));
    let phone = device("push", ada, "phone", PushKind::Fcm, "t1");
    assert_eq!(registry.put_device(phone.clone(), ROOM).await.expect("put"), "push-0xada-phone");
    let tablet = StoredDevice { created_at: at(2), ..device("push", ada, "tablet", PushKind::Apns, "t2") };
    registry.put_device(tablet.clone(), ROOM).await.expect("put");
    registry.put_device(device("push2", ada, "phone", PushKind::Fcm, "t1"), ROOM).await.expect("put abroad");
    refused!(registry.put_device(device("nowhere", ada, "phone", PushKind::Fcm, "t9"), ROOM), NotFound);
    assert_eq!(registry.devices(&home, ada).await.expect("devices"), [phone.clone(), tablet.clone()]);

    let renewed = StoredDevice {
        id: "another".to_owned(),
        token: "t3".to_owned(),
        platform: Some("android".to_owned()),
        created_at: at(9),
        updated_at: at(9),
        ..phone.clone()
    };
    assert_eq!(registry.put_device(renewed.clone(), ROOM).await.expect("put again"), phone.id);
    let kept = StoredDevice { id: phone.id.clone(), created_at: at(1), ..renewed };
    assert_eq!(registry.devices(&home, ada).await.expect("devices"), [kept, tablet]);
    // The same device may have a token of each provider.
    registry.put_device(device("push", ada, "phone2", PushKind::Fcm, "t4"), ROOM).await.expect("put");
    let voip = StoredDevice { id: "voip".to_owned(), ..device("push", ada, "tablet", PushKind::ApnsVoip, "t2") };
    registry.put_device(voip, ROOM).await.expect("put");
    assert_eq!(names(registry, "push", ada).await.len(), 4);

    refused!(registry.delete_device(&home, "0xeve", &phone.id), NotFound);
    refused!(registry.delete_device(&namespace("push2"), ada, &phone.id), NotFound);
    registry.delete_device(&home, ada, "voip").await.expect("delete");
    refused!(registry.delete_device(&home, ada, "voip"), NotFound);
    assert!(!registry.forget_device(&home, &phone.id, "t1").await.expect("forget"), "it has another token now");
    assert!(!registry.forget_device(&namespace("push2"), &phone.id, "t3").await.expect("forget"));
    assert!(registry.forget_device(&home, &phone.id, "t3").await.expect("forget"));
    assert_eq!(names(registry, "push", ada).await, ["phone2", "tablet"]);
    assert_eq!(names(registry, "push2", ada).await, ["phone"], "the namesake is there");
}

/// Who signs in on the device of another gets that one's messages no more, and the other none of his.
async fn tokens_have_one_device(registry: &dyn Registry) {
    registry.put_device(device("push", "ann", "shared", PushKind::Expo, "same"), ROOM).await.expect("put");
    registry.put_device(device("push", "bob", "shared", PushKind::Expo, "same"), ROOM).await.expect("put");
    assert_eq!((names(registry, "push", "ann").await.len(), names(registry, "push", "bob").await.len()), (0, 1));
    registry.put_device(device("push", "bob", "renamed", PushKind::Expo, "same"), ROOM).await.expect("put");
    assert_eq!(names(registry, "push", "bob").await, ["renamed"]);
    for (owner, id) in [("ann", "a"), ("bob", "b"), ("bob", "c")] {
        registry.put_device(device("push", owner, id, PushKind::Ntfy, "topic"), ROOM).await.expect("put");
    }
    assert_eq!(names(registry, "push", "ann").await, ["a"], "a topic has several readers");
    assert_eq!(names(registry, "push", "bob").await, ["c", "renamed"], "but no reader twice");
}

async fn devices_have_limits(registry: &dyn Registry) {
    let two = RowLimits { owner_max: 2, namespace_max: 100 };
    for id in ["1", "2"] {
        registry.put_device(device("push", "many", id, PushKind::Fcm, id), two).await.expect("put");
    }
    refused!(registry.put_device(device("push", "many", "3", PushKind::Fcm, "t4"), two), Conflict(_));
    assert_eq!(names(registry, "push", "0xada").await, ["phone2", "tablet"], "who is refused takes no token");
    registry.put_device(device("push", "many", "2", PushKind::Fcm, "22"), two).await.expect("renew");
    let here = RowLimits { owner_max: 10, namespace_max: 1 };
    refused!(registry.put_device(device("push2", "new", "1", PushKind::Fcm, "n"), here), Conflict(_));
}

async fn inbox(registry: &dyn Registry, ns: &str, owner: &str, after: Option<&str>, now: i64) -> Vec<String> {
    let found = registry.inbox(&namespace(ns), owner, after, at(now), 2).await.expect("inbox");
    found.into_iter().map(|message| message.id).collect()
}

async fn inboxes(registry: &dyn Registry) {
    let home = namespace("push");
    for (owner, id, expires) in [("ada", "3", 30), ("ada", "1", 10), ("ada", "2", 20), ("eve", "4", 40)] {
        registry.put_in_inbox(message("push", owner, id, expires), ROOM).await.expect("put");
    }
    registry.put_in_inbox(message("push2", "ada", "5", 50), ROOM).await.expect("put abroad");
    refused!(registry.put_in_inbox(message("nowhere", "ada", "6", 50), ROOM), NotFound);
    let first = registry.inbox(&home, "ada", None, at(0), 1).await.expect("inbox");
    assert_eq!(first, [message("push", "ada", "1", 10)]);
    assert_eq!(inbox(registry, "push", "ada", None, 0).await, ["push-1", "push-2"], "two at once, oldest first");
    assert_eq!(inbox(registry, "push", "ada", Some("push-2"), 0).await, ["push-3"]);
    assert_eq!(inbox(registry, "push", "ada", None, 10).await, ["push-2", "push-3"], "the first has expired");

    refused!(registry.delete_from_inbox(&home, "ada", "push-4"), NotFound);
    refused!(registry.delete_from_inbox(&namespace("push2"), "ada", "push-2"), NotFound);
    registry.delete_from_inbox(&home, "ada", "push-2").await.expect("delete");
    refused!(registry.delete_from_inbox(&home, "ada", "push-2"), NotFound);
    assert_eq!(registry.expire_inbox(at(30)).await.expect("expire"), 2);
    assert_eq!(inbox(registry, "push", "ada", None, 0).await, [""; 0]);
    assert_eq!(inbox(registry, "push", "eve", None, 0).await, ["push-4"]);
    assert_eq!(inbox(registry, "push2", "ada", None, 0).await, ["push2-5"]);
}

async fn inboxes_have_limits(registry: &dyn Registry) {
    let two = RowLimits { owner_max: 2, namespace_max: 4 };
    for id in ["6", "7", "8"] {
        registry.put_in_inbox(message("push", "ann", id, 90), two).await.expect("put");
    }
    assert_eq!(inbox(registry, "push", "ann", None, 0).await, ["push-7", "push-8"], "the oldest made room");
    assert_eq!(inbox(registry, "push", "eve", None, 0).await, ["push-4"], "and nobody else's");
    registry.put_in_inbox(message("push", "bob", "9", 90), two).await.expect("put");
    refused!(registry.put_in_inbox(message("push", "new", "a", 90), two), Conflict(_));
    assert_eq!(inbox(registry, "push", "new", None, 0).await, [""; 0]);
}
