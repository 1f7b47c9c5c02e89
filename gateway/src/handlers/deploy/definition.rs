//! The keys of an upload into a draft of a manifest. The same keys stand in `metadata` (JSON) and in text fields, which win.

use std::collections::BTreeMap;

use domain::{Draft, EgressPolicy, EgressRule, TriggerSpec};
use serde::Deserialize;
use serde_json::Value;

use crate::error::Refusal;

/// Every key that is understood, for "did you mean".
const KEYS: [&str; 38] = [
    "name",
    "namespace",
    "version",
    "memory_limit_mb",
    "memory",
    "timeout_seconds",
    "timeout",
    "is_public",
    "public",
    "is_internal",
    "internal",
    "retry_count",
    "retry_delay_seconds",
    "dlq_topic",
    "env_vars",
    "env",
    "cron_expressions",
    "db_triggers",
    "pubsub_topics",
    "triggers",
    "ws_persistent",
    "ws_idle_timeout_sec",
    "ws_max_frame_bytes",
    "ws_max_inflight_per_conn",
    "ws_auth",
    "raw_http_response",
    "sign",
    "by_hash",
    "engine",
    "language",
    "http",
    "reactor",
    "concurrency",
    "egress",
    "main",
    "compatibility_date",
    "dry_run",
    "if_changed",
];

/// What an upload says about its function; not checked yet.
#[derive(Default)]
pub(crate) struct Definition {
    pub(crate) draft: Draft,
    pub(crate) namespace: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) if_changed: bool,
    pub(crate) warnings: Vec<String>,
}

/// A value as it was sent: text fields have no types of their own.
enum Given<'a> {
    Json(Value),
    Text(&'a str),
}

impl Definition {
    pub(crate) fn read_metadata(&mut self, document: &[u8]) -> Result<(), Refusal> {
        let invalid = |cause: serde_json::Error| Refusal::invalid(format!("`metadata` is not a JSON object: {cause}"));
        let fields: serde_json::Map<String, Value> = serde_json::from_slice(document).map_err(invalid)?;
        for (key, value) in fields {
            if !value.is_null() {
                self.set(&key, Given::Json(value))?;
            }
        }
        Ok(())
    }

    /// A text field; an empty one says nothing. `name` and `namespace` count only where `metadata` is silent.
    pub(crate) fn read_field(&mut self, key: &str, text: &str) -> Result<(), Refusal> {
        let said = match key {
            "name" => self.draft.name.as_deref().is_some_and(|name| !name.is_empty()),
            "namespace" => self.namespace.as_deref().is_some_and(|name| !name.is_empty()),
            _ => false,
        };
        if said || text.is_empty() { Ok(()) } else { self.set(key, Given::Text(text)) }
    }

    fn set(&mut self, key: &str, given: Given<'_>) -> Result<(), Refusal> {
        let draft = &mut self.draft;
        match key {
            "name" => draft.name = Some(given.text(key)?),
            "namespace" => self.namespace = Some(given.text(key)?),
            // Numbers of versions are ours to give.
            "version" => {}
            "memory_limit_mb" | "memory" => draft.memory = nonzero(given.whole(key)?),
            "timeout_seconds" | "timeout" => draft.timeout = nonzero(given.whole(key)?),
            "retry_count" => draft.retry_count = Some(given.whole(key)?),
            // Zero is a value here, not the default: retry at once.
            "retry_delay_seconds" => draft.retry_delay = Some(given.whole(key)?),
            "concurrency" => draft.concurrency = nonzero(given.whole(key)?),
            "ws_idle_timeout_sec" => draft.ws_idle_timeout_sec = Some(given.whole(key)?),
            "ws_max_frame_bytes" => draft.ws_max_frame_bytes = Some(given.whole(key)?),
            "ws_max_inflight_per_conn" => draft.ws_max_inflight_per_conn = Some(given.whole(key)?),
            "is_public" | "public" => draft.public = Some(given.boolean(key)?),
            "is_internal" | "internal" => draft.internal = Some(given.boolean(key)?),
            "http" => draft.http = Some(given.boolean(key)?),
            "reactor" => draft.reactor = Some(given.boolean(key)?),
            "raw_http_response" => draft.raw_http_response = Some(given.boolean(key)?),
            "sign" => draft.sign = Some(given.boolean(key)?),
            "by_hash" => draft.by_hash = Some(given.boolean(key)?),
            "ws_persistent" => draft.ws_persistent = Some(given.boolean(key)?),
            "dry_run" => self.dry_run = given.boolean(key)?,
            "if_changed" => self.if_changed = given.boolean(key)?,
            "dlq_topic" => draft.dlq_topic = Some(given.text(key)?),
            "engine" => draft.engine = Some(given.text(key)?),
            "language" => draft.language = Some(given.text(key)?),
            "main" => draft.main = Some(given.text(key)?),
            "compatibility_date" => draft.compatibility_date = Some(given.text(key)?),
            "ws_auth" => draft.ws_auth = Some(given.text(key)?),
            "env_vars" | "env" => draft.env = given.document::<BTreeMap<String, String>>(key, "an object of texts")?,
            "egress" => draft.egress = Some(given.egress(key)?),
            "triggers" => draft.triggers.extend(given.document::<Vec<TriggerSpec>>(key, "a list of triggers")?),
            "pubsub_topics" => draft.triggers.extend(given.texts(key)?.map(TriggerSpec::topic)),
            "cron_expressions" => {
                draft.triggers.extend(given.texts(key)?.map(|cron| TriggerSpec::cron(cron, None)));
            }
            "db_triggers" => self.add_table_triggers(given.document(key, "a list of `table` and `operation`")?),
            unknown => self.warnings.push(unknown_key(unknown)),
        }
        Ok(())
    }

    fn add_table_triggers(&mut self, triggers: Vec<TableTrigger>) {
        for TableTrigger { table, operation, condition } in triggers {
            if condition.is_some_and(|condition| !condition.is_empty()) {
                self.warnings.push(format!("the condition of the trigger on table {table:?} was ignored"));
            }
            self.draft.triggers.push(TriggerSpec::Table { table, on: vec![operation] });
        }
    }
}

#[derive(Deserialize)]
struct TableTrigger {
    table: String,
    operation: String,
    condition: Option<String>,
}

/// Zero stands for the default, as it does for existing clients.
fn nonzero(value: i64) -> Option<i64> {
    Some(value).filter(|value| *value != 0)
}

fn unknown_key(key: &str) -> String {
    let key: String = key.chars().take(64).collect();
    match domain::nearest(&key, KEYS) {
        Some(near) => format!("the unknown key {key:?} was ignored; did you mean `{near}`?"),
        None => format!("the unknown key {key:?} was ignored"),
    }
}

impl Given<'_> {
    fn text(self, key: &str) -> Result<String, Refusal> {
        match self {
            Given::Text(text) => Ok(text.to_owned()),
            Given::Json(Value::String(text)) => Ok(text),
            Given::Json(_) => Err(mistyped(key, "a text")),
        }
    }

    fn whole(self, key: &str) -> Result<i64, Refusal> {
        let number = match self {
            Given::Text(text) => text.trim().parse().ok(),
            Given::Json(value) => value.as_i64(),
        };
        number.ok_or_else(|| mistyped(key, &format!("a whole number{}", range_text(key))))
    }

    fn boolean(self, key: &str) -> Result<bool, Refusal> {
        match self {
            Given::Text("true" | "1") | Given::Json(Value::Bool(true)) => Ok(true),
            Given::Text("false" | "0") | Given::Json(Value::Bool(false)) => Ok(false),
            Given::Text(_) | Given::Json(_) => Err(mistyped(key, "`true` or `false`")),
        }
    }

    fn texts(self, key: &str) -> Result<impl Iterator<Item = String> + use<>, Refusal> {
        let texts: Vec<String> = self.document(key, "a list of texts")?;
        let mut seen = std::collections::HashSet::new();
        Ok(texts.into_iter().filter(move |text| seen.insert(text.clone())))
    }

    /// A rule that cannot be read is named, unlike other parts of a document: people write these.
    fn egress(self, key: &str) -> Result<EgressPolicy, Refusal> {
        let form = "an object, such as `{\"allow\": [\"api.example.com\"]}`";
        let mut fields: BTreeMap<String, Vec<String>> = self.document(key, form)?;
        let rules = fields.remove("allow").filter(|_| fields.is_empty()).ok_or_else(|| mistyped(key, form))?;
        let rules = rules.iter().map(|rule| EgressRule::parse(rule)).collect::<Result<_, _>>();
        rules.map(|allow| EgressPolicy { allow }).map_err(|invalid| Refusal::invalid(format!("`{key}`: {invalid}")))
    }

    fn document<T: serde::de::DeserializeOwned>(self, key: &str, what: &str) -> Result<T, Refusal> {
        let read = match self {
            Given::Text(text) => serde_json::from_str(text),
            Given::Json(value) => serde_json::from_value(value),
        };
        read.map_err(|_| mistyped(key, what))
    }
}

fn mistyped(key: &str, what: &str) -> Refusal {
    Refusal::invalid(format!("`{key}` must be {what}"))
}

/// The range of a field, so that a value that is not even a number still learns what is allowed.
fn range_text(key: &str) -> String {
    let limits = &domain::LIMITS;
    let (least, most, _) = match key {
        "memory_limit_mb" | "memory" => limits.memory_mb,
        "timeout_seconds" | "timeout" => limits.timeout_seconds,
        "retry_count" => limits.retry_count,
        "retry_delay_seconds" => limits.retry_delay_seconds,
        "concurrency" => limits.concurrency,
        "ws_idle_timeout_sec" => limits.ws_idle_timeout_seconds,
        "ws_max_frame_bytes" => limits.ws_frame_bytes,
        "ws_max_inflight_per_conn" => limits.ws_inflight,
        _ => return String::new(),
    };
    format!(", {least} to {most}")
}
