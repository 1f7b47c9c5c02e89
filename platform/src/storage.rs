//! Content: which namespace owns what, within which quota, for how long. The bytes are in [`ports::Storage`].
//!
//! `shelves.rs` keeps owners and bytes together, `upload.rs` is content on its way in, `house.rs` is what functions see.

mod house;
mod shelves;
mod upload;

use bytes::Bytes;
use domain::{Caller, Cid, Error, ErrorCode, Namespace, Scope, Timestamp};
use ports::{Content, ContentInfo, RegistryError, StorageError};

use crate::{Platform, internal};

pub(crate) use house::NamespaceStorage;
pub(crate) use shelves::Shelves;
pub use upload::ContentUpload;

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    pub contents: u64,
    pub bytes: u64,
}

/// The most contents of one answer.
const LISTED_MAX: usize = 1000;
/// How long content stays without being pinned.
const UNPINNED_LIFETIME: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
/// The longest name of content, in bytes.
const NAME_BYTES_MAX: usize = 255;

impl Platform {
    /// Begins an upload into a namespace.
    pub async fn upload(&self, caller: &Caller, namespace: &Namespace) -> Result<ContentUpload<'_>, Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        ContentUpload::begin(self, namespace, lease).await
    }

    /// Opens content that the namespace owns.
    pub async fn open_content(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        cid: &Cid,
    ) -> Result<(ContentInfo, Box<dyn Content>), Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        let _held = lease.hold()?;
        let info = self.content_of(namespace, cid).await?;
        let opened = self.content.open(cid).await.map_err(|error| not_read(cid, error))?;
        Ok((info, opened))
    }

    pub async fn content(&self, caller: &Caller, namespace: &Namespace, cid: &Cid) -> Result<ContentInfo, Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        let _held = lease.hold()?;
        self.content_of(namespace, cid).await
    }

    /// What the namespace owns, newest first, behind `after`, at most `limit`.
    pub async fn list_contents(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        after: Option<&Cid>,
        limit: usize,
    ) -> Result<Vec<ContentInfo>, Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        let _held = lease.hold()?;
        let listed = self.registry.list_contents(namespace, after, limit.min(LISTED_MAX)).await;
        listed.map_err(|cause| internal("list contents", cause))
    }

    /// Pins or unpins; `name`, when given, becomes the name. Unpinned content goes with the next sweep after a day.
    pub async fn pin_content(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        cid: &Cid,
        pinned: bool,
        name: Option<&str>,
    ) -> Result<ContentInfo, Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        let _held = lease.hold()?;
        name.map_or(Ok(()), check_name)?;
        match self.registry.pin_content(namespace, cid, pinned, name).await {
            Err(RegistryError::NotFound) => Err(unknown_content(cid)),
            Err(error) => Err(crate::identity::not_changed("pin content", error)),
            Ok(()) => self.content_of(namespace, cid).await,
        }
    }

    /// Removes what the namespace has unpinned, now.
    pub async fn sweep_contents(&self, caller: &Caller, namespace: &Namespace) -> Result<Swept, Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        let _held = lease.hold()?;
        // Later than anything that a clock set back since may have written.
        let everything = self.clock.now().checked_add(UNPINNED_LIFETIME).unwrap_or(Timestamp::MAX);
        let disowned = self.registry.disown_unpinned(Some(namespace), everything).await;
        let (contents, bytes) = disowned.map_err(|error| crate::identity::not_changed("disown content", error))?;
        if contents > 0 {
            self.contents.note_orphans();
            // They are disowned in any case; bytes that could not be deleted now are tried again.
            self.tidy_orphans().await;
        }
        Ok(Swept { contents, bytes })
    }

    /// The bytes that the namespace owns, and its quota.
    pub async fn storage_usage(&self, caller: &Caller, namespace: &Namespace) -> Result<(u64, Option<u64>), Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        let _held = lease.hold()?;
        let used = self.registry.owned_bytes(namespace).await;
        let used = used.map_err(|cause| internal("count content", cause))?;
        Ok((used, self.settings_of(namespace).storage_bytes_max))
    }

    /// What time does to content: what was not pinned for a day goes, and bytes that nobody owns go with it. Cheap when there
    /// is nothing to do.
    pub(crate) async fn tidy_contents(&self) {
        let Ok(before) = self.clock.now().checked_sub(UNPINNED_LIFETIME) else { return };
        match self.registry.disown_unpinned(None, before).await {
            Ok((0, _)) => {}
            Ok((count, bytes)) => {
                tracing::info!(count, bytes, "disowned content that nobody pinned");
                self.contents.note_orphans();
            }
            Err(cause) => tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to disown content"),
        }
        self.tidy_orphans().await;
    }

    /// Deletes bytes that nobody owns, if there may be any: at start, and after a namespace was deleted, call
    /// [`Shelves::note_orphans`] first.
    pub(crate) async fn tidy_orphans(&self) {
        if let Err(cause) = self.contents.sweep_if_noted().await {
            tracing::warn!(cause = &*cause as &dyn std::error::Error, "failed to delete content that nobody owns");
        }
    }

    async fn content_of(&self, namespace: &Namespace, cid: &Cid) -> Result<ContentInfo, Error> {
        let found = self.registry.content(namespace, cid).await.map_err(|cause| internal("look up content", cause))?;
        found.ok_or_else(|| unknown_content(cid))
    }

    async fn read_content(&self, namespace: &Namespace, cid: &Cid, bytes_max: usize) -> Result<Bytes, Error> {
        let info = self.content_of(namespace, cid).await?;
        if info.bytes > bytes_max as u64 {
            let message = format!("the content is {} bytes, the limit here is {bytes_max}", info.bytes);
            return Err(Error::new(ErrorCode::ResultTooLarge, message));
        }
        self.content.get(cid).await.map_err(|error| not_read(cid, error))
    }
}

/// Not there, or not theirs: who asks cannot tell.
fn unknown_content(cid: &Cid) -> Error {
    Error::not_found(format!("content `{cid}` not found"))
}

fn check_name(name: &str) -> Result<(), Error> {
    match name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        true => Err(Error::invalid(format!("a name is at most {NAME_BYTES_MAX} bytes, without control characters"))),
        false => Ok(()),
    }
}

/// Content that has an owner and cannot be read.
fn not_read(cid: &Cid, error: StorageError) -> Error {
    match error {
        StorageError::NotFound(_) | StorageError::Corrupt(_) => {
            let _logged = internal("read content", error);
            Error::new(ErrorCode::Corrupt, format!("content `{cid}` is damaged; upload it again to repair it"))
        }
        error => internal("read content", error),
    }
}

/// Content that could not be stored.
fn not_stored(error: StorageError) -> Error {
    match error {
        StorageError::Full(_) => {
            let _logged = internal("store content", error);
            Error::new(ErrorCode::StorageQuotaExceeded, "the disk of the node is full; nothing was stored")
        }
        error => internal("store content", error),
    }
}
