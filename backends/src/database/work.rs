//! A piece of work for the writer: what it does, and who waits for its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ports::SqlError;
use tokio::sync::oneshot;

use super::session::Session;

/// Why a piece of work failed.
#[derive(Debug)]
pub(super) struct Fail {
    /// Where in it: a step, counted from 0, or a line, counted from 1.
    pub(super) place: Option<usize>,
    pub(super) error: SqlError,
}

impl From<SqlError> for Fail {
    fn from(error: SqlError) -> Self {
        Self { place: None, error }
    }
}

/// What a piece of work wants of the transaction that it runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It may share one with others.
    Shared,
    /// It must have one to itself.
    Alone,
    /// It makes its own, and changes nothing.
    Bare,
}

/// Work that may have to run more than once before it counts.
pub(super) trait Work: Send {
    fn deadline(&self) -> Instant;

    fn manner(&self) -> Manner;

    /// Takes the work on, unless nobody waits for it any more.
    fn begin(&self) -> bool;

    /// Runs inside a transaction and keeps the answer. On false, whatever it changed must be undone.
    fn run(&mut self, session: &Session, deadline: Instant) -> bool;

    /// Keeps this error as the answer.
    fn fail(&mut self, error: SqlError);

    /// Sends the answer that was kept.
    fn finish(self: Box<Self>);
}

/// Work as a closure, with the sender of its answer.
struct Request<T, F> {
    run: F,
    deadline: Instant,
    manner: Manner,
    taken: Arc<AtomicBool>,
    answer: Option<Result<T, Fail>>,
    reply: oneshot::Sender<Result<T, Fail>>,
}

/// Who waits for an answer.
pub(super) struct Waiting<T> {
    taken: Arc<AtomicBool>,
    answer: oneshot::Receiver<Result<T, Fail>>,
}

/// Makes work of `run`.
pub(super) fn request<T: Send + 'static>(
    deadline: Instant,
    manner: Manner,
    run: impl FnMut(&Session, Instant) -> Result<T, Fail> + Send + 'static,
) -> (Box<dyn Work>, Waiting<T>) {
    let (reply, answer) = oneshot::channel();
    let taken = Arc::new(AtomicBool::new(false));
    let waiting = Waiting { taken: taken.clone(), answer };
    (Box::new(Request { run, deadline, manner, taken, answer: None, reply }), waiting)
}

impl<T> Waiting<T> {
    /// The answer. Work that was not taken on by the deadline never will be; for other work there is nothing but to wait.
    pub(super) async fn answer(mut self, deadline: Instant) -> Result<T, Fail> {
        let answered = match tokio::time::timeout_at(deadline.into(), &mut self.answer).await {
            Ok(answered) => answered,
            Err(_) if !self.taken.swap(true, Ordering::AcqRel) => return Err(SqlError::Deadline.into()),
            Err(_) => self.answer.await,
        };
        answered.unwrap_or_else(|_| Err(SqlError::Unavailable("the writer of the database has ended".into()).into()))
    }
}

impl<T: Send, F: FnMut(&Session, Instant) -> Result<T, Fail> + Send> Work for Request<T, F> {
    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn manner(&self) -> Manner {
        self.manner
    }

    fn begin(&self) -> bool {
        !self.reply.is_closed() && !self.taken.swap(true, Ordering::AcqRel)
    }

    fn run(&mut self, session: &Session, deadline: Instant) -> bool {
        let answer = (self.run)(session, deadline);
        let good = answer.is_ok();
        self.answer = Some(answer);
        good
    }

    fn fail(&mut self, error: SqlError) {
        self.answer = Some(Err(error.into()));
    }

    fn finish(self: Box<Self>) {
        let Self { answer, reply, .. } = *self;
        let answer = answer.unwrap_or_else(|| Err(SqlError::Unavailable("the work was not done".into()).into()));
        // Whoever waited has gone: the work is done all the same.
        let _ = reply.send(answer);
    }
}
