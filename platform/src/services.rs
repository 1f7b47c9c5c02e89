//! What a function version may use, put together once: the stores of its namespace, and the house itself.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, ErrorCode, FunctionRef, FunctionVersion, Namespace, RequestId};
use ports::{
    Caches, CallContext, Databases, EgressError, FetchReply, FetchRequest, Fetcher, Invoker, OwnedStorage, Secrets,
    Services,
};

use crate::Platform;
use crate::secrets::NamespaceSecrets;
use crate::storage::NamespaceStorage;

/// Makes the services of versions. Holds the platform weakly: whatever keeps services alive does not keep the platform.
#[derive(Clone)]
pub(crate) struct ServiceFactory {
    pub(crate) databases: Arc<dyn Databases>,
    pub(crate) caches: Arc<dyn Caches>,
    pub(crate) vault: Arc<crate::secrets::Vault>,
    pub(crate) platform: Weak<Platform>,
}

impl ServiceFactory {
    pub(crate) fn services_of(&self, version: Arc<FunctionVersion>) -> Arc<Services> {
        let namespace = &version.namespace;
        let house = Arc::new(House { platform: self.platform.clone(), version: version.clone() });
        let secrets: Arc<dyn Secrets> = Arc::new(NamespaceSecrets::new(self.vault.clone(), namespace.clone()));
        let storage: Arc<dyn OwnedStorage> = Arc::new(NamespaceStorage::new(self.platform.clone(), namespace.clone()));
        Arc::new(Services {
            database: self.databases.of(namespace),
            cache: self.caches.of(namespace),
            storage,
            secrets,
            fetcher: house.clone(),
            invoker: house,
            version,
        })
    }
}

/// The platform, as the calls of one version reach it.
struct House {
    platform: Weak<Platform>,
    version: Arc<FunctionVersion>,
}

impl House {
    fn namespace(&self) -> &Namespace {
        &self.version.namespace
    }

    fn platform(&self) -> Result<Arc<Platform>, Error> {
        let gone = || Error::new(ErrorCode::ServiceUnavailable, "the server is shutting down");
        self.platform.upgrade().ok_or_else(gone)
    }
}

#[async_trait]
impl Fetcher for House {
    async fn fetch(&self, call: &CallContext, request: FetchRequest) -> Result<FetchReply, EgressError> {
        let platform = self.platform().map_err(|gone| EgressError::Failed(gone.message))?;
        let settings = platform.settings_of(self.namespace());
        let policies = [self.version.manifest.egress.as_ref(), settings.egress.as_ref()];
        let policies: Vec<_> = policies.into_iter().flatten().collect();
        platform.egress.fetch(self.namespace(), &policies, request, call.deadline).await
    }
}

#[async_trait]
impl Invoker for House {
    async fn invoke(&self, call: &CallContext, function: &FunctionRef, input: Bytes) -> Result<Bytes, Error> {
        let platform = self.platform()?;
        // Boxed: a call that calls is a future inside itself.
        Box::pin(platform.invoke_nested(call, self.namespace(), function, input)).await
    }

    async fn invoke_async(&self, call: &CallContext, function: &FunctionRef, input: Bytes) -> Result<RequestId, Error> {
        self.platform()?.invoke_detached(call, self.namespace(), function, input)
    }
}
