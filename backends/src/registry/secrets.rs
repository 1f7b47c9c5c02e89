//! Sealed secrets, and the sealed keys that they are sealed with.

use async_trait::async_trait;
use domain::Namespace;
use ports::{RegistryError, SealedDataKey, SealedSecret, SealedSecrets};

use super::{SqlRegistry, exists};
use crate::sql::{Columns, DamagedRow, Statement};

#[async_trait]
impl SealedSecrets for SqlRegistry {
    async fn load_data_keys(&self) -> Result<Vec<SealedDataKey>, RegistryError> {
        let sql = "SELECT id, namespace, master, sealed, created_at FROM data_keys ORDER BY created_at, id";
        self.all(Statement::new(sql, []), data_key).await
    }

    async fn create_data_key(&self, key: SealedDataKey) -> Result<(), RegistryError> {
        self.insert(&key.namespace, insert_data_key(&key), || exists("data key", &key.id)).await
    }

    async fn reseal_data_key(&self, id: &str, master: &str, sealed: Vec<u8>) -> Result<(), RegistryError> {
        let sql = "UPDATE data_keys SET master = ?2, sealed = ?3 WHERE id = ?1";
        self.change(Statement::new(sql, [id.into(), master.into(), sealed.as_slice().into()])).await
    }

    async fn delete_data_key(&self, id: &str) -> Result<(), RegistryError> {
        let [known, deleted] = self.run([find_data_key(id), delete_unused_data_key(id)]).await?;
        match (deleted.changed, known.rows.is_empty()) {
            (0, true) => Err(RegistryError::NotFound),
            (0, false) => Err(RegistryError::Conflict(format!("a secret needs the data key `{id}`"))),
            _ => Ok(()),
        }
    }

    async fn load_secrets(&self) -> Result<Vec<SealedSecret>, RegistryError> {
        let sql =
            "SELECT namespace, name, data_key, sealed, created_at, updated_at FROM secrets ORDER BY namespace, name";
        self.all(Statement::new(sql, []), secret).await
    }

    async fn put_secret(&self, secret: SealedSecret) -> Result<(), RegistryError> {
        self.change(put_secret(&secret)).await
    }

    async fn delete_secret(&self, namespace: &Namespace, name: &str) -> Result<(), RegistryError> {
        let sql = "DELETE FROM secrets WHERE namespace = ?1 AND name = ?2";
        self.change(Statement::new(sql, [namespace.as_str().into(), name.into()])).await
    }
}

fn insert_data_key(key: &SealedDataKey) -> Statement {
    let sql = "INSERT INTO data_keys (id, namespace, master, sealed, created_at)
        SELECT ?1, ?2, ?3, ?4, ?5 FROM namespaces WHERE name = ?2 AND ending = 0
        ON CONFLICT DO NOTHING";
    let values = [
        key.id.as_str().into(),
        key.namespace.as_str().into(),
        key.master.as_str().into(),
        key.sealed.as_slice().into(),
        key.created_at.into(),
    ];
    Statement::new(sql, values)
}

fn find_data_key(id: &str) -> Statement {
    Statement::new("SELECT id FROM data_keys WHERE id = ?1", [id.into()])
}

fn delete_unused_data_key(id: &str) -> Statement {
    let sql = "DELETE FROM data_keys WHERE id = ?1 AND NOT EXISTS
        (SELECT 1 FROM secrets WHERE secrets.namespace = data_keys.namespace AND secrets.data_key = data_keys.id)";
    Statement::new(sql, [id.into()])
}

/// Nothing when the namespace has no such data key; one that is ending has none at all.
fn put_secret(secret: &SealedSecret) -> Statement {
    let sql = "INSERT INTO secrets (namespace, name, data_key, sealed, created_at, updated_at)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6 FROM data_keys WHERE namespace = ?1 AND id = ?3
        ON CONFLICT (namespace, name) DO UPDATE SET
            data_key = excluded.data_key,
            sealed = excluded.sealed,
            updated_at = excluded.updated_at";
    let values = [
        secret.namespace.as_str().into(),
        secret.name.as_str().into(),
        secret.data_key.as_str().into(),
        secret.sealed.as_slice().into(),
        secret.created_at.into(),
        secret.updated_at.into(),
    ];
    Statement::new(sql, values)
}

fn data_key(columns: &mut Columns) -> Result<SealedDataKey, DamagedRow> {
    Ok(SealedDataKey {
        id: columns.text()?,
        namespace: columns.parsed("a namespace")?,
        master: columns.text()?,
        sealed: columns.blob()?,
        created_at: columns.time()?,
    })
}

fn secret(columns: &mut Columns) -> Result<SealedSecret, DamagedRow> {
    Ok(SealedSecret {
        namespace: columns.parsed("a namespace")?,
        name: columns.text()?,
        data_key: columns.text()?,
        sealed: columns.blob()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
    })
}
