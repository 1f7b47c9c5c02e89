//! What starts a call, and the triggers that a manifest asks for.

use serde::{Deserialize, Serialize};

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
}

/// One entry of the manifest's `triggers`: accepted and kept with the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TriggerSpec {
    Topic {
        topic: String,
    },
    Cron {
        cron: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tz: Option<String>,
    },
    Table {
        table: String,
        on: Vec<String>,
    },
}
