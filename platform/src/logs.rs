//! Reading the records of calls.

use domain::{Caller, Error, RecordQuery, Scope};

use crate::api::{Logs, LogsQuery};
use crate::{Platform, internal};

impl Platform {
    /// The records of a function. Every call that was answered before this one is asked for is among them.
    pub async fn logs(&self, caller: &Caller, query: LogsQuery) -> Result<Logs, Error> {
        let lease = self.manage(caller, Scope::Deploy, &query.namespace)?;
        let _held = lease.hold()?;
        self.find(&query.namespace, &query.function)?;
        self.writer.flush().await;
        let (namespace, since) = (query.namespace.clone(), query.since);
        let wanted = RecordQuery {
            namespace: query.namespace,
            function: Some(query.function),
            request_id: query.request_id,
            since: query.since,
            after: query.after,
            level: query.level,
            limit: query.limit,
        };
        let unreadable = |cause| internal("read the records", cause);
        let records = self.records.query(&wanted).await.map_err(unreadable)?;
        let gaps = self.records.gaps(&namespace, since).await.map_err(unreadable)?;
        Ok(Logs { records, gaps })
    }
}
