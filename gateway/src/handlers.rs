//! What each route does: reads a request, asks the platform, composes the reply.

pub(crate) mod deploy;
pub(crate) mod functions;
pub(crate) mod invoke;
pub(crate) mod logs;
pub(crate) mod node;
mod view;

use domain::{Error, ErrorCode};

/// Runs a change to its end although the client may go away: half a change is worse than one that nobody hears of.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(change).await.unwrap_or_else(|cause| {
        tracing::error!(cause = &cause as &dyn std::error::Error, "failed to finish a change");
        Err(Error::of(ErrorCode::Internal))
    })
}
