//! Reaching a person: over a live socket, else by push, else in the inbox, where it waits.
//!
//! Over a socket comes `{"_orama":"notify","id":…,"message":{…},"timestamp":<ms>}`, in a text frame.

use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Caller, Error, ErrorCode, Namespace, PushMessage, Scope, Timestamp};
use ports::{InboxMessage, Notified, PushResult, RegistryError, RowLimits};
use serde_json::json;

use super::dispatch::{Sending, soon};
use super::user_named;
use crate::identity::{not_changed, unknown_namespace};
use crate::{Platform, SocketFrame};

/// How long a message waits in an inbox, unless somebody says otherwise.
pub const INBOX_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest that one waits.
pub const INBOX_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Of one user, the oldest make room; of a namespace, no more are taken.
const INBOXES: RowLimits = RowLimits { owner_max: 100, namespace_max: 100_000 };
/// The most messages of one answer.
const PAGE_MAX: usize = 100;

impl Platform {
    /// Over every live socket of a user if there is one, else push, else the inbox for as long as `lifetime`.
    pub async fn notify(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        user: &str,
        message: &PushMessage,
        lifetime: Duration,
    ) -> Result<Notified, Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        let _held = lease.hold()?;
        lease.unless_ended(self.notify_in(namespace, user, message, lifetime, soon())).await?
    }

    pub(super) async fn notify_in(
        &self,
        namespace: &Namespace,
        user: &str,
        message: &PushMessage,
        lifetime: Duration,
        deadline: Instant,
    ) -> Result<Notified, Error> {
        let user = user_named(user)?;
        let id = uuid::Uuid::now_v7().to_string();
        let now = self.clock.now();
        let sockets = self.send_to_user(namespace, &user, &frame(&id, message, now));
        if sockets > 0 {
            return Ok(Notified::Socket { sockets });
        }
        if let Some(push) = self.try_push(namespace, &user, message, deadline).await {
            return Ok(Notified::Push { push });
        }
        let expires_at = now + lifetime.min(INBOX_MAX);
        let waiting = InboxMessage {
            id: id.clone(),
            namespace: namespace.clone(),
            owner: user,
            message: message.to_json(),
            created_at: now,
            expires_at,
        };
        self.registry.put_in_inbox(waiting, INBOXES).await.map_err(|error| refused(namespace, error))?;
        Ok(Notified::Inbox { id, expires_at })
    }

    /// `None` when no device got it, whatever the reason: the inbox remains.
    async fn try_push(
        &self,
        namespace: &Namespace,
        user: &str,
        message: &PushMessage,
        deadline: Instant,
    ) -> Option<PushResult> {
        let Ok(Sending::To(tenant, devices)) = self.prepare_push(namespace, user, message).await else { return None };
        let push = self.push_to(namespace, &tenant, devices, message, deadline).await;
        (push.devices_succeeded > 0).then_some(push)
    }

    /// The messages that wait for the user who asks, oldest first, behind `after` (an id).
    pub async fn inbox(&self, caller: &Caller, after: Option<&str>, limit: usize) -> Result<Vec<InboxMessage>, Error> {
        let (owner, namespace) = self.user_at_home(caller)?;
        let now = self.clock.now();
        let found = self.registry.inbox(&namespace, &owner, after, now, limit.min(PAGE_MAX)).await;
        found.map_err(|error| not_changed("read an inbox", error))
    }

    /// Deletes a message of the user who asks.
    pub async fn delete_from_inbox(&self, caller: &Caller, id: &str) -> Result<(), Error> {
        let (owner, namespace) = self.user_at_home(caller)?;
        match self.registry.delete_from_inbox(&namespace, &owner, id).await {
            Err(RegistryError::NotFound) => Err(Error::not_found("message not found")),
            deleted => deleted.map_err(|error| not_changed("delete a message", error)),
        }
    }

    pub(crate) async fn tidy_inboxes(&self) {
        if let Err(cause) = self.registry.expire_inbox(self.clock.now()).await {
            tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to expire messages of inboxes");
        }
    }
}

fn frame(id: &str, message: &PushMessage, now: Timestamp) -> SocketFrame {
    let event = json!({ "_orama": "notify", "id": id, "message": message, "timestamp": now.as_millisecond() });
    SocketFrame { data: Bytes::from(event.to_string()), text: true }
}

fn refused(namespace: &Namespace, error: RegistryError) -> Error {
    match error {
        RegistryError::NotFound => unknown_namespace(namespace),
        RegistryError::Conflict(_) => {
            let most = INBOXES.namespace_max;
            let message = format!("the inboxes of the namespace hold {most} messages, which is the limit");
            Error::new(ErrorCode::StorageQuotaExceeded, message)
        }
        error => not_changed("put a message into an inbox", error),
    }
}
