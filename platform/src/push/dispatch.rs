//! A message on its way to all devices of a user: in batches, tried again while that may help, within one deadline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Caller, Error, Namespace, PushKind, PushMessage, Scope};
use futures_util::future::join_all;
use ports::{DeviceOutcome, DeviceResult, PushProvider, PushResult, StoredDevice};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout_at};

use super::tenant::{Tenant, unconfigured};
use super::user_named;
use crate::Platform;
use crate::identity::not_changed;

/// How long a message may take, further attempts included.
pub(super) const TIME_MAX: Duration = Duration::from_secs(25);
/// Attempts for a device, the first included.
const ATTEMPTS_MAX: u32 = 4;
/// The pause behind the first attempt; each is twice as long as the one before, less a part that chance decides.
const PAUSE: Duration = Duration::from_millis(500);

/// What has to be done for a message.
pub(super) enum Sending {
    /// No provider has what it needs; the error says what.
    Unconfigured(Error),
    To(Arc<Tenant>, Vec<StoredDevice>),
}

impl Platform {
    /// Sends a message to every device of a user.
    pub async fn send_push(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        user: &str,
        message: &PushMessage,
    ) -> Result<PushResult, Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        let _held = lease.hold()?;
        match self.prepare_push(namespace, &user_named(user)?, message).await? {
            Sending::Unconfigured(error) => Err(error),
            Sending::To(tenant, devices) => {
                lease.unless_ended(self.push_to(namespace, &tenant, devices, message, soon())).await
            }
        }
    }

    /// Finds who gets a message, and by what.
    pub(super) async fn prepare_push(
        &self,
        namespace: &Namespace,
        user: &str,
        message: &PushMessage,
    ) -> Result<Sending, Error> {
        let tenant = self.push_tenant(namespace)?;
        let wanted: Vec<PushKind> = PushKind::ALL.into_iter().filter(|kind| message.is_for(*kind)).collect();
        if !wanted.iter().any(|kind| tenant.providers.contains_key(kind)) {
            return Ok(Sending::Unconfigured(unconfigured(&tenant.settings, &wanted)));
        }
        let devices = self.registry.devices(namespace, user).await;
        let mut devices = devices.map_err(|error| not_changed("read devices", error))?;
        devices.retain(|device| message.is_for(device.provider));
        let kinds: Vec<PushKind> = devices.iter().map(|device| device.provider).collect();
        if !devices.is_empty() && !kinds.iter().any(|kind| tenant.providers.contains_key(kind)) {
            return Ok(Sending::Unconfigured(unconfigured(&tenant.settings, &kinds)));
        }
        Ok(Sending::To(tenant, devices))
    }

    pub(super) async fn push_to(
        &self,
        namespace: &Namespace,
        tenant: &Tenant,
        devices: Vec<StoredDevice>,
        message: &PushMessage,
        deadline: Instant,
    ) -> PushResult {
        let mut groups = BTreeMap::<PushKind, Vec<&StoredDevice>>::new();
        for device in &devices {
            groups.entry(device.provider).or_default().push(device);
        }
        let batches = groups.iter().flat_map(|(kind, devices)| {
            let provider = tenant.providers.get(kind);
            let size = provider.map_or(usize::MAX, |provider| provider.batch_max().max(1));
            devices.chunks(size).map(move |devices| (provider, devices))
        });
        let sent = join_all(batches.map(|(provider, devices)| async move {
            let outcomes = match provider {
                Some(provider) => deliver(&**provider, &tenant.room, devices, message, deadline).await,
                None => not_configured(tenant, devices),
            };
            devices.iter().map(|device| device.id.as_str()).zip(outcomes).collect::<Vec<_>>()
        }));
        let mut outcomes: BTreeMap<&str, DeviceOutcome> = sent.await.into_iter().flatten().collect();
        let outcomes: Vec<(&StoredDevice, DeviceOutcome)> =
            devices.iter().filter_map(|device| Some((device, outcomes.remove(device.id.as_str())?))).collect();
        self.follow_up(namespace, &outcomes).await;
        result_of(outcomes)
    }

    /// Forgets devices that are gone, and notes what will be known later.
    async fn follow_up(&self, namespace: &Namespace, outcomes: &[(&StoredDevice, DeviceOutcome)]) {
        for (device, outcome) in outcomes {
            if outcome.unregistered {
                self.forget_dead_device(namespace, &device.id, &device.token).await;
            }
            if let Some(receipt) = &outcome.receipt {
                let now = self.clock.now();
                self.pushes.receipts.lock().expect("no holder panics").expect(device, receipt, now);
            }
        }
    }

    /// Deletes a device whose token is dead. That it stays is no harm: the next message finds it dead again.
    pub(super) async fn forget_dead_device(&self, namespace: &Namespace, id: &str, token: &str) {
        match self.registry.forget_device(namespace, id, token).await {
            Ok(true) => tracing::info!(%namespace, device = id, "removed a device that is gone"),
            Ok(false) => {}
            Err(cause) => {
                tracing::warn!(cause = &cause as &dyn std::error::Error, %namespace, "failed to remove a device that is gone");
            }
        }
    }
}

/// When a message that nobody else limits has to be through.
pub(super) fn soon() -> Instant {
    (tokio::time::Instant::now() + TIME_MAX).into_std()
}

/// Sends to devices of one provider, again to those that may get it yet.
async fn deliver(
    provider: &dyn PushProvider,
    room: &Semaphore,
    devices: &[&StoredDevice],
    message: &PushMessage,
    deadline: Instant,
) -> Vec<DeviceOutcome> {
    let mut outcomes = vec![no_place(); devices.len()];
    let mut pending: Vec<usize> = (0..devices.len()).collect();
    for attempt in 1..=ATTEMPTS_MAX {
        let Ok(place) = timeout_at(deadline.into(), room.acquire()).await else { break };
        let tokens: Vec<&str> = pending.iter().map(|index| devices[*index].token.as_str()).collect();
        let sent = provider.send(&tokens, message, deadline).await;
        drop(place);
        for (index, outcome) in pending.iter().zip(sent) {
            outcomes[*index] = outcome;
        }
        pending.retain(|index| outcomes[*index].temporary);
        let asked = pending.iter().filter_map(|index| outcomes[*index].retry_after).max();
        let wait = asked.unwrap_or_default().max(pause(attempt));
        let left = deadline.saturating_duration_since(tokio::time::Instant::now().into_std());
        if pending.is_empty() || attempt == ATTEMPTS_MAX || wait >= left {
            break;
        }
        sleep(wait).await;
    }
    outcomes
}

fn no_place() -> DeviceOutcome {
    DeviceOutcome::failed("Timeout", "too many messages of the namespace are on their way")
}

/// Between half and the whole of 0.5, 1, 2 s: many who were turned away together do not come back together.
fn pause(attempt: u32) -> Duration {
    let whole = PAUSE * (1 << (attempt - 1));
    let mut chance = [0];
    // Without chance, the whole.
    let part = getrandom::fill(&mut chance).map_or(0, |()| u32::from(chance[0]));
    whole - whole * part / 512
}

fn not_configured(tenant: &Tenant, devices: &[&StoredDevice]) -> Vec<DeviceOutcome> {
    let one = |device: &&StoredDevice| {
        let error = unconfigured(&tenant.settings, &[device.provider]);
        DeviceOutcome::failed("NotConfigured", error.message)
    };
    devices.iter().map(one).collect()
}

/// A device that is gone is no failure: it will not be there the next time.
fn result_of(outcomes: Vec<(&StoredDevice, DeviceOutcome)>) -> PushResult {
    PushResult {
        ok: outcomes.iter().all(|(_, outcome)| outcome.success || outcome.unregistered),
        devices_attempted: outcomes.len(),
        devices_succeeded: outcomes.iter().filter(|(_, outcome)| outcome.success).count(),
        results: outcomes.into_iter().map(|(device, outcome)| to_result(device, outcome)).collect(),
    }
}

fn to_result(device: &StoredDevice, outcome: DeviceOutcome) -> DeviceResult {
    let DeviceOutcome { success, http_status, reason, message, unregistered, .. } = outcome;
    DeviceResult {
        device_id: device.device_id.clone(),
        provider: device.provider.as_str().to_owned(),
        success,
        http_status,
        reason,
        message,
        unregistered,
    }
}
