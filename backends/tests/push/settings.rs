//! Settings that cannot be used are refused by the name of their field, and never repeated.

use std::fmt::Write;

use domain::PushKind;
use expect_test::expect;
use ports::PushField::{
    self, ApnsKeyId, ApnsKeyPem, ApnsSandbox, ApnsTeamId, ApnsTopic, ExpoAccessToken, FcmServiceAccount, NtfyAuthToken,
    NtfyBaseUrl, VapidPrivateKey, VapidSubject,
};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::fcm::account;
use crate::support::{World, settings};

#[test]
fn what_is_malformed_is_named_by_its_field() {
    let without = |name: &str| {
        let mut account = account("https://oauth2.googleapis.com/token");
        account.as_object_mut().expect("an object").remove(name);
        account.to_string()
    };
    let with = |name: &str, value: Value| {
        let mut account = account("https://oauth2.googleapis.com/token");
        account[name] = value;
        account.to_string()
    };
    let elliptic = KeyPair::generate().expect("a key").serialize_pem();
    let cases: &[(PushField, String)] = &[
        (NtfyBaseUrl, "ntfy.sh".into()),
        (NtfyBaseUrl, "ftp://secret.example".into()),
        (NtfyBaseUrl, "https://user:secret@ntfy.sh".into()),
        (NtfyBaseUrl, "https://ntfy.sh/?auth=secret".into()),
        (NtfyBaseUrl, "https://ntfy.sh/#secret".into()),
        (NtfyAuthToken, "secret\r\nX-Evil: 1".into()),
        (ExpoAccessToken, "secret secret".into()),
        (ApnsKeyPem, "secret".into()),
        (ApnsKeyPem, elliptic[..elliptic.len() / 2].to_owned()),
        (ApnsKeyId, "secret".into()),
        (ApnsTeamId, "secret-too-long".into()),
        (ApnsTopic, "com.example/../secret".into()),
        (ApnsSandbox, "perhaps".into()),
        (FcmServiceAccount, "AAAAsecret:server-key".into()),
        (FcmServiceAccount, "[]".into()),
        (FcmServiceAccount, with("type", json!("authorized_user"))),
        (FcmServiceAccount, without("project_id")),
        (FcmServiceAccount, with("project_id", json!("../secret"))),
        (FcmServiceAccount, without("client_email")),
        (FcmServiceAccount, without("private_key")),
        (FcmServiceAccount, with("private_key", json!("secret"))),
        (FcmServiceAccount, with("private_key", json!(elliptic))),
        (FcmServiceAccount, with("token_uri", json!("http://oauth2.googleapis.com/token"))),
        (FcmServiceAccount, with("token_uri", json!("https://127.0.0.1/token"))),
        (VapidPrivateKey, "secret".into()),
        (VapidSubject, "secret@example.com".into()),
    ];
    let mut seen = String::new();
    for (field, text) in cases {
        let refused = World::strict().try_open(&settings(&[(*field, text)])).err();
        let refused = refused.unwrap_or_else(|| panic!("{field} takes {text}"));
        assert_eq!(refused.field, *field);
        assert!(!refused.to_string().contains("secret"), "{refused}");
        writeln!(seen, "{refused}").expect("writing to a string works");
    }
    expect![[r#"
        `ntfy_base_url` must be an http or https URL, such as `https://ntfy.sh`
        `ntfy_base_url` must be an http or https URL, such as `https://ntfy.sh`
        `ntfy_base_url` must hold no name and no password; set `ntfy_auth_token`
        `ntfy_base_url` must end before `?` and `#`
        `ntfy_base_url` must end before `?` and `#`
        `ntfy_auth_token` must be visible ASCII characters
        `expo_access_token` must be visible ASCII characters
        `apns_key_pem` must be the whole `.p8` file from Apple, with `-----BEGIN PRIVATE KEY-----`
        `apns_key_pem` must be the whole `.p8` file from Apple, with `-----BEGIN PRIVATE KEY-----`
        `apns_key_id` must be the id of the key: 10 letters and digits
        `apns_team_id` must be the id of the team: 10 letters and digits
        `apns_topic` must be the bundle id of the app, such as `com.example.app`
        `apns_sandbox` must be `true` or `false`
        `fcm_service_account` must be the JSON file of a service account, whole, as Google gives it
        `fcm_service_account` must be the JSON file of a service account, whole, as Google gives it
        `fcm_service_account` must have `"type": "service_account"`; other keys cannot send by HTTP v1
        `fcm_service_account` has no `project_id` that is one
        `fcm_service_account` has no `project_id` that is one
        `fcm_service_account` lacks `client_email`
        `fcm_service_account` lacks `private_key`
        `fcm_service_account` has a `private_key` that is no RSA key in PEM (PKCS#8)
        `fcm_service_account` has a `private_key` that is no RSA key in PEM (PKCS#8)
        `fcm_service_account` has a `token_uri` that is no https URL
        `fcm_service_account` has a `token_uri` that must not be reached
        `vapid_private_key` must be a private key of P-256: 32 bytes in base64url, or PEM (PKCS#8)
        `vapid_subject` must be `mailto:` with an address, or an https URL: where push services reach you
    "#]]
    .assert_eq(&seen);
}

#[test]
fn a_provider_is_there_when_it_has_all_it_needs() {
    let world = World::strict();
    let kinds = |fields: &[(PushField, &str)]| -> Vec<PushKind> {
        world.try_open(&settings(fields)).expect("good").into_keys().collect()
    };
    let key = KeyPair::generate().expect("a key").serialize_pem();
    let apns = [
        (ApnsKeyPem, key.as_str()),
        (ApnsKeyId, "ABC123DEFG"),
        (ApnsTeamId, "TEAM456789"),
        (ApnsTopic, "com.example.app"),
    ];
    assert_eq!(kinds(&[]), []);
    assert_eq!(kinds(&apns), [PushKind::Apns, PushKind::ApnsVoip]);
    for left_out in 0..apns.len() {
        let some: Vec<_> = apns.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, field)| *field).collect();
        assert_eq!(kinds(&some), []);
    }
    assert_eq!(kinds(&[(VapidPrivateKey, &world.draw_vapid_key())]), [], "and a subject");
    assert_eq!(kinds(&[(NtfyBaseUrl, "https://ntfy.sh"), (ExpoAccessToken, "x")]), [PushKind::Ntfy, PushKind::Expo]);
    assert_eq!(kinds(&[(NtfyAuthToken, "tk")]), []);
    let account = account("https://oauth2.googleapis.com/token").to_string();
    assert_eq!(kinds(&[(FcmServiceAccount, &account)]), [PushKind::Fcm]);
}
