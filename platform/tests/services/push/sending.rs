//! Messages to all devices of a user: batches, further attempts, devices that are gone.

use domain::{ErrorCode, Scope};
use expect_test::expect;
use ports::{DeviceOutcome, PushResult};

use super::*;

async fn send(node: &Node, user: &str, message: &PushMessage) -> PushResult {
    node.platform.send_push(&key_of(&home(), Scope::Data), &home(), user, message).await.expect("sent")
}

fn busy(retry_after: Option<u64>) -> DeviceOutcome {
    DeviceOutcome {
        http_status: Some(429),
        temporary: true,
        retry_after: retry_after.map(Duration::from_secs),
        ..DeviceOutcome::failed("TooManyRequests", "too many")
    }
}

fn gone() -> DeviceOutcome {
    DeviceOutcome { http_status: Some(410), unregistered: true, ..DeviceOutcome::failed("Unregistered", "gone") }
}

#[tokio::test]
async fn every_device_gets_it_in_as_few_requests_as_can_be() {
    let node = node().await;
    configure(&node, &[NTFY, FCM, EXPO].concat()).await;
    for index in 0..5 {
        let token = format!("ExponentPushToken[{index}]");
        register(&node, "0xa", &format!("expo{index}"), PushKind::Expo, &token).await;
    }
    register(&node, "0xa", "phone", PushKind::Fcm, "f1").await;
    register(&node, "0xa", "tablet", PushKind::Fcm, "f2").await;
    register(&node, "0xeve", "phone", PushKind::Ntfy, "eve").await;
    let sent = send(&node, "0xa", &hello()).await;
    assert_eq!((sent.ok, sent.devices_attempted, sent.devices_succeeded), (true, 7, 7));
    let names: Vec<&str> = sent.results.iter().map(|device| device.device_id.as_str()).collect();
    assert_eq!(names, ["expo0", "expo1", "expo2", "expo3", "expo4", "phone", "tablet"], "in the order of the devices");
    let mut requests: Vec<_> = node.push.asked().iter().map(|asked| (asked.kind, asked.tokens.len())).collect();
    requests.sort();
    assert_eq!(requests, [(PushKind::Expo, 5), (PushKind::Fcm, 1), (PushKind::Fcm, 1)]);
    assert_eq!(send(&node, "0xnobody", &hello()).await, PushResult { ok: true, ..PushResult::default() });
}

#[tokio::test]
async fn a_message_may_name_a_provider_or_leave_one_out() {
    let node = node().await;
    configure(&node, &[NTFY, FCM].concat()).await;
    register(&node, "0xa", "phone", PushKind::Fcm, "f1").await;
    register(&node, "0xa", "browser", PushKind::Ntfy, "topic").await;
    let reached = async |json: &str| {
        let sent = send(&node, "0xa", &message(json)).await;
        sent.results.into_iter().map(|device| device.device_id).collect::<Vec<_>>()
    };
    assert_eq!(reached(r#"{"body":"x","target_provider":"fcm"}"#).await, ["phone"]);
    assert_eq!(reached(r#"{"body":"x","exclude_provider":"fcm"}"#).await, ["browser"]);
}

#[tokio::test]
async fn what_is_not_configured_is_named_exactly() {
    let node = node().await;
    register(&node, "0xa", "phone", PushKind::Apns, &"a".repeat(64)).await;
    register(&node, "0xa", "phone2", PushKind::ApnsVoip, &"b".repeat(64)).await;
    let ask =
        async |json: &str| refusal(node.platform.send_push(&admin(), &home(), "0xa", &message(json)).await) + "\n";
    let mut seen = ask(r#"{"body":"x"}"#).await;
    seen += &ask(r#"{"body":"x","target_provider":"fcm"}"#).await;
    configure(&node, &[(PushField::ApnsKeyPem, "k"), (PushField::ApnsKeyId, "i"), (PushField::ApnsTopic, "t")]).await;
    configure(&node, NTFY).await;
    seen += &ask(r#"{"body":"x"}"#).await;
    expect![[r#"
        SERVICE_UNAVAILABLE: push is not configured; set `ntfy_base_url` for ntfy, or `expo_access_token` for expo, or `apns_key_pem` and `apns_key_id` and `apns_team_id` and `apns_topic` for apns, or `vapid_private_key` and `vapid_subject` for webpush, or `fcm_service_account` for fcm with `PUT /v1/push/config`
        SERVICE_UNAVAILABLE: push is not configured; set `fcm_service_account` for fcm with `PUT /v1/push/config`
        SERVICE_UNAVAILABLE: push is not configured; set `apns_team_id` for apns with `PUT /v1/push/config`
    "#]]
    .assert_eq(&seen);
    register(&node, "0xa", "browser", PushKind::Ntfy, "topic").await;
    let sent = send(&node, "0xa", &hello()).await;
    assert_eq!((sent.ok, sent.devices_attempted, sent.devices_succeeded), (false, 3, 1), "one of three has a provider");
    let failed = &sent.results[0];
    assert_eq!(failed.reason.as_deref(), Some("NotConfigured"));
    assert!(failed.message.as_deref().is_some_and(|message| message.contains("`apns_team_id`")));
}

#[tokio::test]
async fn a_function_is_not_told_that_nothing_is_configured() {
    let node = node().await;
    register(&node, "0xa", "phone", PushKind::Fcm, "f1").await;
    let notifier = node.services(&home()).await.notifier.clone();
    let push = async |message: &[u8]| notifier.push(&call(), "0xa", message).await;
    assert_eq!(push(br#"{"body":"x"}"#).await.expect("silent"), PushResult { ok: true, ..PushResult::default() });
    configure(&node, FCM).await;
    let sent = push(br#"{"body":"x"}"#).await.expect("sent");
    assert_eq!((sent.ok, sent.devices_succeeded), (true, 1));
    assert!(refusal(push(b"x").await).starts_with("VALIDATION_FAILED: the message must be a JSON object"));
    let large = format!(r#"{{"body":"{}"}}"#, "x".repeat(16 << 10));
    assert!(refusal(push(large.as_bytes()).await).starts_with("PAYLOAD_TOO_LARGE: the message is 16395 bytes"));
    let nobody = notifier.push(&call(), "", br#"{"body":"x"}"#).await;
    assert!(refusal(nobody).starts_with("VALIDATION_FAILED: `user_id`"));
}

#[tokio::test(start_paused = true)]
async fn who_is_busy_is_asked_again_when_he_says() {
    let node = node().await;
    configure(&node, FCM).await;
    register(&node, "0xa", "phone", PushKind::Fcm, "f1").await;
    node.push.plan("f1", busy(Some(7)));
    let started = tokio::time::Instant::now();
    let sent = send(&node, "0xa", &hello()).await;
    assert_eq!((sent.devices_succeeded, node.push.asked().len()), (1, 2));
    assert_eq!(started.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn attempts_end_and_so_does_the_time() {
    let node = node().await;
    configure(&node, FCM).await;
    register(&node, "0xa", "phone", PushKind::Fcm, "f1").await;
    for _ in 0..10 {
        node.push.plan("f1", busy(None));
    }
    let started = tokio::time::Instant::now();
    let sent = send(&node, "0xa", &hello()).await;
    assert_eq!((sent.ok, sent.results[0].http_status, node.push.asked().len()), (false, Some(429), 4));
    let (least, most) = (Duration::from_millis(1750), Duration::from_millis(3600));
    assert!(
        (least..most).contains(&started.elapsed()),
        "0.5, 1 and 2 s, less what chance takes: {:?}",
        started.elapsed()
    );

    // A provider that wants to be left alone for an hour is not waited for.
    let node = self::node().await;
    configure(&node, FCM).await;
    register(&node, "0xa", "phone", PushKind::Fcm, "f1").await;
    node.push.plan("f1", busy(Some(3600)));
    let started = tokio::time::Instant::now();
    assert!(!send(&node, "0xa", &hello()).await.ok);
    assert!(started.elapsed() < Duration::from_secs(1) && node.push.asked().len() == 1);
}

#[tokio::test(start_paused = true)]
async fn only_who_has_not_got_it_is_asked_again() {
    let node = node().await;
    configure(&node, EXPO).await;
    for index in 0..3 {
        let token = format!("ExponentPushToken[{index}]");
        register(&node, "0xa", &format!("d{index}"), PushKind::Expo, &token).await;
    }
    node.push.plan("ExponentPushToken[1]", busy(None));
    node.push.plan("ExponentPushToken[2]", DeviceOutcome::failed("MessageTooBig", "too big"));
    let sent = send(&node, "0xa", &hello()).await;
    assert_eq!((sent.ok, sent.devices_succeeded), (false, 2), "what stays wrong is not tried again");
    let asked: Vec<usize> = node.push.asked().iter().map(|asked| asked.tokens.len()).collect();
    assert_eq!(asked, [3, 1]);
}

#[tokio::test]
async fn a_device_that_is_gone_is_removed() {
    let node = node().await;
    configure(&node, FCM).await;
    register(&node, "0xa", "old", PushKind::Fcm, "f1").await;
    register(&node, "0xa", "new", PushKind::Fcm, "f2").await;
    node.push.plan("f1", gone());
    let sent = send(&node, "0xa", &hello()).await;
    assert_eq!((sent.ok, sent.devices_attempted, sent.devices_succeeded), (true, 2, 1), "that is no failure");
    assert!(sent.results[0].unregistered);
    assert_eq!(devices_of(&node, "0xa").await, ["new"]);
}

#[tokio::test]
async fn a_device_that_came_back_meanwhile_stays() {
    let node = node().await;
    configure(&node, FCM).await;
    register(&node, "0xa", "phone", PushKind::Fcm, "f1").await;
    node.push.plan("f1", gone());
    let silence = node.push.silence().await;
    let (hello, renew) = (hello(), async {
        while node.push.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        register(&node, "0xa", "phone", PushKind::Fcm, "f2").await;
        drop(silence);
    });
    let (sent, ()) = tokio::join!(send(&node, "0xa", &hello), renew);
    assert!(sent.results[0].unregistered);
    assert_eq!(devices_of(&node, "0xa").await, ["phone"], "it has another token now");
}

#[tokio::test]
async fn what_is_known_later_removes_a_device_too() {
    let node = node().await;
    configure(&node, EXPO).await;
    for (index, known) in [gone(), DeviceOutcome::sent(200)].into_iter().enumerate() {
        let (token, receipt) = (format!("ExponentPushToken[{index}]"), format!("r{index}"));
        register(&node, "0xa", &format!("d{index}"), PushKind::Expo, &token).await;
        node.push.plan(&token, DeviceOutcome { receipt: Some(receipt.clone()), ..DeviceOutcome::sent(200) });
        node.push.plan_receipt(&receipt, known);
    }
    assert!(send(&node, "0xa", &hello()).await.ok);
    node.clock.advance(Duration::from_secs(14 * 60));
    node.platform.collect_receipts().await;
    assert_eq!(devices_of(&node, "0xa").await.len(), 2, "too early");
    node.clock.advance(Duration::from_secs(60));
    node.platform.collect_receipts().await;
    assert_eq!(devices_of(&node, "0xa").await, ["d1"]);
}

#[tokio::test]
async fn a_namespace_has_so_many_requests_on_their_way() {
    let node = node().await;
    configure(&node, FCM).await;
    for owner in 0..4 {
        for index in 0..20 {
            let token = format!("f{owner}-{index}");
            register(&node, &format!("0x{owner}"), &format!("d{index}"), PushKind::Fcm, &token).await;
        }
    }
    let silence = node.push.silence().await;
    let hello = hello();
    let (owners, look) = (["0x0", "0x1", "0x2", "0x3"], async {
        // Whoever could begin has begun by then: nothing here waits for anything but a place.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        let begun = node.push.asked().len();
        drop(silence);
        begun
    });
    let all = futures_util::future::join_all(owners.map(|owner| send(&node, owner, &hello)));
    let (sent, begun) = tokio::join!(all, look);
    assert_eq!((begun, node.push.asked().len()), (32, 80));
    assert!(sent.iter().all(|sent| sent.ok && sent.devices_succeeded == 20));
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_place_in_time_is_told_so() {
    let node = node().await;
    configure(&node, FCM).await;
    register(&node, "0xa", "phone", PushKind::Fcm, "f1").await;
    let _silence = node.push.silence().await;
    let hello = hello();
    // The providers of memory know no deadline: it is that of the places that shows here.
    let occupied = async {
        futures_util::future::join_all((0..32).map(|_| send(&node, "0xa", &hello))).await;
    };
    let late = async {
        while node.push.asked().len() < 32 {
            tokio::task::yield_now().await;
        }
        send(&node, "0xa", &hello).await
    };
    let late = tokio::select! { () = occupied => unreachable!("nobody answers"), late = late => late };
    assert_eq!(late.results[0].reason.as_deref(), Some("Timeout"));
    assert!(late.results[0].message.as_deref().is_some_and(|message| message.contains("on their way")));
}

#[tokio::test]
async fn who_may_send() {
    let node = node().await;
    for (caller, code) in [
        (Caller::anonymous(), Some(ErrorCode::Unauthorized)),
        (user("0xa"), Some(ErrorCode::Forbidden)),
        (key_of(&home(), Scope::Invoke), Some(ErrorCode::Forbidden)),
        (key_of(&abroad(), Scope::Admin), Some(ErrorCode::NotFound)),
        (key_of(&home(), Scope::Data), Some(ErrorCode::ServiceUnavailable)),
    ] {
        let sent = node.platform.send_push(&caller, &home(), "0xa", &hello()).await;
        assert_eq!(sent.err().map(|error| error.code), code, "{caller:?}");
        let day = Duration::from_secs(86_400);
        let notified = node.platform.notify(&caller, &home(), "0xa", &hello(), day).await;
        let code = code.filter(|code| *code != ErrorCode::ServiceUnavailable);
        assert_eq!(notified.err().map(|error| error.code), code, "{caller:?}");
    }
}
