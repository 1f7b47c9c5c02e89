//! Notifications: a live socket, a device, or the inbox.

use std::net::Ipv4Addr;

use domain::FunctionName;
use platform::{Attached, Delivery, INBOX_DEFAULT, NewSocket};
use ports::{DeviceOutcome, Notified};
use serde_json::{Value, json};

use super::*;

async fn notify(node: &Node, user: &str) -> Notified {
    node.platform.notify(&admin(), &home(), user, &hello(), INBOX_DEFAULT).await.expect("notified")
}

fn connect(node: &Node, caller: Caller) -> Attached {
    node.platform.attach_socket(NewSocket {
        namespace: home(),
        function: FunctionName::parse("chat").expect("a name"),
        version: None,
        caller: Arc::new(caller),
        address: Ipv4Addr::LOCALHOST.into(),
    })
}

async fn received(socket: &mut Attached) -> Value {
    match socket.next().await {
        Delivery::Frame(frame) if frame.text => serde_json::from_slice(&frame.data).expect("JSON"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_live_socket_comes_first() {
    let node = node().await;
    configure(&node, FCM).await;
    register(&node, "0xa", "phone", PushKind::Fcm, "f1").await;
    let (mut one, mut two) = (connect(&node, user("0xa")), connect(&node, user("0xa")));
    let other = connect(&node, user("0xeve"));
    assert_eq!(notify(&node, "0xa").await, Notified::Socket { sockets: 2 });
    let (event, same) = (received(&mut one).await, received(&mut two).await);
    assert_eq!(event, same);
    let id = event["id"].as_str().expect("an id");
    let message = json!({ "title": "Hello", "body": "you" });
    let want = json!({ "_orama": "notify", "id": id, "message": message, "timestamp": 1_767_225_600_000_i64 });
    assert_eq!((event.clone(), id.len()), (want, 36));
    assert!(node.push.asked().is_empty(), "and nothing else is tried");
    drop((one, two, other));
    assert!(matches!(notify(&node, "0xa").await, Notified::Push { .. }), "they are gone");
}

#[tokio::test]
async fn then_comes_push_and_then_the_inbox() {
    let node = node().await;
    let ada = user("0xa");
    let Notified::Inbox { id, expires_at } = notify(&node, "0xa").await else { panic!("nothing is configured") };
    let inbox = node.platform.inbox(&ada, None, 10).await.expect("readable");
    assert_eq!((inbox.len(), &inbox[0].id, inbox[0].expires_at), (1, &id, expires_at));
    assert_eq!(inbox[0].message, r#"{"title":"Hello","body":"you"}"#);
    assert_eq!(expires_at.duration_since(inbox[0].created_at).as_secs(), 7 * 86_400);

    configure(&node, FCM).await;
    assert!(matches!(notify(&node, "0xa").await, Notified::Inbox { .. }), "there is no device");
    register(&node, "0xa", "phone", PushKind::Fcm, "f1").await;
    node.push.plan("f1", DeviceOutcome::failed("Broken", "broken"));
    assert!(matches!(notify(&node, "0xa").await, Notified::Inbox { .. }), "it did not get it");
    let Notified::Push { push } = notify(&node, "0xa").await else { panic!("now it does") };
    assert_eq!((push.ok, push.devices_succeeded), (true, 1));
    assert_eq!(node.platform.inbox(&ada, None, 10).await.expect("readable").len(), 3);
}

#[tokio::test]
async fn an_inbox_is_read_in_order_and_by_its_owner_alone() {
    let node = node().await;
    let (ada, eve) = (user("0xa"), user("0xeve"));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let Notified::Inbox { id, .. } = notify(&node, "0xa").await else { panic!("nothing is configured") };
        ids.push(id);
    }
    let read = async |after: Option<&str>, limit| {
        let found = node.platform.inbox(&ada, after, limit).await.expect("readable");
        found.into_iter().map(|message| message.id).collect::<Vec<_>>()
    };
    assert_eq!(read(None, 2).await, ids[..2]);
    assert_eq!(read(Some(&ids[1]), 2).await, ids[2..]);
    assert_eq!(node.platform.inbox(&eve, None, 10).await.expect("readable"), []);
    assert_eq!(refusal(node.platform.delete_from_inbox(&eve, &ids[0]).await), "NOT_FOUND: message not found");
    node.platform.delete_from_inbox(&ada, &ids[0]).await.expect("deleted");
    assert_eq!(read(None, 10).await, ids[1..]);
}

#[tokio::test]
async fn a_message_expires_and_the_oldest_make_room() {
    let node = node().await;
    let ada = user("0xa");
    let hour = Duration::from_secs(3600);
    node.platform.notify(&admin(), &home(), "0xa", &hello(), hour).await.expect("notified");
    notify(&node, "0xa").await;
    let count = async || node.platform.inbox(&ada, None, 100).await.expect("readable").len();
    assert_eq!(count().await, 2);
    node.clock.advance(hour);
    assert_eq!(count().await, 1, "to the moment");
    let first = node.platform.inbox(&ada, None, 1).await.expect("readable").remove(0).id;
    for _ in 0..100 {
        notify(&node, "0xa").await;
    }
    let all = node.platform.inbox(&ada, None, 1000).await.expect("readable");
    assert!(all.len() == 100 && all.iter().all(|message| message.id != first));
}

#[tokio::test]
async fn a_function_notifies_like_anybody_else() {
    let node = node().await;
    let notifier = node.services(&home()).await.notifier.clone();
    let notified = notifier.notify(&call(), "0xa", br#"{"body":"x"}"#).await.expect("notified");
    assert!(matches!(notified, Notified::Inbox { .. }));
    let mut socket = connect(&node, user("0xa"));
    let notified = notifier.notify(&call(), "0xa", br#"{"body":"x"}"#).await.expect("notified");
    assert_eq!(notified, Notified::Socket { sockets: 1 });
    assert_eq!(received(&mut socket).await["message"], json!({ "body": "x" }));
    assert!(refusal(notifier.notify(&call(), "0xa", b"[]").await).starts_with("VALIDATION_FAILED"));
}
