//! A `RecordQuery` as SQL that reads an index in order and stops at the limit.

use domain::RecordQuery;
use ports::StoredRecord;
use rusqlite::{Connection, params_from_iter};

use super::rows;
use crate::sql::{Value, nanoseconds};

pub(super) fn run(connection: &Connection, query: &RecordQuery) -> rusqlite::Result<Vec<StoredRecord>> {
    let (sql, values) = compose(query);
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map(params_from_iter(values), rows::stored_record)?.collect()
}

/// A `+` keeps a condition away from the choice of the index: a request is found by its id, everything else by
/// walking the positions of a function or a namespace.
fn compose(query: &RecordQuery) -> (String, Vec<Value>) {
    let mut conditions = Conditions::default();
    match &query.request_id {
        Some(id) => {
            conditions.add("request_id = ?", [id.as_str().into()]);
            conditions.add("+namespace = ?", [query.namespace.as_str().into()]);
        }
        None => conditions.add("namespace = ?", [query.namespace.as_str().into()]),
    }
    if let Some(function) = &query.function {
        let sql = if query.request_id.is_some() { "+function = ?" } else { "function = ?" };
        conditions.add(sql, [function.as_str().into()]);
    }
    if let Some(since) = query.since {
        let since = Value::Integer(nanoseconds(since));
        // The first position of the period, read from the index by time, ends the walk into the past.
        conditions.add(
            "+started_at >= ? AND position >= (SELECT min(position) FROM records WHERE namespace = ? AND started_at >= ?)",
            [since.clone(), query.namespace.as_str().into(), since],
        );
    }
    if let Some(after) = query.after {
        conditions.add("position > ?", [after.into()]);
    }
    if let Some(level) = query.level {
        conditions.add("(level >= ? OR status <> 'success')", [rows::level_number(level).into()]);
    }
    let order = if query.after.is_some() { "ASC" } else { "DESC" };
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let Conditions { sql, mut values } = conditions;
    values.push(limit.into());
    (format!("SELECT {} FROM records WHERE {sql} ORDER BY position {order} LIMIT ?", rows::COLUMNS), values)
}

#[derive(Default)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn add<const N: usize>(&mut self, sql: &str, values: [Value; N]) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(sql);
        self.values.extend(values);
    }
}
