//! What starts a call, and the triggers that a function has.

use serde::{Deserialize, Serialize};

use crate::{FunctionName, InvalidField, Namespace, Pattern, Timestamp, Topic};

/// The deepest that a message may stand below the one that began it; what is published at this depth fires nothing more.
pub const TRIGGER_DEPTH_MAX: u8 = 5;

/// The longest time for which messages are collected, in milliseconds.
pub const AGGREGATION_WINDOW_MS_MAX: u32 = 60_000;
/// The most messages that are collected for one call, and how many they are unless the trigger says so.
pub const AGGREGATION_BATCH_MAX: u32 = 1000;
pub const AGGREGATION_BATCH_DEFAULT: u32 = 100;
/// The longest cron expression, and the longest name of a time zone, in bytes.
const CRON_BYTES_MAX: usize = 256;
const OPERATIONS: [&str; 3] = ["insert", "update", "delete"];

/// What started a call, as records and functions see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggerKind {
    Http,
    Websocket,
    Cron,
    Database,
    Pubsub,
    Timer,
    Job,
    Function,
}

impl TriggerKind {
    pub const ALL: [TriggerKind; 8] = [
        TriggerKind::Http,
        TriggerKind::Websocket,
        TriggerKind::Cron,
        TriggerKind::Database,
        TriggerKind::Pubsub,
        TriggerKind::Timer,
        TriggerKind::Job,
        TriggerKind::Function,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            TriggerKind::Http => "http",
            TriggerKind::Websocket => "websocket",
            TriggerKind::Cron => "cron",
            TriggerKind::Database => "database",
            TriggerKind::Pubsub => "pubsub",
            TriggerKind::Timer => "timer",
            TriggerKind::Job => "job",
            TriggerKind::Function => "function",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What happens when a schedule is due while the call before still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// The new one is left out.
    #[default]
    Skip,
    /// It waits for the one before.
    Queue,
    /// Both run.
    Allow,
}

/// What happens with the slots that passed while the node was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// Nothing: the next slot is the next to come.
    Skip,
    /// The last of them runs.
    #[default]
    Last,
    /// All of them run, oldest first, at most 1,000.
    All,
}

/// What it means when both day fields of a schedule are restricted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DayRule {
    /// Either matches, as in every cron.
    #[default]
    Or,
    /// Both must match.
    And,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a trigger waits for: an entry of the manifest's `triggers`, or what somebody added.
///
/// Kept as JSON: a field added later needs a default. [`TriggerSpec::checked`] says whether it can be one; what a cron expression
/// and a time zone say, `platform` knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TriggerSpec {
    /// Messages of a topic, or of every topic that a pattern matches (`*`, `**`, `?`, `[abc]`, `[!abc]`).
    Topic {
        topic: String,
        /// Messages of this many milliseconds become one call; 0 calls for each.
        #[serde(default, skip_serializing_if = "is_default")]
        aggregation_window_ms: u32,
        /// The most messages of one such call; 0 means 100.
        #[serde(default, skip_serializing_if = "is_default")]
        aggregation_max_batch_size: u32,
    },
    Cron {
        cron: String,
        /// An IANA time zone; UTC without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tz: Option<String>,
        #[serde(default, skip_serializing_if = "is_default")]
        overlap: Overlap,
        #[serde(default, skip_serializing_if = "is_default")]
        catch_up: CatchUp,
        #[serde(default, skip_serializing_if = "is_default")]
        day_rule: DayRule,
    },
    /// One moment.
    Once { once: Timestamp },
    /// Changes of a table of the namespace's database: any of `insert`, `update`, `delete`.
    Table { table: String, on: Vec<String> },
}

impl TriggerSpec {
    pub fn topic(topic: impl Into<String>) -> Self {
        Self::Topic { topic: topic.into(), aggregation_window_ms: 0, aggregation_max_batch_size: 0 }
    }

    pub fn cron(cron: impl Into<String>, tz: Option<String>) -> Self {
        Self::Cron {
            cron: cron.into(),
            tz,
            overlap: Overlap::default(),
            catch_up: CatchUp::default(),
            day_rule: DayRule::default(),
        }
    }

    /// The same in its one form: operations in small letters, each once. The error names the field that is wrong.
    pub fn checked(self) -> Result<Self, InvalidField> {
        match &self {
            Self::Topic { topic, aggregation_window_ms, aggregation_max_batch_size } => {
                check_topic(topic)?;
                at_most("aggregation_window_ms", *aggregation_window_ms, AGGREGATION_WINDOW_MS_MAX)?;
                at_most("aggregation_max_batch_size", *aggregation_max_batch_size, AGGREGATION_BATCH_MAX)?;
                Ok(self)
            }
            Self::Cron { cron, tz, .. } => {
                check_text("cron", cron, "a cron expression, such as `0 3 * * *`")?;
                tz.as_ref().map_or(Ok(()), |tz| check_text("tz", tz, "a time zone, such as `Europe/Paris`"))?;
                Ok(self)
            }
            Self::Once { .. } => Ok(self),
            Self::Table { table, on } => {
                check_text("table", table, "the name of a table")?;
                Ok(Self::Table { table: table.clone(), on: operations(on)? })
            }
        }
    }

    pub fn kind(&self) -> TriggerKind {
        match self {
            Self::Topic { .. } => TriggerKind::Pubsub,
            Self::Cron { .. } => TriggerKind::Cron,
            Self::Once { .. } => TriggerKind::Timer,
            Self::Table { .. } => TriggerKind::Database,
        }
    }
}

/// The name of a topic, or a pattern.
fn check_topic(topic: &str) -> Result<(), InvalidField> {
    let refused = match Pattern::is_pattern(topic) {
        true => Pattern::parse(topic).err().map(|invalid| invalid.to_string()),
        false => Topic::parse(topic).err().map(|invalid| invalid.to_string()),
    };
    refused.map_or(Ok(()), |reason| Err(invalid("topic", format!("is refused: {reason}"))))
}

fn check_text(field: &'static str, text: &str, what: &str) -> Result<(), InvalidField> {
    match text {
        _ if text.trim().is_empty() => Err(invalid(field, format!("is empty; it must be {what}"))),
        _ if text.len() > CRON_BYTES_MAX => {
            Err(invalid(field, format!("is {} bytes long, the limit is {CRON_BYTES_MAX}", text.len())))
        }
        _ => match text.chars().find(|character| character.is_control()) {
            Some(control) => Err(invalid(field, format!("contains the control character {control:?}"))),
            None => Ok(()),
        },
    }
}

fn at_most(field: &'static str, value: u32, most: u32) -> Result<(), InvalidField> {
    if value > most { Err(invalid(field, format!("must be 0 to {most}"))) } else { Ok(()) }
}

/// Each once, in the order that we write.
fn operations(on: &[String]) -> Result<Vec<String>, InvalidField> {
    let known = |name: &&String| OPERATIONS.iter().any(|operation| name.eq_ignore_ascii_case(operation));
    match on.iter().find(|name| !known(name)) {
        Some(unknown) => {
            let shown: String = unknown.chars().take(40).collect();
            Err(invalid("on", format!("names {shown:?}; use any of `insert`, `update`, `delete`")))
        }
        None if on.is_empty() => Err(invalid("on", "is empty; use any of `insert`, `update`, `delete`")),
        None => {
            let wanted = |operation: &&str| on.iter().any(|name| name.eq_ignore_ascii_case(operation));
            Ok(OPERATIONS.into_iter().filter(|operation| wanted(operation)).map(str::to_owned).collect())
        }
    }
}

fn invalid(field: &'static str, reason: impl Into<String>) -> InvalidField {
    InvalidField { field, reason: reason.into() }
}

/// A trigger of a function, as the registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// A UUID.
    pub id: String,
    pub namespace: Namespace,
    pub function: FunctionName,
    pub spec: TriggerSpec,
    /// The next deploy replaces it.
    pub from_manifest: bool,
    /// False while it is paused.
    pub enabled: bool,
    pub created_at: Timestamp,
    /// When a schedule is due next; `None` for triggers that no clock fires, and for those that never will again.
    pub next_run_at: Option<Timestamp>,
    pub last_run_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: TriggerSpec, refusal: &str) {
        assert_eq!(spec.checked().expect_err("it is wrong").to_string(), refusal);
    }

    fn table(on: &[&str]) -> TriggerSpec {
        TriggerSpec::Table { table: "orders".to_owned(), on: on.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn what_cannot_be_a_trigger_says_which_field_is_wrong() {
        check(
            TriggerSpec::topic(""),
            "`topic` is refused: the topic is empty; use 1 to 256 bytes, such as `orders:new`",
        );
        check(TriggerSpec::topic("a\nb"), "`topic` is refused: the topic contains the control character '\\n'");
        let open = "`topic` is refused: character 2 of the pattern opens a `[` that no `]` closes; write `[[]` for the character itself";
        check(TriggerSpec::topic("a[b"), open);
        let collected = |aggregation_window_ms, aggregation_max_batch_size| TriggerSpec::Topic {
            topic: "a".to_owned(),
            aggregation_window_ms,
            aggregation_max_batch_size,
        };
        assert!(collected(60_000, 1000).checked().is_ok());
        check(collected(60_001, 1), "`aggregation_window_ms` must be 0 to 60000");
        check(collected(1, 1001), "`aggregation_max_batch_size` must be 0 to 1000");
        check(TriggerSpec::cron(" ", None), "`cron` is empty; it must be a cron expression, such as `0 3 * * *`");
        check(TriggerSpec::cron("*".repeat(257), None), "`cron` is 257 bytes long, the limit is 256");
        check(table(&[]), "`on` is empty; use any of `insert`, `update`, `delete`");
        check(table(&["insert", "drop"]), "`on` names \"drop\"; use any of `insert`, `update`, `delete`");
    }

    #[test]
    fn operations_have_one_form() {
        assert_eq!(table(&["DELETE", "insert", "Insert"]).checked(), Ok(table(&["insert", "delete"])));
    }
}
