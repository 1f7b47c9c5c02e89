//! The SQL functions with which our triggers write rows as JSON; tenants cannot call them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use ports::CHANGE_ROW_BYTES_MAX;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error};

use crate::database::session::value;

/// Of names and values in turn makes a piece of an object: each name as it stands, then its value as JSON. Null when it is
/// longer than a row may be.
pub(in crate::database) const PART_FUNCTION: &str = "_orama_part";
/// Of the piece that has the key, and the pieces of the row, makes the row.
pub(in crate::database) const ROW_FUNCTION: &str = "_orama_row";

/// How deep the call stands whose statement runs.
pub(in crate::database) const DEPTH_FUNCTION: &str = "_orama_depth";

/// What [`DEPTH_FUNCTION`] answers; set before each statement.
pub(in crate::database) type Depth = Arc<AtomicU8>;

const TRUNCATED: &str = "\"truncated\":true";

pub(in crate::database) fn install(connection: &Connection) -> rusqlite::Result<Depth> {
    let changing = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    let (depth, flags) = (Depth::default(), changing | FunctionFlags::SQLITE_DETERMINISTIC);
    let answer = depth.clone();
    connection.create_scalar_function(DEPTH_FUNCTION, 0, changing, move |_| Ok(answer.load(Ordering::Relaxed)))?;
    connection.create_scalar_function(PART_FUNCTION, -1, flags, part)?;
    connection.create_scalar_function(ROW_FUNCTION, -1, flags, row)?;
    Ok(depth)
}

fn part(context: &Context<'_>) -> rusqlite::Result<Value> {
    let mut json = Vec::new();
    for index in 0..context.len() / 2 {
        json.extend_from_slice(if index == 0 { b"" } else { b"," });
        json.extend_from_slice(context.get_raw(2 * index).as_bytes()?);
        let given = context.get_raw(2 * index + 1);
        if json.len() + bytes_of(given) > CHANGE_ROW_BYTES_MAX {
            return Ok(Value::Null);
        }
        serde_json::to_writer(&mut json, &value(given)).map_err(|error| Error::UserFunctionError(error.into()))?;
    }
    if json.len() > CHANGE_ROW_BYTES_MAX {
        return Ok(Value::Null);
    }
    text(json)
}

fn bytes_of(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        _ => 0,
    }
}

fn text(json: Vec<u8>) -> rusqlite::Result<Value> {
    String::from_utf8(json).map(Value::Text).map_err(|error| Error::UserFunctionError(error.into()))
}

fn row(context: &Context<'_>) -> rusqlite::Result<Value> {
    let mut pieces = Vec::new();
    for index in 1..context.len() {
        pieces.push(context.get_raw(index).as_bytes_or_null()?);
    }
    let whole: Option<Vec<&[u8]>> = pieces.into_iter().collect();
    let object = |pieces: &[&[u8]]| [b"{", pieces.join(&b","[..]).as_slice(), b"}"].concat();
    if let Some(json) = whole.map(|pieces| object(&pieces)).filter(|json| json.len() <= CHANGE_ROW_BYTES_MAX) {
        return text(json);
    }
    match context.get_raw(0).as_bytes_or_null()? {
        Some(key) if key.len() + TRUNCATED.len() + 3 <= CHANGE_ROW_BYTES_MAX => {
            text(object(&[key, TRUNCATED.as_bytes()]))
        }
        _ => text(object(&[TRUNCATED.as_bytes()])),
    }
}
