//! Functions and their versions, and the replies kept for `Idempotency-Key`.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    Cid, Error, FunctionName, FunctionState, FunctionVersion, Manifest, Namespace, ReplyHead, RequestId, Timestamp,
    Trigger, VersionNumber,
};

use super::RegistryError;

/// A function with all its versions, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFunction {
    pub state: FunctionState,
    pub versions: Vec<FunctionVersion>,
}

/// A version about to be published; the registry gives it its number.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// A UUID.
    pub id: String,
    pub namespace: Namespace,
    pub code: Cid,
    pub code_bytes: u64,
    pub manifest: Manifest,
    /// The triggers that the manifest asks for; those that its function has already keep their ids.
    pub triggers: Vec<Trigger>,
    pub created_at: Timestamp,
    pub created_by: String,
}

/// An `Idempotency-Key` of one function of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub namespace: Namespace,
    pub function: FunctionName,
    /// Who claims: keys of different callers never meet.
    pub caller: String,
    pub key: String,
    /// A hash of the request, so that the same key with another request is noticed.
    pub fingerprint: [u8; 32],
    pub at: Timestamp,
}

/// What a claim met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// Nobody has this key: run the call, then store or release.
    New,
    /// Another call with this key is running.
    Running,
    /// The key was used with another request.
    OtherRequest,
    /// The call ran; this was its outcome.
    Done(StoredOutcome),
}

/// The outcome of a call, as it is kept for its `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOutcome {
    pub request_id: RequestId,
    pub head: Option<ReplyHead>,
    pub body: Bytes,
    pub error: Option<Error>,
    pub duration_ms: u64,
}

#[async_trait]
pub trait Functions: Send + Sync {
    /// Every function with every version; read once at start.
    async fn load_functions(&self) -> Result<Vec<StoredFunction>, RegistryError>;

    /// Gives the version the next number of its function, stores it and makes it the active one.
    ///
    /// The first version creates the function, enabled. Numbers are never reused, not even after a function was deleted. Of the
    /// triggers that came from a manifest those stay as they are whose ids are given, the others go, and new ones come.
    async fn publish_version(&self, new: NewVersion) -> Result<FunctionVersion, RegistryError>;

    /// Makes an existing version the active one, and its triggers those of the function, as in [`Self::publish_version`].
    async fn activate(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        version: VersionNumber,
        triggers: Vec<Trigger>,
        now: Timestamp,
    ) -> Result<(), RegistryError>;

    /// Switches a function on or off.
    async fn set_enabled(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        enabled: bool,
        now: Timestamp,
    ) -> Result<(), RegistryError>;

    /// Deletes one version. The active version of a function that has others is a conflict; the last version takes the
    /// function with it.
    async fn delete_version(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        version: VersionNumber,
        now: Timestamp,
    ) -> Result<(), RegistryError>;

    /// Deletes a function with all its versions.
    async fn delete_function(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        now: Timestamp,
    ) -> Result<(), RegistryError>;

    /// Claims an `Idempotency-Key`.
    async fn claim_reply(&self, claim: Claim) -> Result<Claimed, RegistryError>;

    /// Keeps the outcome of a claimed call.
    async fn store_reply(&self, claim: &Claim, outcome: &StoredOutcome) -> Result<(), RegistryError>;

    /// Gives a claim back: the call did not run.
    async fn release_reply(&self, claim: &Claim) -> Result<(), RegistryError>;

    /// Forgets replies claimed before `before`; returns how many.
    async fn expire_replies(&self, before: Timestamp) -> Result<u64, RegistryError>;

    /// Forgets claims of calls that were running when an earlier process died; called once, at start.
    async fn release_unfinished(&self) -> Result<u64, RegistryError>;
}
