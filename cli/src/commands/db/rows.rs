//! Rows as the gateway sends them, with their columns in the order of the statement.

use std::fmt::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::table::Table;

/// Bytes of a blob that a cell shows.
const BLOB_BYTES_SHOWN: usize = 32;

#[derive(Deserialize)]
pub(super) struct Items {
    pub items: Vec<Row>,
}

/// A row; a map of JSON would forget the order.
pub(super) struct Row(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Cells;

        impl<'de> Visitor<'de> for Cells {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Row, M::Error> {
                let mut cells = Vec::new();
                while let Some(cell) = map.next_entry()? {
                    cells.push(cell);
                }
                Ok(Row(cells))
            }
        }

        deserializer.deserialize_map(Cells)
    }
}

/// A table with a column for each of the first row.
pub(super) fn render(rows: &[Row]) -> String {
    let columns: Vec<&str> = rows.first().into_iter().flat_map(|Row(cells)| cells).map(|(name, _)| &**name).collect();
    let mut table = Table::of_columns(&columns);
    for Row(cells) in rows {
        table.cells(cells.iter().map(|(_, value)| shown(value)).collect());
    }
    table.render()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(_) => blob(value).unwrap_or_else(|| value.to_string()),
        other => other.to_string(),
    }
}

fn blob(value: &Value) -> Option<String> {
    let bytes = BASE64.decode(value["base64"].as_str()?).ok()?;
    let shown = &bytes[..bytes.len().min(BLOB_BYTES_SHOWN)];
    let mut text = "x'".to_owned();
    shown.iter().try_for_each(|byte| write!(text, "{byte:02x}")).ok()?;
    match shown.len() == bytes.len() {
        true => text.push('\''),
        false => write!(text, "…' ({} bytes)", bytes.len()).ok()?,
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn columns_keep_their_order_and_numbers_their_digits() {
        let body = r#"{"items":[
            {"z":9007199254740993,"a":null,"text":"one\ntwo","real":0.5,"blob":{"base64":"AP8="}},
            {"z":-1,"a":1,"text":"","real":1e300,"blob":{"base64":""}}],"count":2}"#;
        expect![[r#"
            z                 a     text      real    blob
            9007199254740993  NULL  one\ntwo  0.5     x'00ff'
            -1                1               1e+300  x''
        "#]]
        .assert_eq(&render(&serde_json::from_str::<Items>(body).expect("rows").items));
    }
}
