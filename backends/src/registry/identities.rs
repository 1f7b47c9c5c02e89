//! Who may come in: API keys, nonces, refresh tokens, claims of wallets, signing keys.

mod rows;
mod statements;

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::{Namespace, Timestamp};
use ports::{App, Identities, RefreshToken, RegistryError, RevokedFamily, Rotated, StoredKey, StoredSigningKey};

use super::{SqlRegistry, exists, living, read_one};
use crate::sql::Columns;

#[async_trait]
impl Identities for SqlRegistry {
    async fn create_key(&self, key: StoredKey) -> Result<(), RegistryError> {
        self.insert(&key.namespace, statements::insert_key(&key), || exists("key", &key.id)).await
    }

    async fn load_keys(&self) -> Result<Vec<StoredKey>, RegistryError> {
        self.all(statements::load_keys(), rows::key).await
    }

    async fn revoke_key(&self, namespace: &Namespace, id: &str, at: Timestamp) -> Result<(), RegistryError> {
        self.change(statements::revoke_key(namespace, id, at)).await
    }

    async fn touch_keys(&self, used: &[(String, Timestamp)]) -> Result<(), RegistryError> {
        if used.is_empty() {
            return Ok(());
        }
        self.count(statements::touch_keys(used)).await.map(drop)
    }

    async fn consume_nonce(&self, hash: [u8; 32], expires_at: Timestamp) -> Result<bool, RegistryError> {
        Ok(self.count(statements::consume_nonce(&hash, expires_at)).await? > 0)
    }

    async fn create_refresh(&self, token: RefreshToken) -> Result<(), RegistryError> {
        let batch =
            [living(&token.namespace), statements::insert_family(&token), statements::insert_first_token(&token)];
        let [lives, _, inserted] = self.run(batch).await?;
        match (inserted.changed, lives.rows.is_empty()) {
            (0, true) => Err(RegistryError::NotFound),
            (0, false) => Err(RegistryError::Conflict(exists("family of refresh tokens", &token.family))),
            _ => Ok(()),
        }
    }

    async fn rotate_refresh(
        &self,
        presented: [u8; 32],
        namespace: Option<&Namespace>,
        next: [u8; 32],
        now: Timestamp,
        next_expires_at: Timestamp,
    ) -> Result<Rotated, RegistryError> {
        let token = statements::Presented { hash: &presented, namespace, now };
        let batch =
            [token.find(), token.revoke_family_if_used(), token.insert_next(&next, next_expires_at), token.mark_used()];
        let [found, ..] = self.run(batch).await?;
        Ok(match read_one(found, rows::token)? {
            None => Rotated::Refused,
            Some((token, true)) => Rotated::Reused(token),
            Some((token, false)) => Rotated::Done(token),
        })
    }

    async fn revoke_refresh(
        &self,
        presented: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<RevokedFamily>, RegistryError> {
        let [revoked] = self.run([statements::revoke_family_of(&presented, now)]).await?;
        read_one(revoked, rows::revoked_family)
    }

    async fn revoke_family(&self, family: &str, now: Timestamp) -> Result<bool, RegistryError> {
        let [alive, _] = self.run([statements::is_alive(family, now), statements::revoke_family(family, now)]).await?;
        Ok(!alive.rows.is_empty())
    }

    async fn revoke_subject(
        &self,
        namespace: &Namespace,
        subject: &str,
        now: Timestamp,
    ) -> Result<Vec<RevokedFamily>, RegistryError> {
        self.all(statements::revoke_subject(namespace, subject, now), rows::revoked_family).await
    }

    async fn load_revoked_families(&self, since: Timestamp) -> Result<Vec<RevokedFamily>, RegistryError> {
        self.all(statements::load_revoked_families(since), rows::revoked_family).await
    }

    async fn expire_identities(&self, now: Timestamp) -> Result<u64, RegistryError> {
        let batch = [
            statements::expire_nonces(now),
            statements::forget_families(now),
            statements::expire_tokens(now),
            statements::forget_revoked_families(now),
        ];
        let [nonces, _, tokens, _] = self.run(batch).await?;
        Ok(nonces.changed + tokens.changed)
    }

    async fn claims(&self, namespace: &Namespace, wallet: &str) -> Result<BTreeMap<String, String>, RegistryError> {
        let read = |columns: &mut Columns| Ok((columns.text()?, columns.text()?));
        Ok(self.all(statements::claims(namespace, wallet), read).await?.into_iter().collect())
    }

    async fn set_claim(
        &self,
        namespace: &Namespace,
        wallet: &str,
        key: &str,
        value: &str,
    ) -> Result<(), RegistryError> {
        self.change(statements::set_claim(namespace, wallet, key, value)).await
    }

    async fn delete_claim(&self, namespace: &Namespace, wallet: &str, key: &str) -> Result<(), RegistryError> {
        self.change(statements::delete_claim(namespace, wallet, key)).await
    }

    async fn load_signing_keys(&self) -> Result<Vec<StoredSigningKey>, RegistryError> {
        self.all(statements::load_signing_keys(), rows::signing_key).await
    }

    async fn add_signing_key(&self, key: StoredSigningKey) -> Result<(), RegistryError> {
        let batch = [statements::retire_signing_keys(&key), statements::insert_signing_key(&key)];
        let [_, inserted] = self.run(batch).await?;
        match inserted.changed {
            0 => Err(RegistryError::Conflict(exists("signing key", &key.id))),
            _ => Ok(()),
        }
    }

    async fn reseal_signing_key(&self, id: &str, master: &str, sealed: Vec<u8>) -> Result<(), RegistryError> {
        self.change(statements::reseal_signing_key(id, master, &sealed)).await
    }

    async fn forget_signing_keys(&self, retired_before: Timestamp) -> Result<u64, RegistryError> {
        self.count(statements::forget_signing_keys(retired_before)).await
    }

    async fn create_app(&self, app: App) -> Result<(), RegistryError> {
        self.insert(&app.namespace, statements::insert_app(&app), || exists("application", &app.id)).await
    }
}
