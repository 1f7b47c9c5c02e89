//! Reads YAML in which every value remembers where it stood, so that an error can point at it.
//!
//! For files that people write: `function.yaml` and a node's `orama.yaml`. Knows nothing about the keys of either.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::spelling::nearest;

/// What is wrong in a file, and where. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct InvalidYaml {
    pub line: u64,
    pub column: u64,
    /// The dotted path of the field; empty when the file as a whole is wrong.
    pub field: String,
    pub reason: String,
}

pub type Read<T> = Result<T, InvalidYaml>;

/// Values that aliases may bring in again: 300 bytes of nested aliases could otherwise cost a million.
const ALIASED_VALUES_MAX: usize = 10_000;

/// Reads a whole file.
pub fn parse(text: &str) -> Read<Node> {
    let aliases = serde_saphyr::alias_limits! { max_total_replayed_events: ALIASED_VALUES_MAX };
    let options = serde_saphyr::options! { alias_limits: aliases };
    serde_saphyr::from_str_with_options(text, options).map_err(syntax_error)
}

fn syntax_error(error: serde_saphyr::Error) -> InvalidYaml {
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or("not valid YAML");
    // The library names the place and its own options; we say the place ourselves, and have no such option.
    let reason = first.rsplit_once(" at line ").map_or(first, |(reason, _place)| reason);
    let reason = match reason.strip_prefix("duplicate mapping key: ") {
        Some(rest) => format!("the key `{}` stands twice", rest.split(", set ").next().unwrap_or(rest)),
        None => reason.to_owned(),
    };
    InvalidYaml { line, column, field: String::new(), reason }
}

/// A key of a map, with its place.
pub type Key = Spanned<String>;

/// Any YAML value with its place.
pub struct Node(Spanned<Value>);

pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

impl Value {
    fn describe(&self) -> String {
        match self {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Integer(value) => format!("`{value}`"),
            Value::Float(value) => format!("`{value}`"),
            Value::Text(value) => format!("the text {:?}", value.chars().take(40).collect::<String>()),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::<Value>::deserialize(deserializer).map(Node)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

impl Node {
    /// Line and column.
    pub fn place(&self) -> (u64, u64) {
        (self.0.referenced.line(), self.0.referenced.column())
    }

    pub fn into_value(self) -> Value {
        self.0.value
    }
}

/// The entries of the map `name`, keys with their places; a map left empty (`retry:`) has none.
pub fn entries(node: Node, field: &str, name: &str) -> Read<Vec<(Key, Node)>> {
    let at = node.place();
    match node.0.value {
        Value::Map(entries) => Ok(entries),
        Value::Null => Ok(Vec::new()),
        other => Err(wrong(at, field, format!("{name} must be a map of keys, not {}", other.describe()))),
    }
}

/// The one of the `known` keys that this key is.
pub fn known_key(key: &Key, known: &[&'static str]) -> Read<&'static str> {
    known.iter().copied().find(|known| *known == key.value).ok_or_else(|| {
        let at = (key.referenced.line(), key.referenced.column());
        wrong(at, &key.value, unknown_key(&key.value, known))
    })
}

fn unknown_key(key: &str, known: &[&'static str]) -> String {
    let key: String = key.chars().take(40).collect();
    match nearest(&key, known.iter().copied()) {
        Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
        None => format!("unknown key `{key}`; known are `{}`", known.join("`, `")),
    }
}

/// The error that points at a place.
pub fn wrong((line, column): (u64, u64), field: &str, reason: String) -> InvalidYaml {
    InvalidYaml { line, column, field: field.to_owned(), reason }
}

/// The error for a value of another type than the field wants.
pub fn mismatch<T>(at: (u64, u64), field: &str, want: &str, found: &Value) -> Read<T> {
    Err(wrong(at, field, format!("`{field}` must be {want}, not {}", found.describe())))
}

pub fn text(node: Node, field: &str) -> Read<String> {
    let at = node.place();
    match node.0.value {
        Value::Text(text) => Ok(text),
        other => mismatch(at, field, "text", &other),
    }
}

pub fn boolean(node: Node, field: &str) -> Read<bool> {
    match node.0.value {
        Value::Bool(value) => Ok(value),
        ref other => mismatch(node.place(), field, "`true` or `false`", other),
    }
}

pub fn integer(node: Node, field: &str) -> Read<i64> {
    match node.0.value {
        Value::Integer(value) => Ok(value),
        ref other => mismatch(node.place(), field, "a whole number", other),
    }
}

/// A list of texts, or a single text.
pub fn texts(node: Node, field: &str) -> Read<Vec<String>> {
    let at = node.place();
    match node.0.value {
        Value::Text(one) => Ok(vec![one]),
        Value::List(items) => items.into_iter().map(|item| text(item, field)).collect(),
        other => mismatch(at, field, "a list of texts", &other),
    }
}
