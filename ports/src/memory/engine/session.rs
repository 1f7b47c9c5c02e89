//! The sockets of a [`super::MemoryEngine`].

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, ErrorCode};
use tokio::sync::Notify;

use super::Script;
use crate::{Ended, Failed, Flow, Observed, Services, Session, SocketCall};

/// What sockets were told at their end.
pub(super) type Goodbyes = Arc<Mutex<Vec<String>>>;

/// A conversation that does what its frames say, and answers all others with themselves:
///
/// * `info` answers what it was told at its beginning, `caller` who speaks;
/// * `close` asks for the end, `fail` fails;
/// * `send CLIENT TEXT`, `bridge TOPIC`, `unbridge TOPIC`, `broadcast TOPIC TEXT`, `publish TOPIC TEXT` and `hold TOPIC KEY` (ephemeral
///   state) ask the house, and answer `ok` or the error.
pub(super) struct MemorySession {
    pub(super) script: Script,
    pub(super) services: Arc<Services>,
    pub(super) info: Bytes,
    pub(super) gate: Arc<Notify>,
    pub(super) goodbyes: Goodbyes,
}

#[async_trait]
impl Session for MemorySession {
    async fn frame(&mut self, call: SocketCall) -> Result<(Flow, Ended), Failed> {
        match (self.script, &call.data[..]) {
            (Script::Fail, _) | (_, b"fail") => return Err(failure(&call.observed)),
            (Script::Block, _) => self.gate.notified().await,
            (_, b"close") => return Ok((Flow::Close, Ended::default())),
            _ => {}
        }
        let answer = self.answer(&call).await;
        let answer = answer.unwrap_or_else(|error| format!("{}: {}", error.code, error.message).into());
        // The socket may be gone: then there is nobody to tell.
        self.services.sockets.send(&call.context, "", answer).await.ok();
        Ok((Flow::Continue, call.observed.take()))
    }

    async fn close(&mut self, call: SocketCall) -> Result<Ended, Failed> {
        let reason = String::from_utf8_lossy(&call.data).into_owned();
        self.goodbyes.lock().unwrap_or_else(PoisonError::into_inner).push(reason);
        Ok(call.observed.take())
    }
}

pub(super) fn failure(observed: &Observed) -> Failed {
    let error = Error::new(ErrorCode::FunctionExecutionFailed, "the code says `fail`");
    Failed { error, ended: observed.take(), cause: None }
}

impl MemorySession {
    async fn answer(&self, call: &SocketCall) -> Result<Bytes, Error> {
        let Ok(text) = std::str::from_utf8(&call.data) else { return Ok(call.data.clone()) };
        let mut words = text.splitn(3, ' ');
        let (verb, first, rest) = (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (context, services) = (&call.context, &self.services);
        let rest = Bytes::copy_from_slice(rest.as_bytes());
        match verb {
            "info" => return Ok(self.info.clone()),
            "caller" => return Ok(Bytes::copy_from_slice(context.caller.wallet().as_bytes())),
            "send" => services.sockets.send(context, first, rest).await?,
            "bridge" => services.sockets.bridge(context, "", first).await?,
            "unbridge" => services.sockets.unbridge(context, "", first).await?,
            "hold" => {
                let key = std::str::from_utf8(&rest).unwrap_or_default();
                services.ephemeral.set(context, first, key, Bytes::new(), 0).await?;
            }
            "broadcast" => drop(services.sockets.broadcast(context, first, rest).await?),
            "publish" => drop(services.bus.publish(context, vec![(first.to_owned(), rest)]).await?),
            _ => return Ok(call.data.clone()),
        }
        Ok(Bytes::from_static(b"ok"))
    }
}
