//! The control plane, failing on demand: every method fails by its own name.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::{
    AuditEvent, AuditQuery, Cid, FunctionName, FunctionVersion, Namespace, NamespaceSettings, Timestamp, Trigger,
    VersionNumber,
};

use super::Failing;
use crate::{
    App, Asked, Audit, Begun, Cancelled, ChainCodes, Claim, Claimed, ContentInfo, Contents, CustomDomains, Deliveries,
    Delivery, DeliveryEnd, Functions, Identities, InboxMessage, JobEnd, JobRows, JobView, JobsQuery, Lane, Namespaces,
    NewVersion, Owned, Owner, Push, RefreshToken, RegistryError, RevokedFamily, Rotated, RowLimits, SealedDataKey,
    SealedSecret, SealedSecrets, StoredChainCode, StoredDevice, StoredDomain, StoredFunction, StoredKey,
    StoredNamespace, StoredOutcome, StoredSigningKey, Triggers,
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
    fn activate(
        namespace: &Namespace, name: &FunctionName, version: VersionNumber, triggers: Vec<Trigger>, now: Timestamp
    ) -> ();
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

failing! { Triggers:
    fn load_triggers() -> Vec<Trigger>;
    fn add_trigger(trigger: Trigger) -> ();
    fn delete_trigger(namespace: &Namespace, id: &str) -> ();
    fn set_trigger_enabled(namespace: &Namespace, id: &str, enabled: bool, next_run_at: Option<Timestamp>) -> ();
    fn set_next_run(namespace: &Namespace, id: &str, next: Option<Timestamp>) -> ();
    fn claim_slot(
        namespace: &Namespace, id: &str, slot: Timestamp, next: Option<Timestamp>, deliveries: Vec<Delivery>
    ) -> bool;
}

failing! { Deliveries:
    fn write_deliveries(new: Vec<Delivery>, ended: Vec<(String, DeliveryEnd)>) -> Vec<String>;
    fn begin_deliveries(asked: Vec<Asked>, now: Timestamp) -> Begun;
    fn begin_companions(namespace: &Namespace, trigger: &str, limit: usize) -> Vec<Delivery>;
    fn release_deliveries() -> u64;
    fn hasten_deliveries(now: Timestamp, latest: Timestamp) -> u64;
    fn lanes(namespace: Option<&Namespace>) -> Vec<Lane>;
    fn owed_by(namespace: &Namespace, trigger: &str) -> u64;
    fn withdraw_delivery(namespace: &Namespace, id: &str) -> bool;
    fn dead_deliveries(
        namespace: &Namespace, function: &FunctionName, after: Option<&str>, limit: usize
    ) -> Vec<Delivery>;
    fn redrive(namespace: &Namespace, function: &FunctionName, ids: Option<&[String]>, now: Timestamp) -> u64;
    fn delete_dead(namespace: &Namespace, function: &FunctionName, ids: Option<&[String]>) -> u64;
    fn expire_dead(before: Timestamp, count_max: u64, bytes_max: u64) -> u64;
}

failing! { JobRows:
    fn create_job(delivery: Delivery, waiting_max: u64) -> ();
    fn job(namespace: &Namespace, id: &str) -> Option<JobView>;
    fn jobs(query: &JobsQuery) -> Vec<JobView>;
    fn start_job(namespace: &Namespace, id: &str, now: Timestamp) -> bool;
    fn end_job(namespace: &Namespace, id: &str, end: JobEnd) -> bool;
    fn cancel_job(namespace: &Namespace, id: &str, now: Timestamp) -> Cancelled;
    fn release_jobs() -> u64;
    fn expire_jobs(before: Timestamp, count_max: u64, bytes_max: u64) -> u64;
}

failing! { Push:
    fn put_device(device: StoredDevice, limits: RowLimits) -> String;
    fn devices(namespace: &Namespace, owner: &str) -> Vec<StoredDevice>;
    fn delete_device(namespace: &Namespace, owner: &str, id: &str) -> ();
    fn forget_device(namespace: &Namespace, id: &str, token: &str) -> bool;
    fn put_in_inbox(message: InboxMessage, limits: RowLimits) -> ();
    fn inbox(namespace: &Namespace, owner: &str, after: Option<&str>, now: Timestamp, limit: usize) -> Vec<InboxMessage>;
    fn delete_from_inbox(namespace: &Namespace, owner: &str, id: &str) -> ();
    fn expire_inbox(now: Timestamp) -> u64;
}

failing! { ChainCodes:
    fn load_chain_codes() -> Vec<StoredChainCode>;
    fn add_chain_code(code: StoredChainCode) -> ();
}

failing! { CustomDomains:
    fn load_domains() -> Vec<StoredDomain>;
    fn put_domain(domain: StoredDomain) -> ();
    fn verify_domain(namespace: &Namespace, domain: &str, token: &str, at: Timestamp) -> ();
    fn delete_domain(namespace: &Namespace, domain: &str) -> ();
}

failing! { Audit:
    fn append_audit(event: AuditEvent) -> ();
    fn audit(query: &AuditQuery) -> Vec<AuditEvent>;
    fn prune_audit(before: Timestamp) -> u64;
}
