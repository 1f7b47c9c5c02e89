//! The functions that SQL may call, and our own forms of those that one call can make run for minutes.
//!
//! Nothing stops a function while it runs: neither the deadline nor an interrupt. So each one on the lists takes time in
//! proportion to its arguments, which are bounded; those of SQLite that do not (`instr`, `replace`, `trim`, `printf` with a
//! chosen width) are replaced by forms that do, with the same results. Functions on no list are refused.

mod group;

use std::collections::HashSet;
use std::sync::Mutex;

use memchr::memmem;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Error, ffi, params_from_iter};

use super::session::VALUE_BYTES_MAX;

/// Widths and precisions of `printf`.
const WIDTH_MAX: usize = 1_000;

/// Functions that are done at once for values of the size that [`super::guard::Kind::Fast`] connections can hold.
pub(super) fn is_cheap(name: &str) -> bool {
    matches!(
        name,
        "abs"
            | "acos"
            | "acosh"
            | "asin"
            | "asinh"
            | "atan"
            | "atan2"
            | "atanh"
            | "avg"
            | "ceil"
            | "ceiling"
            | "changes"
            | "char"
            | "coalesce"
            | "cos"
            | "cosh"
            | "count"
            | "cume_dist"
            | "current_date"
            | "current_time"
            | "current_timestamp"
            | "date"
            | "datetime"
            | "degrees"
            | "dense_rank"
            | "exp"
            | "first_value"
            | "floor"
            | "if"
            | "ifnull"
            | "iif"
            | "julianday"
            | "lag"
            | "last_insert_rowid"
            | "last_value"
            | "lead"
            | "length"
            | "likelihood"
            | "likely"
            | "ln"
            | "log"
            | "log10"
            | "log2"
            | "lower"
            | "max"
            | "min"
            | "mod"
            | "nth_value"
            | "ntile"
            | "nullif"
            | "octet_length"
            | "percent_rank"
            | "pi"
            | "pow"
            | "power"
            | "radians"
            | "random"
            | "rank"
            | "round"
            | "row_number"
            | "sign"
            | "sin"
            | "sinh"
            | "sqrt"
            | "substr"
            | "substring"
            | "sum"
            | "tan"
            | "tanh"
            | "time"
            | "timediff"
            | "total"
            | "total_changes"
            | "trunc"
            | "typeof"
            | "unicode"
            | "unixepoch"
            | "unlikely"
            | "upper"
    )
}

/// The other functions that are offered.
pub(super) fn is_offered(name: &str) -> bool {
    matches!(
        name,
        "->" | "->>"
            | "concat"
            | "concat_ws"
            | "format"
            | "glob"
            | "group_concat"
            | "hex"
            | "instr"
            | "json"
            | "json_array"
            | "json_array_insert"
            | "json_array_length"
            | "json_error_position"
            | "json_extract"
            | "json_group_array"
            | "json_group_object"
            | "json_insert"
            | "json_object"
            | "json_quote"
            | "json_remove"
            | "json_replace"
            | "json_set"
            | "json_type"
            | "json_valid"
            | "jsonb"
            | "jsonb_array"
            | "jsonb_array_insert"
            | "jsonb_extract"
            | "jsonb_group_array"
            | "jsonb_group_object"
            | "jsonb_insert"
            | "jsonb_object"
            | "jsonb_remove"
            | "jsonb_replace"
            | "jsonb_set"
            | "like"
            | "ltrim"
            | "printf"
            | "quote"
            | "randomblob"
            | "replace"
            | "rtrim"
            | "soundex"
            | "sqlite_version"
            | "strftime"
            | "string_agg"
            | "subtype"
            | "trim"
            | "unhex"
            | "unistr"
            | "unistr_quote"
            | "zeroblob"
    )
}

/// Puts our forms in the place of SQLite's.
pub(super) fn install(connection: &Connection) -> rusqlite::Result<()> {
    group::install(connection)?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("instr", 2, flags, with_plain(instr))?;
    connection.create_scalar_function("replace", 3, flags, with_plain(replace))?;
    connection.create_scalar_function(
        "trim",
        2,
        flags,
        with_plain(|plain, context| trim(plain, context, true, true)),
    )?;
    connection.create_scalar_function(
        "ltrim",
        2,
        flags,
        with_plain(|plain, context| trim(plain, context, true, false)),
    )?;
    connection.create_scalar_function(
        "rtrim",
        2,
        flags,
        with_plain(|plain, context| trim(plain, context, false, true)),
    )?;
    connection.create_scalar_function("printf", -1, flags, with_plain(printf))?;
    connection.create_scalar_function("format", -1, flags, with_plain(printf))?;
    connection.create_scalar_function("unhex", 2, flags, |_| -> rusqlite::Result<Value> {
        Err(failure("unhex with a second argument is not offered; remove those characters with replace"))
    })
}

/// SQLite as it is, opened at its first use: for what our forms leave to it.
#[derive(Default)]
struct Plain(Option<Connection>);

impl Plain {
    fn connection(&mut self) -> rusqlite::Result<&Connection> {
        if self.0.is_none() {
            let connection = Connection::open_in_memory()?;
            connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)?;
            self.0 = Some(connection);
        }
        Ok(self.0.as_ref().expect("just opened"))
    }

    /// The bytes of a value as SQLite takes it for a text; `None` for null.
    fn text(&mut self, value: ValueRef<'_>) -> rusqlite::Result<Option<Vec<u8>>> {
        Ok(match value {
            ValueRef::Null => None,
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
            ValueRef::Integer(number) => Some(number.to_string().into_bytes()),
            ValueRef::Real(number) => {
                let mut cast = self.connection()?.prepare_cached("SELECT CAST(?1 AS TEXT)")?;
                cast.query_row([number], |row| row.get::<_, Option<String>>(0))?.map(String::into_bytes)
            }
        })
    }
}

fn with_plain(
    function: impl Fn(&mut Plain, &Context<'_>) -> rusqlite::Result<Value> + Send + 'static,
) -> impl Fn(&Context<'_>) -> rusqlite::Result<Value> + Send + 'static {
    let plain = Mutex::new(Plain::default());
    // A panic of an earlier call leaves nothing half done in there.
    move |context| function(&mut plain.lock().unwrap_or_else(std::sync::PoisonError::into_inner), context)
}

fn too_big() -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_TOOBIG), None)
}

fn failure(message: &str) -> Error {
    Error::UserFunctionError(message.into())
}

fn text_value(bytes: Vec<u8>) -> Value {
    String::from_utf8(bytes).map_or_else(|error| Value::Blob(error.into_bytes()), Value::Text)
}

/// Positions count characters, or bytes when both arguments are blobs.
fn instr(plain: &mut Plain, context: &Context<'_>) -> rusqlite::Result<Value> {
    let (whole, part) = (context.get_raw(0), context.get_raw(1));
    let bytes = matches!((whole, part), (ValueRef::Blob(_), ValueRef::Blob(_)));
    let (Some(whole), Some(part)) = (plain.text(whole)?, plain.text(part)?) else {
        return Ok(Value::Null);
    };
    let position = match memmem::find(&whole, &part) {
        None => 0,
        Some(at) if bytes => at + 1,
        Some(at) => whole[..at].iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1,
    };
    Ok(Value::Integer(position as i64))
}

fn replace(plain: &mut Plain, context: &Context<'_>) -> rusqlite::Result<Value> {
    let [whole, part, by] = [0, 1, 2].map(|index| plain.text(context.get_raw(index)));
    let (Some(whole), Some(part), Some(by)) = (whole?, part?, by?) else {
        return Ok(Value::Null);
    };
    if part.is_empty() {
        return Ok(text_value(whole));
    }
    let (mut replaced, mut from) = (Vec::new(), 0);
    for at in memmem::find_iter(&whole, &part) {
        append(&mut replaced, &whole[from..at])?;
        append(&mut replaced, &by)?;
        from = at + part.len();
    }
    append(&mut replaced, &whole[from..])?;
    Ok(text_value(replaced))
}

fn append(text: &mut Vec<u8>, piece: &[u8]) -> rusqlite::Result<()> {
    if text.len() + piece.len() > VALUE_BYTES_MAX as usize {
        return Err(too_big());
    }
    text.extend_from_slice(piece);
    Ok(())
}

fn trim(plain: &mut Plain, context: &Context<'_>, left: bool, right: bool) -> rusqlite::Result<Value> {
    let (Some(text), Some(set)) = (plain.text(context.get_raw(0))?, plain.text(context.get_raw(1))?) else {
        return Ok(Value::Null);
    };
    let read = |bytes| String::from_utf8(bytes).map_err(|_| failure("only texts of valid UTF-8 can be trimmed"));
    let (text, set) = (read(text)?, read(set)?);
    let set: HashSet<char> = set.chars().collect();
    let mut trimmed = text.as_str();
    if left {
        trimmed = trimmed.trim_start_matches(|c| set.contains(&c));
    }
    if right {
        trimmed = trimmed.trim_end_matches(|c| set.contains(&c));
    }
    Ok(Value::Text(trimmed.to_owned()))
}

/// SQLite's own, once the widths are known to be small.
fn printf(plain: &mut Plain, context: &Context<'_>) -> rusqlite::Result<Value> {
    if context.is_empty() {
        return Ok(Value::Null);
    }
    let Some(format) = plain.text(context.get_raw(0))? else {
        return Ok(Value::Null);
    };
    check_format(&format)?;
    let places = vec!["?"; context.len()].join(",");
    let mut call = plain.connection()?.prepare_cached(&format!("SELECT printf({places})"))?;
    let arguments = (0..context.len()).map(|index| ToSqlOutput::Borrowed(context.get_raw(index)));
    call.query_row(params_from_iter(arguments), |row| row.get(0))
}

fn check_format(format: &[u8]) -> rusqlite::Result<()> {
    let mut bytes = format.iter().peekable();
    while let Some(byte) = bytes.next() {
        if *byte != b'%' {
            continue;
        }
        let mut number = 0_usize;
        while let Some(byte) = bytes.next_if(|byte| b"-+ #!,.0123456789*l".contains(byte)) {
            number = match byte {
                b'*' => return Err(failure("widths given as `*` are not offered; write the number into the format")),
                b'0'..=b'9' => number.saturating_mul(10).saturating_add(usize::from(byte - b'0')),
                _ => 0,
            };
            if number > WIDTH_MAX {
                return Err(failure("widths and precisions are at most 1000"));
            }
        }
        // The letter of the conversion, which for `%%` is no new beginning.
        bytes.next();
    }
    Ok(())
}
