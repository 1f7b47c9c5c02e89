//! JSON bodies, field by field: a refusal names the field and never repeats its value, which may be a secret.
//!
//! Keys that nobody asks for are ignored, because clients send some of their own. Values stay the text that was sent until
//! somebody reads them, so that no number loses a digit.

use std::collections::HashMap;

use domain::SqlValue;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Refusal;

pub(crate) struct Document<'a>(HashMap<String, &'a RawValue>);

impl<'a> Document<'a> {
    /// Reads an object; an empty body is an empty object.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Refusal> {
        if body.trim_ascii().is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let refused = |error: serde_json::Error| match error.classify() {
            serde_json::error::Category::Data => Refusal::invalid("the body must be a JSON object"),
            _ => Refusal::invalid(format!(
                "the body is not valid JSON: see line {}, column {}",
                error.line(),
                error.column()
            )),
        };
        serde_json::from_slice(body).map(Self).map_err(refused)
    }

    /// The value of `key` as it was sent; `null` is as good as nothing.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.0.get(key).copied().filter(|value| value.get() != "null")
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, Refusal> {
        self.read(key, "a text")
    }

    /// The text under `key`; empty when there is none.
    pub(crate) fn text_or_empty(&self, key: &str) -> Result<String, Refusal> {
        Ok(self.text(key)?.unwrap_or_default())
    }

    /// The text under `key`, refused when it is missing or empty.
    pub(crate) fn needed_text(&self, key: &str) -> Result<String, Refusal> {
        let text = self.text(key)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Refusal::invalid(format!("{key} is required")))
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, Refusal> {
        Ok(self.read(key, "a list of texts")?.unwrap_or_default())
    }

    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>, Refusal> {
        self.read(key, "`true` or `false`")
    }

    pub(crate) fn whole(&self, key: &str) -> Result<Option<u64>, Refusal> {
        self.read(key, "a whole number from 0")
    }

    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>, Refusal> {
        self.read(key, "a whole number of 64 bits")
    }

    pub(crate) fn object(&self, key: &str) -> Result<Option<Document<'a>>, Refusal> {
        Ok(self.read(key, "an object")?.map(Self))
    }

    pub(crate) fn objects(&self, key: &str) -> Result<Vec<Document<'a>>, Refusal> {
        let objects: Option<Vec<_>> = self.read(key, "a list of objects")?;
        Ok(objects.unwrap_or_default().into_iter().map(Self).collect())
    }

    /// The arguments of a statement.
    pub(crate) fn arguments(&self, key: &str) -> Result<Vec<SqlValue>, Refusal> {
        let json = self.raw(key).map_or("", RawValue::get);
        domain::arguments_from_json(json.as_bytes()).map_err(|refused| Refusal::invalid(format!("`{key}`: {refused}")))
    }

    /// One value of a statement.
    pub(crate) fn value(&self, key: &str) -> Result<SqlValue, Refusal> {
        let Some(raw) = self.raw(key) else { return Ok(SqlValue::Null) };
        serde_json::from_str(raw.get()).map_err(|refused| Refusal::invalid(format!("`{key}`: {refused}")))
    }

    fn read<T: Deserialize<'a>>(&self, key: &str, what: &str) -> Result<Option<T>, Refusal> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        let read = serde_json::from_str(raw.get()).map(Some);
        read.map_err(|_| Refusal::invalid(format!("`{key}` must be {what}")))
    }
}
