//! The settings of a namespace's providers: changed field by field, sealed, and never told where they are secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Caller, Error, ErrorCode, Namespace, PushKind, Scope, Timestamp};
use ports::{InvalidPushField, PushField, PushSettings, SealedSecret};

use crate::secrets::to_its_end;
use crate::{Platform, internal};

/// Where the vault keeps them.
pub(super) const NAME: &str = "push/settings";
/// The most bytes of all of them together.
const SETTINGS_BYTES_MAX: usize = 64 << 10;

/// A field as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushFieldView {
    /// Empty when it is not set.
    Plain(String),
    Secret {
        is_set: bool,
    },
}

/// What a namespace has set, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSettingsView {
    pub namespace: Namespace,
    pub fields: Vec<(PushField, PushFieldView)>,
    /// The key that browsers subscribe with, of the namespace or of the node.
    pub vapid_public_key: Option<String>,
    /// The providers that have all they need, by these settings and those of the node.
    pub providers: Vec<PushKind>,
    pub updated_at: Option<Timestamp>,
}

impl Platform {
    pub fn push_settings(&self, caller: &Caller, namespace: &Namespace) -> Result<PushSettingsView, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let _held = lease.hold()?;
        self.view_push_settings(namespace)
    }

    /// Sets the fields that are named; an empty text clears one. The next message is sent by the new settings.
    pub async fn set_push_settings(
        self: &Arc<Self>,
        caller: &Caller,
        namespace: &Namespace,
        changes: Vec<(PushField, String)>,
    ) -> Result<PushSettingsView, Error> {
        self.change_push_settings(caller, namespace, move |settings| {
            changes.into_iter().for_each(|(field, text)| settings.set(field, text));
            Ok(())
        })
        .await
    }

    /// Clears every field, or those of one provider.
    pub async fn clear_push_settings(
        self: &Arc<Self>,
        caller: &Caller,
        namespace: &Namespace,
        only: Option<PushKind>,
    ) -> Result<(), Error> {
        let concerned = move |field: &PushField| only.is_none_or(|kind| field.provider() == kind);
        let clear = move |settings: &mut PushSettings| {
            PushField::ALL.into_iter().filter(concerned).for_each(|field| settings.set(field, ""));
            Ok(())
        };
        self.change_push_settings(caller, namespace, clear).await.map(drop)
    }

    /// Makes a key for browsers; returns the public one. The subscriptions that were made with an earlier key end with it.
    pub async fn draw_vapid_key(
        self: &Arc<Self>,
        caller: &Caller,
        namespace: &Namespace,
        replace: bool,
    ) -> Result<String, Error> {
        let drawn = self.pushes.providers.draw_vapid_key().map_err(|cause| internal("draw a key", cause))?;
        let public = self.pushes.providers.vapid_public_key(&drawn).map_err(|cause| internal("draw a key", cause))?;
        let put = move |settings: &mut PushSettings| {
            if settings.get(PushField::VapidPrivateKey).is_some() && !replace {
                return Err(Error::new(ErrorCode::Conflict, "the namespace has a key for browsers already")
                    .hint("set `replace`; every browser must subscribe anew then"));
            }
            settings.set(PushField::VapidPrivateKey, drawn);
            Ok(())
        };
        self.change_push_settings(caller, namespace, put).await?;
        Ok(public)
    }

    /// The key that browsers of users subscribe with. Whoever has a credential of the namespace may have it.
    pub fn vapid_public_key(&self, caller: &Caller) -> Result<String, Error> {
        let namespace = caller.namespace.clone().ok_or_else(crate::authorise::nobody)?;
        let lease = self.identity.lease_of(&namespace);
        let _held = lease.hold()?;
        let settings = self.own_push_settings(&namespace)?.over(&self.pushes.defaults);
        match self.public_key_of(&settings) {
            Some(key) => Ok(key),
            None => Err(super::tenant::unconfigured(&settings, &[PushKind::Webpush])),
        }
    }

    async fn change_push_settings(
        self: &Arc<Self>,
        caller: &Caller,
        namespace: &Namespace,
        change: impl FnOnce(&mut PushSettings) -> Result<(), Error> + Send + 'static,
    ) -> Result<PushSettingsView, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let (platform, namespace) = (self.clone(), namespace.clone());
        to_its_end(async move {
            let _held = lease.hold()?;
            let _one_at_a_time = platform.pushes.changing.lock().await;
            let mut settings = platform.own_push_settings(&namespace)?;
            change(&mut settings)?;
            platform.check_push_settings(&namespace, &settings)?;
            platform.store_push_settings(&namespace, &settings).await?;
            platform.view_push_settings(&namespace)
        })
        .await
    }

    fn check_push_settings(&self, namespace: &Namespace, settings: &PushSettings) -> Result<(), Error> {
        let bytes: usize = settings.iter().map(|(_, text)| text.len()).sum();
        if bytes > SETTINGS_BYTES_MAX {
            let message = format!("the settings of push are {bytes} bytes, the limit is {SETTINGS_BYTES_MAX}");
            return Err(Error::new(ErrorCode::PayloadTooLarge, message));
        }
        let policies: Vec<_> = self.settings_of(namespace).egress.iter().cloned().collect();
        let effective = settings.over(&self.pushes.defaults);
        let refused = |invalid: InvalidPushField| Error::invalid(invalid.to_string());
        self.pushes.providers.open(namespace, &effective, &policies).map(drop).map_err(refused)
    }

    async fn store_push_settings(&self, namespace: &Namespace, settings: &PushSettings) -> Result<(), Error> {
        if settings.is_empty() {
            return self.vault.drop_kept(&*self.registry, namespace, NAME).await;
        }
        let texts: BTreeMap<&str, &str> = settings.iter().map(|(field, text)| (field.as_str(), text)).collect();
        let json = zeroize::Zeroizing::new(serde_json::to_vec(&texts).expect("texts serialize"));
        self.vault.keep(&*self.registry, self.clock.now(), namespace, NAME, &json).await
    }

    fn view_push_settings(&self, namespace: &Namespace) -> Result<PushSettingsView, Error> {
        let row = self.vault.kept(namespace, NAME);
        let own = self.open_push_settings(row.as_deref())?;
        let effective = own.over(&self.pushes.defaults);
        let show = |field: PushField| match field.is_secret() {
            true => PushFieldView::Secret { is_set: own.get(field).is_some() },
            false => PushFieldView::Plain(own.get(field).unwrap_or_default().to_owned()),
        };
        let complete = |kind: &PushKind| effective.missing_for(*kind).is_empty();
        Ok(PushSettingsView {
            namespace: namespace.clone(),
            fields: PushField::ALL.map(|field| (field, show(field))).into(),
            vapid_public_key: self.public_key_of(&effective),
            providers: PushKind::ALL.into_iter().filter(complete).collect(),
            updated_at: row.map(|row| row.updated_at),
        })
    }

    fn public_key_of(&self, settings: &PushSettings) -> Option<String> {
        self.pushes.providers.vapid_public_key(settings.get(PushField::VapidPrivateKey)?).ok()
    }

    fn own_push_settings(&self, namespace: &Namespace) -> Result<PushSettings, Error> {
        self.open_push_settings(self.vault.kept(namespace, NAME).as_deref())
    }

    /// Fields that this program does not know were written by a newer one.
    pub(super) fn open_push_settings(&self, row: Option<&SealedSecret>) -> Result<PushSettings, Error> {
        let mut settings = PushSettings::default();
        let Some(row) = row else { return Ok(settings) };
        let damaged =
            |_| Error::new(ErrorCode::Corrupt, "the settings of push are damaged").hint("delete and set them");
        let secret = self.vault.reveal(row).map_err(|_| damaged(()))?;
        let texts: BTreeMap<String, String> = serde_json::from_slice(secret.expose()).map_err(|_| damaged(()))?;
        for (name, text) in texts {
            if let Some(field) = PushField::parse(&name) {
                settings.set(field, text);
            }
        }
        Ok(settings)
    }
}
