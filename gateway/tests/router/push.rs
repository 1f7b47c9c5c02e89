//! Push as clients see it: settings, devices, messages, notifications.

use domain::PushKind;
use expect_test::{Expect, expect};
use http::Method;
use ports::{DeviceOutcome, PushField};
use serde_json::{Value, json};

use crate::support::wallet::TestWallet;
use crate::support::{House, Seen, request, with_header, with_key};

const CONFIG: &str = "/v1/push/config";
const CREDENTIALS: &str = "/v1/namespace/push-credentials";
const DEVICES: &str = "/v1/push/devices";
const SEND: &str = "/v1/push/send";

/// What was answered, without what is drawn or told by a clock.
#[track_caller]
fn check(seen: &Seen, want: Expect) {
    want.assert_eq(&seen.snapshot());
}

async fn put(house: &House, path: &str, body: Value) -> Seen {
    house.send(with_key(request(Method::PUT, path, body.to_string()), &house.deployer)).await
}

async fn get(house: &House, path: &str) -> Seen {
    house.send(with_key(request(Method::GET, path, ""), &house.deployer)).await
}

/// Somebody with a wallet, and nothing more.
struct User<'a> {
    house: &'a House,
    token: String,
    wallet: String,
}

impl<'a> User<'a> {
    async fn sign_in(house: &'a House, seed: u8) -> Self {
        let wallet = TestWallet::new(seed);
        let token = wallet.sign_in(house).await.text("access_token");
        Self { house, token, wallet: wallet.address() }
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<bytes::Bytes>) -> Seen {
        let request = request(method, path, body);
        self.house.send(with_header(request, "authorization", &format!("Bearer {}", self.token))).await
    }

    async fn register(&self, id: &str, provider: PushKind, token: &str) -> String {
        let body = json!({ "device_id": id, "provider": provider, "token": token }).to_string();
        let seen = self.send(Method::POST, DEVICES, body).await;
        assert_eq!(seen.status, 200, "{seen:?}");
        seen.text("id")
    }
}

#[tokio::test]
async fn settings_are_set_field_by_field_and_shown_without_secrets() {
    let house = House::open().await;
    check(
        &get(&house, CONFIG).await,
        expect![[r#"
            200
            {
              "apns_key_id": "",
              "apns_sandbox": false,
              "apns_team_id": "",
              "apns_topic": "",
              "has_apns_key_pem": false,
              "has_expo_access_token": false,
              "has_fcm_service_account": false,
              "has_ntfy_auth_token": false,
              "has_vapid_private_key": false,
              "namespace": "default",
              "ntfy_base_url": "",
              "providers": [],
              "updated_at": null,
              "vapid_public_key": null,
              "vapid_subject": ""
            }
        "#]],
    );
    let all = json!({
        "ntfy_base_url": "https://ntfy.example", "ntfy_auth_token": "canary", "expo_access_token": "canary",
        "apns_sandbox": true, "fcm_service_account": { "type": "service_account", "private_key": "canary" },
    });
    let seen = put(&house, CONFIG, all).await;
    check(
        &seen,
        expect![[r#"
            200
            {
              "apns_key_id": "",
              "apns_sandbox": true,
              "apns_team_id": "",
              "apns_topic": "",
              "has_apns_key_pem": false,
              "has_expo_access_token": true,
              "has_fcm_service_account": true,
              "has_ntfy_auth_token": true,
              "has_vapid_private_key": false,
              "namespace": "default",
              "ntfy_base_url": "https://ntfy.example",
              "providers": [
                "ntfy",
                "expo",
                "fcm"
              ],
              "status": "ok",
              "updated_at": "2026-01-01T00:00:00Z",
              "vapid_public_key": null,
              "vapid_subject": ""
            }
        "#]],
    );
    // By POST too; `null` and what is absent stay, an empty text goes.
    let change = json!({ "ntfy_base_url": null, "ntfy_auth_token": "", "apns_sandbox": false }).to_string();
    let seen = house.send(with_key(request(Method::POST, CONFIG, change), &house.deployer)).await.json();
    let kept = ["ntfy_base_url", "has_ntfy_auth_token", "has_expo_access_token", "apns_sandbox"];
    assert_eq!(
        kept.map(|name| &seen[name]),
        [&json!("https://ntfy.example"), &json!(false), &json!(true), &json!(false)]
    );
    check(
        &house.admin(Method::DELETE, CONFIG, "").await,
        expect![[r#"
            200
            {
              "status": "cleared"
            }
        "#]],
    );
    assert_eq!(get(&house, CONFIG).await.json()["providers"], json!([]));
}

#[tokio::test]
async fn what_is_wrong_with_settings_is_said_by_field() {
    let house = House::open().await;
    let mut seen = String::new();
    for body in [
        json!({ "fcm_server_key": "AAAAcanary:legacy" }),
        json!({ "fcm_server_key": null, "ntfy_base_url": "https://ntfy.example" }),
        json!({ "ntfy_base_uri": "https://ntfy.example" }),
        json!({ "ntfy_base_url": 5 }),
        json!({ "apns_sandbox": 1 }),
        json!({ "apns_key_pem": "malformed canary" }),
        json!(["canary"]),
    ] {
        let refused = put(&house, CONFIG, body).await;
        assert_eq!(refused.status, 400);
        seen += &format!("{}\n", refused.text("error"));
    }
    assert!(!seen.contains("canary"));
    expect![[r#"
        `fcm_server_key` belongs to an API that its provider has switched off: no server key is accepted any more; set `fcm_service_account` to the JSON file of a service account
        `fcm_server_key` belongs to an API that its provider has switched off: no server key is accepted any more; set `fcm_service_account` to the JSON file of a service account
        unknown field `ntfy_base_uri`; did you mean `ntfy_base_url`?
        `ntfy_base_url` must be a text
        `apns_sandbox` must be a text
        `apns_key_pem` is malformed
        the body must be a JSON object
    "#]]
    .assert_eq(&seen);
    let of = |size: usize| format!(r#"{{"apns_topic":"{}"}}"#, "x".repeat(size - 17));
    let send = async |size: usize| {
        house.send(with_key(request(Method::PUT, CONFIG, of(size)), &house.deployer)).await.status.as_u16()
    };
    assert_eq!((send(16 << 10).await, send((16 << 10) + 1).await), (200, 413));
}

#[tokio::test]
async fn credentials_can_be_managed_by_provider() {
    let house = House::open().await;
    let apns = format!("{CREDENTIALS}/apns");
    let fields = json!({ "apns_key_pem": "canary", "apns_key_id": "K", "apns_team_id": "T", "apns_topic": "a.b" });
    put(&house, &format!("{CREDENTIALS}/ntfy"), json!({ "ntfy_base_url": "https://ntfy.example" })).await;
    check(
        &put(&house, &apns, fields).await,
        expect![[r#"
            200
            {
              "apns_key_id": "K",
              "apns_sandbox": false,
              "apns_team_id": "T",
              "apns_topic": "a.b",
              "configured": true,
              "has_apns_key_pem": true,
              "namespace": "default",
              "status": "ok",
              "updated_at": "2026-01-01T00:00:00Z"
            }
        "#]],
    );
    let foreign = put(&house, &apns, json!({ "ntfy_base_url": "https://x.example" })).await;
    assert_eq!((foreign.status.as_u16(), foreign.code().as_str()), (400, "VALIDATION_FAILED"));
    for unknown in ["pigeon", "apns_voip", "..%2Fapns"] {
        let seen = get(&house, &format!("{CREDENTIALS}/{unknown}")).await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (404, "NOT_FOUND"), "{unknown}");
    }
    assert_eq!(get(&house, CREDENTIALS).await.json()["providers"], json!(["ntfy", "apns", "apns_voip"]));
    house.admin(Method::DELETE, &apns, "").await;
    assert_eq!(get(&house, &apns).await.json()["configured"], false);
    assert_eq!(get(&house, CREDENTIALS).await.json()["providers"], json!(["ntfy"]));
    house.admin(Method::DELETE, CREDENTIALS, "").await;
    assert_eq!(get(&house, CREDENTIALS).await.json()["providers"], json!([]));
}

#[tokio::test]
async fn a_key_for_browsers_is_made_on_request() {
    let house = House::open().await;
    let make = async |body: &str| house.admin(Method::POST, "/v1/push/vapid-key", body.to_owned()).await;
    let user = User::sign_in(&house, 1).await;
    assert_eq!(user.send(Method::GET, "/v1/push/vapid-public-key", "").await.status, 503);
    let made = make("").await;
    assert_eq!((made.status.as_u16(), made.json()), (201, json!({ "public_key": "public-of-drawn" })));
    assert_eq!(make("{}").await.status, 409);
    assert_eq!(make(r#"{"replace":true}"#).await.status, 201);
    let known = user.send(Method::GET, "/v1/push/vapid-public-key", "").await;
    assert_eq!(known.json(), json!({ "public_key": "public-of-drawn" }));
}

#[tokio::test]
async fn devices_are_registered_by_users_and_shown_without_tokens() {
    let house = House::open().await;
    let user = User::sign_in(&house, 1).await;
    let body = json!({
        "device_id": "phone", "provider": "fcm", "token": "canary:1", "platform": "android", "app_version": "1.2",
    });
    check(
        &user.send(Method::POST, DEVICES, body.to_string()).await,
        expect![[r#"
            200
            {
              "device_id": "phone",
              "id": "<id>",
              "status": "ok"
            }
        "#]],
    );
    let listed = user.send(Method::GET, DEVICES, "").await;
    check(
        &listed,
        expect![[r#"
            200
            {
              "count": 1,
              "devices": [
                {
                  "app_version": "1.2",
                  "created_at": "2026-01-01T00:00:00Z",
                  "device_id": "phone",
                  "id": "<id>",
                  "last_seen": "2026-01-01T00:00:00Z",
                  "platform": "android",
                  "provider": "fcm",
                  "updated_at": "2026-01-01T00:00:00Z"
                }
              ]
            }
        "#]],
    );
    // Who may send may look, too; others may not.
    let of_user = format!("{DEVICES}?user_id={}", user.wallet);
    assert_eq!(house.client(Method::GET, &of_user, "").await.json()["count"], 1);
    assert_eq!(user.send(Method::GET, &of_user, "").await.status, 403);
    let other = User::sign_in(&house, 2).await;
    let id = listed.json()["devices"][0]["id"].as_str().expect("an id").to_owned();
    let delete = async |user: &User<'_>| user.send(Method::DELETE, &format!("{DEVICES}/{id}"), "").await;
    assert_eq!(delete(&other).await.status, 404);
    let deleted = delete(&user).await;
    assert_eq!((deleted.status.as_u16(), deleted.json()), (200, json!({ "status": "ok" })));
    assert_eq!(delete(&user).await.status, 404);
}

#[tokio::test]
async fn a_key_is_no_user() {
    let house = House::open().await;
    check(
        &house.client(Method::GET, DEVICES, "").await,
        expect![[r#"
            401
            {
              "code": "UNAUTHORIZED",
              "error": "the token of a user is required",
              "hint": "sign in with a wallet: `POST /v1/auth/challenge`, then `POST /v1/auth/verify`",
              "message": "the token of a user is required",
              "ok": false,
              "request_id": "<id>",
              "retryable": false
            }
        "#]],
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_device_is_said() {
    let house = House::open().await;
    let user = User::sign_in(&house, 1).await;
    let mut seen = String::new();
    for body in [
        json!({}),
        json!({ "provider": "pigeon", "device_id": "d", "token": "t" }),
        json!({ "provider": "fcm", "token": "t" }),
        json!({ "provider": "fcm", "device_id": "d" }),
        json!({ "provider": "fcm", "device_id": "d", "token": "c".repeat(513) }),
        json!({ "provider": "fcm", "device_id": "d", "token": ["t"] }),
        json!({ "provider": "apns", "device_id": "d", "token": "../../3" }),
    ] {
        let refused = user.send(Method::POST, DEVICES, body.to_string()).await;
        assert_eq!(refused.status, 400);
        seen += &format!("{}\n", refused.text("error"));
    }
    expect![[r#"
        provider is required
        `provider`: "pigeon" is no push provider; known are `ntfy`, `expo`, `apns`, `apns_voip`, `webpush` and `fcm`
        device_id is required
        token is required
        `token` is 513 bytes, the limit is 512
        `token` must be a text
        `token` must be 64 to 200 hexadecimal digits
    "#]]
    .assert_eq(&seen);
}

/// A user with two devices of Firebase.
async fn with_devices(house: &House) -> User<'_> {
    put(house, CONFIG, json!({ PushField::FcmServiceAccount.as_str(): "{}" })).await;
    let user = User::sign_in(house, 1).await;
    user.register("phone", PushKind::Fcm, "f1").await;
    user.register("tablet", PushKind::Fcm, "f2").await;
    user
}

#[tokio::test]
async fn a_message_is_sent_to_every_device() {
    let house = House::open().await;
    let user = with_devices(&house).await;
    let body = json!({ "user_id": user.wallet, "title": "Hello", "data": { "a": 1 }, "priority": "high" });
    check(
        &house.post(SEND, body).await,
        expect![[r#"
            200
            {
              "devices_attempted": 2,
              "devices_succeeded": 2,
              "ok": true,
              "results": [
                {
                  "device_id": "phone",
                  "http_status": 200,
                  "provider": "fcm",
                  "success": true
                },
                {
                  "device_id": "tablet",
                  "http_status": 200,
                  "provider": "fcm",
                  "success": true
                }
              ],
              "status": "ok"
            }
        "#]],
    );
    let asked = house.push.asked().remove(0).message;
    assert_eq!(asked.to_json(), r#"{"title":"Hello","priority":"high","data":{"a":1}}"#);
}

#[tokio::test]
async fn a_device_that_fails_is_a_bad_gateway() {
    let house = House::open().await;
    let user = with_devices(&house).await;
    let failed =
        DeviceOutcome { http_status: Some(403), ..DeviceOutcome::failed("SENDER_ID_MISMATCH", "another sender") };
    house.push.plan("f2", failed);
    check(
        &house.post(SEND, json!({ "user_id": user.wallet, "body": "x" })).await,
        expect![[r#"
            502
            {
              "code": "SERVICE_UNAVAILABLE",
              "devices_attempted": 2,
              "devices_succeeded": 1,
              "error": "1 of 2 devices failed: tablet (fcm): another sender",
              "message": "1 of 2 devices failed: tablet (fcm): another sender",
              "ok": false,
              "request_id": "<id>",
              "results": [
                {
                  "device_id": "phone",
                  "http_status": 200,
                  "provider": "fcm",
                  "success": true
                },
                {
                  "device_id": "tablet",
                  "http_status": 403,
                  "message": "another sender",
                  "provider": "fcm",
                  "reason": "SENDER_ID_MISMATCH",
                  "success": false
                }
              ],
              "retryable": false
            }
        "#]],
    );
}

#[tokio::test]
async fn what_is_not_configured_is_named() {
    let house = House::open().await;
    let body = json!({ "user_id": "0xa", "body": "x", "target_provider": "ntfy" });
    check(
        &house.post(SEND, body).await,
        expect![[r#"
            503
            {
              "code": "SERVICE_UNAVAILABLE",
              "error": "push is not configured; set `ntfy_base_url` for ntfy with `PUT /v1/push/config`",
              "hint": "`orama push config set` does it; the operator can set it for every namespace under `push` in orama.yaml",
              "message": "push is not configured; set `ntfy_base_url` for ntfy with `PUT /v1/push/config`",
              "ok": false,
              "request_id": "<id>",
              "retryable": true
            }
        "#]],
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_said() {
    let house = House::open().await;
    let mut seen = String::new();
    for body in [
        json!({ "body": "x" }),
        json!({ "user_id": "0xa" }),
        json!({ "user_id": "0xa", "body": 5 }),
        json!({ "user_id": "0xa", "body": "x", "target_provider": "pigeon" }),
        json!({ "user_id": "a\nb", "body": "x" }),
        json!({ "user_id": "u".repeat(257), "body": "x" }),
    ] {
        let refused = house.post(SEND, body).await;
        assert_eq!(refused.status, 400);
        seen += &format!("{}\n", refused.text("error"));
    }
    expect![[r#"
        user_id is required
        the message is empty; set `title`, `body` or `data`
        `body` must be a text
        `target_provider`: "pigeon" is no push provider; known are `ntfy`, `expo`, `apns`, `apns_voip`, `webpush` and `fcm`
        `user_id` must be a wallet or an account of 1 to 256 bytes
        `user_id` must be a wallet or an account of 1 to 256 bytes
    "#]]
    .assert_eq(&seen);
    let of = |size: usize| format!(r#"{{"user_id":"a","body":"{}"}}"#, "x".repeat(size - 25));
    let send = async |path: &str, size: usize| house.client(Method::POST, path, of(size)).await.status.as_u16();
    assert_eq!((send(SEND, 16 << 10).await, send(SEND, (16 << 10) + 1).await), (503, 413));
    assert_eq!((send("/v1/notify", 16 << 10).await, send("/v1/notify", (16 << 10) + 1).await), (200, 413));
}

#[tokio::test]
async fn a_notification_says_how_it_got_there() {
    let house = House::open().await;
    let user = User::sign_in(&house, 1).await;
    let notify = async |more: Value| {
        let mut body = json!({ "user_id": user.wallet, "body": "x" });
        more.as_object().into_iter().flatten().for_each(|(name, value)| body[name] = value.clone());
        house.post("/v1/notify", body).await
    };
    check(
        &notify(json!({ "expires_in_seconds": 3600 })).await,
        expect![[r#"
            200
            {
              "expires_at": "2026-01-01T01:00:00Z",
              "id": "<id>",
              "via": "inbox"
            }
        "#]],
    );
    put(&house, CONFIG, json!({ "fcm_service_account": "{}" })).await;
    user.register("phone", PushKind::Fcm, "f1").await;
    check(
        &notify(json!({})).await,
        expect![[r#"
            200
            {
              "push": {
                "devices_attempted": 1,
                "devices_succeeded": 1,
                "ok": true,
                "results": [
                  {
                    "device_id": "phone",
                    "http_status": 200,
                    "provider": "fcm",
                    "success": true
                  }
                ]
              },
              "via": "push"
            }
        "#]],
    );
    for seconds in [json!(0), json!(-1), json!(2_592_001), json!("1")] {
        assert_eq!(notify(json!({ "expires_in_seconds": seconds })).await.status, 400, "{seconds}");
    }
    let slip = notify(json!({ "expires_in": 60 })).await;
    assert_eq!((slip.status.as_u16(), slip.code().as_str()), (400, "VALIDATION_FAILED"));
}

#[tokio::test]
async fn an_inbox_is_read_page_by_page() {
    let house = House::open().await;
    let user = User::sign_in(&house, 1).await;
    for body in ["one", "two"] {
        house.post("/v1/notify", json!({ "user_id": user.wallet, "body": body })).await;
    }
    let first = user.send(Method::GET, "/v1/inbox?limit=1", "").await;
    check(
        &first,
        expect![[r#"
            200
            {
              "count": 1,
              "messages": [
                {
                  "created_at": "2026-01-01T00:00:00Z",
                  "expires_at": "2026-01-08T00:00:00Z",
                  "id": "<id>",
                  "message": {
                    "body": "one"
                  }
                }
              ],
              "next": "<id>"
            }
        "#]],
    );
    let next = user.send(Method::GET, &format!("/v1/inbox?after={}", first.text("next")), "").await.json();
    assert_eq!((&next["count"], &next["messages"][0]["message"]), (&json!(1), &json!({ "body": "two" })));
    let delete = async |id: &str| user.send(Method::DELETE, &format!("/v1/inbox/{id}"), "").await.status.as_u16();
    assert_eq!((delete(&first.text("next")).await, delete(&first.text("next")).await), (200, 404));
    let other = User::sign_in(&house, 2).await;
    assert_eq!(other.send(Method::GET, "/v1/inbox", "").await.json()["count"], 0);
}
