//! A connection that became something else: bytes both ways between the client and the function, as long as both want.

use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use ports::Duplex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::reply::Reply;
use crate::websocket::{Next, Switched};

/// What is read at once in each direction, in bytes.
const PIECE_BYTES: usize = 16 << 10;
/// A connection on which neither side says anything for so long is closed.
const IDLE: Duration = Duration::from_secs(600);

/// Puts beside the reply what is to be done with the connection once it is sent.
pub(super) fn join(mut reply: Reply, on_upgrade: OnUpgrade, theirs: Box<dyn Duplex>) -> Reply {
    let run = Box::new(move |switched| Box::pin(run(switched, theirs)) as _);
    Next { on_upgrade, run }.beside(&mut reply);
    reply
}

async fn run(switched: Switched, mut theirs: Box<dyn Duplex>) {
    let Switched { mut transport, early, place, stopping } = switched;
    if theirs.write_all(&early).await.is_ok() {
        both_ways(&mut transport, &mut *theirs, &stopping).await;
    }
    drop(place);
}

/// Passes bytes on until both sides have ended, one of them breaks, nobody speaks, or the server stops.
async fn both_ways(ours: impl AsyncRead + AsyncWrite + Unpin, theirs: &mut dyn Duplex, stopping: &CancellationToken) {
    let (mut ours_read, mut ours_write) = tokio::io::split(ours);
    let (mut theirs_read, mut theirs_write) = tokio::io::split(theirs);
    let (mut inward, mut outward) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let (mut in_open, mut out_open) = (true, true);
    while in_open || out_open {
        tokio::select! {
            read = ours_read.read(&mut inward), if in_open => match read {
                Ok(0) => {
                    in_open = false;
                    if theirs_write.shutdown().await.is_err() { return }
                }
                Ok(count) => if theirs_write.write_all(&inward[..count]).await.is_err() { return },
                Err(_) => return,
            },
            read = theirs_read.read(&mut outward), if out_open => match read {
                Ok(0) => {
                    out_open = false;
                    if ours_write.shutdown().await.is_err() { return }
                }
                Ok(count) => if ours_write.write_all(&outward[..count]).await.is_err() { return },
                Err(_) => return,
            },
            () = tokio::time::sleep(IDLE) => return,
            () = stopping.cancelled() => return,
        }
    }
}
