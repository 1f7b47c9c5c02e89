//! The settings of providers: field by field, sealed, never told.

use bytes::Bytes;
use domain::{EgressPolicy, EgressRule, ErrorCode, NamespaceSettings, PushKind, Scope};
use platform::{Config, PushFieldView};
use ports::{PushSettings, SealedSecrets};

use super::*;

/// What is shown of a namespace's own settings, in a line.
async fn shown(node: &Node) -> String {
    let view = node.platform.push_settings(&admin(), &home()).expect("shown");
    let fields = view.fields.iter().filter_map(|(field, value)| match value {
        PushFieldView::Plain(text) if text.is_empty() => None,
        PushFieldView::Plain(text) => Some(format!("{field}={text}")),
        PushFieldView::Secret { is_set } => is_set.then(|| format!("{field} is set")),
    });
    fields.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_field_is_set_kept_and_cleared_by_itself() {
    let node = node().await;
    assert_eq!(shown(&node).await, "");
    configure(&node, &[(PushField::NtfyBaseUrl, "https://n.example"), (PushField::NtfyAuthToken, "tk")]).await;
    configure(&node, &[(PushField::ExpoAccessToken, "expo")]).await;
    assert_eq!(shown(&node).await, "ntfy_base_url=https://n.example, ntfy_auth_token is set, expo_access_token is set");
    configure(&node, &[(PushField::NtfyAuthToken, ""), (PushField::ApnsKeyId, "")]).await;
    assert_eq!(shown(&node).await, "ntfy_base_url=https://n.example, expo_access_token is set");
    let node = node.restarted().await;
    assert_eq!(shown(&node).await, "ntfy_base_url=https://n.example, expo_access_token is set", "after a restart");
    node.platform.clear_push_settings(&admin(), &home(), Some(PushKind::Ntfy)).await.expect("cleared");
    assert_eq!(shown(&node).await, "expo_access_token is set");
    node.platform.clear_push_settings(&admin(), &home(), None).await.expect("cleared");
    node.platform.clear_push_settings(&admin(), &home(), None).await.expect("cleared again");
    assert_eq!(shown(&node).await, "");
    assert!(node.registry.load_secrets().await.expect("readable").is_empty(), "nothing is left");
}

#[tokio::test]
async fn changes_at_once_all_count() {
    let node = node().await;
    let one = async |field: PushField| drop(configure(&node, &[(field, "x")]).await);
    tokio::join!(one(PushField::NtfyAuthToken), one(PushField::ApnsTopic), one(PushField::VapidSubject));
    assert_eq!(shown(&node).await, "ntfy_auth_token is set, apns_topic=x, vapid_subject=x");
}

#[tokio::test]
async fn a_secret_is_sealed_and_told_to_nobody() {
    let node = node().await;
    let view =
        configure(&node, &[(PushField::NtfyAuthToken, "canary-token"), (PushField::ApnsKeyPem, "canary-key")]).await;
    assert!(!format!("{view:?}").contains("canary"));
    let rows = node.registry.load_secrets().await.expect("readable");
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].sealed.windows(6).any(|bytes| bytes == b"canary"), "it is sealed at rest");
    assert_eq!(node.platform.list_secrets(&admin(), &home()).expect("listed"), []);
    let services = node.services(&home()).await;
    assert!(services.secrets.get(&rows[0].name).expect("readable").is_none(), "functions do not get it");
    let deleted = node.platform.delete_secret(&admin(), &home(), &rows[0].name).await;
    assert_eq!(deleted.err().map(|error| error.code), Some(ErrorCode::NotFound));
    let set = node.platform.set_secret(&admin(), &home(), &rows[0].name, Bytes::from_static(b"x")).await;
    assert_eq!(set.err().map(|error| error.code), Some(ErrorCode::ValidationFailed));
    assert_eq!(services.secrets.mask("ntfy_auth_token"), None, "and it hides nothing in logs");
    // A new data key seals it anew, and it is still there.
    let rotated = node.platform.rotate_secrets(&operator()).await.expect("rotated");
    assert_eq!(rotated.secrets, 1);
    let node = node.restarted().await;
    assert_eq!(shown(&node).await, "ntfy_auth_token is set, apns_key_pem is set");
}

#[tokio::test]
async fn what_is_malformed_is_refused_and_changes_nothing() {
    let node = node().await;
    configure(&node, NTFY).await;
    let changes = vec![(PushField::ApnsKeyPem, "malformed canary".to_owned()), (PushField::ApnsKeyId, "K".to_owned())];
    let refused = node.platform.set_push_settings(&admin(), &home(), changes).await;
    assert_eq!(refusal(refused), "VALIDATION_FAILED: `apns_key_pem` is malformed");
    assert_eq!(shown(&node).await, "ntfy_base_url=https://ntfy.example");
    let large = vec![(PushField::ApnsTopic, "x".repeat(65_537))];
    let refused = node.platform.set_push_settings(&admin(), &home(), large).await;
    assert_eq!(refusal(refused), "PAYLOAD_TOO_LARGE: the settings of push are 65557 bytes, the limit is 65536");
}

#[tokio::test]
async fn who_may_manage_settings() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    let mut owner = user("0xa");
    owner.scopes = domain::Scopes::of([Scope::Deploy]);
    for (caller, namespace, code) in [
        (Caller::anonymous(), home(), Some(ErrorCode::Unauthorized)),
        (user("0xa"), home(), Some(ErrorCode::Forbidden)),
        (key_of(&home(), Scope::Data), home(), Some(ErrorCode::Forbidden)),
        (key_of(&home(), Scope::Deploy), home(), None),
        (owner, home(), None),
        (key_of(&abroad(), Scope::Admin), home(), Some(ErrorCode::NotFound)),
        (operator(), home(), None),
    ] {
        let said = format!("{caller:?}");
        let platform = &node.platform;
        assert_eq!(platform.push_settings(&caller, &namespace).err().map(|error| error.code), code, "{said}");
        let set = platform.set_push_settings(&caller, &namespace, vec![(PushField::ApnsTopic, "x".into())]).await;
        assert_eq!(set.err().map(|error| error.code), code, "{said}");
        let drawn = platform.draw_vapid_key(&caller, &namespace, true).await;
        assert_eq!(drawn.err().map(|error| error.code), code, "{said}");
        let cleared = platform.clear_push_settings(&caller, &namespace, None).await;
        assert_eq!(cleared.err().map(|error| error.code), code, "{said}");
    }
}

#[tokio::test]
async fn a_key_for_browsers_is_made_once() {
    let node = node().await;
    let unset = node.platform.vapid_public_key(&user("0xa"));
    let want = "SERVICE_UNAVAILABLE: push is not configured; set `vapid_private_key` and `vapid_subject` for webpush with \
                `PUT /v1/push/config`";
    assert_eq!(refusal(unset), want);
    let draw = async |replace| node.platform.draw_vapid_key(&admin(), &home(), replace).await;
    assert_eq!(draw(false).await.expect("drawn"), "public-of-drawn");
    assert_eq!(node.platform.vapid_public_key(&user("0xa")).expect("known"), "public-of-drawn");
    assert_eq!(refusal(draw(false).await), "CONFLICT: the namespace has a key for browsers already");
    draw(true).await.expect("replaced");
    assert_eq!(
        refusal(node.platform.vapid_public_key(&Caller::anonymous())),
        "UNAUTHORIZED: a valid credential is required"
    );
}

fn defaults(fields: &[(PushField, &str)]) -> Config {
    let mut push = PushSettings::default();
    fields.iter().for_each(|(field, text)| push.set(*field, *text));
    Config { push, ..Config::default() }
}

#[tokio::test]
async fn a_namespace_stands_on_the_settings_of_the_node() {
    let node =
        node_with(defaults(&[(PushField::NtfyBaseUrl, "https://node.example"), (PushField::NtfyAuthToken, "tk")]));
    let node = node.await;
    let view = node.platform.push_settings(&admin(), &home()).expect("shown");
    assert_eq!((shown(&node).await.as_str(), view.providers), ("", vec![PushKind::Ntfy]));
    register(&node, "0xa", "phone", PushKind::Ntfy, "topic").await;
    let used = async || {
        node.platform.send_push(&admin(), &home(), "0xa", &hello()).await.expect("sent");
        let (settings, _) = node.push.opened().pop().expect("opened");
        let url = settings.get(PushField::NtfyBaseUrl).map(str::to_owned);
        (url.unwrap_or_default(), settings.get(PushField::NtfyAuthToken).is_some())
    };
    assert_eq!(used().await, ("https://node.example".to_owned(), true));
    configure(&node, NTFY).await;
    assert_eq!(used().await, ("https://ntfy.example".to_owned(), false), "the node's token stays at the node's server");
    node.platform.clear_push_settings(&admin(), &home(), None).await.expect("cleared");
    assert_eq!(used().await, ("https://node.example".to_owned(), true));
}

#[tokio::test]
async fn a_node_does_not_start_with_settings_that_cannot_be_used() {
    let mut node = node().await;
    node.platform.close(Duration::from_secs(1)).await;
    let error = node.opens_with(defaults(&[(PushField::ApnsKeyPem, "malformed canary")])).await.expect_err("refused");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert_eq!(
        (error.to_string().as_str(), cause.as_str()),
        ("read the settings of push", "`apns_key_pem` is malformed")
    );
}

#[tokio::test]
async fn a_change_is_in_force_with_the_next_message_and_not_before_one() {
    let node = node().await;
    configure(&node, NTFY).await;
    register(&node, "0xa", "phone", PushKind::Ntfy, "topic").await;
    let opened = || node.push.opened().len();
    let send = async || drop(node.platform.send_push(&admin(), &home(), "0xa", &hello()).await.expect("sent"));
    send().await;
    let before = opened();
    send().await;
    send().await;
    assert_eq!(opened(), before, "the providers are kept");
    configure(&node, &[(PushField::NtfyAuthToken, "tk")]).await;
    let checked = opened();
    send().await;
    assert_eq!(opened(), checked + 1, "made anew");
    // So they are when the operator changes what may be reached.
    let allow = vec![EgressRule::parse("ntfy.example").expect("a rule")];
    let egress = Some(EgressPolicy { allow });
    node.set(&home(), NamespaceSettings { egress: egress.clone(), ..NamespaceSettings::default() }).await;
    send().await;
    assert_eq!(node.push.opened().pop().map(|(_, policies)| policies), egress.map(|egress| vec![egress]));
}

#[tokio::test]
async fn everything_of_push_ends_with_its_namespace() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    let admin_abroad = key_of(&abroad(), Scope::Admin);
    let changes = vec![(PushField::NtfyBaseUrl, "https://ntfy.example".to_owned())];
    node.platform.set_push_settings(&admin_abroad, &abroad(), changes).await.expect("set");
    let someone = user_of(&abroad(), "0xa");
    node.platform.register_device(&someone, device("phone", PushKind::Ntfy, "topic")).await.expect("registered");
    let absent = message(r#"{"body":"x","exclude_provider":"ntfy"}"#);
    let day = Duration::from_secs(86_400);
    node.platform.notify(&admin_abroad, &abroad(), "0xa", &absent, day).await.expect("put into the inbox");
    node.delete_namespace(&abroad()).await;
    let gone = node.platform.register_device(&someone, device("phone", PushKind::Ntfy, "topic")).await;
    assert_eq!(gone.err().map(|error| error.code), Some(ErrorCode::NotFound));
    node.create_namespace(&abroad()).await;
    let view = node.platform.push_settings(&admin_abroad, &abroad()).expect("shown");
    assert!(view.providers.is_empty() && view.updated_at.is_none());
    assert_eq!(node.platform.own_devices(&someone).await.expect("readable"), []);
    assert_eq!(node.platform.inbox(&someone, None, 10).await.expect("readable"), []);
}
