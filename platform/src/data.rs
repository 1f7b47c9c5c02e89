//! The services of a namespace, for its clients: the same database and cache that its functions have.

use std::sync::Arc;

use domain::{Caller, Error, Namespace, Scope};
use ports::{Cache, Database};

use crate::Platform;

impl Platform {
    /// The database of a namespace, which ends with it. Needs the scope `data`.
    pub fn database(&self, caller: &Caller, namespace: &Namespace) -> Result<Arc<dyn Database>, Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        let _held = lease.hold()?;
        Ok(self.databases.of(namespace))
    }

    /// The cache of a namespace, which ends with it. Needs the scope `data`.
    pub fn cache(&self, caller: &Caller, namespace: &Namespace) -> Result<Arc<dyn Cache>, Error> {
        let lease = self.manage(caller, Scope::Data, namespace)?;
        let _held = lease.hold()?;
        Ok(self.caches.of(namespace))
    }

    /// Is the cache there?
    pub async fn check_cache(&self) -> Result<(), Error> {
        self.caches.check().await.map_err(|error| error.for_client())
    }
}
