//! JSON bodies, field by field: a refusal names the field and never repeats its value, which may be a secret.
//!
//! Routes of ours refuse a field that they do not know ([`Document::only`]): ignored, a slip would change what the request
//! means. Routes that published client libraries call ignore it, because those send some of their own. Values stay the text that
//! was sent until somebody reads them, so that no number loses a digit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use domain::SqlValue;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Refusal;

/// The most characters of an unknown name that a refusal repeats.
const SHOWN_CHARACTERS_MAX: usize = 64;

pub(crate) struct Document<'a> {
    fields: HashMap<String, &'a RawValue>,
    /// A name that stands there more than once: which of its values counts is anybody's guess.
    twice: Option<String>,
}

impl<'a> Document<'a> {
    /// Reads an object; an empty body is an empty object.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Refusal> {
        if body.trim_ascii().is_empty() {
            return Ok(Self { fields: HashMap::new(), twice: None });
        }
        let refused = |error: serde_json::Error| match error.classify() {
            serde_json::error::Category::Data => Refusal::invalid("the body must be a JSON object"),
            _ => Refusal::invalid(format!(
                "the body is not valid JSON: see line {}, column {}",
                error.line(),
                error.column()
            )),
        };
        serde_json::from_slice::<Self>(body).map_err(refused)?.unambiguous()
    }

    /// Refuses a field that is not `known`, and names the one that was meant.
    pub(crate) fn only(self, known: &[&str]) -> Result<Self, Refusal> {
        // The first by name: the same request gets the same answer each time.
        match self.keys().filter(|key| !known.contains(key)).min() {
            Some(unknown) => Err(unknown_field(unknown, known)),
            None => Ok(self),
        }
    }

    fn unambiguous(self) -> Result<Self, Refusal> {
        match &self.twice {
            Some(name) => Err(Refusal::invalid(format!("the field `{}` stands twice in one object", shown(name)))),
            None => Ok(self),
        }
    }

    /// The value of `key` as it was sent; `null` is as good as nothing.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.fields.get(key).copied().filter(|value| value.get() != "null")
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
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
        self.read::<Self>(key, "an object")?.map(Self::unambiguous).transpose()
    }

    pub(crate) fn objects(&self, key: &str) -> Result<Vec<Document<'a>>, Refusal> {
        let objects: Option<Vec<Self>> = self.read(key, "a list of objects")?;
        objects.unwrap_or_default().into_iter().map(Self::unambiguous).collect()
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

impl<'de: 'a, 'a> Deserialize<'de> for Document<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// Reads the fields of an object.
struct Fields<'a>(PhantomData<&'a RawValue>);

impl<'de: 'a, 'a> Visitor<'de> for Fields<'a> {
    type Value = Document<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document<'a>, A::Error> {
        let (mut fields, mut twice) = (HashMap::new(), None);
        while let Some((name, value)) = map.next_entry::<String, &'a RawValue>()? {
            match fields.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(taken) => twice = twice.or_else(|| Some(taken.key().clone())),
            }
        }
        Ok(Document { fields, twice })
    }
}

fn unknown_field(unknown: &str, known: &[&str]) -> Refusal {
    let rest = match domain::nearest(unknown, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are `{}`", known.join("`, `")),
    };
    Refusal::invalid(format!("unknown field `{}`; {rest}", shown(unknown)))
}

/// A name as it may be repeated to whoever sent it.
fn shown(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(SHOWN_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(body: &str, want: Expect) {
        let read = Document::parse(body.as_bytes()).and_then(|document| document.only(&["dmap", "key", "ttl"]));
        want.assert_eq(&match read.and_then(|document| document.object("key")) {
            Ok(_) => "read".to_owned(),
            Err(refusal) => refusal.message().to_owned(),
        });
    }

    #[test]
    fn only_known_fields_pass() {
        check("", expect!["read"]);
        check(r#"{"dmap":1,"ttl":null}"#, expect!["read"]);
        check(r#"{"TTL":"1h","dmap":"m"}"#, expect!["unknown field `TTL`; did you mean `ttl`?"]);
        check(r#"{"expires":1,"by":2}"#, expect!["unknown field `by`; known are `dmap`, `key`, `ttl`"]);
        check("{\"a\\nb\":1}", expect!["unknown field `ab`; known are `dmap`, `key`, `ttl`"]);
        check(r#"{"key":{"anything":1}}"#, expect!["read"]);
    }

    #[test]
    fn no_field_stands_twice() {
        check(r#"{"key":1,"dmap":"m","key":2}"#, expect!["the field `key` stands twice in one object"]);
        check(r#"{"key":{"a":1,"\u0061":1}}"#, expect!["the field `a` stands twice in one object"]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        check("[]", expect!["the body must be a JSON object"]);
        check(r#"{"key":"#, expect!["the body is not valid JSON: see line 1, column 7"]);
    }
}
