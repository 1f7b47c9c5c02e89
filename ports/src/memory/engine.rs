mod session;

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Cid, Error, ErrorCode};
use tokio::sync::Notify;

use crate::{Call, Code, Ended, Engine, Failed, Flow, PrepareError, Prepared, Reply, Services, Session, SocketOpening};
use session::{Goodbyes, MemorySession, failure};

/// What the code of a [`MemoryEngine`] says to do; the code is the text of one of these.
///
/// `echo` replies with the input, `fail` fails, `block` waits until [`MemoryEngine::release`], `refuse` is refused at deploy,
/// `reject` replies with the input as well, but accepts no socket. What else sockets can be told is in `engine/session.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    Echo,
    Fail,
    Block,
    Refuse,
    Reject,
}

impl Script {
    pub fn code(self) -> Bytes {
        Bytes::from_static(match self {
            Script::Echo => b"echo",
            Script::Fail => b"fail",
            Script::Block => b"block",
            Script::Refuse => b"refuse",
            Script::Reject => b"reject",
        })
    }

    fn of(code: &Cid) -> Self {
        let known = [Script::Echo, Script::Fail, Script::Block, Script::Refuse, Script::Reject];
        known.into_iter().find(|script| Cid::of(&script.code()) == *code).unwrap_or(Script::Echo)
    }
}

/// An engine whose code is a word, for tests of everything around an engine.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    gate: Arc<Notify>,
    goodbyes: Goodbyes,
    running: std::sync::atomic::AtomicUsize,
}

impl MemoryEngine {
    /// Lets one blocked call go on.
    pub fn release(&self) {
        self.gate.notify_one();
    }

    /// What sockets were told at their end, the first first.
    pub fn goodbyes(&self) -> Vec<String> {
        self.goodbyes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many calls are inside [`Engine::invoke`] now.
    pub fn running(&self) -> usize {
        self.running.load(std::sync::atomic::Ordering::SeqCst)
    }
}

struct Running<'a>(&'a std::sync::atomic::AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
    }
}

#[async_trait]
impl Engine for MemoryEngine {
    async fn prepare(&self, code: &Code, _manifest: &domain::Manifest) -> Result<Prepared, PrepareError> {
        match Script::of(&code.cid) {
            Script::Refuse => Err(PrepareError::Refused(Error::invalid("the code says `refuse`"))),
            _ => Ok(Prepared::default()),
        }
    }

    async fn invoke(&self, call: Call, services: Arc<Services>) -> Result<Reply, Failed> {
        self.running.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let _running = Running(&self.running);
        match Script::of(&services.version.code) {
            Script::Block => self.gate.notified().await,
            Script::Fail => {
                let error = Error::new(ErrorCode::FunctionExecutionFailed, "the code says `fail`");
                return Err(Failed { error, ended: Ended::default(), cause: None });
            }
            Script::Echo | Script::Refuse | Script::Reject => {}
        }
        Ok(Reply { head: None, body: call.input, ended: Ended::default() })
    }

    async fn open_socket(
        &self,
        opening: SocketOpening,
        services: Arc<Services>,
    ) -> Result<(Box<dyn Session>, Flow, Ended), Failed> {
        let script = Script::of(&services.version.code);
        let flow = if script == Script::Reject { Flow::Close } else { Flow::Continue };
        if script == Script::Fail {
            return Err(failure(&opening.observed));
        }
        let (gate, goodbyes) = (self.gate.clone(), self.goodbyes.clone());
        let session = MemorySession { script, services, info: opening.info, gate, goodbyes };
        Ok((Box::new(session), flow, opening.observed.take()))
    }

    async fn forget(&self, _code: &Cid) {}
}
