//! Receipts on their way to the store: chained, signed and written in batches, behind the replies.
//!
//! One task makes them all, so that each knows the one before it. The ends of chains are read for every batch: a namespace that was deleted
//! meanwhile begins anew. When the store cannot be written for [`PATIENCE`], calls go on without receipts, and the log says how many;
//! nothing of a chain is missing then, because what was not written has no place in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::{FunctionName, Namespace, Receipt, ReceiptFacts, ReceiptLink};
use ports::{ReceiptTail, Records, RecordsError};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::signers::{Current, Signers};

const QUEUE: usize = 4096;
const BATCH: usize = 512;
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

enum Message {
    Write(Box<ReceiptFacts>),
    /// Answered when everything before it is written or given up.
    Flush(oneshot::Sender<()>),
    /// Flush, then end.
    Close,
}

pub(crate) struct ReceiptWriter {
    queue: mpsc::Sender<Message>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl ReceiptWriter {
    pub(crate) fn start(records: Arc<dyn Records>, signers: Arc<Signers>) -> Self {
        let (queue, incoming) = mpsc::channel(QUEUE);
        let task = tokio::spawn(Chains { records, signers }.run(incoming));
        Self { queue, task: Mutex::new(Some(task)) }
    }

    /// Hands an exchange over; waits only when the queue is full.
    pub(crate) async fn write(&self, facts: ReceiptFacts) {
        if self.queue.send(Message::Write(Box::new(facts))).await.is_err() {
            tracing::error!("a receipt was lost: the server is shutting down");
        }
    }

    /// Returns when every receipt handed over before is written.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            wait.await.ok();
        }
    }

    /// Writes what is left and ends.
    pub(crate) async fn close(&self) {
        self.queue.send(Message::Close).await.ok();
        if let Some(task) = self.task.lock().await.take() {
            task.await.ok();
        }
    }
}

/// The other end of the queue.
struct Chains {
    records: Arc<dyn Records>,
    signers: Arc<Signers>,
}

type Tails = HashMap<(Namespace, FunctionName), Option<ReceiptTail>>;

impl Chains {
    async fn run(self, mut incoming: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        while incoming.recv_many(&mut messages, BATCH).await > 0 {
            let (mut batch, mut flushes, mut close) = (Vec::with_capacity(messages.len()), Vec::new(), false);
            for message in messages.drain(..) {
                match message {
                    Message::Write(facts) => batch.push(*facts),
                    Message::Flush(done) => flushes.push(done),
                    Message::Close => close = true,
                }
            }
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

    async fn write(&self, batch: Vec<ReceiptFacts>) {
        let began = Instant::now();
        while let Err(cause) = self.try_write(&batch).await {
            if began.elapsed() >= PATIENCE {
                let count = batch.len();
                tracing::error!(count, cause = &cause as &dyn std::error::Error, "gave up on receipts");
                return;
            }
            tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to write receipts, trying again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn try_write(&self, batch: &[ReceiptFacts]) -> Result<(), RecordsError> {
        let mut tails = Tails::new();
        let signers = self.signers.current();
        let mut receipts = Vec::with_capacity(batch.len());
        for facts in batch {
            let chain = (facts.namespace.clone(), facts.function.clone());
            let before = match tails.get(&chain) {
                Some(known) => *known,
                None => self.records.receipt_tail(&chain.0, &chain.1).await?,
            };
            let receipt = signed(facts.clone(), before, &signers);
            tails.insert(chain, Some(ReceiptTail { sequence: receipt.link.sequence, digest: receipt.digest() }));
            receipts.push(receipt);
        }
        self.records.append_receipts(&receipts).await
    }
}

pub(super) fn signed(facts: ReceiptFacts, before: Option<ReceiptTail>, signers: &Current) -> Receipt {
    let link = ReceiptLink {
        sequence: before.map_or(1, |before| before.sequence + 1),
        previous: before.map(|before| before.digest),
    };
    let kid = signers.receipts_kid().to_owned();
    let mut receipt = Receipt { facts, link, kid, signature: String::new() };
    receipt.signature = BASE64.encode(signers.sign_receipt(receipt.signature_base().as_bytes()));
    receipt
}
