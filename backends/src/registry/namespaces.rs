//! Namespaces, who owns them, and how they end.

use async_trait::async_trait;
use domain::{Namespace, NamespaceSettings};
use ports::{Namespaces, Owner, RegistryError, StoredNamespace};

use super::{SqlRegistry, found, json, read_one};
use crate::sql::{Columns, DamagedRow, Statement, Value};

#[async_trait]
impl Namespaces for SqlRegistry {
    async fn load_namespaces(&self) -> Result<Vec<StoredNamespace>, RegistryError> {
        let sql = "SELECT name, created_at, created_by, settings, ending FROM namespaces ORDER BY name";
        self.all(Statement::new(sql, []), namespace_row).await
    }

    async fn create_namespace(&self, new: StoredNamespace, owner: Option<Owner>) -> Result<(), RegistryError> {
        let (earlier, insert) = (ending(&new.name), insert_namespace(&new));
        let earlier = match &owner {
            None => {
                let [earlier, _] = self.run([earlier, insert]).await?;
                earlier
            }
            Some(owner) => {
                let [earlier, _, _] = self.run([earlier, insert, insert_first_owner(owner)]).await?;
                earlier
            }
        };
        let earlier = read_one(earlier, Columns::integer)?;
        earlier.map_or(Ok(()), |ending| Err(taken(&new.name, ending == 1)))
    }

    async fn set_namespace_settings(
        &self,
        namespace: &Namespace,
        settings: &NamespaceSettings,
    ) -> Result<(), RegistryError> {
        let sql = "UPDATE namespaces SET settings = ?2 WHERE name = ?1 AND ending = 0";
        self.change(Statement::new(sql, [namespace.as_str().into(), json(settings).into()])).await
    }

    async fn begin_end_of_namespace(&self, namespace: &Namespace) -> Result<(), RegistryError> {
        if *namespace == Namespace::default_namespace() {
            return Err(RegistryError::Conflict(format!("the namespace `{namespace}` always stays")));
        }
        let of_namespace = |sql| Statement::new(sql, [namespace.as_str().into()]);
        let [marked, ..] = self.run(END.map(of_namespace)).await?;
        found(&marked)
    }

    async fn finish_end_of_namespace(&self, namespace: &Namespace) -> Result<(), RegistryError> {
        let sql = "DELETE FROM namespaces WHERE name = ?1 AND ending = 1";
        let finish = Statement::new(sql, [namespace.as_str().into()]);
        let [earlier, _] = self.run([ending(namespace), finish]).await?;
        match read_one(earlier, Columns::integer)? {
            None => Err(RegistryError::NotFound),
            Some(1) => Ok(()),
            Some(_) => Err(RegistryError::Conflict(format!("the namespace `{namespace}` is not ending"))),
        }
    }

    async fn load_owners(&self) -> Result<Vec<Owner>, RegistryError> {
        let sql = "SELECT namespace, wallet, scopes, added_at FROM owners ORDER BY namespace, wallet";
        self.all(Statement::new(sql, []), owner_row).await
    }

    async fn put_owner(&self, owner: Owner) -> Result<(), RegistryError> {
        self.change(put_owner(&owner)).await
    }

    async fn delete_owner(&self, namespace: &Namespace, wallet: &str) -> Result<(), RegistryError> {
        let sql = "DELETE FROM owners WHERE namespace = ?1 AND wallet = ?2";
        self.change(Statement::new(sql, [namespace.as_str().into(), wallet.into()])).await
    }
}

/// Marks a namespace as ending and deletes every row of it, those that refer to others first.
const END: [&str; 19] = [
    "UPDATE namespaces SET ending = 1 WHERE name = ?1",
    "DELETE FROM owners WHERE namespace = ?1",
    "DELETE FROM triggers WHERE namespace = ?1",
    "DELETE FROM deliveries WHERE namespace = ?1",
    "DELETE FROM jobs WHERE namespace = ?1",
    "DELETE FROM function_versions WHERE namespace = ?1",
    "DELETE FROM functions WHERE namespace = ?1",
    "DELETE FROM replies WHERE namespace = ?1",
    "DELETE FROM api_keys WHERE namespace = ?1",
    "DELETE FROM refresh_tokens WHERE family IN (SELECT id FROM refresh_families WHERE namespace = ?1)",
    "DELETE FROM refresh_families WHERE namespace = ?1",
    "DELETE FROM claims WHERE namespace = ?1",
    "DELETE FROM apps WHERE namespace = ?1",
    "DELETE FROM secrets WHERE namespace = ?1",
    "DELETE FROM data_keys WHERE namespace = ?1",
    "DELETE FROM contents WHERE namespace = ?1",
    "DELETE FROM push_devices WHERE namespace = ?1",
    "DELETE FROM inbox WHERE namespace = ?1",
    "DELETE FROM domains WHERE namespace = ?1",
];

fn ending(namespace: &Namespace) -> Statement {
    Statement::new("SELECT ending FROM namespaces WHERE name = ?1", [namespace.as_str().into()])
}

fn insert_namespace(new: &StoredNamespace) -> Statement {
    let sql = "INSERT INTO namespaces (name, created_at, created_by, settings, ending)
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO NOTHING";
    let values = [
        new.name.as_str().into(),
        new.created_at.into(),
        new.created_by.as_str().into(),
        json(&new.settings).into(),
        new.ending.into(),
    ];
    Statement::new(sql, values)
}

/// Right behind [`insert_namespace`]: an owner for the namespace that was made, if it was.
fn insert_first_owner(owner: &Owner) -> Statement {
    let sql = "INSERT INTO owners (namespace, wallet, scopes, added_at) SELECT ?1, ?2, ?3, ?4 WHERE changes() > 0";
    Statement::new(sql, owner_values(owner))
}

fn put_owner(owner: &Owner) -> Statement {
    let sql = "INSERT INTO owners (namespace, wallet, scopes, added_at)
        SELECT ?1, ?2, ?3, ?4 FROM namespaces WHERE name = ?1 AND ending = 0
        ON CONFLICT (namespace, wallet) DO UPDATE SET scopes = excluded.scopes";
    Statement::new(sql, owner_values(owner))
}

fn owner_values(owner: &Owner) -> [Value; 4] {
    [owner.namespace.as_str().into(), owner.wallet.as_str().into(), json(&owner.scopes).into(), owner.added_at.into()]
}

fn namespace_row(columns: &mut Columns) -> Result<StoredNamespace, DamagedRow> {
    Ok(StoredNamespace {
        name: columns.parsed("a namespace")?,
        created_at: columns.time()?,
        created_by: columns.text()?,
        settings: columns.json("settings")?,
        ending: columns.integer()? == 1,
    })
}

fn owner_row(columns: &mut Columns) -> Result<Owner, DamagedRow> {
    Ok(Owner {
        namespace: columns.parsed("a namespace")?,
        wallet: columns.text()?,
        scopes: columns.json("a list of scopes")?,
        added_at: columns.time()?,
    })
}

fn taken(name: &Namespace, ending: bool) -> RegistryError {
    RegistryError::Conflict(match ending {
        false => format!("the namespace `{name}` exists"),
        true => format!("an earlier namespace `{name}` is still being deleted; try again in a moment"),
    })
}
