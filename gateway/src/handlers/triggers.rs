//! The triggers of functions, and the calls that were given up.

use std::sync::Arc;

use domain::{
    AGGREGATION_BATCH_MAX, AGGREGATION_WINDOW_MS_MAX, CatchUp, DayRule, Overlap, PATTERN_CHARS_MAX, TRIGGER_DEPTH_MAX,
    Timestamp, Trigger, TriggerKind, TriggerSpec,
};
use platform::TRIGGER_LIMITS;
use ports::Delivery;
use serde::Deserialize;
use serde::de::value::{Error as WordError, StrDeserializer};
use serde_json::{Value, json};

use super::SMALL_BODY_BYTES_MAX;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply::{self, Reply};

/// The largest list of ids: a thousand UUIDs with room around each.
const IDS_BYTES_MAX: usize = 64 << 10;
/// Dead deliveries of one answer.
const DEAD_DEFAULT: usize = 20;
const DEAD_MAX: usize = 100;
/// What is shown of the input of one, in bytes.
const INPUT_BYTES_MAX: usize = 64 << 10;

/// What names the kind of a trigger; existing clients send `topic` and `cron_expression` both, the unused one empty.
const KINDS: [&str; 5] = ["topic", "cron_expression", "cron", "once", "table"];
const TOPIC_OPTIONS: [&str; 2] = ["aggregation_window_ms", "aggregation_max_batch_size"];
const CRON_OPTIONS: [&str; 4] = ["tz", "overlap", "catch_up", "day_rule"];
const TABLE_OPTIONS: [&str; 1] = ["on"];

pub(crate) async fn add(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (namespace, function) = (exchange.managed_namespace()?, exchange.function_name(0)?);
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let known = [&KINDS, &TOPIC_OPTIONS[..], &CRON_OPTIONS, &TABLE_OPTIONS].concat();
    let spec = spec_of(&Document::parse(&body)?.only(&known)?)?;
    let added = gateway.platform.add_trigger(&exchange.caller, &namespace, &function, spec).await?;
    exchange.concerns(&added.id);
    let mut answer = json!({ "trigger_id": added.id, "function": function });
    merge(&mut answer, spec_json(&added.spec));
    if is_schedule(&added) {
        answer["next_run_at"] = json!(added.next_run_at);
    }
    let hints = platform::schedule_hints(&added.spec);
    if !hints.is_empty() {
        answer["hints"] = json!(hints);
    }
    Ok(reply::created(&answer))
}

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, function) = (exchange.managed_namespace()?, exchange.function_name(0)?);
    let found = gateway.platform.triggers(&exchange.caller, &namespace, Some(&function))?;
    Ok(all(&found))
}

pub(crate) async fn list_all(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let found = gateway.platform.triggers(&exchange.caller, &exchange.managed_namespace()?, None)?;
    Ok(all(&found))
}

pub(crate) async fn delete(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, function, id) =
        (exchange.managed_namespace()?, exchange.function_name(0)?, exchange.capture(1)?.into_owned());
    gateway.platform.delete_trigger(&exchange.caller, &namespace, &function, &id).await?;
    Ok(reply::ok(&json!({ "message": "Trigger removed" })))
}

pub(crate) async fn pause(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    switch(gateway, exchange, false).await
}

pub(crate) async fn resume(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    switch(gateway, exchange, true).await
}

async fn switch(gateway: Arc<Gateway>, exchange: Exchange, enabled: bool) -> Answer {
    let (namespace, function, id) =
        (exchange.managed_namespace()?, exchange.function_name(0)?, exchange.capture(1)?.into_owned());
    let platform = &gateway.platform;
    let switched = platform.set_trigger_enabled(&exchange.caller, &namespace, &function, &id, enabled).await?;
    Ok(reply::ok(&trigger_json(&switched)))
}

pub(crate) async fn run(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (namespace, function) = (exchange.managed_namespace()?, exchange.function_name(0)?);
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["at", "trigger_id"])?;
    let (at, id) = (time("at", &document.needed_text("at")?)?, document.text("trigger_id")?);
    let fired = gateway.platform.run_schedules(&exchange.caller, &namespace, &function, id.as_deref(), at).await?;
    let fired: Vec<Value> = fired
        .iter()
        .map(|fired| json!({ "trigger_id": fired.trigger.id, "delivery_id": fired.delivery, "scheduled_at": at }))
        .collect();
    Ok(reply::ok(&json!({ "count": fired.len(), "fired": fired })))
}

pub(crate) async fn dead(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, function) = (exchange.managed_namespace()?, exchange.function_name(0)?);
    let (after, limit) = (exchange.after_id()?, exchange.limit(DEAD_DEFAULT, DEAD_MAX)?);
    let found =
        gateway.platform.dead_deliveries(&exchange.caller, &namespace, &function, after.as_deref(), limit).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.id.clone());
    let shown: Vec<Value> = found.iter().map(dead_json).collect();
    Ok(reply::ok(&json!({ "count": shown.len(), "deliveries": shown, "next": next })))
}

pub(crate) async fn redrive(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (namespace, function) = (exchange.managed_namespace()?, exchange.function_name(0)?);
    let body = exchange.receive(&gateway, IDS_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["ids"])?;
    let ids = document.raw("ids").map(|_| document.texts("ids")).transpose()?;
    let count = gateway.platform.redrive(&exchange.caller, &namespace, &function, ids.as_deref()).await?;
    Ok(reply::ok(&json!({ "redriven": count })))
}

pub(crate) async fn delete_all_dead(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, function) = (exchange.managed_namespace()?, exchange.function_name(0)?);
    let count = gateway.platform.delete_dead(&exchange.caller, &namespace, &function, None).await?;
    Ok(reply::ok(&json!({ "deleted": count })))
}

pub(crate) async fn delete_dead(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, function) = (exchange.managed_namespace()?, exchange.function_name(0)?);
    let id = [exchange.capture(1)?.into_owned()];
    match gateway.platform.delete_dead(&exchange.caller, &namespace, &function, Some(&id)).await? {
        0 => Err(domain::Error::not_found("there is no dead delivery with this id").into()),
        count => Ok(reply::ok(&json!({ "deleted": count }))),
    }
}

pub(super) fn limits() -> Value {
    json!({
        "per_function": TRIGGER_LIMITS.per_function,
        "per_namespace": TRIGGER_LIMITS.per_namespace,
        "patterns_per_namespace": TRIGGER_LIMITS.patterns,
        "pattern_characters": PATTERN_CHARS_MAX,
        "depth": TRIGGER_DEPTH_MAX,
        "aggregation_window_ms": AGGREGATION_WINDOW_MS_MAX,
        "aggregation_batch": AGGREGATION_BATCH_MAX,
        "waiting_calls_per_namespace": TRIGGER_LIMITS.waiting,
        "waiting_bytes_per_namespace": TRIGGER_LIMITS.waiting_bytes,
        "dead_calls_per_namespace": TRIGGER_LIMITS.dead,
        "dead_bytes_per_namespace": TRIGGER_LIMITS.dead_bytes,
        "dead_kept_seconds": TRIGGER_LIMITS.dead_age.as_secs(),
    })
}

fn spec_of(document: &Document<'_>) -> Result<TriggerSpec, Refusal> {
    let mut kinds = Vec::new();
    for kind in KINDS {
        if let Some(text) = document.text(kind)?.filter(|text| !text.is_empty()) {
            kinds.push((kind, text));
        }
    }
    let Ok([(kind, text)]) = <[_; 1]>::try_from(kinds) else {
        return Err(Refusal::invalid("send exactly one of `topic`, `cron_expression`, `once`, `table`"));
    };
    let (options, spec): (&[&str], _) = match kind {
        "topic" => (&TOPIC_OPTIONS, topic_spec(text, document)?),
        "once" => (&[], TriggerSpec::Once { once: time("once", &text)? }),
        "table" => (&TABLE_OPTIONS, table_spec(text, document)?),
        _cron => (&CRON_OPTIONS, cron_spec(text, document)?),
    };
    let misplaced = |key: &&str| !KINDS.contains(key) && !options.contains(key) && document.raw(key).is_some();
    match document.keys().filter(misplaced).min() {
        Some(key) => Err(Refusal::invalid(format!("`{key}` has no meaning for a trigger with `{kind}`"))),
        None => Ok(spec),
    }
}

fn topic_spec(topic: String, document: &Document<'_>) -> Result<TriggerSpec, Refusal> {
    let number = |key: &str| -> Result<u32, Refusal> {
        let number = document.whole(key)?.unwrap_or(0);
        u32::try_from(number).map_err(|_| Refusal::invalid(format!("`{key}` is too large")))
    };
    Ok(TriggerSpec::Topic {
        topic,
        aggregation_window_ms: number("aggregation_window_ms")?,
        aggregation_max_batch_size: number("aggregation_max_batch_size")?,
    })
}

fn cron_spec(cron: String, document: &Document<'_>) -> Result<TriggerSpec, Refusal> {
    Ok(TriggerSpec::Cron {
        cron,
        tz: document.text("tz")?.filter(|tz| !tz.is_empty()),
        overlap: word::<Overlap>(document, "overlap", "`skip`, `queue`, `allow`")?,
        catch_up: word::<CatchUp>(document, "catch_up", "`skip`, `last`, `all`")?,
        day_rule: word::<DayRule>(document, "day_rule", "`or`, `and`")?,
    })
}

fn table_spec(table: String, document: &Document<'_>) -> Result<TriggerSpec, Refusal> {
    let on = match document.raw("on") {
        Some(_) => document.texts("on")?,
        None => ["insert", "update", "delete"].map(str::to_owned).to_vec(),
    };
    Ok(TriggerSpec::Table { table, on })
}

/// One of a few words; the default when there is none.
fn word<T: Default + for<'de> Deserialize<'de>>(document: &Document<'_>, key: &str, known: &str) -> Result<T, Refusal> {
    let Some(text) = document.text(key)?.filter(|text| !text.is_empty()) else { return Ok(T::default()) };
    let read = T::deserialize(StrDeserializer::<WordError>::new(&text));
    read.map_err(|_| Refusal::invalid(format!("`{key}` must be one of {known}")))
}

fn time(key: &str, text: &str) -> Result<Timestamp, Refusal> {
    let invalid =
        |_| Refusal::invalid(format!("`{key}` must be a moment before the year 9999, such as `2026-03-01T03:00:00Z`"));
    text.parse().map_err(invalid)
}

fn all(triggers: &[Arc<Trigger>]) -> Reply {
    let triggers: Vec<Value> = triggers.iter().map(|trigger| trigger_json(trigger)).collect();
    reply::ok(&json!({ "count": triggers.len(), "triggers": triggers }))
}

fn is_schedule(trigger: &Trigger) -> bool {
    matches!(trigger.spec.kind(), TriggerKind::Cron | TriggerKind::Timer)
}

fn trigger_json(trigger: &Trigger) -> Value {
    let mut shown = json!({
        "id": trigger.id,
        "kind": trigger.spec.kind(),
        "function": trigger.function,
        "enabled": trigger.enabled,
        "from_manifest": trigger.from_manifest,
        "created_at": trigger.created_at,
    });
    merge(&mut shown, spec_json(&trigger.spec));
    if is_schedule(trigger) {
        shown["next_run_at"] = json!(trigger.next_run_at);
        shown["last_run_at"] = json!(trigger.last_run_at);
    }
    shown
}

/// As the manifest has it, but for `cron`, which has the name that clients know.
fn spec_json(spec: &TriggerSpec) -> Value {
    let mut fields = json!(spec);
    if let Some(cron) = fields.as_object_mut().and_then(|fields| fields.remove("cron")) {
        fields["cron_expression"] = cron;
    }
    fields
}

fn merge(into: &mut Value, fields: Value) {
    if let (Some(into), Value::Object(fields)) = (into.as_object_mut(), fields) {
        into.extend(fields);
    }
}

fn dead_json(delivery: &Delivery) -> Value {
    let shown = &delivery.input[..delivery.input.len().min(INPUT_BYTES_MAX)];
    let death = delivery.dead.as_ref();
    json!({
        "id": delivery.id,
        "event_id": delivery.event,
        "trigger_id": delivery.trigger,
        "kind": delivery.kind,
        "function": delivery.function.to_string(),
        "trigger_depth": delivery.depth,
        "created_at": delivery.created_at,
        "failed_at": death.map(|death| death.at),
        "error": death.map(|death| &death.why),
        "attempts": delivery.failed.saturating_add(1),
        "input": String::from_utf8_lossy(shown),
        "input_bytes": delivery.input.len(),
    })
}
