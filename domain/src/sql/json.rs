//! SQL values as JSON.
//!
//! Integers are full-digit JSON numbers, or texts where a client asks for it; blobs are `{"base64": "…"}`; booleans come in as
//! 0 and 1; an infinity goes out as the text `Infinity` or `-Infinity`, because JSON has none.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{SqlRows, SqlValue};

/// Why arguments were refused; the text says which and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the arguments are refused: {0}")]
pub struct InvalidArguments(String);

/// Reads a JSON array of arguments; no text at all means none.
pub fn arguments_from_json(json: &[u8]) -> Result<Vec<SqlValue>, InvalidArguments> {
    if json.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let read: Result<Option<Vec<&RawValue>>, _> = serde_json::from_slice(json);
    let texts = read.map_err(|error| InvalidArguments(error.to_string()))?.unwrap_or_default();
    let argument = |(number, text): (usize, &&RawValue)| {
        argument(text.get()).map_err(|reason| InvalidArguments(format!("argument {number}: {reason}")))
    };
    (1..).zip(&texts).map(argument).collect()
}

/// Integers are read from their digits: past 64 bits a JSON reader would make a double of them, without a word.
fn argument(text: &str) -> Result<SqlValue, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    let too_large = |_| format!("the integer {text:.40} does not fit 64 bits with a sign; send it as a text");
    text.parse().map(SqlValue::Integer).map_err(too_large)
}

impl<'de> Deserialize<'de> for SqlValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = SqlValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a boolean, a number, a text or `{\"base64\": \"…\"}`")
    }

    fn visit_unit<E>(self) -> Result<SqlValue, E> {
        Ok(SqlValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<SqlValue, E> {
        Ok(SqlValue::Integer(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<SqlValue, E> {
        Ok(SqlValue::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<SqlValue, E> {
        let too_large =
            || E::custom(format!("the integer {value} does not fit 64 bits with a sign; send it as a text"));
        i64::try_from(value).map(SqlValue::Integer).map_err(|_| too_large())
    }

    /// Integral numbers are integers, however they were written: clients send `3.0` for 3.
    fn visit_f64<E>(self, value: f64) -> Result<SqlValue, E> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let integral = value.fract() == 0.0 && value.abs() <= EXACT;
        Ok(if integral { SqlValue::Integer(value as i64) } else { SqlValue::Real(value) })
    }

    fn visit_str<E>(self, value: &str) -> Result<SqlValue, E> {
        Ok(SqlValue::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<SqlValue, E> {
        Ok(SqlValue::Text(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SqlValue, A::Error> {
        let refused = || A::Error::custom("an object must be `{\"base64\": \"…\"}`; send other objects as JSON texts");
        match map.next_entry::<String, String>().map_err(|_| refused())? {
            Some((key, text)) if key == "base64" && map.next_key::<String>()?.is_none() => {
                let bytes = STANDARD.decode(text).map_err(|_| A::Error::custom("`base64` does not hold base64"))?;
                Ok(SqlValue::Blob(bytes))
            }
            _ => Err(refused()),
        }
    }
}

impl Serialize for SqlValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Real(number) if number.is_finite() => serializer.serialize_f64(*number),
            Self::Real(number) => serializer.serialize_str(if *number > 0.0 { "Infinity" } else { "-Infinity" }),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Blob(bytes) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &STANDARD.encode(bytes))?;
                map.end()
            }
        }
    }
}

/// Rows as a JSON array of objects. Of columns with the same name the last counts.
#[derive(Debug, Clone, Copy)]
pub struct JsonRows<'a> {
    rows: &'a SqlRows,
    integers_as_text: bool,
}

impl<'a> JsonRows<'a> {
    pub fn of(rows: &'a SqlRows) -> Self {
        Self { rows, integers_as_text: false }
    }

    /// Integers as texts, for clients whose numbers are doubles.
    pub fn integers_as_text(mut self, wanted: bool) -> Self {
        self.integers_as_text = wanted;
        self
    }
}

impl Serialize for JsonRows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = &self.rows.columns;
        let last = |index: usize| !columns[index + 1..].contains(&columns[index]);
        let shown: Vec<usize> = (0..columns.len()).filter(|index| last(*index)).collect();
        let mut list = serializer.serialize_seq(Some(self.rows.rows.len()))?;
        for values in &self.rows.rows {
            list.serialize_element(&JsonRow {
                columns,
                values,
                shown: &shown,
                integers_as_text: self.integers_as_text,
            })?;
        }
        list.end()
    }
}

struct JsonRow<'a> {
    columns: &'a [String],
    values: &'a [SqlValue],
    shown: &'a [usize],
    integers_as_text: bool,
}

impl Serialize for JsonRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.shown.len()))?;
        for index in self.shown {
            map.serialize_key(&self.columns[*index])?;
            match &self.values[*index] {
                SqlValue::Integer(number) if self.integers_as_text => map.serialize_value(&number.to_string())?,
                value => map.serialize_value(value)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn read(json: &str) -> String {
        match arguments_from_json(json.as_bytes()) {
            Ok(values) => format!("{values:?} -> {}", serde_json::to_string(&values).expect("values serialize")),
            Err(refused) => refused.to_string(),
        }
    }

    #[test]
    fn values_come_back_as_they_were() {
        expect![[r#"[Null, Integer(1), Integer(9007199254740993), Integer(-9223372036854775808), Real(0.5), Integer(3), Text("a\0é"), Blob([0, 255])] -> [null,1,9007199254740993,-9223372036854775808,0.5,3,"a\u0000é",{"base64":"AP8="}]"#]].assert_eq(
            &read(r#"[null, true, 9007199254740993, -9223372036854775808, 0.5, 3.0, "a\u0000é", {"base64":"AP8="}]"#),
        );
        assert_eq!(read(""), "[] -> []");
        assert_eq!(read("null"), "[] -> []");
    }

    #[test]
    fn what_is_no_argument_says_what_is() {
        let refusals: Vec<String> = [
            "{}",
            "[18446744073709551615]",
            "[1e400]",
            "[[1]]",
            r#"[{"a":1}]"#,
            r#"[{"base64":"%"}]"#,
            r#"[{"base64":"","x":""}]"#,
            "[\"\\ud800\"]",
        ]
        .map(read)
        .into();
        expect![[r#"
            the arguments are refused: invalid type: map, expected a sequence at line 1 column 0
            the arguments are refused: argument 1: the integer 18446744073709551615 does not fit 64 bits with a sign; send it as a text
            the arguments are refused: argument 1: number out of range at line 1 column 5
            the arguments are refused: argument 1: invalid type: sequence, expected null, a boolean, a number, a text or `{"base64": "…"}` at line 1 column 1
            the arguments are refused: argument 1: an object must be `{"base64": "…"}`; send other objects as JSON texts at line 1 column 7
            the arguments are refused: argument 1: `base64` does not hold base64 at line 1 column 14
            the arguments are refused: argument 1: an object must be `{"base64": "…"}`; send other objects as JSON texts at line 1 column 16
            the arguments are refused: argument 1: unexpected end of hex escape at line 1 column 8"#]].assert_eq(&refusals.join("\n"));
    }

    #[test]
    fn rows_are_objects_and_integers_can_be_texts() {
        let rows = SqlRows {
            columns: ["id".to_owned(), "n".to_owned(), "id".to_owned()].into(),
            rows: vec![vec![SqlValue::Integer(1), SqlValue::Real(f64::INFINITY), SqlValue::Integer(2)]],
        };
        let json = |rows: JsonRows<'_>| serde_json::to_string(&rows).expect("rows serialize");
        assert_eq!(json(JsonRows::of(&rows)), r#"[{"n":"Infinity","id":2}]"#);
        assert_eq!(json(JsonRows::of(&rows).integers_as_text(true)), r#"[{"n":"Infinity","id":"2"}]"#);
    }
}
