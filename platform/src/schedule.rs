//! Calls that a clock makes: when they are due, and what happens when the clock was not watched.
//!
//! `cron.rs` reads expressions and finds the next moment of one, `plan.rs` says what of the past is still to be done; both are pure.
//! `watch.rs` fires. Firing is one transaction: a slot moves on and its call is owed from then on, so that each slot fires once,
//! whatever dies in between; the call itself is made at least once, as every delivery.

mod cron;
mod plan;
mod watch;

use domain::{Error, FunctionRef, Overlap, Timestamp, Trigger, TriggerSpec};
use ports::Delivery;
use serde_json::json;

use cron::Schedule;

pub(crate) use watch::{Watched, run};

/// Checks what a schedule is made of; of other triggers there is nothing to check here. What the author should know although it
/// is allowed comes back.
pub(crate) fn check(spec: &TriggerSpec) -> Result<Vec<String>, Error> {
    match spec {
        TriggerSpec::Cron { cron, tz, day_rule, .. } => {
            let schedule = Schedule::parse(cron, tz.as_deref(), *day_rule)?;
            Ok(schedule.hint(*day_rule).into_iter().collect())
        }
        TriggerSpec::Once { .. } | TriggerSpec::Topic { .. } | TriggerSpec::Table { .. } => Ok(Vec::new()),
    }
}

/// What the author of a trigger should know although it is allowed.
pub fn schedule_hints(spec: &TriggerSpec) -> Vec<String> {
    check(spec).unwrap_or_default()
}

/// The first moment behind `after` at which a schedule is due; `None` for triggers that no clock fires, and when there is none.
pub(crate) fn next(spec: &TriggerSpec, after: Timestamp) -> Option<Timestamp> {
    match spec {
        TriggerSpec::Cron { cron, tz, day_rule, .. } => {
            Schedule::read(cron, tz.as_deref(), *day_rule).ok()?.next(after)
        }
        TriggerSpec::Once { once } => (*once > after).then_some(*once),
        TriggerSpec::Topic { .. } | TriggerSpec::Table { .. } => None,
    }
}

/// When a trigger that is added now is due first. A moment that has passed is due at once: somebody asked for it.
pub(crate) fn first(spec: &TriggerSpec, now: Timestamp) -> Option<Timestamp> {
    match spec {
        TriggerSpec::Once { once } => Some(*once),
        spec => next(spec, now),
    }
}

/// When a trigger that is resumed now is due next. One moment that has had its call has it once.
pub(crate) fn resumed(trigger: &Trigger, now: Timestamp) -> Option<Timestamp> {
    match (&trigger.spec, trigger.last_run_at) {
        (TriggerSpec::Once { .. }, Some(_)) => None,
        (spec, _) => first(spec, now),
    }
}

/// The call that a schedule owes for a slot.
pub(crate) fn delivery(trigger: &Trigger, slot: Timestamp, now: Timestamp) -> Delivery {
    let kind = trigger.spec.kind();
    let mut input = json!({
        "trigger": kind.as_str(),
        "trigger_id": trigger.id,
        "namespace": trigger.namespace.as_str(),
        "scheduled_at": slot.to_string(),
        "timestamp": slot.as_second(),
    });
    if let TriggerSpec::Cron { cron, .. } = &trigger.spec {
        input["cron"] = json!(cron);
    }
    let function = FunctionRef { name: trigger.function.clone(), version: None };
    let input = input.to_string().into();
    Delivery {
        trigger: Some(trigger.id.clone()),
        in_turn: matches!(trigger.spec, TriggerSpec::Cron { overlap: Overlap::Queue, .. }),
        ..Delivery::new(trigger.namespace.clone(), function, kind, input, now)
    }
}
