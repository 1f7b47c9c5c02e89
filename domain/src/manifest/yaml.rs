//! Reads `function.yaml` into a [`Draft`], remembering where each value stood, so that an error can point at it.

use std::collections::{BTreeMap, HashMap};

use super::{Draft, Manifest};
use crate::yaml::{self, InvalidYaml, Node, Read, Value, boolean, integer, mismatch, text, texts, wrong};
use crate::{
    AGGREGATION_BATCH_MAX, AGGREGATION_WINDOW_MS_MAX, CatchUp, DayRule, EgressPolicy, EgressRule, Overlap, TriggerSpec,
};

/// What is wrong in a manifest, and where.
pub type InvalidManifest = InvalidYaml;

const KEYS: [&str; 27] = [
    "name",
    "public",
    "memory",
    "timeout",
    "retry",
    "env",
    "engine",
    "language",
    "build",
    "concurrency",
    "http",
    "reactor",
    "raw_http_response",
    "internal",
    "ws_persistent",
    "ws_idle_timeout_sec",
    "ws_max_frame_bytes",
    "ws_max_inflight_per_conn",
    "ws_auth",
    "dlq_topic",
    "triggers",
    "egress",
    "main",
    "compatibility_date",
    "sign",
    "by_hash",
    "description",
];
const RETRY_KEYS: [&str; 2] = ["count", "delay"];
const EGRESS_KEYS: [&str; 1] = ["allow"];
const TRIGGER_KEYS: [&str; 10] = [
    "topic",
    "cron",
    "tz",
    "table",
    "on",
    "aggregation_window_ms",
    "aggregation_max_batch_size",
    "overlap",
    "catch_up",
    "day_rule",
];

pub(super) fn parse(text: &str) -> Result<Manifest, InvalidManifest> {
    let mut reader = Reader::default();
    let root = yaml::parse(text)?;
    let draft = reader.draft(root)?;
    draft.check().map_err(|wrong| {
        let (line, column) = reader.places.get(wrong.field).copied().unwrap_or((1, 1));
        InvalidManifest { line, column, field: wrong.field.to_owned(), reason: wrong.to_string() }
    })
}

/// Fills a draft and notes the place of every field on the way.
#[derive(Default)]
struct Reader {
    places: HashMap<&'static str, (u64, u64)>,
}

impl Reader {
    fn draft(&mut self, root: Node) -> Read<Draft> {
        let mut draft = Draft::default();
        for (field, node) in self.fields(root, "", &KEYS)? {
            match field {
                "name" => draft.name = Some(text(node, field)?),
                "public" => draft.public = Some(boolean(node, field)?),
                "internal" => draft.internal = Some(boolean(node, field)?),
                "memory" => draft.memory = Some(integer(node, field)?),
                "timeout" => draft.timeout = Some(integer(node, field)?),
                "retry" => self.retry(node, &mut draft)?,
                "env" => draft.env = env(node)?,
                "engine" => draft.engine = Some(text(node, field)?),
                "language" => draft.language = Some(text(node, field)?),
                "build" => draft.build = texts(node, field)?,
                "concurrency" => draft.concurrency = Some(integer(node, field)?),
                "http" => draft.http = Some(boolean(node, field)?),
                "reactor" => draft.reactor = Some(boolean(node, field)?),
                "raw_http_response" => draft.raw_http_response = Some(boolean(node, field)?),
                "ws_persistent" => draft.ws_persistent = Some(boolean(node, field)?),
                "ws_idle_timeout_sec" => draft.ws_idle_timeout_sec = Some(integer(node, field)?),
                "ws_max_frame_bytes" => draft.ws_max_frame_bytes = Some(integer(node, field)?),
                "ws_max_inflight_per_conn" => draft.ws_max_inflight_per_conn = Some(integer(node, field)?),
                "ws_auth" => draft.ws_auth = Some(text(node, field)?),
                "dlq_topic" => draft.dlq_topic = Some(text(node, field)?),
                "triggers" => draft.triggers = self.triggers(node)?,
                "egress" => draft.egress = Some(self.egress(node)?),
                "main" => draft.main = Some(text(node, field)?),
                "compatibility_date" => draft.compatibility_date = Some(text(node, field)?),
                "sign" => draft.sign = Some(boolean(node, field)?),
                "by_hash" => draft.by_hash = Some(boolean(node, field)?),
                _ => drop(text(node, field)?),
            }
        }
        Ok(draft)
    }

    fn retry(&mut self, node: Node, draft: &mut Draft) -> Read<()> {
        for (field, node) in self.fields(node, "retry", &RETRY_KEYS)? {
            match field {
                "count" => {
                    self.places.insert("retry.count", node.place());
                    draft.retry_count = Some(integer(node, "retry.count")?);
                }
                _ => {
                    self.places.insert("retry.delay", node.place());
                    draft.retry_delay = Some(integer(node, "retry.delay")?);
                }
            }
        }
        Ok(())
    }

    fn triggers(&mut self, node: Node) -> Read<Vec<TriggerSpec>> {
        let at = node.place();
        let Value::List(items) = node.into_value() else {
            return Err(wrong(at, "triggers", "`triggers` must be a list, such as `- topic: orders`".into()));
        };
        items.into_iter().map(|item| self.trigger(item)).collect()
    }

    fn trigger(&mut self, node: Node) -> Read<TriggerSpec> {
        let at = node.place();
        let mut seen: BTreeMap<&str, Node> = self.fields(node, "triggers", &TRIGGER_KEYS)?.into_iter().collect();
        let places: BTreeMap<&str, (u64, u64)> = seen.iter().map(|(key, node)| (*key, node.place())).collect();
        let kinds: Vec<&str> = ["topic", "cron", "table"].into_iter().filter(|kind| seen.contains_key(kind)).collect();
        let spec = match kinds[..] {
            ["topic"] => topic_trigger(&mut seen)?,
            ["cron"] => cron_trigger(&mut seen)?,
            ["table"] => table_trigger(&mut seen)?,
            _ => return Err(wrong(at, "triggers", "a trigger needs exactly one of `topic`, `cron`, `table`".into())),
        };
        if let Some((key, node)) = seen.pop_first() {
            let reason = format!("`{key}` has no meaning for a trigger with `{}`", kinds[0]);
            return Err(wrong(node.place(), &format!("triggers.{key}"), reason));
        }
        spec.checked().map_err(|invalid| {
            let at = places.get(invalid.field).copied().unwrap_or(at);
            wrong(at, &format!("triggers.{}", invalid.field), invalid.to_string())
        })
    }

    /// A map without `allow` is refused: that it allows nothing must be written.
    fn egress(&mut self, node: Node) -> Read<EgressPolicy> {
        let at = node.place();
        let Some((_, rules)) = self.fields(node, "egress", &EGRESS_KEYS)?.pop() else {
            let reason =
                "`egress` needs `allow`, such as `allow: [api.example.com]`; `allow: []` refuses every request";
            return Err(wrong(at, "egress", reason.into()));
        };
        let at = rules.place();
        match rules.into_value() {
            Value::List(rules) => Ok(EgressPolicy { allow: rules.into_iter().map(egress_rule).collect::<Read<_>>()? }),
            other => mismatch(at, "egress.allow", "a list, such as `[api.example.com]`", &other),
        }
    }

    /// The entries of a map whose keys are all known; a map left empty (`retry:`) has none.
    fn fields(&mut self, node: Node, parent: &str, known: &[&'static str]) -> Read<Vec<(&'static str, Node)>> {
        let name = if parent.is_empty() { "the manifest" } else { parent };
        let entries = yaml::entries(node, parent, name)?;
        let mut fields = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let field = yaml::known_key(&key, known)?;
            if parent.is_empty() {
                self.places.insert(field, value.place());
            }
            fields.push((field, value));
        }
        Ok(fields)
    }
}

fn topic_trigger(seen: &mut BTreeMap<&str, Node>) -> Read<TriggerSpec> {
    let mut number = |key: &'static str, most: u32| {
        let Some(node) = seen.remove(key) else { return Ok(0) };
        let at = node.place();
        let refused = || wrong(at, &format!("triggers.{key}"), format!("`{key}` must be 0 to {most}"));
        u32::try_from(integer(node, key)?).map_err(|_| refused())
    };
    let aggregation_window_ms = number("aggregation_window_ms", AGGREGATION_WINDOW_MS_MAX)?;
    let aggregation_max_batch_size = number("aggregation_max_batch_size", AGGREGATION_BATCH_MAX)?;
    let topic = text(present(seen, "topic"), "triggers.topic")?;
    Ok(TriggerSpec::Topic { topic, aggregation_window_ms, aggregation_max_batch_size })
}

fn cron_trigger(seen: &mut BTreeMap<&str, Node>) -> Read<TriggerSpec> {
    Ok(TriggerSpec::Cron {
        cron: text(present(seen, "cron"), "triggers.cron")?,
        tz: seen.remove("tz").map(|tz| text(tz, "triggers.tz")).transpose()?,
        overlap: choice(
            seen,
            "overlap",
            &[("skip", Overlap::Skip), ("queue", Overlap::Queue), ("allow", Overlap::Allow)],
        )?,
        catch_up: choice(seen, "catch_up", &[("skip", CatchUp::Skip), ("last", CatchUp::Last), ("all", CatchUp::All)])?,
        day_rule: choice(seen, "day_rule", &[("or", DayRule::Or), ("and", DayRule::And)])?,
    })
}

fn table_trigger(seen: &mut BTreeMap<&str, Node>) -> Read<TriggerSpec> {
    let on = seen.remove("on").map(|on| texts(on, "triggers.on")).transpose()?;
    let on = on.unwrap_or_else(|| ["insert", "update", "delete"].map(str::to_owned).to_vec());
    Ok(TriggerSpec::Table { table: text(present(seen, "table"), "triggers.table")?, on })
}

fn present(seen: &mut BTreeMap<&str, Node>, kind: &str) -> Node {
    seen.remove(kind).expect("the kind of a trigger is that of its keys which is present")
}

/// One of a few words; the default when the key is not there.
fn choice<T: Copy + Default>(seen: &mut BTreeMap<&str, Node>, key: &str, known: &[(&str, T)]) -> Read<T> {
    let Some(node) = seen.remove(key) else { return Ok(T::default()) };
    let (at, field) = (node.place(), format!("triggers.{key}"));
    let given = text(node, &field)?;
    known.iter().find(|(word, _)| *word == given).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let given: String = given.chars().take(40).collect();
        wrong(at, &field, format!("`{key}` is {given:?}; known are `{}`", words.join("`, `")))
    })
}

fn egress_rule(node: Node) -> Read<EgressRule> {
    let at = node.place();
    let rule = text(node, "egress.allow")?;
    EgressRule::parse(&rule).map_err(|invalid| wrong(at, "egress.allow", invalid.to_string()))
}

/// Names to values; numbers and booleans are taken as they would be written.
fn env(node: Node) -> Read<BTreeMap<String, String>> {
    let at = node.place();
    let entries = match node.into_value() {
        Value::Map(entries) => entries,
        Value::Null => Vec::new(),
        other => return mismatch(at, "env", "a map of names to values", &other),
    };
    entries.into_iter().map(|(name, value)| Ok((name.value, scalar(value)?))).collect()
}

fn scalar(node: Node) -> Read<String> {
    let at = node.place();
    match node.into_value() {
        Value::Text(text) => Ok(text),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Integer(value) => Ok(value.to_string()),
        Value::Float(value) => Ok(value.to_string()),
        other => mismatch(at, "env", "a map of names to texts or numbers", &other),
    }
}
