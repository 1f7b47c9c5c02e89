//! The providers of a namespace, made from its settings when a message is sent, and made anew when something of that changed.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{Error, ErrorCode, Namespace, NamespaceSettings, PushKind};
use ports::{PushProviderMap, PushSettings, SealedSecret};
use tokio::sync::Semaphore;

use super::settings::NAME;
use crate::Platform;

/// Requests to providers at once, in one namespace.
const REQUESTS_MAX: usize = 32;
/// Namespaces whose providers are kept, with their connections.
const TENANTS_MAX: usize = 512;

/// The providers of one namespace, and what they were made from.
pub(super) struct Tenant {
    row: Option<Arc<SealedSecret>>,
    limits: Arc<NamespaceSettings>,
    pub(super) settings: PushSettings,
    pub(super) providers: PushProviderMap,
    /// Outlives a change of settings, so that nobody gains places by one.
    pub(super) room: Arc<Semaphore>,
}

impl Tenant {
    /// Is this made from exactly these?
    fn is_of(&self, row: Option<&Arc<SealedSecret>>, limits: &Arc<NamespaceSettings>) -> bool {
        let same_row = match (&self.row, row) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same_row && Arc::ptr_eq(&self.limits, limits)
    }
}

#[derive(Default)]
pub(super) struct Tenants {
    known: HashMap<Namespace, (Arc<Tenant>, u64)>,
    uses: u64,
}

impl Tenants {
    fn get(&mut self, namespace: &Namespace) -> Option<Arc<Tenant>> {
        self.uses += 1;
        let (tenant, used) = self.known.get_mut(namespace)?;
        *used = self.uses;
        Some(tenant.clone())
    }

    /// Keeps a tenant; the one that was used least lately makes room.
    fn put(&mut self, namespace: &Namespace, tenant: Arc<Tenant>) {
        self.uses += 1;
        self.known.insert(namespace.clone(), (tenant, self.uses));
        if self.known.len() > TENANTS_MAX {
            let oldest = self.known.iter().min_by_key(|(_, (_, used))| *used).map(|(namespace, _)| namespace.clone());
            self.known.remove(&oldest.expect("there are some"));
        }
    }

    pub(super) fn forget(&mut self, namespace: &Namespace) {
        self.known.remove(namespace);
    }
}

impl Platform {
    /// The providers of a namespace by the settings of this moment.
    pub(super) fn push_tenant(&self, namespace: &Namespace) -> Result<Arc<Tenant>, Error> {
        let (row, limits) = (self.vault.kept(namespace, NAME), self.settings_of(namespace));
        let known = self.pushes.tenants.lock().expect("no holder panics").get(namespace);
        if let Some(known) = known.as_ref().filter(|known| known.is_of(row.as_ref(), &limits)) {
            return Ok(known.clone());
        }
        let settings = self.open_push_settings(row.as_deref())?.over(&self.pushes.defaults);
        let policies: Vec<_> = limits.egress.iter().cloned().collect();
        let providers = self.pushes.providers.open(namespace, &settings, &policies).map_err(|invalid| {
            // It could be used when it was set; since then the operator changed what may be reached.
            Error::new(ErrorCode::ServiceUnavailable, format!("push cannot be used: {invalid}"))
        })?;
        let room = known.map_or_else(|| Arc::new(Semaphore::new(REQUESTS_MAX)), |known| known.room.clone());
        let tenant = Arc::new(Tenant { row, limits, settings, providers, room });
        self.pushes.tenants.lock().expect("no holder panics").put(namespace, tenant.clone());
        Ok(tenant)
    }

    /// Drops the providers of a namespace that is gone, and with them their connections.
    pub(crate) fn forget_push(&self, namespace: &Namespace) {
        self.pushes.tenants.lock().expect("no holder panics").forget(namespace);
        self.pushes.receipts.lock().expect("no holder panics").forget(namespace);
    }
}

/// The error that names what would have to be set.
pub(super) fn unconfigured(settings: &PushSettings, kinds: &[PushKind]) -> Error {
    let mut needs: Vec<String> = Vec::new();
    for kind in kinds {
        let fields = settings.missing_for(*kind).iter().map(|field| format!("`{field}`")).collect::<Vec<_>>();
        // Apple's two channels need the same.
        let family = if *kind == PushKind::ApnsVoip { PushKind::Apns } else { *kind };
        let need = format!("{} for {family}", fields.join(" and "));
        if !fields.is_empty() && !needs.contains(&need) {
            needs.push(need);
        }
    }
    let message = format!("push is not configured; set {} with `PUT /v1/push/config`", needs.join(", or "));
    Error::new(ErrorCode::ServiceUnavailable, message)
        .hint("`orama push config set` does it; the operator can set it for every namespace under `push` in orama.yaml")
}
