//! Timers and background jobs. A job without `completed_at` has not ended, and its delivery is in the queue.

use async_trait::async_trait;
use domain::{FunctionName, FunctionRef, Namespace, Timestamp, VersionNumber};
use ports::{Cancelled, Delivery, JobEnd, JobRows, JobStatus, JobView, JobsQuery, RegistryError};

use super::{SqlRegistry, deliveries, limit, read_one};
use crate::sql::{Columns, DamagedRow, Statement, Value};

/// The columns of a [`JobView`] in the order in which they are read, but for the result, which comes last.
macro_rules! columns {
    () => {
        "id, function, version, status, progress, run_at, created_at, started_at, completed_at, error"
    };
}

#[async_trait]
impl JobRows for SqlRegistry {
    async fn create_job(&self, delivery: Delivery, waiting_max: u64) -> Result<(), RegistryError> {
        let mut batch = deliveries::enqueue(std::slice::from_ref(&delivery), None);
        let insert = batch.len();
        batch.extend([insert_job(&delivery, waiting_max), drop_orphan(&delivery), function_lives(&delivery)]);
        let answers = self.run_all(batch).await?;
        match (answers[insert].changed, answers[insert + 2].rows.is_empty()) {
            (0, true) => Err(RegistryError::NotFound),
            (0, false) => Err(RegistryError::Conflict(format!("{waiting_max} jobs wait, or this one does"))),
            _ => Ok(()),
        }
    }

    async fn job(&self, namespace: &Namespace, id: &str) -> Result<Option<JobView>, RegistryError> {
        let sql = concat!("SELECT ", columns!(), ", result FROM jobs WHERE id = ?2 AND namespace = ?1");
        let [found] = self.run([of(sql, namespace, id)]).await?;
        let found = read_one(found, |columns| Ok((job_row(columns)?, columns.blob_or_null()?)))?;
        Ok(found.map(|(view, result)| JobView { result: result.map(Into::into), ..view }))
    }

    async fn jobs(&self, query: &JobsQuery) -> Result<Vec<JobView>, RegistryError> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM jobs WHERE namespace = ?1 AND (?2 IS NULL OR function = ?2) AND (?3 IS NULL OR status = ?3)
                AND (?4 IS NULL OR (created_at, id) < (SELECT created_at, id FROM jobs WHERE id = ?4 AND namespace = ?1))
            ORDER BY created_at DESC, id DESC LIMIT ?5"
        );
        let values = [
            query.namespace.as_str().into(),
            query.function.as_ref().map(FunctionName::as_str).into(),
            query.status.map(JobStatus::as_str).into(),
            query.after.as_deref().into(),
            limit(query.limit),
        ];
        self.all(Statement::new(sql, values), job_row).await
    }

    async fn start_job(&self, namespace: &Namespace, id: &str, now: Timestamp) -> Result<bool, RegistryError> {
        let sql = "UPDATE jobs SET status = 'running', started_at = ?3
            WHERE id = ?2 AND namespace = ?1 AND completed_at IS NULL";
        let values = [namespace.as_str().into(), id.into(), now.into()];
        Ok(self.count(Statement::new(sql, values)).await? > 0)
    }

    async fn end_job(&self, namespace: &Namespace, id: &str, end: JobEnd) -> Result<bool, RegistryError> {
        let (sql, values): (&'static str, Vec<Value>) = match end {
            JobEnd::Again { error } => (
                "UPDATE jobs SET status = 'pending', error = coalesce(?3, error)
                WHERE id = ?2 AND namespace = ?1 AND completed_at IS NULL",
                vec![error.into()],
            ),
            JobEnd::Completed { result, error, at } => (
                "UPDATE jobs SET status = 'completed', progress = 100, result = ?3,
                    result_bytes = coalesce(length(?3), 0), error = ?4, completed_at = ?5
                WHERE id = ?2 AND namespace = ?1 AND completed_at IS NULL",
                vec![result.as_deref().into(), error.into(), at.into()],
            ),
            JobEnd::Failed { error, progress, at } => (
                "UPDATE jobs SET status = 'failed', error = ?3, progress = ?4, completed_at = ?5
                WHERE id = ?2 AND namespace = ?1 AND completed_at IS NULL",
                vec![error.into(), u32::from(progress).into(), at.into()],
            ),
        };
        let of_job = [namespace.as_str().into(), id.into()];
        let values: Vec<Value> = of_job.into_iter().chain(values).collect();
        Ok(self.count(Statement::new(sql, values)).await? > 0)
    }

    async fn cancel_job(&self, namespace: &Namespace, id: &str, now: Timestamp) -> Result<Cancelled, RegistryError> {
        let status = of("SELECT status FROM jobs WHERE id = ?2 AND namespace = ?1", namespace, id);
        let cancel = "UPDATE jobs SET status = 'cancelled', completed_at = ?3
            WHERE id = ?2 AND namespace = ?1 AND completed_at IS NULL";
        let cancel = Statement::new(cancel, [namespace.as_str().into(), id.into(), now.into()]);
        let withdraw = "DELETE FROM deliveries WHERE id = ?2 AND namespace = ?1 AND died_at IS NULL AND running = 0
            AND EXISTS (SELECT 1 FROM jobs WHERE id = ?2 AND namespace = ?1 AND completed_at IS NOT NULL)
            RETURNING bytes";
        let [status, cancelled, withdrawn] = self.run([status, cancel, of(withdraw, namespace, id)]).await?;
        let status = read_one(status, status_of)?.ok_or(RegistryError::NotFound)?;
        let withdrawn = read_one(withdrawn, Columns::natural)?;
        Ok(match (cancelled.changed, withdrawn) {
            (0, _) => Cancelled::Ended(status),
            (_, None) => Cancelled::Begun,
            (_, Some(bytes)) => Cancelled::Withdrawn { bytes },
        })
    }

    async fn release_jobs(&self) -> Result<u64, RegistryError> {
        self.count(Statement::new("UPDATE jobs SET status = 'pending' WHERE status = 'running'", [])).await
    }

    async fn expire_jobs(&self, before: Timestamp, count_max: u64, bytes_max: u64) -> Result<u64, RegistryError> {
        let sql = "DELETE FROM jobs WHERE seq IN
            (SELECT seq FROM
                (SELECT seq, completed_at, count(*) OVER latest AS place, sum(result_bytes) OVER latest AS used
                FROM jobs WHERE completed_at IS NOT NULL
                WINDOW latest AS (PARTITION BY namespace ORDER BY completed_at DESC, id DESC ROWS UNBOUNDED PRECEDING))
            WHERE completed_at < ?1 OR place > ?2 OR used > ?3)";
        self.count(Statement::new(sql, [before.into(), count_max.into(), bytes_max.into()])).await
    }
}

fn of(sql: &'static str, namespace: &Namespace, id: &str) -> Statement {
    Statement::new(sql, [namespace.as_str().into(), id.into()])
}

/// Right behind the delivery, and only if that was written; see [`drop_orphan`] for the other way round.
fn insert_job(delivery: &Delivery, waiting_max: u64) -> Statement {
    let sql = "INSERT INTO jobs (id, namespace, function, version, status, progress, run_at, created_at)
        SELECT id, namespace, function, version, 'pending', 0, due_at, created_at FROM deliveries
        WHERE id = ?1 AND namespace = ?2 AND function = ?3 AND ?4 >
            (SELECT count(*) FROM (SELECT 1 FROM jobs WHERE namespace = ?2 AND completed_at IS NULL LIMIT ?4))
        ON CONFLICT (id) DO NOTHING";
    let function = delivery.function.name.as_str().into();
    let values = [delivery.id.as_str().into(), delivery.namespace.as_str().into(), function, waiting_max.into()];
    Statement::new(sql, values)
}

/// There is no job for the delivery that was just written: it was one too many.
fn drop_orphan(delivery: &Delivery) -> Statement {
    let sql = "DELETE FROM deliveries WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = ?1)";
    Statement::new(sql, [delivery.id.as_str().into()])
}

fn function_lives(delivery: &Delivery) -> Statement {
    let sql = "SELECT 1 FROM functions WHERE namespace = ?1 AND name = ?2 AND active IS NOT NULL";
    Statement::new(sql, [delivery.namespace.as_str().into(), delivery.function.name.as_str().into()])
}

/// Behind a deletion: a function that is gone takes its jobs along.
pub(super) fn follow_deletion(namespace: &Namespace, name: &FunctionName) -> Statement {
    let sql = "DELETE FROM jobs WHERE namespace = ?1 AND function = ?2
        AND (SELECT active FROM functions WHERE namespace = ?1 AND name = ?2) IS NULL";
    Statement::new(sql, [namespace.as_str().into(), name.as_str().into()])
}

fn job_row(columns: &mut Columns) -> Result<JobView, DamagedRow> {
    Ok(JobView {
        id: columns.text()?,
        function: FunctionRef { name: columns.parsed("a name")?, version: version(columns)? },
        status: status_of(columns)?,
        progress: columns.converted("a percentage", |percent| percent.try_into().ok())?,
        run_at: columns.time()?,
        created_at: columns.time()?,
        started_at: columns.time_or_null()?,
        completed_at: columns.time_or_null()?,
        error: columns.text_or_null()?,
        result: None,
    })
}

fn status_of(columns: &mut Columns) -> Result<JobStatus, DamagedRow> {
    columns.word("the status of a job", JobStatus::parse)
}

fn version(columns: &mut Columns) -> Result<Option<VersionNumber>, DamagedRow> {
    let Some(number) = columns.integer_or_null()? else { return Ok(None) };
    Ok(u32::try_from(number).ok().and_then(VersionNumber::new))
}
