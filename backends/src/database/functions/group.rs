//! `json_group_array`, `json_group_object` and their binary forms, with the same results as SQLite's, which only notice at the
//! end that what they have gathered is too big for a value.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use rusqlite::functions::{Aggregate, Context, FunctionFlags, SubType, WindowAggregate};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error};

use super::{Plain, too_big};
use crate::database::session::VALUE_BYTES_MAX;

/// The subtype of texts that are JSON already.
const JSON_SUBTYPE: u32 = 74;

pub(super) fn install(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS
        | FunctionFlags::SQLITE_SUBTYPE
        | FunctionFlags::SQLITE_RESULT_SUBTYPE;
    for (name, shape, is_binary) in [
        ("json_group_array", Shape::Array, false),
        ("jsonb_group_array", Shape::Array, true),
        ("json_group_object", Shape::Object, false),
        ("jsonb_group_object", Shape::Object, true),
    ] {
        let arguments = if shape == Shape::Array { 1 } else { 2 };
        let group = Group { shape, is_binary, plain: Mutex::default() };
        connection.create_window_function(name, arguments, flags, group)?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Array,
    Object,
}

struct Group {
    shape: Shape,
    is_binary: bool,
    plain: Mutex<Plain>,
}

/// The pieces of one group, in order; `None` for a row whose name is null, which adds nothing.
#[derive(Default)]
struct Gathered {
    pieces: VecDeque<Option<String>>,
    bytes: usize,
}

impl Group {
    fn piece(&self, context: &Context<'_>) -> rusqlite::Result<Option<String>> {
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shape == Shape::Array {
            return json(&mut plain, context, 0).map(Some);
        }
        let Some(name) = plain.text(context.get_raw(0))? else {
            return Ok(None);
        };
        Ok(Some(format!("{}:{}", quoted(&name), json(&mut plain, context, 1)?)))
    }

    fn result(&self, gathered: Option<&Gathered>) -> rusqlite::Result<(Value, SubType)> {
        let pieces: Vec<&str> =
            gathered.iter().flat_map(|gathered| &gathered.pieces).filter_map(Option::as_deref).collect();
        let text = match self.shape {
            Shape::Array => format!("[{}]", pieces.join(",")),
            Shape::Object => format!("{{{}}}", pieces.join(",")),
        };
        if !self.is_binary {
            return Ok((Value::Text(text), Some(JSON_SUBTYPE)));
        }
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        let mut binary = plain.connection()?.prepare_cached("SELECT jsonb(?1)")?;
        Ok((binary.query_row([text], |row| row.get(0))?, None))
    }
}

impl Aggregate<Gathered, (Value, SubType)> for Group {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Gathered> {
        Ok(Gathered::default())
    }

    fn step(&self, context: &mut Context<'_>, gathered: &mut Gathered) -> rusqlite::Result<()> {
        let piece = self.piece(context)?;
        gathered.bytes += bytes_of(&piece);
        if gathered.bytes > VALUE_BYTES_MAX as usize {
            return Err(too_big());
        }
        gathered.pieces.push_back(piece);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, gathered: Option<Gathered>) -> rusqlite::Result<(Value, SubType)> {
        self.result(gathered.as_ref())
    }
}

impl WindowAggregate<Gathered, (Value, SubType)> for Group {
    fn value(&self, gathered: Option<&mut Gathered>) -> rusqlite::Result<(Value, SubType)> {
        self.result(gathered.as_deref())
    }

    fn inverse(&self, _: &mut Context<'_>, gathered: &mut Gathered) -> rusqlite::Result<()> {
        if let Some(piece) = gathered.pieces.pop_front() {
            gathered.bytes -= bytes_of(&piece);
        }
        Ok(())
    }
}

/// Of a row that adds nothing, the place that it takes.
fn bytes_of(piece: &Option<String>) -> usize {
    piece.as_ref().map_or(size_of::<Option<String>>(), |piece| piece.len() + 1)
}

fn json(plain: &mut Plain, context: &Context<'_>, index: usize) -> rusqlite::Result<String> {
    match context.get_raw(index) {
        ValueRef::Null => Ok("null".to_owned()),
        ValueRef::Integer(number) => Ok(number.to_string()),
        ValueRef::Text(text) if context.get_subtype(index) == JSON_SUBTYPE => {
            Ok(String::from_utf8_lossy(text).into_owned())
        }
        ValueRef::Text(text) => Ok(quoted(text)),
        value @ (ValueRef::Real(_) | ValueRef::Blob(_)) => {
            let mut quote = plain.connection()?.prepare_cached("SELECT json_quote(?1)")?;
            let quoted = quote.query_row([rusqlite::types::ToSqlOutput::Borrowed(value)], |row| row.get(0));
            quoted.map_err(|error| match error {
                Error::SqliteFailure(_, Some(message)) => super::failure(&message),
                error => error,
            })
        }
    }
}

fn quoted(text: &[u8]) -> String {
    serde_json::Value::from(String::from_utf8_lossy(text)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each must answer what SQLite's own answers.
    const SAME: &[&str] = &[
        "json_group_array(v) FROM given",
        "json_group_array(n) FROM given WHERE typeof(v) <> 'blob'",
        "json_group_array(v) FROM given WHERE typeof(v) <> 'blob'",
        "json_group_object(n, v) FROM given WHERE typeof(v) <> 'blob'",
        "json_group_object(v, n) FROM given WHERE typeof(v) <> 'blob'",
        "json_group_object(NULL, n) FROM given",
        "json_group_array(jsonb(v)) FROM given WHERE n = 'json'",
        "json_group_array(json(v)) FROM given WHERE n = 'json'",
        "json_group_array(json_array(n, n)) FROM given",
        "json_group_array(value) FROM json_each('[1,2.5,null,\"a\",[3],{\"c\":4},true]')",
        "json_group_array(DISTINCT typeof(v)) FROM given",
        "json_group_array(n ORDER BY n DESC) FROM given",
        "json_group_array(n) FILTER (WHERE n > 'i') FROM given",
        "json_group_array(v) FROM given WHERE 0",
        "json_group_object(v, v) FROM given WHERE 0",
        "hex(jsonb_group_array(v)) FROM given WHERE typeof(v) <> 'blob'",
        "hex(jsonb_group_array(v)) FROM given WHERE 0",
        "hex(jsonb_group_object(n, v)) FROM given WHERE typeof(v) <> 'blob'",
        "hex(jsonb_group_object(n, v)) FROM given WHERE 0",
        "json_array((SELECT json_group_array(n) FROM given), (SELECT jsonb_group_array(n) FROM given))",
        "group_concat(w, ';') FROM (SELECT json_group_array(n) OVER (ORDER BY n ROWS 2 PRECEDING) AS w FROM given)",
        "group_concat(w, ';')
            FROM (SELECT json_group_object(nullif(n, 'json'), 1) OVER (ORDER BY n ROWS 2 PRECEDING) AS w FROM given)",
        "typeof(json_group_array(n)) || typeof(jsonb_group_array(n)) || typeof(jsonb_group_object(n, n)) FROM given",
    ];

    fn given() -> Connection {
        let connection = Connection::open_in_memory().expect("open");
        let create = "CREATE TABLE given (n, v);
            INSERT INTO given VALUES ('null', NULL), ('least', -9223372036854775808), ('real', 0.1), ('large', 1e300),
                ('infinite', 9e999), ('odd', 'a''b\"c\\d/e'), ('é🙂', 'é🙂'), ('control', char(1, 8, 9, 10, 12, 13, 31, 127)),
                ('json', '[1,{\"a\":2}]'), ('blob', x'00ff'), ('', '');";
        connection.execute_batch(create).expect("fill");
        connection
    }

    #[test]
    fn results_are_those_of_sqlite() {
        let (plain, ours) = (given(), given());
        install(&ours).expect("install");
        for sql in SAME {
            let ask = |connection: &Connection| {
                let found = connection.query_row(&format!("SELECT {sql}"), [], |row| row.get::<_, Value>(0));
                found.map_err(|error| error.to_string())
            };
            assert_eq!(ask(&ours), ask(&plain), "{sql}");
        }
    }
}
