//! The wallets that may do something in a namespace, and the claims that their tokens carry.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Caller, Error, ErrorCode, Namespace, Scope, Scopes};
use ports::{Owner, RegistryError};

use super::keys::{given_by, must_have};
use super::not_changed;
use super::wallet::Wallet;
use crate::{Platform, internal};

const CLAIMS_MAX: usize = 32;
const CLAIM_KEY_BYTES_MAX: usize = 64;
const CLAIM_VALUE_BYTES_MAX: usize = 1 << 10;
/// All claims of a wallet as JSON: a token with them must stay within what is read.
const CLAIMS_BYTES_MAX: usize = 4 << 10;
/// What a token says itself; a function that asks for one of these must never get what somebody set.
const RESERVED_CLAIMS: [&str; 14] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "namespace",
    "namespace_since",
    "custom",
    "sid",
    "scope",
    "scopes",
    "wallet",
];

impl Platform {
    /// The wallets that may do something in the namespace, by wallet.
    pub fn owners(&self, caller: &Caller, namespace: &Namespace) -> Result<Vec<Owner>, Error> {
        self.manage(caller, Scope::Admin, namespace)?;
        Ok(self.home(namespace)?.owners.values().cloned().collect())
    }

    /// Adds an owner, or replaces the scopes of one.
    pub async fn put_owner(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        wallet: &str,
        scopes: Scopes,
    ) -> Result<Owner, Error> {
        self.manage(caller, Scope::Admin, namespace)?;
        let wallet = parse(wallet)?;
        let scopes = given_by(caller, &scopes)?;
        let _one_at_a_time = self.management.lock().await;
        let home = self.home(namespace)?;
        let known = home.owners.get(wallet.as_str());
        if let Some(known) = known {
            must_have(caller, &known.scopes)?;
        }
        let added_at = known.map_or_else(|| self.clock.now(), |known| known.added_at);
        let owner = Owner { namespace: namespace.clone(), wallet: wallet.to_string(), scopes, added_at };
        let stored = self.registry.put_owner(owner.clone()).await;
        stored.map_err(|error| not_changed("add an owner", error))?;
        let next = self.identity.directory.load().with_owner(&home, owner.clone());
        self.identity.directory.store(Arc::new(next));
        tracing::info!(%namespace, %wallet, "owner set");
        Ok(owner)
    }

    /// Removes an owner: its key and its tokens can do nothing more here that needs a scope.
    pub async fn remove_owner(&self, caller: &Caller, namespace: &Namespace, wallet: &str) -> Result<(), Error> {
        self.manage(caller, Scope::Admin, namespace)?;
        let wallet = parse(wallet)?;
        let _one_at_a_time = self.management.lock().await;
        let home = self.home(namespace)?;
        let unknown = || Error::not_found(format!("wallet `{wallet}` owns nothing in namespace `{namespace}`"));
        must_have(caller, &home.owners.get(wallet.as_str()).ok_or_else(unknown)?.scopes)?;
        let deleted = self.registry.delete_owner(namespace, wallet.as_str()).await;
        deleted.map_err(|error| not_changed("remove an owner", error))?;
        let next = self.identity.directory.load().without_owner(&home, wallet.as_str());
        self.identity.directory.store(Arc::new(next));
        tracing::info!(%namespace, %wallet, "owner removed");
        Ok(())
    }

    /// The claims that the next tokens of a wallet carry.
    pub async fn claims(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        wallet: &str,
    ) -> Result<BTreeMap<String, String>, Error> {
        let lease = self.manage(caller, Scope::Admin, namespace)?;
        let _held = lease.hold()?;
        let wallet = parse(wallet)?;
        let claims = self.registry.claims(namespace, wallet.as_str()).await;
        claims.map_err(|cause| internal("read the claims of a wallet", cause))
    }

    pub async fn set_claim(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        wallet: &str,
        key: &str,
        value: &str,
    ) -> Result<(), Error> {
        // Before the claims are read, or two that are set together could pass the limits that each keeps.
        let _one_at_a_time = self.management.lock().await;
        let known = self.claims(caller, namespace, wallet).await?;
        check_claim(key, value)?;
        check_claims(known, key, value)?;
        let set = self.registry.set_claim(namespace, parse(wallet)?.as_str(), key, value).await;
        set.map_err(|error| not_changed("set a claim", error))
    }

    pub async fn delete_claim(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        wallet: &str,
        key: &str,
    ) -> Result<(), Error> {
        let lease = self.manage(caller, Scope::Admin, namespace)?;
        let _held = lease.hold()?;
        let wallet = parse(wallet)?;
        match self.registry.delete_claim(namespace, wallet.as_str(), key).await {
            Err(RegistryError::NotFound) => {
                Err(Error::not_found(format!("wallet `{wallet}` has no claim of this name")))
            }
            deleted => deleted.map_err(|error| not_changed("delete a claim", error)),
        }
    }
}

fn parse(wallet: &str) -> Result<Wallet, Error> {
    Wallet::parse(wallet, None).map_err(|invalid| Error::invalid(invalid.to_string()))
}

fn check_claim(key: &str, value: &str) -> Result<(), Error> {
    if !(1..=CLAIM_KEY_BYTES_MAX).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::invalid("the key of a claim is 1 to 64 letters, digits and signs, without spaces"));
    }
    if RESERVED_CLAIMS.contains(&key) {
        return Err(Error::invalid(format!("the claim `{key}` is the token's own; choose another key")));
    }
    if value.len() > CLAIM_VALUE_BYTES_MAX {
        let message = format!("the value is {} bytes, the limit is {CLAIM_VALUE_BYTES_MAX}", value.len());
        return Err(Error::new(ErrorCode::PayloadTooLarge, message));
    }
    Ok(())
}

fn check_claims(mut claims: BTreeMap<String, String>, key: &str, value: &str) -> Result<(), Error> {
    claims.insert(key.to_owned(), value.to_owned());
    if claims.len() > CLAIMS_MAX {
        return Err(Error::invalid(format!("a wallet has at most {CLAIMS_MAX} claims; delete one first")));
    }
    let size = serde_json::to_vec(&claims).map_err(|cause| internal("write claims", cause))?.len();
    if size > CLAIMS_BYTES_MAX {
        let message = format!("the claims of the wallet would be {size} bytes, the limit is {CLAIMS_BYTES_MAX}");
        return Err(Error::new(ErrorCode::PayloadTooLarge, message));
    }
    Ok(())
}
