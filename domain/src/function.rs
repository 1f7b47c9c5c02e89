//! A function as the registry keeps it: immutable versions, and which of them is active.

use serde::{Deserialize, Serialize};

use crate::{Cid, FunctionName, Manifest, Namespace, Timestamp, VersionNumber};

/// Which version of which function: what engines and caches use as a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionId {
    pub namespace: Namespace,
    pub name: FunctionName,
    pub version: VersionNumber,
}

/// One immutable version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionVersion {
    /// A UUID, new with each deploy.
    pub id: String,
    pub namespace: Namespace,
    pub name: FunctionName,
    pub version: VersionNumber,
    pub code: Cid,
    pub code_bytes: u64,
    pub manifest: Manifest,
    pub created_at: Timestamp,
    /// The wallet or namespace of who deployed it.
    pub created_by: String,
}

impl FunctionVersion {
    pub fn version_id(&self) -> VersionId {
        VersionId { namespace: self.namespace.clone(), name: self.name.clone(), version: self.version }
    }
}

/// What changes about a function while its versions do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionState {
    pub namespace: Namespace,
    pub name: FunctionName,
    pub active: VersionNumber,
    pub enabled: bool,
    pub updated_at: Timestamp,
}
