//! The database of a namespace for its clients: statements, composed queries, the schema.
//!
//! `select.rs` composes queries, `answers.rs` says how results and errors look, `transfer.rs` moves whole databases.

mod answers;
pub(crate) mod select;
mod transfer;

use std::sync::Arc;
use std::time::Duration;

use domain::{Error, Namespace, SqlRows, SqlStatement};
use ports::{Database, SqlBounds, SqlStep};
use serde_json::json;

use super::DATA_BODY_BYTES_MAX;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::{Exchange, Received};
use crate::reply;
use answers::{Form, refused, refused_query, refused_transaction};
use select::Query;

pub(crate) use transfer::{backup, export, import, migrate, migrations};

/// The longest that a statement may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The most statements of one transaction.
const OPS_MAX: usize = 100;

pub(crate) async fn query(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let form = Form::wanted(&exchange, &document)?;
    let found = rows(&gateway, &exchange, &*database, statement(&document)?).await?;
    Ok(form.items(&found))
}

pub(crate) async fn exec(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let form = Form::wanted(&exchange, &document)?;
    let changed = database.execute(statement(&document)?, bounds(&gateway)).await;
    let mut changed = form.changed(&changed.map_err(|error| refused(&exchange, &error))?);
    changed["execution_state"] = json!("ok");
    Ok(reply::ok(&changed))
}

pub(crate) async fn find(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let form = Form::wanted(&exchange, &document)?;
    let statement = Query::of_criteria(&document)?.statement();
    Ok(form.items(&rows(&gateway, &exchange, &*database, statement).await?))
}

pub(crate) async fn find_one(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let form = Form::wanted(&exchange, &document)?;
    let statement = Query::of_criteria(&document)?.first_only().statement();
    let found = rows(&gateway, &exchange, &*database, statement).await?;
    form.row(&found).ok_or_else(no_row)
}

pub(crate) async fn select(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let form = Form::wanted(&exchange, &document)?;
    let query = Query::of_parts(&document)?;
    if !document.boolean("one")?.unwrap_or(false) {
        return Ok(form.items(&rows(&gateway, &exchange, &*database, query.statement()).await?));
    }
    let found = rows(&gateway, &exchange, &*database, query.first_only().statement()).await?;
    form.row_and_items(&found).ok_or_else(no_row)
}

pub(crate) async fn transaction(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let form = Form::wanted(&exchange, &document)?;
    let results_wanted = document.boolean("return_results")?.unwrap_or(false);
    let results = database.transaction(steps(&document)?, bounds(&gateway)).await;
    let results = results.map_err(|failed| refused_transaction(&exchange, &failed))?;
    if !results_wanted {
        let unseen = refused_query(&exchange, &results);
        return unseen.map_or_else(|| Ok(reply::ok(&json!({ "status": "ok" }))), Err);
    }
    let results: Vec<_> = results.iter().map(|result| form.step(&exchange, result)).collect();
    Ok(reply::ok(&json!({ "status": "ok", "results": results })))
}

pub(crate) async fn schema(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let objects = database.schema().await.map_err(|error| refused(&exchange, &error))?;
    let shown: Vec<_> =
        objects.iter().map(|object| json!({ "name": object.name, "type": object.kind, "sql": object.sql })).collect();
    Ok(reply::ok(&json!({ "count": shown.len(), "tables": shown })))
}

pub(crate) async fn create_table(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let sql = Document::parse(&body)?.needed_text("schema")?;
    let table = select::created_table(&sql)
        .ok_or_else(|| Refusal::invalid("`schema` must be a CREATE TABLE statement; use exec for others"))?;
    exchange.concerns(&table);
    let created = database.execute(SqlStatement::new(sql, Vec::new()), bounds(&gateway)).await;
    created.map_err(|error| refused(&exchange, &error))?;
    Ok(reply::created(&json!({ "status": "ok" })))
}

pub(crate) async fn drop_table(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let table = Document::parse(&body)?.needed_text("table")?;
    exchange.concerns(&table);
    let quoted = select::quoted(&table)?;
    let known = database.schema().await.map_err(|error| refused(&exchange, &error))?;
    if !known.iter().any(|object| object.kind == "table" && object.name.eq_ignore_ascii_case(&table)) {
        return Err(Error::not_found(format!("no such table: {table}")).into());
    }
    let dropped = database.execute(SqlStatement::new(format!("DROP TABLE {quoted}"), Vec::new()), bounds(&gateway));
    dropped.await.map_err(|error| refused(&exchange, &error))?;
    Ok(reply::ok(&json!({ "status": "ok" })))
}

/// What `GET /v1/limits` says.
pub(super) fn limits() -> serde_json::Value {
    let bounds = SqlBounds::until(std::time::Instant::now());
    json!({
        "seconds": TIME_LIMIT.as_secs(),
        "rows": bounds.rows_max,
        "result_bytes": bounds.bytes_max,
        "transaction_statements": OPS_MAX,
        "script_seconds": transfer::TIME_LIMIT.as_secs(),
        "script_bytes": transfer::SCRIPT_BYTES_MAX,
    })
}

/// The database that a request may use. Asked for before the body is read: who may not shall not fill our memory.
fn open(gateway: &Gateway, exchange: &Exchange) -> Result<(Namespace, Arc<dyn Database>), Refusal> {
    let namespace = exchange.managed_namespace()?;
    let database = gateway.platform.database(&exchange.caller, &namespace)?;
    Ok((namespace, database))
}

fn bounds(gateway: &Gateway) -> SqlBounds {
    SqlBounds::until(gateway.platform.clock().instant() + TIME_LIMIT)
}

async fn rows(
    gateway: &Gateway,
    exchange: &Exchange,
    database: &dyn Database,
    statement: SqlStatement,
) -> Result<SqlRows, Refusal> {
    database.query(statement, bounds(gateway)).await.map_err(|error| refused(exchange, &error))
}

fn statement(document: &Document<'_>) -> Result<SqlStatement, Refusal> {
    Ok(SqlStatement::new(document.needed_text("sql")?, document.arguments("args")?))
}

fn steps(document: &Document<'_>) -> Result<Vec<SqlStep>, Refusal> {
    let mut steps = Vec::new();
    for op in document.objects("ops")? {
        steps.push(match op.text_or_empty("kind")?.as_str() {
            "exec" => SqlStep::Execute(statement(&op)?),
            "query" => SqlStep::Query(statement(&op)?),
            _ => return Err(Refusal::invalid("`kind` of each of `ops` must be `exec` or `query`")),
        });
    }
    let plain = document.texts("statements")?.into_iter();
    steps.extend(plain.map(|sql| SqlStep::Execute(SqlStatement::new(sql, Vec::new()))));
    match steps.len() {
        0 => Err(Refusal::invalid("`ops` or `statements` is required, with at least one statement")),
        1..=OPS_MAX => Ok(steps),
        more => Err(Refusal::invalid(format!("a transaction has at most {OPS_MAX} statements, this one has {more}"))),
    }
}

fn no_row() -> Refusal {
    Error::not_found("not found").into()
}

/// A body that holds SQL text and nothing else.
fn script_of(body: &Received<'_>) -> Result<String, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::invalid("the script is not UTF-8 text"))?;
    Ok(text.to_owned())
}
