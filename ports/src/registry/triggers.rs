//! Triggers of functions, and the calls that they owe: a queue on disk.
//!
//! A delivery is a call that must be made at least once. It is written in the same transaction as what causes it (the slot of a
//! schedule), or before its cause is acknowledged (a message), and leaves the queue when the call has ended.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{FunctionName, FunctionRef, Namespace, Timestamp, Trigger, TriggerKind};

use super::RegistryError;

/// A call that is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// A UUID. Whoever may write a delivery twice gives it the same id twice: then there is one.
    pub id: String,
    /// What happened, a UUIDv7. Deliveries of one event are written together; their input is the same and kept once.
    pub event: String,
    pub namespace: Namespace,
    pub function: FunctionRef,
    pub kind: TriggerKind,
    /// The trigger that asks; `None` for a job.
    pub trigger: Option<String>,
    /// What the function gets; one event of several, while they are collected.
    pub input: Bytes,
    /// What it counts for a quota: its share of the input.
    pub bytes: u64,
    /// How deep the call stands below the message that began it; 0 for what a clock fires.
    pub depth: u8,
    /// Deliveries of one trigger that become one call: the most of them. 0 for a call of its own.
    pub batch_max: u32,
    /// It waits until every earlier one of its trigger has ended.
    pub in_turn: bool,
    pub due_at: Timestamp,
    pub created_at: Timestamp,
    /// How often it was begun without an end. More than one means that a node died over it.
    pub begun: u32,
    /// How often the call was made and failed.
    pub failed: u32,
    /// How often it was put off, since there was no room for the call.
    pub put_off: u32,
    /// Set when it was given up; such a delivery waits to be redriven or deleted.
    pub dead: Option<Death>,
}

/// When and why a delivery was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    pub at: Timestamp,
    pub why: String,
}

impl Delivery {
    /// A call of its own, due at once, with an id and an event of its own.
    pub fn new(namespace: Namespace, function: FunctionRef, kind: TriggerKind, input: Bytes, now: Timestamp) -> Self {
        let event = uuid::Uuid::now_v7().to_string();
        Self {
            id: event.clone(),
            event,
            namespace,
            function,
            kind,
            trigger: None,
            bytes: input.len() as u64,
            input,
            depth: 0,
            batch_max: 0,
            in_turn: false,
            due_at: now,
            created_at: now,
            begun: 0,
            failed: 0,
            put_off: 0,
            dead: None,
        }
    }
}

/// What became of a delivery that was begun. All but death set `begun` back to 0: no node died over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// The call was made: the delivery leaves the queue.
    Done,
    /// Not now: it is due again later, put off once more.
    Later(Timestamp),
    /// The call failed and is made again later.
    Retry(Timestamp),
    /// It is given up.
    Dead(Death),
}

/// Deliveries of one function that were asked for, and how many at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub namespace: Namespace,
    pub function: FunctionName,
    pub limit: usize,
}

/// What was begun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Begun {
    /// In the order in which they were asked for, and those of one function in the order in which they are due.
    pub deliveries: Vec<Delivery>,
    /// For each [`Asked`]: when the next one is due that nobody has begun. May have passed: there are more, or it waits its turn.
    pub next: Vec<Option<Timestamp>>,
}

/// What a function is owed: whatever waits or runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub namespace: Namespace,
    pub function: FunctionName,
    /// When the next one is due that nobody has begun.
    pub due_at: Option<Timestamp>,
    pub deliveries: u64,
    pub bytes: u64,
}

#[async_trait]
pub trait Triggers: Send + Sync {
    /// Every trigger; read once at start. Those of a manifest change with the active version of their function, in one
    /// transaction: see [`crate::Functions::publish_version`] and [`crate::Functions::activate`]. A function that is deleted takes
    /// its triggers and its deliveries along, a version does not.
    async fn load_triggers(&self) -> Result<Vec<Trigger>, RegistryError>;

    /// Adds a trigger to a function that exists. An id that is taken is a conflict.
    async fn add_trigger(&self, trigger: Trigger) -> Result<(), RegistryError>;

    /// Deletes a trigger and what it has not delivered yet; what runs goes on, dead ones stay.
    async fn delete_trigger(&self, namespace: &Namespace, id: &str) -> Result<(), RegistryError>;

    /// Pauses or resumes; a schedule that resumes is due next at `next_run_at`.
    async fn set_trigger_enabled(
        &self,
        namespace: &Namespace,
        id: &str,
        enabled: bool,
        next_run_at: Option<Timestamp>,
    ) -> Result<(), RegistryError>;

    /// Sets when a schedule is due next, without firing.
    async fn set_next_run(&self, namespace: &Namespace, id: &str, next: Option<Timestamp>)
    -> Result<(), RegistryError>;

    /// Fires a schedule: if it is enabled and due at `slot` still, moves it on to `next`, notes `slot` as its last run and enqueues
    /// the deliveries. False when somebody else had the slot.
    async fn claim_slot(
        &self,
        namespace: &Namespace,
        id: &str,
        slot: Timestamp,
        next: Option<Timestamp>,
        deliveries: Vec<Delivery>,
    ) -> Result<bool, RegistryError>;
}

#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Puts new deliveries into the queue and notes what became of others, all in one transaction; on disk when this returns.
    ///
    /// Left out are new ones whose id is there already or whose function is not, and ends of what is not there any more. Returns
    /// the ids of the new ones that were left out.
    async fn write_deliveries(
        &self,
        new: Vec<Delivery>,
        ended: Vec<(String, DeliveryEnd)>,
    ) -> Result<Vec<String>, RegistryError>;

    /// Begins deliveries that are due and neither begun nor dead: for each function asked for, the first ones.
    async fn begin_deliveries(&self, asked: Vec<Asked>, now: Timestamp) -> Result<Begun, RegistryError>;

    /// Begins further deliveries of a trigger that collects them, due or not, the first ones first.
    async fn begin_companions(
        &self,
        namespace: &Namespace,
        trigger: &str,
        limit: usize,
    ) -> Result<Vec<Delivery>, RegistryError>;

    /// What was begun by a process that is gone can be begun again. Called once, at start; returns how many there were.
    async fn release_deliveries(&self) -> Result<u64, RegistryError>;

    /// For when the clock was ahead: what reacts to something that has happened, and was not tried yet, is due by `now`; what was
    /// tried is due again by `latest`. Timers have a time of their own. Returns how many were moved.
    async fn hasten_deliveries(&self, now: Timestamp, latest: Timestamp) -> Result<u64, RegistryError>;

    /// What the functions of the node, or of one namespace, are owed; those that are owed something.
    async fn lanes(&self, namespace: Option<&Namespace>) -> Result<Vec<Lane>, RegistryError>;

    /// How many deliveries of a trigger wait or run.
    async fn owed_by(&self, namespace: &Namespace, trigger: &str) -> Result<u64, RegistryError>;

    /// Takes a delivery out of the queue that nobody has begun; false when there is none.
    async fn withdraw_delivery(&self, namespace: &Namespace, id: &str) -> Result<bool, RegistryError>;

    /// Dead deliveries of a function, the last to die first, behind `after` (an id).
    async fn dead_deliveries(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Delivery>, RegistryError>;

    /// Makes dead deliveries of a function due again as if they were new, all or those named; returns how many.
    async fn redrive(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        ids: Option<&[String]>,
        now: Timestamp,
    ) -> Result<u64, RegistryError>;

    /// Deletes dead deliveries of a function, all or those named; returns how many.
    async fn delete_dead(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        ids: Option<&[String]>,
    ) -> Result<u64, RegistryError>;

    /// Forgets what died before `before`, and of each namespace what is more than `count_max` or `bytes_max`, the oldest first;
    /// returns how many.
    async fn expire_dead(&self, before: Timestamp, count_max: u64, bytes_max: u64) -> Result<u64, RegistryError>;
}
