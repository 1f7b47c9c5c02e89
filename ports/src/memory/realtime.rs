use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, FunctionRef, Position, Timestamp};

use crate::{Bus, CallContext, Ephemeral, EphemeralEntry, JobView, Jobs, Notified, Notifier, PushResult, Sockets};

/// What a [`RecordingHouse`] answers.
#[derive(Debug, Clone, Default)]
pub struct HouseAnswers {
    /// The answer to everything, when there is one.
    pub refusal: Option<Error>,
    pub entries: Vec<EphemeralEntry>,
    /// `None`: there is no job.
    pub job: Option<JobView>,
    pub pushed: PushResult,
    /// `None`: it went over one socket.
    pub notified: Option<Notified>,
}

/// The house ports of what reacts and reaches out: writes down what it is asked, and answers what it was given.
#[derive(Debug, Default)]
pub struct RecordingHouse {
    answers: HouseAnswers,
    asked: Mutex<Vec<String>>,
}

impl RecordingHouse {
    pub fn new(answers: HouseAnswers) -> Self {
        Self { answers, asked: Mutex::default() }
    }

    /// What was asked since the last look, a line each.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, asked: String) -> Result<(), Error> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        self.answers.refusal.clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Bus for RecordingHouse {
    async fn publish(&self, _call: &CallContext, messages: Vec<(String, Bytes)>) -> Result<Vec<Position>, Error> {
        let shown: Vec<_> = messages.iter().map(|(topic, data)| format!("{topic}={data:?}")).collect();
        self.note(format!("publish {}", shown.join(" ")))?;
        Ok((1..=messages.len() as u64).map(|seq| Position { epoch: 1, seq }).collect())
    }
}

#[async_trait]
impl Sockets for RecordingHouse {
    async fn send(&self, _call: &CallContext, client: &str, data: Bytes) -> Result<(), Error> {
        self.note(format!("send {client:?} {data:?}"))
    }

    async fn broadcast(&self, _call: &CallContext, topic: &str, data: Bytes) -> Result<usize, Error> {
        self.note(format!("broadcast {topic} {data:?}")).map(|()| 0)
    }

    async fn bridge(&self, _call: &CallContext, client: &str, topic: &str) -> Result<(), Error> {
        self.note(format!("bridge {client:?} {topic}"))
    }

    async fn unbridge(&self, _call: &CallContext, client: &str, topic: &str) -> Result<(), Error> {
        self.note(format!("unbridge {client:?} {topic}"))
    }
}

#[async_trait]
impl Ephemeral for RecordingHouse {
    async fn set(&self, call: &CallContext, topic: &str, key: &str, payload: Bytes, ttl_ms: i64) -> Result<(), Error> {
        let owner = call.socket.as_deref().unwrap_or_default();
        self.note(format!("set {topic} {key} {payload:?} {ttl_ms} of {owner}"))
    }

    async fn clear(&self, call: &CallContext, topic: &str, key: &str) -> Result<(), Error> {
        let owner = call.socket.as_deref().unwrap_or_default();
        self.note(format!("clear {topic} {key} of {owner}"))
    }

    async fn list(&self, _call: &CallContext, topic: &str) -> Result<Vec<EphemeralEntry>, Error> {
        self.note(format!("list {topic}")).map(|()| self.answers.entries.clone())
    }
}

#[async_trait]
impl Jobs for RecordingHouse {
    async fn enqueue(
        &self,
        _call: &CallContext,
        function: &FunctionRef,
        input: Bytes,
        run_at: Option<Timestamp>,
    ) -> Result<String, Error> {
        let when = run_at.map_or("now".to_owned(), |at| format!("at {at}"));
        self.note(format!("enqueue {function} {input:?} {when}")).map(|()| "job-1".to_owned())
    }

    async fn get(&self, _call: &CallContext, job: &str) -> Result<JobView, Error> {
        self.note(format!("get {job:?}"))?;
        self.answers.job.clone().ok_or_else(|| Error::not_found("no such job"))
    }

    async fn cancel(&self, _call: &CallContext, job: &str) -> Result<(), Error> {
        self.note(format!("cancel {job:?}"))
    }

    async fn report(&self, call: &CallContext, percent: u8) -> Result<(), Error> {
        self.note(format!("report {percent} of {}", call.job.as_deref().unwrap_or_default()))
    }
}

#[async_trait]
impl Notifier for RecordingHouse {
    async fn push(&self, _call: &CallContext, user: &str, message: &[u8]) -> Result<PushResult, Error> {
        self.note(format!("push {user} {}", message.escape_ascii())).map(|()| self.answers.pushed.clone())
    }

    async fn notify(&self, _call: &CallContext, user: &str, message: &[u8]) -> Result<Notified, Error> {
        self.note(format!("notify {user} {}", message.escape_ascii()))?;
        Ok(self.answers.notified.clone().unwrap_or(Notified::Socket { sockets: 1 }))
    }
}
