//! Which namespace owns which content.

use async_trait::async_trait;
use domain::{Cid, Namespace, Timestamp};
use ports::{ContentInfo, Contents, Owned, RegistryError};

use super::{SqlRegistry, limit, living, read_one};
use crate::sql::{Columns, DamagedRow, Statement, Value};

#[async_trait]
impl Contents for SqlRegistry {
    async fn own_content(
        &self,
        namespace: &Namespace,
        content: ContentInfo,
        bytes_max: Option<u64>,
    ) -> Result<Owned, RegistryError> {
        let [used, owned] = self.run([living(namespace), own(namespace, &content, bytes_max)]).await?;
        let used = read_one(used, Columns::natural)?.ok_or(RegistryError::NotFound)?;
        Ok(if owned.changed > 0 { Owned::Yes } else { Owned::OverQuota { used } })
    }

    async fn content(&self, namespace: &Namespace, cid: &Cid) -> Result<Option<ContentInfo>, RegistryError> {
        let sql = "SELECT cid, name, bytes, pinned, created_at FROM contents WHERE namespace = ?1 AND cid = ?2";
        let [found] = self.run([Statement::new(sql, key(namespace, cid))]).await?;
        read_one(found, content)
    }

    async fn list_contents(
        &self,
        namespace: &Namespace,
        after: Option<&Cid>,
        most: usize,
    ) -> Result<Vec<ContentInfo>, RegistryError> {
        let page = match after {
            None => first_page(namespace, most),
            Some(after) => next_page(namespace, after, most),
        };
        self.all(page, content).await
    }

    async fn pin_content(
        &self,
        namespace: &Namespace,
        cid: &Cid,
        pinned: bool,
        name: Option<&str>,
    ) -> Result<(), RegistryError> {
        let sql = "UPDATE contents SET pinned = ?3, name = coalesce(?4, name) WHERE namespace = ?1 AND cid = ?2";
        let [namespace, cid] = key(namespace, cid);
        self.change(Statement::new(sql, [namespace, cid, pinned.into(), name.into()])).await
    }

    async fn disown_unpinned(
        &self,
        namespace: Option<&Namespace>,
        before: Timestamp,
    ) -> Result<(u64, u64), RegistryError> {
        let [sum, disowned] = self.run([sum_unpinned(namespace, before), delete_unpinned(namespace, before)]).await?;
        let bytes = read_one(sum, Columns::natural)?.unwrap_or_default();
        Ok((disowned.changed, bytes))
    }

    async fn owned_bytes(&self, namespace: &Namespace) -> Result<u64, RegistryError> {
        let [used] = self.run([living(namespace)]).await?;
        Ok(read_one(used, Columns::natural)?.unwrap_or_default())
    }

    async fn owned_contents(&self) -> Result<Vec<Cid>, RegistryError> {
        let sql = "SELECT DISTINCT cid FROM contents ORDER BY cid";
        self.all(Statement::new(sql, []), |columns| columns.parsed("a content identifier")).await
    }
}

fn key(namespace: &Namespace, cid: &Cid) -> [Value; 2] {
    [namespace.as_str().into(), cid.to_string().into()]
}

/// Changes nothing when the quota would be passed. What the namespace owns already costs nothing more.
fn own(namespace: &Namespace, content: &ContentInfo, bytes_max: Option<u64>) -> Statement {
    let sql = "INSERT INTO contents (namespace, cid, name, bytes, pinned, created_at)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6 FROM namespaces
        WHERE name = ?1 AND ending = 0 AND (?7 IS NULL OR owned_bytes + ?4 <= ?7
            OR EXISTS (SELECT 1 FROM contents WHERE namespace = ?1 AND cid = ?2))
        ON CONFLICT (namespace, cid) DO UPDATE SET
            name = excluded.name,
            pinned = max(pinned, excluded.pinned),
            created_at = excluded.created_at";
    let [namespace, cid] = key(namespace, &content.cid);
    let values = [
        namespace,
        cid,
        content.name.as_str().into(),
        content.bytes.into(),
        content.pinned.into(),
        content.created_at.into(),
        bytes_max.into(),
    ];
    Statement::new(sql, values)
}

fn first_page(namespace: &Namespace, most: usize) -> Statement {
    let sql = "SELECT cid, name, bytes, pinned, created_at FROM contents
        WHERE namespace = ?1 ORDER BY created_at DESC, cid DESC LIMIT ?2";
    Statement::new(sql, [namespace.as_str().into(), limit(most)])
}

fn next_page(namespace: &Namespace, after: &Cid, most: usize) -> Statement {
    let sql = "SELECT cid, name, bytes, pinned, created_at FROM contents
        WHERE namespace = ?1
            AND (created_at, cid) < (SELECT created_at, cid FROM contents WHERE namespace = ?1 AND cid = ?2)
        ORDER BY created_at DESC, cid DESC LIMIT ?3";
    let [namespace, after] = key(namespace, after);
    Statement::new(sql, [namespace, after, limit(most)])
}

/// Right before [`delete_unpinned`].
fn sum_unpinned(namespace: Option<&Namespace>, before: Timestamp) -> Statement {
    let sql = "SELECT coalesce(sum(bytes), 0) FROM contents
        WHERE pinned = 0 AND created_at < ?2 AND (?1 IS NULL OR namespace = ?1)";
    Statement::new(sql, [namespace.map(Namespace::as_str).into(), before.into()])
}

fn delete_unpinned(namespace: Option<&Namespace>, before: Timestamp) -> Statement {
    let sql = "DELETE FROM contents WHERE pinned = 0 AND created_at < ?2 AND (?1 IS NULL OR namespace = ?1)";
    Statement::new(sql, [namespace.map(Namespace::as_str).into(), before.into()])
}

fn content(columns: &mut Columns) -> Result<ContentInfo, DamagedRow> {
    Ok(ContentInfo {
        cid: columns.parsed("a content identifier")?,
        name: columns.text()?,
        bytes: columns.natural()?,
        pinned: columns.integer()? == 1,
        created_at: columns.time()?,
    })
}
