//! Whole databases and their schemas on the move: migrations, scripts in, text and files out.

use std::sync::Arc;
use std::time::Duration;

use domain::{Error, ErrorCode};
use http::{HeaderValue, StatusCode, header};
use ports::{AppliedMigration, Content, Migration, MigrationError, SqlBounds};
use serde_json::{Value, json};

use super::answers::{refused, refused_script};
use super::{open, script_of};
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply::{self, Reply, ReplyBody};

/// The longest that a migration or a script may take.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(300);
/// The largest script.
pub(super) const SCRIPT_BYTES_MAX: usize = 64 << 20;
/// The largest set of migrations.
const MIGRATIONS_BYTES_MAX: usize = 16 << 20;

pub(crate) async fn migrations(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let applied = database.migrations().await.map_err(|error| refused(&exchange, &error))?;
    Ok(reply::ok(&json!({ "migrations": shown(&applied), "count": applied.len() })))
}

pub(crate) async fn migrate(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, MIGRATIONS_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["migrations", "dry_run"])?;
    let dry_run = document.boolean("dry_run")?.unwrap_or(false);
    let migrations = read_migrations(&document)?;
    let applied = database.migrate(migrations, dry_run, bounds(&gateway)).await;
    let applied = applied.map_err(|error| refused_migration(&exchange, error))?;
    if let Some(last) = applied.last() {
        exchange.concerns(&last.name);
    }
    Ok(reply::ok(&json!({ "applied": shown(&applied), "count": applied.len() })))
}

pub(crate) async fn import(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (_, database) = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, SCRIPT_BYTES_MAX).await?;
    let script = script_of(&body)?;
    let statements = database.script(script, bounds(&gateway)).await;
    let statements = statements.map_err(|failed| refused_script(&exchange, &failed.error, failed.to_string()))?;
    Ok(reply::ok(&json!({ "status": "ok", "statements": statements })))
}

pub(crate) async fn export(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, database) = open(&gateway, &exchange)?;
    let dump = database.dump().await.map_err(|error| refused(&exchange, &error))?;
    let content_type = HeaderValue::from_static("application/sql; charset=utf-8");
    Ok(download(&exchange, dump, content_type, &format!("{namespace}.sql")))
}

pub(crate) async fn backup(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, database) = open(&gateway, &exchange)?;
    let copy = database.snapshot().await.map_err(|error| refused(&exchange, &error))?;
    let content_type = HeaderValue::from_static("application/vnd.sqlite3");
    Ok(download(&exchange, copy, content_type, &format!("{namespace}.db")))
}

fn download(exchange: &Exchange, content: Box<dyn Content>, content_type: HeaderValue, file_name: &str) -> Reply {
    let bytes = content.bytes();
    let body = ReplyBody::of_content(content, 0, bytes, exchange.request_id.clone());
    let mut reply = reply::of(StatusCode::OK, content_type, body);
    let disposition = reply::text_value(&format!("attachment; filename=\"{file_name}\""));
    reply.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

fn bounds(gateway: &Gateway) -> SqlBounds {
    SqlBounds::until(gateway.platform.clock().instant() + TIME_LIMIT)
}

fn read_migrations(document: &Document<'_>) -> Result<Vec<Migration>, Refusal> {
    let listed = document.objects("migrations")?;
    let read = |one: &Document<'_>| Ok(Migration { name: one.needed_text("name")?, sql: one.text_or_empty("sql")? });
    listed.iter().map(read).collect()
}

fn shown(applied: &[AppliedMigration]) -> Vec<Value> {
    let one = |done: &AppliedMigration| json!({ "name": done.name, "checksum": done.checksum, "applied_at": done.applied_at });
    applied.iter().map(one).collect()
}

fn refused_migration(exchange: &Exchange, error: MigrationError) -> Refusal {
    match error {
        MigrationError::Mismatch(why) => Error::new(ErrorCode::SchemaMismatch, why).into(),
        MigrationError::Failed { error: ref cause, .. } => refused_script(exchange, cause, error.to_string()),
        MigrationError::Database(cause) => refused(exchange, &cause),
    }
}
