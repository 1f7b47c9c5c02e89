//! Records on their way to the log: handed over behind the reply, written in batches, never dropped in silence.
//!
//! The queue is bounded. When it is full, calls wait for the log; when the log cannot be written for [`PATIENCE`], calls go
//! on, what is lost is counted, and a gap is noted as soon as the log works again. A clean stop writes everything; a kill
//! loses at most what was handed over within the last [`LINGER`] and the batch being written.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{Namespace, Record, Timestamp};
use ports::{Clock, Gap, Records};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::metrics::Metrics;

const QUEUE: usize = 16_384;
const BATCH: usize = 1_024;
/// How long a record waits for company before it is written.
const LINGER: Duration = Duration::from_millis(25);
/// How long calls wait for a log that cannot be written.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct RecordWriter {
    queue: mpsc::Sender<Message>,
    /// Ends the wait for company: somebody waits for the batch.
    urgent: Arc<Notify>,
    metrics: Arc<Metrics>,
    task: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Write(Box<Record>),
    /// Answered when everything before it is written or given up.
    Flush(oneshot::Sender<()>),
    /// Flush, then end.
    Close,
}

impl Message {
    fn is_urgent(&self) -> bool {
        !matches!(self, Message::Write(_))
    }
}

impl RecordWriter {
    pub(crate) fn start(records: Arc<dyn Records>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let (queue, incoming) = mpsc::channel(QUEUE);
        let urgent = Arc::new(Notify::new());
        let (failing_since, lost) = (None, HashMap::new());
        let log = Log { records, clock, urgent: urgent.clone(), metrics: metrics.clone(), failing_since, lost };
        let task = tokio::spawn(log.run(incoming));
        Self { queue, urgent, metrics, task: Mutex::new(Some(task)) }
    }

    /// Hands a record over; waits only when the queue is full.
    pub(crate) async fn write(&self, record: Record) {
        self.metrics.record_offered();
        if self.queue.send(Message::Write(Box::new(record))).await.is_err() {
            self.metrics.records_lost(1);
        }
    }

    /// Hands a record over where nothing can wait; a full queue loses it, and it is counted.
    pub(crate) fn write_now(&self, record: Record) {
        self.metrics.record_offered();
        if self.queue.try_send(Message::Write(Box::new(record))).is_err() {
            self.metrics.records_lost(1);
        }
    }

    /// Returns when every record handed over before is written.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            self.urgent.notify_one();
            wait.await.ok();
        }
    }

    /// Writes what is left and ends; later records are lost and counted.
    pub(crate) async fn close(&self) {
        self.queue.send(Message::Close).await.ok();
        self.urgent.notify_one();
        if let Some(task) = self.task.lock().await.take() {
            task.await.ok();
        }
    }
}

/// The other end of the queue.
struct Log {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    urgent: Arc<Notify>,
    metrics: Arc<Metrics>,
    failing_since: Option<Instant>,
    /// What could not be written, by namespace.
    lost: HashMap<Namespace, (Timestamp, u64)>,
}

impl Log {
    async fn run(mut self, mut incoming: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        loop {
            if incoming.recv_many(&mut messages, BATCH).await == 0 {
                return;
            }
            if !messages.iter().any(Message::is_urgent) {
                tokio::select! {
                    () = tokio::time::sleep(LINGER) => {}
                    () = self.urgent.notified() => {}
                }
            }
            while messages.len() < BATCH
                && let Ok(message) = incoming.try_recv()
            {
                messages.push(message);
            }
            let (batch, flushes, close) = sort(&mut messages);
            self.write(batch).await;
            for done in flushes {
                // Whoever waited may have gone.
                done.send(()).ok();
            }
            if close {
                return;
            }
        }
    }

    async fn write(&mut self, batch: Vec<Record>) {
        if batch.is_empty() {
            return;
        }
        while let Err(cause) = self.records.append(&batch).await {
            let since = *self.failing_since.get_or_insert_with(Instant::now);
            self.metrics.set_log_failing(true);
            if since.elapsed() >= PATIENCE {
                return self.give_up(&batch);
            }
            tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to write records, trying again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        self.metrics.records_written(batch.len() as u64);
        if self.failing_since.take().is_some() {
            self.metrics.set_log_failing(false);
            tracing::info!("records can be written again");
        }
        self.note_gaps().await;
    }

    fn give_up(&mut self, batch: &[Record]) {
        for record in batch {
            self.lost.entry(record.namespace.clone()).or_insert((record.started_at, 0)).1 += 1;
        }
        self.metrics.records_lost(batch.len() as u64);
        tracing::error!(count = batch.len(), "gave up on records; calls go on without them");
    }

    async fn note_gaps(&mut self) {
        for (namespace, (from, calls)) in std::mem::take(&mut self.lost) {
            let gap = Gap { namespace: namespace.clone(), from, until: self.clock.now(), calls };
            if let Err(cause) = self.records.append_gap(&gap).await {
                tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to note a gap, trying again later");
                self.lost.insert(namespace, (from, calls));
            }
        }
    }
}

fn sort(messages: &mut Vec<Message>) -> (Vec<Record>, Vec<oneshot::Sender<()>>, bool) {
    let (mut batch, mut flushes, mut close) = (Vec::with_capacity(messages.len()), Vec::new(), false);
    for message in messages.drain(..) {
        match message {
            Message::Write(record) => batch.push(*record),
            Message::Flush(done) => flushes.push(done),
            Message::Close => close = true,
        }
    }
    (batch, flushes, close)
}
