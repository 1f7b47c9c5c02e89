//! Devices and inboxes.

use async_trait::async_trait;
use domain::{Namespace, PushKind, Timestamp};

use super::MemoryRegistry;
use crate::{InboxMessage, Push, RegistryError, RowLimits, StoredDevice};

#[async_trait]
impl Push for MemoryRegistry {
    async fn put_device(&self, device: StoredDevice, limits: RowLimits) -> Result<String, RegistryError> {
        let mut kept = self.kept();
        kept.living(&device.namespace)?;
        let is_it = |known: &&mut StoredDevice| {
            let key =
                |device: &StoredDevice| (device.namespace.clone(), device.owner.clone(), device.device_id.clone());
            key(known) == key(&device) && known.provider == device.provider
        };
        let id = match kept.devices.iter_mut().find(is_it) {
            Some(known) => {
                *known = StoredDevice { id: known.id.clone(), created_at: known.created_at, ..device.clone() };
                known.id.clone()
            }
            None => {
                let at_home = |known: &&StoredDevice| known.namespace == device.namespace;
                let own = |known: &&StoredDevice| at_home(known) && known.owner == device.owner;
                let (all, owned) = (kept.devices.iter().filter(at_home), kept.devices.iter().filter(own));
                if owned.count() >= limits.owner_max || all.count() >= limits.namespace_max {
                    return Err(RegistryError::Conflict(limits.no_room_for("device")));
                }
                kept.devices.push(device.clone());
                device.id.clone()
            }
        };
        let same_token = |known: &StoredDevice| {
            let concerned = known.owner == device.owner || device.provider != PushKind::Ntfy;
            (&known.namespace, known.provider, &known.token) == (&device.namespace, device.provider, &device.token)
                && concerned
        };
        kept.devices.retain(|known| known.id == id || !same_token(known));
        Ok(id)
    }

    async fn devices(&self, namespace: &Namespace, owner: &str) -> Result<Vec<StoredDevice>, RegistryError> {
        let kept = self.kept();
        let own = |device: &&StoredDevice| device.namespace == *namespace && device.owner == owner;
        let mut devices: Vec<_> = kept.devices.iter().filter(own).cloned().collect();
        devices.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(devices)
    }

    async fn delete_device(&self, namespace: &Namespace, owner: &str, id: &str) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let it = |device: &StoredDevice| device.namespace == *namespace && device.owner == owner && device.id == id;
        let position = kept.devices.iter().position(it).ok_or(RegistryError::NotFound)?;
        kept.devices.remove(position);
        Ok(())
    }

    async fn forget_device(&self, namespace: &Namespace, id: &str, token: &str) -> Result<bool, RegistryError> {
        let mut kept = self.kept();
        let before = kept.devices.len();
        kept.devices
            .retain(|device| (&device.namespace, device.id.as_str(), device.token.as_str()) != (namespace, id, token));
        Ok(kept.devices.len() < before)
    }

    async fn put_in_inbox(&self, message: InboxMessage, limits: RowLimits) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        kept.living(&message.namespace)?;
        let home = message.namespace.clone();
        if kept.inbox.keys().filter(|(namespace, _)| *namespace == home).count() >= limits.namespace_max {
            return Err(RegistryError::Conflict(limits.no_room_for("message")));
        }
        let owner = message.owner.clone();
        kept.inbox.insert((home.clone(), message.id.clone()), message);
        let own = kept.inbox.values().filter(|known| known.namespace == home && known.owner == owner);
        let mut own: Vec<_> = own.map(|known| known.id.clone()).collect();
        own.truncate(own.len().saturating_sub(limits.owner_max));
        own.into_iter().for_each(|id| drop(kept.inbox.remove(&(home.clone(), id))));
        Ok(())
    }

    async fn inbox(
        &self,
        namespace: &Namespace,
        owner: &str,
        after: Option<&str>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<InboxMessage>, RegistryError> {
        let kept = self.kept();
        let own = |message: &&InboxMessage| {
            message.namespace == *namespace
                && message.owner == owner
                && message.expires_at > now
                && after.is_none_or(|after| message.id.as_str() > after)
        };
        Ok(kept.inbox.values().filter(own).take(limit).cloned().collect())
    }

    async fn delete_from_inbox(&self, namespace: &Namespace, owner: &str, id: &str) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let key = (namespace.clone(), id.to_owned());
        match kept.inbox.get(&key).is_some_and(|message| message.owner == owner) {
            true => {
                kept.inbox.remove(&key);
                Ok(())
            }
            false => Err(RegistryError::NotFound),
        }
    }

    async fn expire_inbox(&self, now: Timestamp) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        let before = kept.inbox.len();
        kept.inbox.retain(|_, message| message.expires_at > now);
        Ok((before - kept.inbox.len()) as u64)
    }
}
