//! Who may come in.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Namespace, Timestamp};

use super::{Kept, MemoryRegistry};
use crate::{App, Identities, RefreshToken, RegistryError, RevokedFamily, Rotated, StoredKey, StoredSigningKey};

/// How long a revoked family is remembered at least: longer than any access token lives.
const REMEMBER_REVOKED: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub(super) struct KeptToken {
    pub(super) token: RefreshToken,
    used: bool,
}

#[derive(Debug)]
pub(super) struct Family {
    pub(super) namespace: Namespace,
    subject: String,
    revoked_at: Option<Timestamp>,
}

#[async_trait]
impl Identities for MemoryRegistry {
    async fn create_key(&self, key: StoredKey) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        kept.living(&key.namespace)?;
        let of_same_wallet =
            |known: &StoredKey| key.wallet.is_some() && known.wallet == key.wallet && known.namespace == key.namespace;
        if kept.keys.iter().any(|known| known.id == key.id || of_same_wallet(known)) {
            return Err(exists("key", &key.id));
        }
        kept.keys.push(key);
        Ok(())
    }

    async fn load_keys(&self) -> Result<Vec<StoredKey>, RegistryError> {
        let mut keys = self.kept().keys.clone();
        keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(keys)
    }

    async fn revoke_key(&self, namespace: &Namespace, id: &str, at: Timestamp) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let key = kept.keys.iter_mut().find(|key| key.id == id && key.namespace == *namespace);
        key.ok_or(RegistryError::NotFound)?.revoked_at.get_or_insert(at);
        Ok(())
    }

    async fn touch_keys(&self, used: &[(String, Timestamp)]) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        for (id, at) in used {
            if let Some(key) = kept.keys.iter_mut().find(|key| key.id == *id) {
                key.last_used_at = key.last_used_at.max(Some(*at));
            }
        }
        Ok(())
    }

    async fn consume_nonce(&self, hash: [u8; 32], expires_at: Timestamp) -> Result<bool, RegistryError> {
        let mut kept = self.kept();
        if kept.nonces.contains_key(&hash) {
            return Ok(false);
        }
        kept.nonces.insert(hash, expires_at);
        Ok(true)
    }

    async fn create_refresh(&self, token: RefreshToken) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        kept.living(&token.namespace)?;
        if kept.families.contains_key(&token.family) || kept.refresh.contains_key(&token.hash) {
            return Err(exists("family of refresh tokens", &token.family));
        }
        let RefreshToken { namespace, subject, .. } = token.clone();
        kept.families.insert(token.family.clone(), Family { namespace, subject, revoked_at: None });
        kept.refresh.insert(token.hash, KeptToken { token, used: false });
        Ok(())
    }

    async fn rotate_refresh(
        &self,
        presented: [u8; 32],
        namespace: Option<&Namespace>,
        next: [u8; 32],
        now: Timestamp,
        next_expires_at: Timestamp,
    ) -> Result<Rotated, RegistryError> {
        let mut kept = self.kept();
        let Some((token, used)) = kept.usable(&presented, namespace, now) else {
            return Ok(Rotated::Refused);
        };
        if used {
            kept.revoke(&token.family, now);
            return Ok(Rotated::Reused(token));
        }
        if let Some(kept) = kept.refresh.get_mut(&presented) {
            kept.used = true;
        }
        let successor = RefreshToken { hash: next, created_at: now, expires_at: next_expires_at, ..token.clone() };
        kept.refresh.insert(next, KeptToken { token: successor, used: false });
        Ok(Rotated::Done(token))
    }

    async fn revoke_refresh(
        &self,
        presented: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<RevokedFamily>, RegistryError> {
        let mut kept = self.kept();
        let family = kept.refresh.get(&presented).map(|kept| kept.token.family.clone());
        Ok(family.and_then(|family| kept.revoke(&family, now)))
    }

    async fn revoke_family(&self, family: &str, now: Timestamp) -> Result<bool, RegistryError> {
        let mut kept = self.kept();
        let alive = kept.is_alive(family, now);
        kept.revoke(family, now);
        Ok(alive)
    }

    async fn revoke_subject(
        &self,
        namespace: &Namespace,
        subject: &str,
        now: Timestamp,
    ) -> Result<Vec<RevokedFamily>, RegistryError> {
        let mut kept = self.kept();
        let alive = kept.families.iter_mut().filter(|(_, family)| {
            family.namespace == *namespace && family.subject == subject && family.revoked_at.is_none()
        });
        Ok(alive.map(|(id, family)| family.revoke(id, now)).collect())
    }

    async fn load_revoked_families(&self, since: Timestamp) -> Result<Vec<RevokedFamily>, RegistryError> {
        let kept = self.kept();
        let revoked = |(id, family): (&String, &Family)| {
            let at = family.revoked_at.filter(|at| *at >= since)?;
            Some(RevokedFamily { family: id.clone(), at })
        };
        let mut families: Vec<_> = kept.families.iter().filter_map(revoked).collect();
        families.sort_by_key(|family| family.at);
        Ok(families)
    }

    async fn expire_identities(&self, now: Timestamp) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        let all = kept.nonces.len() + kept.refresh.len();
        kept.nonces.retain(|_, expires_at| *expires_at >= now);
        kept.refresh.retain(|_, kept| kept.token.expires_at >= now);
        kept.forget_empty_families(now);
        Ok((all - kept.nonces.len() - kept.refresh.len()) as u64)
    }

    async fn claims(&self, namespace: &Namespace, wallet: &str) -> Result<BTreeMap<String, String>, RegistryError> {
        Ok(self.kept().claims.get(&(namespace.clone(), wallet.to_owned())).cloned().unwrap_or_default())
    }

    async fn set_claim(
        &self,
        namespace: &Namespace,
        wallet: &str,
        key: &str,
        value: &str,
    ) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        kept.living(namespace)?;
        let claims = kept.claims.entry((namespace.clone(), wallet.to_owned())).or_default();
        claims.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    async fn delete_claim(&self, namespace: &Namespace, wallet: &str, key: &str) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let claims = kept.claims.get_mut(&(namespace.clone(), wallet.to_owned()));
        claims.and_then(|claims| claims.remove(key)).map(drop).ok_or(RegistryError::NotFound)
    }

    async fn load_signing_keys(&self) -> Result<Vec<StoredSigningKey>, RegistryError> {
        let mut keys = self.kept().signing_keys.clone();
        keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(keys)
    }

    async fn add_signing_key(&self, key: StoredSigningKey) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        if kept.signing_keys.iter().any(|known| known.id == key.id) {
            return Err(exists("signing key", &key.id));
        }
        for known in &mut kept.signing_keys {
            known.retired_at.get_or_insert(key.created_at);
        }
        kept.signing_keys.push(key);
        Ok(())
    }

    async fn reseal_signing_key(&self, id: &str, master: &str, sealed: Vec<u8>) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let key = kept.signing_keys.iter_mut().find(|key| key.id == id).ok_or(RegistryError::NotFound)?;
        key.master = master.to_owned();
        key.sealed = sealed;
        Ok(())
    }

    async fn forget_signing_keys(&self, retired_before: Timestamp) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        let all = kept.signing_keys.len();
        kept.signing_keys.retain(|key| key.retired_at.is_none_or(|at| at >= retired_before));
        Ok((all - kept.signing_keys.len()) as u64)
    }

    async fn create_app(&self, app: App) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        kept.living(&app.namespace)?;
        if kept.apps.iter().any(|known| known.id == app.id) {
            return Err(exists("application", &app.id));
        }
        kept.apps.push(app);
        Ok(())
    }
}

impl Kept {
    /// A token that is neither expired nor revoked, and whether it was used.
    fn usable(&self, hash: &[u8; 32], namespace: Option<&Namespace>, now: Timestamp) -> Option<(RefreshToken, bool)> {
        let kept = self.refresh.get(hash)?;
        let token = &kept.token;
        let revoked = self.families.get(&token.family)?.revoked_at.is_some();
        let wanted = namespace.is_none_or(|namespace| *namespace == token.namespace);
        (wanted && !revoked && token.expires_at > now).then(|| (token.clone(), kept.used))
    }

    /// Could one of the family's tokens still be rotated?
    fn is_alive(&self, id: &str, now: Timestamp) -> bool {
        let revoked = self.families.get(id).is_none_or(|family| family.revoked_at.is_some());
        let rotates = |kept: &KeptToken| kept.token.family == id && !kept.used && kept.token.expires_at > now;
        !revoked && self.refresh.values().any(rotates)
    }

    fn revoke(&mut self, id: &str, now: Timestamp) -> Option<RevokedFamily> {
        self.families.get_mut(id).map(|family| family.revoke(id, now))
    }

    fn forget_empty_families(&mut self, now: Timestamp) {
        let Kept { families, refresh, .. } = self;
        families.retain(|id, family| {
            refresh.values().any(|kept| kept.token.family == *id)
                || family.revoked_at.is_some_and(|at| at + REMEMBER_REVOKED >= now)
        });
    }
}

impl Family {
    /// One that was revoked before stays as it is.
    fn revoke(&mut self, id: &str, now: Timestamp) -> RevokedFamily {
        RevokedFamily { family: id.to_owned(), at: *self.revoked_at.get_or_insert(now) }
    }
}

fn exists(what: &str, id: &str) -> RegistryError {
    RegistryError::Conflict(format!("a {what} with the id `{id}` exists"))
}
