//! Faults of databases, by the name of the method, in every namespace.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Namespace, SqlChanged, SqlRows, SqlStatement};

use super::Failing;
use crate::{
    AppliedMigration, Change, ChangeListener, Changes, Content, Database, Databases, Migration, MigrationError,
    SchemaObject, ScriptError, SqlBounds, SqlError, SqlStep, SqlStepResult, TableWatch, TransactionError,
};

#[async_trait]
impl<P: Databases> Databases for Failing<P> {
    fn of(&self, namespace: &Namespace) -> Arc<dyn Database> {
        Arc::new(Failing { inner: self.inner.of(namespace), faults: self.faults.clone() })
    }

    fn changes(&self, namespace: &Namespace) -> Arc<dyn Changes> {
        Arc::new(Failing { inner: self.inner.changes(namespace), faults: self.faults.clone() })
    }

    fn on_change(&self, listener: ChangeListener) {
        self.inner.on_change(listener);
    }

    fn set_limit(&self, namespace: &Namespace, bytes_max: Option<u64>) {
        self.inner.set_limit(namespace, bytes_max);
    }

    async fn remove(&self, namespace: &Namespace) -> Result<(), SqlError> {
        self.faults.check("remove").map_err(SqlError::Unavailable)?;
        self.inner.remove(namespace).await
    }
}

impl<P> Failing<P> {
    fn sql_fault(&self, operation: &'static str) -> Result<(), SqlError> {
        self.faults.check(operation).map_err(SqlError::Unavailable)
    }
}

#[async_trait]
impl Database for Failing<Arc<dyn Database>> {
    async fn query(&self, statement: SqlStatement, bounds: SqlBounds) -> Result<SqlRows, SqlError> {
        self.sql_fault("query")?;
        self.inner.query(statement, bounds).await
    }

    async fn execute(&self, statement: SqlStatement, bounds: SqlBounds) -> Result<SqlChanged, SqlError> {
        self.sql_fault("execute")?;
        self.inner.execute(statement, bounds).await
    }

    async fn transaction(
        &self,
        steps: Vec<SqlStep>,
        bounds: SqlBounds,
    ) -> Result<Vec<SqlStepResult>, TransactionError> {
        self.sql_fault("transaction").map_err(|error| TransactionError { failed: None, error })?;
        self.inner.transaction(steps, bounds).await
    }

    async fn transaction_with_sequence(
        &self,
        steps: Vec<SqlStep>,
        bounds: SqlBounds,
    ) -> Result<(Vec<SqlStepResult>, i64), TransactionError> {
        self.sql_fault("transaction").map_err(|error| TransactionError { failed: None, error })?;
        self.inner.transaction_with_sequence(steps, bounds).await
    }

    async fn query_batch(
        &self,
        statements: Vec<SqlStatement>,
        bounds: SqlBounds,
    ) -> Result<Vec<Result<SqlRows, SqlError>>, SqlError> {
        self.sql_fault("query_batch")?;
        self.inner.query_batch(statements, bounds).await
    }

    async fn schema(&self) -> Result<Vec<SchemaObject>, SqlError> {
        self.sql_fault("schema")?;
        self.inner.schema().await
    }

    async fn migrate(
        &self,
        migrations: Vec<Migration>,
        dry_run: bool,
        bounds: SqlBounds,
    ) -> Result<Vec<AppliedMigration>, MigrationError> {
        self.sql_fault("migrate")?;
        self.inner.migrate(migrations, dry_run, bounds).await
    }

    async fn migrations(&self) -> Result<Vec<AppliedMigration>, SqlError> {
        self.sql_fault("migrations")?;
        self.inner.migrations().await
    }

    async fn script(&self, sql: String, bounds: SqlBounds) -> Result<u64, ScriptError> {
        self.sql_fault("script").map_err(|error| ScriptError { line: 1, error })?;
        self.inner.script(sql, bounds).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Content>, SqlError> {
        self.sql_fault("snapshot")?;
        self.inner.snapshot().await
    }

    async fn dump(&self) -> Result<Box<dyn Content>, SqlError> {
        self.sql_fault("dump")?;
        self.inner.dump().await
    }

    async fn bytes(&self) -> Result<u64, SqlError> {
        self.sql_fault("bytes")?;
        self.inner.bytes().await
    }
}

#[async_trait]
impl Changes for Failing<Arc<dyn Changes>> {
    async fn watch(&self, watches: Vec<TableWatch>) -> Result<(), SqlError> {
        self.sql_fault("watch")?;
        self.inner.watch(watches).await
    }

    async fn changes(&self, after: i64, limit: usize) -> Result<Vec<Change>, SqlError> {
        self.sql_fault("changes")?;
        self.inner.changes(after, limit).await
    }

    async fn forget_changes(&self, up_to: i64) -> Result<(), SqlError> {
        self.sql_fault("forget_changes")?;
        self.inner.forget_changes(up_to).await
    }
}
