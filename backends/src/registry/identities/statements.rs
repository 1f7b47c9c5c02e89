//! The statements for keys, nonces, tokens, claims and applications.

use domain::{Namespace, Timestamp};
use ports::{App, RefreshToken, StoredKey, StoredSigningKey};

use crate::registry::json;
use crate::sql::{Statement, Value, nanoseconds};

/// How long a revoked family is remembered at least: longer than any access token lives.
const REMEMBER_REVOKED_NS: i64 = 24 * 3600 * 1_000_000_000;

/// Nothing when the id is taken, or the wallet has a key of that generation.
pub(super) fn insert_key(key: &StoredKey) -> Statement {
    let sql = "INSERT INTO api_keys
            (id, name, namespace, scopes, hash, created_at, expires_at, last_used_at, revoked_at, wallet, generation)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM namespaces WHERE name = ?3 AND ending = 0
        ON CONFLICT DO NOTHING";
    let (wallet, generation) = key.wallet.as_ref().map(|(wallet, generation)| (wallet.as_str(), *generation)).unzip();
    let values = [
        key.id.as_str().into(),
        key.name.as_str().into(),
        key.namespace.as_str().into(),
        json(&key.scopes).into(),
        key.hash.as_slice().into(),
        key.created_at.into(),
        key.expires_at.into(),
        key.last_used_at.into(),
        key.revoked_at.into(),
        wallet.into(),
        generation.into(),
    ];
    Statement::new(sql, values)
}

pub(super) fn load_keys() -> Statement {
    let sql = "SELECT id, name, namespace, scopes, hash, created_at, expires_at, last_used_at, revoked_at,
            wallet, generation
        FROM api_keys ORDER BY created_at, id";
    Statement::new(sql, [])
}

pub(super) fn revoke_key(namespace: &Namespace, id: &str, at: Timestamp) -> Statement {
    let sql = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?3) WHERE id = ?2 AND namespace = ?1";
    Statement::new(sql, [namespace.as_str().into(), id.into(), at.into()])
}

/// One statement however many keys were used; a use that is older than the last one known changes nothing.
pub(super) fn touch_keys(used: &[(String, Timestamp)]) -> Statement {
    let sql = "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, used.at), used.at)
        FROM (SELECT value ->> 0 AS id, max(value ->> 1) AS at FROM json_each(?1) GROUP BY 1) AS used
        WHERE api_keys.id = used.id";
    let used: Vec<_> = used.iter().map(|(id, at)| (id, nanoseconds(*at))).collect();
    Statement::new(sql, [json(&used).into()])
}

pub(super) fn consume_nonce(hash: &[u8; 32], expires_at: Timestamp) -> Statement {
    let sql = "INSERT INTO nonces (hash, expires_at) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING";
    Statement::new(sql, [hash.as_slice().into(), expires_at.into()])
}

/// Nothing when the namespace does not live, or the family or the token exists.
pub(super) fn insert_family(token: &RefreshToken) -> Statement {
    let sql = "INSERT INTO refresh_families (id, namespace, subject)
        SELECT ?1, ?2, ?3 FROM namespaces WHERE name = ?2 AND ending = 0
            AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE hash = ?4)
        ON CONFLICT (id) DO NOTHING";
    let values = [
        token.family.as_str().into(),
        token.namespace.as_str().into(),
        token.subject.as_str().into(),
        token.hash.as_slice().into(),
    ];
    Statement::new(sql, values)
}

/// Right behind [`insert_family`]: the token of the family that was made, if it was.
pub(super) fn insert_first_token(token: &RefreshToken) -> Statement {
    let sql = "INSERT INTO refresh_tokens (hash, family, created_at, expires_at, used)
        SELECT ?1, ?2, ?3, ?4, 0 WHERE changes() > 0";
    let values =
        [token.hash.as_slice().into(), token.family.as_str().into(), token.created_at.into(), token.expires_at.into()];
    Statement::new(sql, values)
}

/// A refresh token as somebody presents it. Its statements run in the order in which they stand here.
pub(super) struct Presented<'a> {
    pub(super) hash: &'a [u8; 32],
    pub(super) namespace: Option<&'a Namespace>,
    pub(super) now: Timestamp,
}

impl Presented<'_> {
    /// `?1` to `?3` of each statement.
    fn values(&self) -> [Value; 3] {
        [self.hash.as_slice().into(), self.now.into(), self.namespace.map(Namespace::as_str).into()]
    }

    /// One row unless the token is refused.
    pub(super) fn find(&self) -> Statement {
        let sql = "SELECT hash, family, namespace, subject, created_at, expires_at, used FROM unrevoked_tokens
            WHERE hash = ?1 AND expires_at > ?2 AND (?3 IS NULL OR namespace = ?3)";
        Statement::new(sql, self.values())
    }

    pub(super) fn revoke_family_if_used(&self) -> Statement {
        let sql = "UPDATE refresh_families SET revoked_at = ?2 WHERE id =
            (SELECT family FROM unrevoked_tokens
             WHERE hash = ?1 AND expires_at > ?2 AND (?3 IS NULL OR namespace = ?3) AND used = 1)";
        Statement::new(sql, self.values())
    }

    pub(super) fn insert_next(&self, next: &[u8; 32], expires_at: Timestamp) -> Statement {
        let sql = "INSERT INTO refresh_tokens (hash, family, created_at, expires_at, used)
            SELECT ?4, family, ?2, ?5, 0 FROM unrevoked_tokens
            WHERE hash = ?1 AND expires_at > ?2 AND (?3 IS NULL OR namespace = ?3) AND used = 0";
        let [hash, now, namespace] = self.values();
        Statement::new(sql, [hash, now, namespace, next.as_slice().into(), expires_at.into()])
    }

    pub(super) fn mark_used(&self) -> Statement {
        let sql = "UPDATE refresh_tokens SET used = 1 WHERE hash =
            (SELECT hash FROM unrevoked_tokens
             WHERE hash = ?1 AND expires_at > ?2 AND (?3 IS NULL OR namespace = ?3))";
        Statement::new(sql, self.values())
    }
}

pub(super) fn revoke_family_of(presented: &[u8; 32], now: Timestamp) -> Statement {
    let sql = "UPDATE refresh_families SET revoked_at = coalesce(revoked_at, ?2)
        WHERE id = (SELECT family FROM refresh_tokens WHERE hash = ?1) RETURNING id, revoked_at";
    Statement::new(sql, [presented.as_slice().into(), now.into()])
}

/// A row if a token of the family could still be rotated.
pub(super) fn is_alive(family: &str, now: Timestamp) -> Statement {
    let sql = "SELECT 1 FROM unrevoked_tokens WHERE family = ?1 AND used = 0 AND expires_at > ?2 LIMIT 1";
    Statement::new(sql, [family.into(), now.into()])
}

pub(super) fn revoke_family(family: &str, now: Timestamp) -> Statement {
    let sql = "UPDATE refresh_families SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
    Statement::new(sql, [family.into(), now.into()])
}

pub(super) fn revoke_subject(namespace: &Namespace, subject: &str, now: Timestamp) -> Statement {
    let sql = "UPDATE refresh_families SET revoked_at = ?3
        WHERE namespace = ?1 AND subject = ?2 AND revoked_at IS NULL RETURNING id, revoked_at";
    Statement::new(sql, [namespace.as_str().into(), subject.into(), now.into()])
}

pub(super) fn load_revoked_families(since: Timestamp) -> Statement {
    let sql = "SELECT id, revoked_at FROM refresh_families WHERE revoked_at >= ?1 ORDER BY revoked_at, id";
    Statement::new(sql, [since.into()])
}

pub(super) fn expire_nonces(now: Timestamp) -> Statement {
    Statement::new("DELETE FROM nonces WHERE expires_at < ?1", [now.into()])
}

/// Right before [`expire_tokens`]: a family whose last token expires has nothing to revoke.
pub(super) fn forget_families(now: Timestamp) -> Statement {
    let sql = "DELETE FROM refresh_families
        WHERE revoked_at IS NULL AND id IN (SELECT family FROM refresh_tokens WHERE expires_at < ?1)
            AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE family = refresh_families.id AND expires_at >= ?1)";
    Statement::new(sql, [now.into()])
}

pub(super) fn expire_tokens(now: Timestamp) -> Statement {
    Statement::new("DELETE FROM refresh_tokens WHERE expires_at < ?1", [now.into()])
}

/// A family that was revoked may still have access tokens abroad, for a while.
pub(super) fn forget_revoked_families(now: Timestamp) -> Statement {
    let sql = "DELETE FROM refresh_families
        WHERE revoked_at < ?1 AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE family = refresh_families.id)";
    Statement::new(sql, [nanoseconds(now).saturating_sub(REMEMBER_REVOKED_NS).into()])
}

pub(super) fn claims(namespace: &Namespace, wallet: &str) -> Statement {
    let sql = "SELECT key, value FROM claims WHERE namespace = ?1 AND wallet = ?2";
    Statement::new(sql, [namespace.as_str().into(), wallet.into()])
}

pub(super) fn set_claim(namespace: &Namespace, wallet: &str, key: &str, value: &str) -> Statement {
    let sql = "INSERT INTO claims (namespace, wallet, key, value)
        SELECT ?1, ?2, ?3, ?4 FROM namespaces WHERE name = ?1 AND ending = 0
        ON CONFLICT (namespace, wallet, key) DO UPDATE SET value = excluded.value";
    Statement::new(sql, [namespace.as_str().into(), wallet.into(), key.into(), value.into()])
}

pub(super) fn delete_claim(namespace: &Namespace, wallet: &str, key: &str) -> Statement {
    let sql = "DELETE FROM claims WHERE namespace = ?1 AND wallet = ?2 AND key = ?3";
    Statement::new(sql, [namespace.as_str().into(), wallet.into(), key.into()])
}

pub(super) fn load_signing_keys() -> Statement {
    let sql = "SELECT id, master, sealed, created_at, retired_at FROM signing_keys ORDER BY created_at, id";
    Statement::new(sql, [])
}

/// Right before [`insert_signing_key`]: nothing when the id is taken.
pub(super) fn retire_signing_keys(next: &StoredSigningKey) -> Statement {
    let sql = "UPDATE signing_keys SET retired_at = ?2
        WHERE retired_at IS NULL AND NOT EXISTS (SELECT 1 FROM signing_keys WHERE id = ?1)";
    Statement::new(sql, [next.id.as_str().into(), next.created_at.into()])
}

pub(super) fn insert_signing_key(key: &StoredSigningKey) -> Statement {
    let sql = "INSERT INTO signing_keys (id, master, sealed, created_at, retired_at)
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO NOTHING";
    let values = [
        key.id.as_str().into(),
        key.master.as_str().into(),
        key.sealed.as_slice().into(),
        key.created_at.into(),
        key.retired_at.into(),
    ];
    Statement::new(sql, values)
}

pub(super) fn reseal_signing_key(id: &str, master: &str, sealed: &[u8]) -> Statement {
    let sql = "UPDATE signing_keys SET master = ?2, sealed = ?3 WHERE id = ?1";
    Statement::new(sql, [id.into(), master.into(), sealed.into()])
}

pub(super) fn forget_signing_keys(retired_before: Timestamp) -> Statement {
    Statement::new("DELETE FROM signing_keys WHERE retired_at < ?1", [retired_before.into()])
}

pub(super) fn insert_app(app: &App) -> Statement {
    let sql = "INSERT INTO apps (id, namespace, name, wallet, created_at)
        SELECT ?1, ?2, ?3, ?4, ?5 FROM namespaces WHERE name = ?2 AND ending = 0
        ON CONFLICT (id) DO NOTHING";
    let values = [
        app.id.as_str().into(),
        app.namespace.as_str().into(),
        app.name.as_str().into(),
        app.wallet.as_str().into(),
        app.created_at.into(),
    ];
    Statement::new(sql, values)
}
