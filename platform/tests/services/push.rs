//! Push: what is set, who has which device, what is sent, and how people are reached.

mod devices;
mod notify;
mod sending;
mod settings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Caller, Credential, Namespace, PushKind, PushMessage, RequestId, TriggerKind};
use platform::{NewDevice, PushSettingsView};
use ports::{CallContext, PushField};

use crate::node::*;

/// Somebody who signed in with a wallet and owns nothing.
fn user_of(namespace: &Namespace, subject: &str) -> Caller {
    Caller {
        credential: Credential::Token { session: "s".to_owned() },
        namespace: Some(namespace.clone()),
        subject: Some(subject.to_owned()),
        ..Caller::anonymous()
    }
}

fn user(subject: &str) -> Caller {
    user_of(&home(), subject)
}

fn device(id: &str, provider: PushKind, token: &str) -> NewDevice {
    let (device_id, token) = (id.to_owned(), token.to_owned());
    NewDevice { device_id, provider, token, platform: None, app_version: None }
}

fn message(json: &str) -> PushMessage {
    PushMessage::parse(json.as_bytes()).expect("a message")
}

fn hello() -> PushMessage {
    message(r#"{"title":"Hello","body":"you"}"#)
}

/// What providers need to be there.
const NTFY: &[(PushField, &str)] = &[(PushField::NtfyBaseUrl, "https://ntfy.example")];
const FCM: &[(PushField, &str)] = &[(PushField::FcmServiceAccount, "{}")];
const EXPO: &[(PushField, &str)] = &[(PushField::ExpoAccessToken, "expo_secret")];

async fn configure(node: &Node, fields: &[(PushField, &str)]) -> PushSettingsView {
    let changes = fields.iter().map(|(field, text)| (*field, (*text).to_owned())).collect();
    node.platform.set_push_settings(&admin(), &home(), changes).await.expect("set")
}

async fn register(node: &Node, owner: &str, id: &str, provider: PushKind, token: &str) -> String {
    node.platform.register_device(&user(owner), device(id, provider, token)).await.expect("registered")
}

/// The devices of a user, by their own names.
async fn devices_of(node: &Node, owner: &str) -> Vec<String> {
    let devices = node.platform.own_devices(&user(owner)).await.expect("readable");
    devices.into_iter().map(|device| device.device_id).collect()
}

fn call() -> CallContext {
    CallContext {
        request_id: RequestId::new("r"),
        caller: Arc::new(admin()),
        trigger: TriggerKind::Http,
        depth: 0,
        trigger_depth: 0,
        socket: None,
        job: None,
        deadline: Instant::now() + Duration::from_secs(30),
    }
}
