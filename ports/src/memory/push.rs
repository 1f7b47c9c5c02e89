use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use domain::{EgressPolicy, Namespace, PushKind, PushMessage};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

use crate::{
    BoxError, DeviceOutcome, InvalidPushField, PushField, PushProvider, PushProviderMap, PushProviders, PushSettings,
};

/// One request as [`MemoryPush`] was asked to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedPush {
    pub kind: PushKind,
    pub tokens: Vec<String>,
    pub message: PushMessage,
}

/// A world of devices that answer what a test planned, and otherwise get every message.
#[derive(Debug, Clone, Default)]
pub struct MemoryPush(Arc<World>);

#[derive(Debug, Default)]
struct World {
    /// The next outcomes of a token.
    planned: Mutex<HashMap<String, VecDeque<DeviceOutcome>>>,
    receipts: Mutex<BTreeMap<String, DeviceOutcome>>,
    asked: Mutex<Vec<AskedPush>>,
    /// Held by a test, so that nobody answers.
    silence: Arc<RwLock<()>>,
    /// What providers were made from.
    opened: Mutex<Vec<(PushSettings, Vec<EgressPolicy>)>>,
}

impl MemoryPush {
    /// A device answers `outcome` to the next message that has no plan yet.
    pub fn plan(&self, token: &str, outcome: DeviceOutcome) {
        self.0.planned.lock().expect("no holder panics").entry(token.to_owned()).or_default().push_back(outcome);
    }

    /// Asked for a receipt, the provider answers `outcome`.
    pub fn plan_receipt(&self, receipt: &str, outcome: DeviceOutcome) {
        self.0.receipts.lock().expect("no holder panics").insert(receipt.to_owned(), outcome);
    }

    /// Until what comes back is dropped, no provider answers.
    pub async fn silence(&self) -> OwnedRwLockWriteGuard<()> {
        self.0.silence.clone().write_owned().await
    }

    /// What was asked, oldest first.
    pub fn asked(&self) -> Vec<AskedPush> {
        self.0.asked.lock().expect("no holder panics").clone()
    }

    /// The settings and policies that providers were made from, oldest first.
    pub fn opened(&self) -> Vec<(PushSettings, Vec<EgressPolicy>)> {
        self.0.opened.lock().expect("no holder panics").clone()
    }
}

impl PushProviders for MemoryPush {
    /// A value that contains `malformed` cannot be used.
    fn open(
        &self,
        _namespace: &Namespace,
        settings: &PushSettings,
        policies: &[EgressPolicy],
    ) -> Result<PushProviderMap, InvalidPushField> {
        if let Some((field, _)) = settings.iter().find(|(_, text)| text.contains("malformed")) {
            return Err(InvalidPushField { field, reason: "is malformed".to_owned() });
        }
        self.0.opened.lock().expect("no holder panics").push((settings.clone(), policies.to_vec()));
        let ready = PushKind::ALL.into_iter().filter(|kind| settings.missing_for(*kind).is_empty());
        let provider = |kind| (kind, Arc::new(MemoryProvider { kind, world: self.0.clone() }) as Arc<dyn PushProvider>);
        Ok(ready.map(provider).collect())
    }

    fn draw_vapid_key(&self) -> Result<String, BoxError> {
        Ok("drawn".to_owned())
    }

    fn vapid_public_key(&self, private: &str) -> Result<String, InvalidPushField> {
        match private.contains("malformed") {
            true => Err(InvalidPushField { field: PushField::VapidPrivateKey, reason: "is malformed".to_owned() }),
            false => Ok(format!("public-of-{private}")),
        }
    }
}

struct MemoryProvider {
    kind: PushKind,
    world: Arc<World>,
}

#[async_trait]
impl PushProvider for MemoryProvider {
    fn batch_max(&self) -> usize {
        if self.kind == PushKind::Expo { 100 } else { 1 }
    }

    async fn send(&self, tokens: &[&str], message: &PushMessage, _deadline: Instant) -> Vec<DeviceOutcome> {
        let owned = tokens.iter().map(|token| (*token).to_owned()).collect();
        let asked = AskedPush { kind: self.kind, tokens: owned, message: message.clone() };
        self.world.asked.lock().expect("no holder panics").push(asked);
        drop(self.world.silence.read().await);
        let mut planned = self.world.planned.lock().expect("no holder panics");
        let mut next = |token: &&str| planned.get_mut(*token).and_then(VecDeque::pop_front);
        tokens.iter().map(|token| next(token).unwrap_or_else(|| DeviceOutcome::sent(200))).collect()
    }

    async fn receipts(&self, receipts: &[String], _deadline: Instant) -> BTreeMap<String, DeviceOutcome> {
        let planned = self.world.receipts.lock().expect("no holder panics");
        receipts.iter().filter_map(|receipt| Some((receipt.clone(), planned.get(receipt)?.clone()))).collect()
    }
}
