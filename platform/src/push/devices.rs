//! The devices of users. A user registers their own; the token of one is never told to anybody.

use domain::{Caller, Error, ErrorCode, Namespace, PushKind, Scope, Timestamp};
use ports::{RegistryError, RowLimits, StoredDevice};

use super::{signed_in, user_named};
use crate::Platform;
use crate::identity::{not_changed, unknown_namespace};

const DEVICES: RowLimits = RowLimits { owner_max: 20, namespace_max: 100_000 };
/// The longest `device_id`, in bytes.
const DEVICE_ID_BYTES_MAX: usize = 128;
/// The longest name of a platform or a version of an app, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// A device as its user registers it.
#[derive(Clone)]
pub struct NewDevice {
    pub device_id: String,
    pub provider: PushKind,
    pub token: String,
    pub platform: Option<String>,
    pub app_version: Option<String>,
}

/// A device as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    pub id: String,
    pub device_id: String,
    pub provider: PushKind,
    pub platform: Option<String>,
    pub app_version: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl From<StoredDevice> for DeviceView {
    fn from(device: StoredDevice) -> Self {
        let StoredDevice { id, device_id, provider, platform, app_version, created_at, updated_at, .. } = device;
        Self { id, device_id, provider, platform, app_version, created_at, updated_at }
    }
}

impl Platform {
    /// Registers a device of the user who asks, or renews it; returns its id.
    pub async fn register_device(&self, caller: &Caller, new: NewDevice) -> Result<String, Error> {
        let (owner, namespace) = self.user_at_home(caller)?;
        check(&new)?;
        let lease = self.identity.lease_of(&namespace);
        let _held = lease.hold()?;
        let NewDevice { device_id, provider, token, platform, app_version } = new;
        let (id, now) = (uuid::Uuid::now_v7().to_string(), self.clock.now());
        let device = StoredDevice {
            id,
            namespace: namespace.clone(),
            owner,
            device_id,
            provider,
            token,
            platform,
            app_version,
            created_at: now,
            updated_at: now,
        };
        match self.registry.put_device(device, DEVICES).await {
            Err(RegistryError::NotFound) => Err(unknown_namespace(&namespace)),
            stored => stored.map_err(|error| not_changed("register a device", error)),
        }
    }

    /// The devices of the user who asks.
    pub async fn own_devices(&self, caller: &Caller) -> Result<Vec<DeviceView>, Error> {
        let (owner, namespace) = self.user_at_home(caller)?;
        self.devices_of(&namespace, &owner).await
    }

    /// The devices of a user, for who may send to them.
    pub async fn devices(&self, caller: &Caller, namespace: &Namespace, user: &str) -> Result<Vec<DeviceView>, Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        let _held = lease.hold()?;
        self.devices_of(namespace, &user_named(user)?).await
    }

    async fn devices_of(&self, namespace: &Namespace, owner: &str) -> Result<Vec<DeviceView>, Error> {
        let devices = self.registry.devices(namespace, owner).await;
        let devices = devices.map_err(|error| not_changed("read devices", error))?;
        Ok(devices.into_iter().map(DeviceView::from).collect())
    }

    /// Deletes a device of the user who asks.
    pub async fn delete_device(&self, caller: &Caller, id: &str) -> Result<(), Error> {
        let (owner, namespace) = self.user_at_home(caller)?;
        match self.registry.delete_device(&namespace, &owner, id).await {
            Err(RegistryError::NotFound) => Err(Error::not_found("device not found")),
            deleted => deleted.map_err(|error| not_changed("delete a device", error)),
        }
    }

    /// The user who asks, and the namespace that the token is for.
    pub(super) fn user_at_home(&self, caller: &Caller) -> Result<(String, Namespace), Error> {
        let user = signed_in(caller)?;
        let namespace = caller.namespace.clone();
        Ok((user, namespace.ok_or_else(|| Error::of(ErrorCode::Unauthorized))?))
    }
}

fn check(new: &NewDevice) -> Result<(), Error> {
    let named = |text: &str, most: usize| (1..=most).contains(&text.len()) && !text.chars().any(char::is_control);
    if !named(&new.device_id, DEVICE_ID_BYTES_MAX) {
        return Err(Error::invalid(format!("`device_id` must be 1 to {DEVICE_ID_BYTES_MAX} bytes on one line")));
    }
    for (field, text) in [("platform", &new.platform), ("app_version", &new.app_version)] {
        if text.as_ref().is_some_and(|text| !named(text, NAME_BYTES_MAX)) {
            return Err(Error::invalid(format!("`{field}` must be 1 to {NAME_BYTES_MAX} bytes on one line")));
        }
    }
    new.provider.check_token(&new.token).map_err(|reason| Error::invalid(format!("`token` {reason}")))
}
