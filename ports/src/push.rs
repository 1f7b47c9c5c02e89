//! Push messages on their way to devices: one provider carries one message to tokens of its own.
//!
//! Retries, places, and what becomes of a device that is gone are the platform's business. Implementations: `backends::push`,
//! [`crate::memory::MemoryPush`].

mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::{EgressPolicy, Namespace, PushKind, PushMessage};

use crate::BoxError;

pub use settings::{PushField, PushSettings};

/// What became of a message on one device. The texts are for people, and hold no secret and no token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceOutcome {
    pub success: bool,
    /// What the provider answered, if it did.
    pub http_status: Option<u16>,
    /// The provider's word for it, or ours: `Unregistered`, `Timeout`.
    pub reason: Option<String>,
    pub message: Option<String>,
    /// The token is dead: nothing will ever reach a device by it.
    pub unregistered: bool,
    /// The same message may get through later.
    pub temporary: bool,
    /// When the provider wants to be asked again.
    pub retry_after: Option<Duration>,
    /// Under this name the provider tells later what became of it.
    pub receipt: Option<String>,
}

impl DeviceOutcome {
    pub fn sent(http_status: u16) -> Self {
        Self { success: true, http_status: Some(http_status), ..Self::default() }
    }

    /// A failure that stays one.
    pub fn failed(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: Some(reason.to_owned()), message: Some(message.into()), ..Self::default() }
    }
}

/// A provider with the credentials of a namespace.
#[async_trait]
pub trait PushProvider: Send + Sync {
    /// The most tokens of one request.
    fn batch_max(&self) -> usize {
        1
    }

    /// Sends once to at most [`PushProvider::batch_max`] tokens, until `deadline`; one outcome for each, in order.
    async fn send(&self, tokens: &[&str], message: &PushMessage, deadline: Instant) -> Vec<DeviceOutcome>;

    /// What became of messages whose outcome had a receipt. Those of which nothing is known yet are left out.
    async fn receipts(&self, _receipts: &[String], _deadline: Instant) -> BTreeMap<String, DeviceOutcome> {
        BTreeMap::new()
    }
}

/// A setting that cannot be used. The reason is the end of a sentence that begins with the field, and never repeats its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {reason}")]
pub struct InvalidPushField {
    pub field: PushField,
    pub reason: String,
}

/// The providers that settings make.
pub type PushProviderMap = BTreeMap<PushKind, Arc<dyn PushProvider>>;

/// Makes providers.
pub trait PushProviders: Send + Sync {
    /// Every provider that has all it needs. A field that is set and cannot be used is an error, whether it is needed or not.
    ///
    /// What is sent to an address that the operator did not choose has to pass the rules of outbound HTTP with `policies`.
    fn open(
        &self,
        namespace: &Namespace,
        settings: &PushSettings,
        policies: &[EgressPolicy],
    ) -> Result<PushProviderMap, InvalidPushField>;

    /// A new value for [`PushField::VapidPrivateKey`].
    fn draw_vapid_key(&self) -> Result<String, BoxError>;

    /// The public key that belongs to a [`PushField::VapidPrivateKey`], as browsers take it.
    fn vapid_public_key(&self, private: &str) -> Result<String, InvalidPushField>;
}
