//! The services of a namespace, for its clients: the same database, cache and outbound HTTP that its functions have.

use std::sync::Arc;
use std::time::Duration;

use domain::{Caller, Error, Namespace, Scope};
use ports::{Cache, Database, EgressError, FetchReply, FetchRequest};

use crate::Platform;

/// The longest that a client may wait for an outbound request.
const FETCH_LIMIT: Duration = Duration::from_secs(60);

impl Platform {
    /// The database of a namespace. Needs the scope `data`.
    pub fn database(&self, caller: &Caller, namespace: &Namespace) -> Result<Arc<dyn Database>, Error> {
        self.manage(caller, Scope::Data, namespace)?;
        Ok(self.databases.of(namespace))
    }

    /// The cache of a namespace. Needs the scope `data`.
    pub fn cache(&self, caller: &Caller, namespace: &Namespace) -> Result<Arc<dyn Cache>, Error> {
        self.manage(caller, Scope::Data, namespace)?;
        Ok(self.caches.of(namespace))
    }

    /// Is the cache there?
    pub async fn check_cache(&self) -> Result<(), Error> {
        self.caches.check().await.map_err(|error| error.for_client())
    }

    /// Sends an HTTP request for a client of a namespace, under its policy. Needs the scope `data`.
    pub async fn fetch(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        request: FetchRequest,
    ) -> Result<Result<FetchReply, EgressError>, Error> {
        self.manage(caller, Scope::Data, namespace)?;
        let settings = self.settings_of(namespace);
        let policies: Vec<_> = settings.egress.iter().collect();
        let deadline = self.clock.instant() + FETCH_LIMIT;
        Ok(self.egress.fetch(namespace, &policies, request, deadline).await)
    }
}
