//! The body of a reply on its way from the engine to whoever asked: one piece at a time, and never more than one waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{Error, ErrorCode};
use futures_util::{FutureExt, StreamExt, stream};
use ports::{Body, BodyStream, BoxError, Piece};
use tokio::sync::mpsc;

/// What has passed of a call's bodies, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) input: AtomicU64,
    pub(crate) output: AtomicU64,
}

impl Passed {
    /// In and out.
    pub(crate) fn both(&self) -> (u64, u64) {
        (self.input.load(Ordering::Relaxed), self.output.load(Ordering::Relaxed))
    }
}

/// How passing on ended.
#[derive(Debug)]
pub(super) enum PassedOn {
    Whole,
    /// Nobody takes it any more.
    Unwanted,
    Failed(Error),
}

enum Item {
    Piece(Piece),
    Failed(Error),
    /// The body is complete. Without this, its end is a break.
    End,
}

/// The end into which a body is written.
pub(super) struct Writer(mpsc::Sender<Item>);

/// A body whose pieces come through the writer.
pub(super) fn pipe() -> (Writer, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let pieces = stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Item::Piece(piece)) => Some((Ok(piece), Some(receiver))),
            Some(Item::End) => None,
            Some(Item::Failed(error)) => Some((Err(error.into()), None)),
            None => Some((Err(broken_off().into()), None)),
        }
    });
    (Writer(sender), Body::Stream(Box::pin(pieces)))
}

impl Writer {
    /// Passes everything on; nothing is asked for before there is room for it.
    pub(super) async fn pass_on(&self, mut pieces: BodyStream, passed: &Passed) -> PassedOn {
        loop {
            let Ok(room) = self.0.reserve().await else {
                // Who knows the length of a body leaves with its last byte, and does not wait for its end.
                return match pieces.next().now_or_never() {
                    Some(None) => PassedOn::Whole,
                    _ => PassedOn::Unwanted,
                };
            };
            let piece = tokio::select! {
                biased;
                piece = pieces.next() => piece,
                () = self.0.closed() => return PassedOn::Unwanted,
            };
            match piece {
                None => return PassedOn::Whole,
                Some(Ok(piece)) => {
                    count(&passed.output, &piece);
                    room.send(Item::Piece(piece));
                }
                Some(Err(cause)) => return PassedOn::Failed(readable(cause)),
            }
        }
    }

    /// Says how the body ended. Waits for room: a client that is slow learns it, too, when it has taken what came before.
    pub(super) async fn end(self, failed: Option<Error>) {
        let last = failed.map_or(Item::End, Item::Failed);
        // Whoever is gone needs no end.
        let _ = self.0.send(last).await;
    }
}

/// The body of a request, counted as it is read.
pub(super) fn counted(body: Body, passed: &Arc<Passed>) -> Body {
    match body {
        Body::Whole(bytes) => {
            passed.input.store(bytes.len() as u64, Ordering::Relaxed);
            Body::Whole(bytes)
        }
        Body::Stream(pieces) => {
            let passed = passed.clone();
            Body::Stream(Box::pin(pieces.inspect(move |piece| {
                if let Ok(piece) = piece {
                    count(&passed.input, piece);
                }
            })))
        }
    }
}

fn count(counter: &AtomicU64, piece: &Piece) {
    if let Piece::Data(bytes) = piece {
        counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

fn broken_off() -> Error {
    Error::new(ErrorCode::FunctionExecutionFailed, "the reply broke off")
}

/// What may be read of why a reply broke off: the causes of an engine are for the operator.
fn readable(cause: BoxError) -> Error {
    match cause.downcast::<Error>() {
        Ok(error) => *error,
        Err(cause) => {
            tracing::debug!(cause = &*cause as &dyn std::error::Error, "the reply of a function broke off");
            broken_off()
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn data(bytes: &'static str) -> Result<Piece, BoxError> {
        Ok(Piece::Data(Bytes::from_static(bytes.as_bytes())))
    }

    /// Takes so many pieces, and leaves.
    async fn passed_on(pieces: Vec<Result<Piece, BoxError>>, taken: usize) -> PassedOn {
        let (writer, body) = pipe();
        let Body::Stream(mut body) = body else { panic!("the body of a pipe streams") };
        let taking = async move {
            for _ in 0..taken {
                body.next().await.expect("a piece").expect("good");
            }
        };
        let passed = Passed::default();
        tokio::join!(writer.pass_on(Box::pin(stream::iter(pieces)), &passed), taking).0
    }

    #[tokio::test]
    async fn who_leaves_with_the_last_byte_took_the_whole() {
        assert!(matches!(passed_on(vec![data("a"), data("b")], 2).await, PassedOn::Whole));
        assert!(matches!(passed_on(vec![data("a"), data("b"), data("c")], 1).await, PassedOn::Unwanted));
        let broken = vec![data("a"), Err(broken_off().into())];
        assert!(matches!(passed_on(broken, 1).await, PassedOn::Failed(_) | PassedOn::Unwanted));
    }
}
