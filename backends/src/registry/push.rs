//! Devices and inboxes.

use async_trait::async_trait;
use domain::{Namespace, Timestamp};
use ports::{InboxMessage, Push, RegistryError, RowLimits, StoredDevice};

use super::{SqlRegistry, limit, living, read_one};
use crate::sql::{Columns, DamagedRow, Statement, Value};

#[async_trait]
impl Push for SqlRegistry {
    async fn put_device(&self, device: StoredDevice, limits: RowLimits) -> Result<String, RegistryError> {
        let batch = [put_device(&device, limits), end_other_registrations(&device), living(&device.namespace)];
        let [put, _, lives] = self.run(batch).await?;
        match (read_one(put, Columns::text)?, lives.rows.is_empty()) {
            (Some(id), _) => Ok(id),
            (None, true) => Err(RegistryError::NotFound),
            (None, false) => Err(RegistryError::Conflict(limits.no_room_for("device"))),
        }
    }

    async fn devices(&self, namespace: &Namespace, owner: &str) -> Result<Vec<StoredDevice>, RegistryError> {
        let sql =
            "SELECT id, namespace, owner, device_id, provider, token, platform, app_version, created_at, updated_at
            FROM push_devices WHERE namespace = ?1 AND owner = ?2 ORDER BY created_at, id";
        self.all(Statement::new(sql, [namespace.as_str().into(), owner.into()]), device_row).await
    }

    async fn delete_device(&self, namespace: &Namespace, owner: &str, id: &str) -> Result<(), RegistryError> {
        let sql = "DELETE FROM push_devices WHERE namespace = ?1 AND owner = ?2 AND id = ?3";
        self.change(Statement::new(sql, [namespace.as_str().into(), owner.into(), id.into()])).await
    }

    async fn forget_device(&self, namespace: &Namespace, id: &str, token: &str) -> Result<bool, RegistryError> {
        let sql = "DELETE FROM push_devices WHERE namespace = ?1 AND id = ?2 AND token = ?3";
        let forget = Statement::new(sql, [namespace.as_str().into(), id.into(), token.into()]);
        Ok(self.count(forget).await? > 0)
    }

    async fn put_in_inbox(&self, message: InboxMessage, limits: RowLimits) -> Result<(), RegistryError> {
        let batch = [put_in_inbox(&message, limits), make_room(&message, limits), living(&message.namespace)];
        let [put, _, lives] = self.run(batch).await?;
        match (put.changed, lives.rows.is_empty()) {
            (0, true) => Err(RegistryError::NotFound),
            (0, false) => Err(RegistryError::Conflict(limits.no_room_for("message"))),
            _ => Ok(()),
        }
    }

    async fn inbox(
        &self,
        namespace: &Namespace,
        owner: &str,
        after: Option<&str>,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<InboxMessage>, RegistryError> {
        let sql = "SELECT id, namespace, owner, message, created_at, expires_at FROM inbox
            WHERE namespace = ?1 AND owner = ?2 AND id > ?3 AND expires_at > ?4 ORDER BY id LIMIT ?5";
        // No id is smaller than nothing.
        let after = after.unwrap_or_default();
        let values = [namespace.as_str().into(), owner.into(), after.into(), now.into(), limit(most)];
        self.all(Statement::new(sql, values), message_row).await
    }

    async fn delete_from_inbox(&self, namespace: &Namespace, owner: &str, id: &str) -> Result<(), RegistryError> {
        let sql = "DELETE FROM inbox WHERE namespace = ?1 AND owner = ?2 AND id = ?3";
        self.change(Statement::new(sql, [namespace.as_str().into(), owner.into(), id.into()])).await
    }

    async fn expire_inbox(&self, now: Timestamp) -> Result<u64, RegistryError> {
        self.count(Statement::new("DELETE FROM inbox WHERE expires_at <= ?1", [now.into()])).await
    }
}

/// Counts stop at the limits: what is beyond them makes no difference.
fn put_device(device: &StoredDevice, limits: RowLimits) -> Statement {
    let sql = "INSERT INTO push_devices
            (namespace, id, owner, device_id, provider, token, platform, app_version, created_at, updated_at)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM namespaces
        WHERE name = ?1 AND ending = 0 AND (
            EXISTS (SELECT 1 FROM push_devices
                WHERE namespace = ?1 AND owner = ?3 AND device_id = ?4 AND provider = ?5)
            OR ((SELECT count(*) FROM push_devices WHERE namespace = ?1 AND owner = ?3) < ?11
                AND (SELECT count(*) FROM (SELECT 1 FROM push_devices WHERE namespace = ?1 LIMIT ?12)) < ?12))
        ON CONFLICT (namespace, owner, device_id, provider) DO UPDATE SET
            token = excluded.token,
            platform = excluded.platform,
            app_version = excluded.app_version,
            updated_at = excluded.updated_at
        RETURNING id";
    let values: [Value; 12] = [
        device.namespace.as_str().into(),
        device.id.as_str().into(),
        device.owner.as_str().into(),
        device.device_id.as_str().into(),
        device.provider.as_str().into(),
        device.token.as_str().into(),
        device.platform.clone().into(),
        device.app_version.clone().into(),
        device.created_at.into(),
        device.updated_at.into(),
        limit(limits.owner_max),
        limit(limits.namespace_max),
    ];
    Statement::new(sql, values)
}

/// Right behind [`put_device`]: what else leads to the token of the device that was put, if it was.
fn end_other_registrations(device: &StoredDevice) -> Statement {
    let sql = "DELETE FROM push_devices
        WHERE changes() > 0 AND namespace = ?1 AND provider = ?4 AND token = ?5
            AND (owner = ?2 OR ?4 <> 'ntfy') AND NOT (owner = ?2 AND device_id = ?3)";
    let values: [Value; 5] = [
        device.namespace.as_str().into(),
        device.owner.as_str().into(),
        device.device_id.as_str().into(),
        device.provider.as_str().into(),
        device.token.as_str().into(),
    ];
    Statement::new(sql, values)
}

fn put_in_inbox(message: &InboxMessage, limits: RowLimits) -> Statement {
    let sql = "INSERT INTO inbox (namespace, id, owner, message, created_at, expires_at)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6 FROM namespaces
        WHERE name = ?1 AND ending = 0
            AND (SELECT count(*) FROM (SELECT 1 FROM inbox WHERE namespace = ?1 LIMIT ?7)) < ?7";
    let values: [Value; 7] = [
        message.namespace.as_str().into(),
        message.id.as_str().into(),
        message.owner.as_str().into(),
        message.message.as_str().into(),
        message.created_at.into(),
        message.expires_at.into(),
        limit(limits.namespace_max),
    ];
    Statement::new(sql, values)
}

/// Deletes the oldest messages of an owner above the limit.
fn make_room(message: &InboxMessage, limits: RowLimits) -> Statement {
    let sql = "DELETE FROM inbox WHERE namespace = ?1 AND id IN
        (SELECT id FROM inbox WHERE namespace = ?1 AND owner = ?2 ORDER BY id DESC LIMIT -1 OFFSET ?3)";
    let values: [Value; 3] =
        [message.namespace.as_str().into(), message.owner.as_str().into(), limit(limits.owner_max)];
    Statement::new(sql, values)
}

fn device_row(columns: &mut Columns) -> Result<StoredDevice, DamagedRow> {
    Ok(StoredDevice {
        id: columns.text()?,
        namespace: columns.parsed("a namespace")?,
        owner: columns.text()?,
        device_id: columns.text()?,
        provider: columns.parsed("a push provider")?,
        token: columns.text()?,
        platform: columns.text_or_null()?,
        app_version: columns.text_or_null()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
    })
}

fn message_row(columns: &mut Columns) -> Result<InboxMessage, DamagedRow> {
    Ok(InboxMessage {
        id: columns.text()?,
        namespace: columns.parsed("a namespace")?,
        owner: columns.text()?,
        message: columns.text()?,
        created_at: columns.time()?,
        expires_at: columns.time()?,
    })
}
