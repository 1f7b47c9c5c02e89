//! The domains of others as a table.

use async_trait::async_trait;
use domain::{Namespace, Timestamp};
use ports::{CustomDomains, RegistryError, StoredDomain};

use super::{SqlRegistry, found};
use crate::sql::{Columns, DamagedRow, Statement, Value};

#[async_trait]
impl CustomDomains for SqlRegistry {
    async fn load_domains(&self) -> Result<Vec<StoredDomain>, RegistryError> {
        let sql = "SELECT domain, namespace, function, token, created_at, verified_at FROM domains
            ORDER BY domain, namespace";
        self.all(Statement::new(sql, []), domain_row).await
    }

    async fn put_domain(&self, domain: StoredDomain) -> Result<(), RegistryError> {
        let sql = "INSERT INTO domains (domain, namespace, function, token, created_at, verified_at)
            SELECT ?1, ?2, ?3, ?4, ?5, ?6 FROM namespaces WHERE name = ?2 AND ending = 0
            ON CONFLICT (domain, namespace) DO UPDATE SET
                function = excluded.function,
                token = excluded.token,
                created_at = excluded.created_at,
                verified_at = excluded.verified_at";
        let values = [
            domain.domain.as_str().into(),
            domain.namespace.as_str().into(),
            domain.function.as_str().into(),
            domain.token.as_str().into(),
            domain.created_at.into(),
            domain.verified_at.map_or(Value::Null, Value::from),
        ];
        self.change(Statement::new(sql, values)).await
    }

    async fn verify_domain(
        &self,
        namespace: &Namespace,
        domain: &str,
        token: &str,
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        let verify = "UPDATE domains SET verified_at = ?4 WHERE domain = ?1 AND namespace = ?2 AND token = ?3";
        let verify = Statement::new(verify, [domain.into(), namespace.as_str().into(), token.into(), at.into()]);
        // Only when the claim was proved: its row says so.
        let others = "DELETE FROM domains WHERE domain = ?1 AND namespace <> ?2 AND EXISTS
            (SELECT 1 FROM domains WHERE domain = ?1 AND namespace = ?2 AND token = ?3)";
        let others = Statement::new(others, [domain.into(), namespace.as_str().into(), token.into()]);
        let [verified, _] = self.run([verify, others]).await?;
        found(&verified)
    }

    async fn delete_domain(&self, namespace: &Namespace, domain: &str) -> Result<(), RegistryError> {
        let sql = "DELETE FROM domains WHERE domain = ?1 AND namespace = ?2";
        self.change(Statement::new(sql, [domain.into(), namespace.as_str().into()])).await
    }
}

fn domain_row(columns: &mut Columns) -> Result<StoredDomain, DamagedRow> {
    Ok(StoredDomain {
        domain: columns.text()?,
        namespace: columns.parsed("a namespace")?,
        function: columns.parsed("a name")?,
        token: columns.text()?,
        created_at: columns.time()?,
        verified_at: columns.time_or_null()?,
    })
}
