//! What providers tell only later: that a device is gone. In memory; what a restart forgets, the next message finds out again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Weak;
use std::time::{Duration, Instant};

use domain::{Namespace, PushKind, Timestamp};
use ports::StoredDevice;

use crate::Platform;

/// Expo asks for this much patience.
const WAIT: Duration = Duration::from_secs(15 * 60);
const INTERVAL: Duration = Duration::from_secs(60);
/// The most that are waited for; the oldest make room.
const EXPECTED_MAX: usize = 10_000;
/// How often one is asked for.
const ASKED_MAX: u8 = 3;
/// How long a provider may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// A receipt that will be asked for.
#[derive(Clone)]
struct Expected {
    namespace: Namespace,
    kind: PushKind,
    device: String,
    token: String,
    receipt: String,
    due: Timestamp,
    asked: u8,
}

/// The receipts that are waited for, the next first.
#[derive(Default)]
pub(super) struct Receipts(VecDeque<Expected>);

impl Receipts {
    pub(super) fn expect(&mut self, device: &StoredDevice, receipt: &str, now: Timestamp) {
        self.push(Expected {
            namespace: device.namespace.clone(),
            kind: device.provider,
            device: device.id.clone(),
            token: device.token.clone(),
            receipt: receipt.to_owned(),
            due: now + WAIT,
            asked: 0,
        });
    }

    fn push(&mut self, expected: Expected) {
        if self.0.len() >= EXPECTED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(expected);
    }

    /// Those that are due, by namespace and provider.
    fn take_due(&mut self, now: Timestamp) -> BTreeMap<(Namespace, PushKind), Vec<Expected>> {
        let mut due = BTreeMap::<_, Vec<Expected>>::new();
        while let Some(next) = self.0.pop_front_if(|next| next.due <= now) {
            due.entry((next.namespace.clone(), next.kind)).or_default().push(next);
        }
        due
    }

    pub(super) fn forget(&mut self, namespace: &Namespace) {
        self.0.retain(|expected| expected.namespace != *namespace);
    }
}

/// Asks for receipts as long as there is a platform.
pub(crate) async fn watch_receipts(platform: Weak<Platform>) {
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        interval.tick().await;
        let Some(platform) = platform.upgrade() else { return };
        platform.collect_receipts().await;
    }
}

impl Platform {
    /// Asks for the receipts that are due, and forgets devices that are gone.
    pub async fn collect_receipts(&self) {
        let now = self.clock.now();
        let due = self.pushes.receipts.lock().expect("no holder panics").take_due(now);
        for ((namespace, kind), expected) in due {
            let lease = self.identity.lease_of(&namespace);
            let Ok(_held) = lease.hold() else { continue };
            let asking = self.ask_for_receipts(&namespace, kind, expected, now);
            // A namespace that ends needs none.
            let _ = lease.unless_ended(asking).await;
        }
    }

    async fn ask_for_receipts(&self, namespace: &Namespace, kind: PushKind, expected: Vec<Expected>, now: Timestamp) {
        // A provider that is not there any more tells nothing.
        let Ok(tenant) = self.push_tenant(namespace) else { return };
        let Some(provider) = tenant.providers.get(&kind) else { return };
        let ids: Vec<String> = expected.iter().map(|expected| expected.receipt.clone()).collect();
        let deadline = Instant::now() + ANSWER_TIME;
        let known = provider.receipts(&ids, deadline).await;
        for expected in expected {
            match known.get(&expected.receipt) {
                Some(outcome) if outcome.unregistered => {
                    self.forget_dead_device(namespace, &expected.device, &expected.token).await;
                }
                Some(_) => {}
                None if expected.asked + 1 < ASKED_MAX => {
                    let later = Expected { due: now + WAIT, asked: expected.asked + 1, ..expected };
                    self.pushes.receipts.lock().expect("no holder panics").push(later);
                }
                None => {}
            }
        }
    }
}
