//! An engine that streams: it keeps what it was asked, and answers what it was told to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::{Cid, HttpHead, ReplyHead};
use futures_util::{StreamExt, stream};
use ports::{Answer, Body, BodyStream, BoxError, Ended, Exchange, Failed, Piece};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};

/// Answers the next of [`Mirror::answer`], else the body of the request, after reading all of it.
pub const MIRROR: &[u8] = b"mirror";
/// Answers the body of the request while it arrives.
pub const STREAM: &[u8] = b"stream";
/// Answers without end.
pub const ENDLESS: &[u8] = b"endless";
/// Never answers.
pub const NEVER: &[u8] = b"never";
/// Answers without reading the body: the next of [`Mirror::answer`], else `deaf`.
pub const DEAF: &[u8] = b"deaf";
/// Switches protocols, and says everything back in capitals.
pub const SWITCH: &[u8] = b"switch";

pub type Fields = Vec<(Bytes, Bytes)>;

/// A request as the function saw it.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub head: HttpHead,
    pub is_secure: bool,
    pub body: Bytes,
    pub trailers: Fields,
}

/// What the function is to answer.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub status: u16,
    pub headers: Fields,
    pub pieces: Vec<Bytes>,
    pub trailers: Option<Fields>,
}

#[derive(Default)]
pub struct Mirror {
    asked: Mutex<Vec<Asked>>,
    told: Mutex<VecDeque<Told>>,
    /// The pieces of endless replies that were asked for.
    pub pieces: Arc<AtomicUsize>,
    gone: Arc<Notify>,
}

/// Says that a call has ended, however.
struct Gone(Arc<Notify>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Mirror {
    /// Is this code one of ours?
    pub fn knows(code: &Cid) -> bool {
        [MIRROR, STREAM, ENDLESS, NEVER, DEAF, SWITCH].iter().any(|word| Cid::of(word) == *code)
    }

    pub fn answer(&self, told: Told) {
        self.told.lock().expect("no holder panics").push_back(told);
    }

    /// The last request.
    pub fn asked(&self) -> Asked {
        self.asked.lock().expect("no holder panics").last().cloned().expect("somebody asked")
    }

    /// Waits until an endless call, or one that never answers, was dropped.
    pub async fn gone(&self) {
        tokio::time::timeout(Duration::from_secs(30), self.gone.notified()).await.expect("the call is dropped");
    }

    pub async fn exchange(&self, exchange: Exchange, code: &Cid) -> Result<Answer, Failed> {
        let Exchange { head, is_secure, body, .. } = exchange;
        let gone = Gone(self.gone.clone());
        match *code {
            code if code == Cid::of(NEVER) => {
                std::future::pending::<()>().await;
                drop(gone);
                unreachable!("nothing wakes it")
            }
            code if code == Cid::of(ENDLESS) => {
                let pieces = self.pieces.clone();
                Ok(plain(Body::Stream(Box::pin(stream::repeat_with(move || {
                    let _kept = &gone;
                    pieces.fetch_add(1, Ordering::SeqCst);
                    Ok(Piece::Data(Bytes::from(vec![b'x'; 64 << 10])))
                })))))
            }
            code if code == Cid::of(STREAM) => Ok(plain(body)),
            code if code == Cid::of(DEAF) => {
                let told = self.told.lock().expect("no holder panics").pop_front();
                Ok(told.map_or_else(|| plain(Body::Whole(Bytes::from_static(b"deaf"))), streamed))
            }
            code if code == Cid::of(SWITCH) => Ok(switched(&head)),
            _ => self.mirror((*head).clone(), is_secure, body.into_stream()).await,
        }
    }

    async fn mirror(&self, head: HttpHead, is_secure: bool, mut pieces: BodyStream) -> Result<Answer, Failed> {
        let (mut body, mut trailers) = (BytesMut::new(), Vec::new());
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(Piece::Data(bytes)) => body.extend_from_slice(&bytes),
                Ok(Piece::Trailers(fields)) => trailers = fields,
                Err(cause) => return Err(failed(cause)),
            }
        }
        let body = body.freeze();
        self.asked.lock().expect("no holder panics").push(Asked { head, is_secure, body: body.clone(), trailers });
        let told = self.told.lock().expect("no holder panics").pop_front();
        Ok(told.map_or_else(|| plain(Body::Whole(body)), streamed))
    }
}

fn streamed(told: Told) -> Answer {
    let Told { status, headers, pieces, trailers } = told;
    let pieces = pieces.into_iter().map(Piece::Data).chain(trailers.map(Piece::Trailers)).map(Ok);
    let pieces: Vec<Result<Piece, BoxError>> = pieces.collect();
    Answer { head: ReplyHead { status, headers }, ..plain(Body::Stream(Box::pin(stream::iter(pieces)))) }
}

fn plain(body: Body) -> Answer {
    let (end, receiver) = oneshot::channel();
    let _ = end.send(Ended::default());
    Answer { head: ReplyHead { status: 200, headers: vec![] }, body, upgraded: None, end: receiver }
}

fn failed(cause: BoxError) -> Failed {
    let error = match cause.downcast::<domain::Error>() {
        Ok(error) => *error,
        Err(_) => domain::Error::of(domain::ErrorCode::FunctionExecutionFailed),
    };
    Failed { error, ended: Ended::default(), cause: None }
}

fn switched(head: &HttpHead) -> Answer {
    let asks = head.headers.iter().any(|(name, _)| name.as_ref() == b"upgrade");
    if !asks {
        return plain(Body::Whole(Bytes::from_static(b"not asked")));
    }
    let (mut ours, theirs) = tokio::io::duplex(1024);
    tokio::spawn(async move {
        let mut bytes = [0; 256];
        while let Ok(count @ 1..) = ours.read(&mut bytes).await {
            if ours.write_all(&bytes[..count].to_ascii_uppercase()).await.is_err() {
                break;
            }
        }
    });
    let field = |name: &'static str, value: &'static str| (Bytes::from_static(name.as_bytes()), value.into());
    let headers = vec![field("upgrade", "shouting"), field("connection", "Upgrade"), field("x-mine", "kept")];
    Answer { head: ReplyHead { status: 101, headers }, upgraded: Some(Box::new(theirs)), ..plain(Body::empty()) }
}
