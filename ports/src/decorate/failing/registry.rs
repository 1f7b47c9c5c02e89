//! The control plane, failing on demand: every method fails by its own name.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::{
    AuditEvent, AuditQuery, Cid, FunctionName, FunctionVersion, Namespace, NamespaceSettings, Timestamp, VersionNumber,
};

use super::Failing;
use crate::{
    App, Audit, Claim, Claimed, ContentInfo, Contents, Functions, Identities, Namespaces, NewVersion, Owned, Owner,
    RefreshToken, RegistryError, RevokedFamily, Rotated, SealedDataKey, SealedSecret, SealedSecrets, StoredFunction,
    StoredKey, StoredNamespace, StoredOutcome, StoredSigningKey,
};

/// A trait of the control plane, from the heads of its methods: sixty bodies that differ in the name alone.
macro_rules! failing {
    ($port:ident: $(fn $method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl<P: $port> $port for Failing<P> {
            $(async fn $method(&self, $($argument: $type),*) -> Result<$answer, RegistryError> {
                self.faults.check(stringify!($method)).map_err(RegistryError::Unavailable)?;
                self.inner.$method($($argument),*).await
            })*
        }
    };
}

failing! { Functions:
    fn load_functions() -> Vec<StoredFunction>;
    fn publish_version(new: NewVersion) -> FunctionVersion;
    fn activate(namespace: &Namespace, name: &FunctionName, version: VersionNumber, now: Timestamp) -> ();
    fn set_enabled(namespace: &Namespace, name: &FunctionName, enabled: bool, now: Timestamp) -> ();
    fn delete_version(namespace: &Namespace, name: &FunctionName, version: VersionNumber, now: Timestamp) -> ();
    fn delete_function(namespace: &Namespace, name: &FunctionName, now: Timestamp) -> ();
    fn claim_reply(claim: Claim) -> Claimed;
    fn store_reply(claim: &Claim, outcome: &StoredOutcome) -> ();
    fn release_reply(claim: &Claim) -> ();
    fn expire_replies(before: Timestamp) -> u64;
    fn release_unfinished() -> u64;
}

failing! { Namespaces:
    fn load_namespaces() -> Vec<StoredNamespace>;
    fn create_namespace(new: StoredNamespace, owner: Option<Owner>) -> ();
    fn set_namespace_settings(namespace: &Namespace, settings: &NamespaceSettings) -> ();
    fn begin_end_of_namespace(namespace: &Namespace) -> ();
    fn finish_end_of_namespace(namespace: &Namespace) -> ();
    fn load_owners() -> Vec<Owner>;
    fn put_owner(owner: Owner) -> ();
    fn delete_owner(namespace: &Namespace, wallet: &str) -> ();
}

failing! { Identities:
    fn create_key(key: StoredKey) -> ();
    fn load_keys() -> Vec<StoredKey>;
    fn revoke_key(namespace: &Namespace, id: &str, at: Timestamp) -> ();
    fn touch_keys(used: &[(String, Timestamp)]) -> ();
    fn consume_nonce(hash: [u8; 32], expires_at: Timestamp) -> bool;
    fn create_refresh(token: RefreshToken) -> ();
    fn rotate_refresh(
        presented: [u8; 32], namespace: Option<&Namespace>, next: [u8; 32], now: Timestamp, next_expires_at: Timestamp
    ) -> Rotated;
    fn revoke_refresh(presented: [u8; 32], now: Timestamp) -> Option<RevokedFamily>;
    fn revoke_family(family: &str, now: Timestamp) -> bool;
    fn revoke_subject(namespace: &Namespace, subject: &str, now: Timestamp) -> Vec<RevokedFamily>;
    fn load_revoked_families(since: Timestamp) -> Vec<RevokedFamily>;
    fn expire_identities(now: Timestamp) -> u64;
    fn claims(namespace: &Namespace, wallet: &str) -> BTreeMap<String, String>;
    fn set_claim(namespace: &Namespace, wallet: &str, key: &str, value: &str) -> ();
    fn delete_claim(namespace: &Namespace, wallet: &str, key: &str) -> ();
    fn load_signing_keys() -> Vec<StoredSigningKey>;
    fn add_signing_key(key: StoredSigningKey) -> ();
    fn reseal_signing_key(id: &str, master: &str, sealed: Vec<u8>) -> ();
    fn forget_signing_keys(retired_before: Timestamp) -> u64;
    fn create_app(app: App) -> ();
}

failing! { SealedSecrets:
    fn load_data_keys() -> Vec<SealedDataKey>;
    fn create_data_key(key: SealedDataKey) -> ();
    fn reseal_data_key(id: &str, master: &str, sealed: Vec<u8>) -> ();
    fn delete_data_key(id: &str) -> ();
    fn load_secrets() -> Vec<SealedSecret>;
    fn put_secret(secret: SealedSecret) -> ();
    fn delete_secret(namespace: &Namespace, name: &str) -> ();
}

failing! { Contents:
    fn own_content(namespace: &Namespace, content: ContentInfo, bytes_max: Option<u64>) -> Owned;
    fn content(namespace: &Namespace, cid: &Cid) -> Option<ContentInfo>;
    fn list_contents(namespace: &Namespace, after: Option<&Cid>, limit: usize) -> Vec<ContentInfo>;
    fn pin_content(namespace: &Namespace, cid: &Cid, pinned: bool, name: Option<&str>) -> ();
    fn disown_unpinned(namespace: Option<&Namespace>, before: Timestamp) -> (u64, u64);
    fn owned_bytes(namespace: &Namespace) -> u64;
    fn owned_contents() -> Vec<Cid>;
}

failing! { Audit:
    fn append_audit(event: AuditEvent) -> ();
    fn audit(query: &AuditQuery) -> Vec<AuditEvent>;
    fn prune_audit(before: Timestamp) -> u64;
}
