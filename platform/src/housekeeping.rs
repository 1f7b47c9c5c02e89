//! What happens without anybody asking: retention, expiry, and sweeping up after a crash.

use std::sync::Arc;
use std::time::Duration;

use ports::{Storage, StorageError};

use crate::Platform;
use crate::chain::Chain;
use crate::idempotency::REPLY_LIFETIME;
use crate::registry::Functions;

const INTERVAL: Duration = Duration::from_secs(60);

/// Deletes code that no version refers to, nor came from a chain: what a crash between storing and publishing leaves.
pub(crate) async fn sweep_code(
    functions: &Functions,
    chain: &Chain,
    storage: &dyn Storage,
) -> Result<(), StorageError> {
    let mut used = functions.referenced_code();
    used.extend(chain.referenced_code());
    for code in storage.list().await?.into_iter().filter(|code| !used.contains(code)) {
        tracing::info!(%code, "deleting code that no version refers to");
        storage.delete(&code).await?;
    }
    Ok(())
}

/// Starts the loop; it holds the platform weakly and ends with it.
pub(crate) fn start(platform: &Arc<Platform>) {
    let weak = Arc::downgrade(platform);
    let repeat = async move {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            let Some(platform) = weak.upgrade() else { return };
            platform.tidy().await;
        }
    };
    platform.tasks.lock().expect("no holder panics").spawn(repeat);
}

impl Platform {
    async fn tidy(&self) {
        let now = self.clock.now();
        match self.records.prune(&self.config.retention, now).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "deleted records past their retention"),
            Err(cause) => tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to prune records"),
        }
        if let Err(cause) = self.records.prune_receipts(&self.config.retention, now).await {
            tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to prune receipts");
        }
        let expired = now.checked_sub(REPLY_LIFETIME).unwrap_or(now);
        if let Err(cause) = self.registry.expire_replies(expired).await {
            tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to expire stored replies");
        }
        self.tidy_identity().await;
        self.tidy_contents().await;
        self.tidy_audit().await;
        self.tidy_triggers().await;
        self.tidy_jobs().await;
        self.tidy_inboxes().await;
    }
}
