//! How results and errors of SQL look to clients.

use domain::JsonRows;
use domain::{Error, ErrorCode, RequestId, SqlChanged, SqlRows};
use http::StatusCode;
use ports::{SqlError, SqlStepResult, TransactionError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::document::Document;
use crate::error::Refusal;
use crate::exchange::Exchange;
use crate::reply::{self, Reply};

/// How a client wants its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    integers_as_text: bool,
}

#[derive(Serialize)]
struct Items<'a> {
    items: JsonRows<'a>,
    count: usize,
}

impl Form {
    /// `int64` in the body or in the query.
    pub(super) fn wanted(exchange: &Exchange, document: &Document<'_>) -> Result<Self, Refusal> {
        let in_query = exchange.query("int64").map(|value| value.into_owned());
        match document.text("int64")?.or(in_query).as_deref() {
            None | Some("number" | "") => Ok(Self { integers_as_text: false }),
            Some("string") => Ok(Self { integers_as_text: true }),
            Some(_) => Err(Refusal::invalid("`int64` must be `string` or `number`")),
        }
    }

    fn json_of<'a>(self, rows: &'a SqlRows) -> JsonRows<'a> {
        JsonRows::of(rows).integers_as_text(self.integers_as_text)
    }

    pub(super) fn items(self, rows: &SqlRows) -> Reply {
        reply::ok(&Items { items: self.json_of(rows), count: rows.rows.len() })
    }

    /// The one row, as it is.
    pub(super) fn row(self, rows: &SqlRows) -> Option<Reply> {
        Some(of_text(self.row_text(rows)?))
    }

    /// The one row, and the keys under which the client library looks for it, where the row has no columns of these names.
    pub(super) fn row_and_items(self, rows: &SqlRows) -> Option<Reply> {
        let row = self.row_text(rows)?;
        let has = |name: &str| rows.columns.iter().any(|column| column == name);
        let mut text = row.clone();
        text.pop();
        let mut add = |key: &str, value: &str| {
            let separator = if text.len() > 1 { "," } else { "" };
            text.push_str(&format!("{separator}\"{key}\":{value}"));
        };
        if !has("items") {
            add("items", &format!("[{row}]"));
        }
        if !has("count") {
            add("count", "1");
        }
        text.push('}');
        Some(of_text(text))
    }

    /// The first row as a JSON object: a number of SQLite may have more digits than a number of a JSON library.
    fn row_text(self, rows: &SqlRows) -> Option<String> {
        let first = SqlRows { columns: rows.columns.clone(), rows: vec![rows.rows.first()?.clone()] };
        let list = serde_json::to_string(&self.json_of(&first)).expect("rows have text keys and serialize");
        list.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).map(str::to_owned)
    }

    pub(super) fn changed(self, changed: &SqlChanged) -> Value {
        let id = |id: i64| if self.integers_as_text { json!(id.to_string()) } else { json!(id) };
        json!({ "rows_affected": changed.rows_affected, "last_insert_id": changed.last_insert_id.map(id) })
    }

    pub(super) fn step(self, exchange: &Exchange, result: &SqlStepResult) -> Value {
        match result {
            SqlStepResult::Changed(changed) => self.changed(changed),
            SqlStepResult::Found(Ok(rows)) => json!(self.json_of(rows)),
            // The transaction stands; only this question has no answer.
            SqlStepResult::Found(Err(error)) => {
                let error = for_client(&exchange.request_id, error);
                json!({ "error": error.message, "code": error.code })
            }
        }
    }
}

fn of_text(text: String) -> Reply {
    reply::of(StatusCode::OK, reply::JSON, bytes::Bytes::from(text))
}

/// An error as the client may read it. What is our fault goes to the log, once, where the request can be found again.
pub(super) fn for_client(request_id: &RequestId, error: &SqlError) -> Error {
    if matches!(error, SqlError::Corrupt(_) | SqlError::Unavailable(_)) {
        tracing::error!(%request_id, cause = error as &dyn std::error::Error, "failed to use a database");
    }
    error.for_client()
}

pub(super) fn refused(exchange: &Exchange, error: &SqlError) -> Refusal {
    for_client(&exchange.request_id, error).into()
}

/// The refusal of a step names it, counted from 0 as `failed_index` is for functions.
pub(super) fn refused_transaction(exchange: &Exchange, failed: &TransactionError) -> Refusal {
    let mut error = for_client(&exchange.request_id, &failed.error);
    if let Some(index) = failed.failed {
        error.message = format!("statement {index} failed, nothing was changed: {}", error.message);
    }
    error.into()
}

/// The refusal of a transaction whose changes are committed and one of whose queries, which come after them, failed: for a
/// client that asked for no results and would not learn of it. Never a status that invites to try again, which would make the
/// changes twice.
pub(super) fn refused_query(exchange: &Exchange, results: &[SqlStepResult]) -> Option<Refusal> {
    let failed = |(index, result)| match result {
        &SqlStepResult::Found(Err(ref error)) => Some((index, error)),
        _ => None,
    };
    let (index, error) = results.iter().enumerate().find_map(failed)?;
    let reason = for_client(&exchange.request_id, error).message;
    let changed = results.iter().filter(|result| matches!(result, SqlStepResult::Changed(_))).count();
    let refused = match changed {
        0 => Error::invalid(format!("statement {index} failed: {reason}")),
        _ => Error::invalid(format!("statement {index} failed after all changes were committed: {reason}"))
            .hint("do not send the changes again; `return_results` shows what each statement gave"),
    };
    Some(refused.into())
}

/// The refusal of a script or migration, which says where it failed. What the text itself got wrong is one code.
pub(super) fn refused_script(exchange: &Exchange, error: &SqlError, message: String) -> Refusal {
    let mut error = for_client(&exchange.request_id, error);
    if error.code == ErrorCode::Conflict {
        error.code = ErrorCode::ValidationFailed;
    }
    error.message = message;
    error.into()
}
