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
use crate::identity::Identity;
use crate::lease::Lease;
use crate::secrets::NamespaceSecrets;
use crate::storage::NamespaceStorage;

/// Makes the services of versions. Holds the platform weakly: whatever keeps services alive does not keep the platform.
#[derive(Clone)]
pub(crate) struct ServiceFactory {
    pub(crate) databases: Arc<dyn Databases>,
    pub(crate) caches: Arc<dyn Caches>,
    pub(crate) vault: Arc<crate::secrets::Vault>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) platform: Weak<Platform>,
}

impl ServiceFactory {
    /// The lease of the namespace in which a version is made. It lives: whoever makes versions holds the management lock.
    pub(crate) fn lease_of(&self, version: &FunctionVersion) -> Arc<Lease> {
        self.identity.lease_of(&version.namespace)
    }

    /// Everything here ends with `lease`: nothing of it ever reaches a later namespace of the same name.
    pub(crate) fn services_of(&self, version: Arc<FunctionVersion>, lease: &Arc<Lease>) -> Arc<Services> {
        let (namespace, lease) = (&version.namespace, lease.clone());
        let secrets = NamespaceSecrets::new(self.vault.clone(), namespace.clone(), lease.clone());
        let storage = NamespaceStorage::new(self.platform.clone(), namespace.clone(), lease.clone());
        let (secrets, storage): (Arc<dyn Secrets>, Arc<dyn OwnedStorage>) = (Arc::new(secrets), Arc::new(storage));
        let house = Arc::new(House { platform: self.platform.clone(), version: version.clone(), lease });
        Arc::new(Services {
            database: self.databases.of(namespace),
            cache: self.caches.of(namespace),
            storage,
            secrets,
            fetcher: house.clone(),
            invoker: house.clone(),
            bus: house.clone(),
            sockets: house.clone(),
            ephemeral: house.clone(),
            jobs: house.clone(),
            notifier: house.clone(),
            version,
        })
    }
}

/// The platform, as the calls of one version reach it.
pub(crate) struct House {
    platform: Weak<Platform>,
    pub(crate) version: Arc<FunctionVersion>,
    pub(crate) lease: Arc<Lease>,
}

impl House {
    pub(crate) fn new(platform: Weak<Platform>, version: Arc<FunctionVersion>, lease: Arc<Lease>) -> Self {
        Self { platform, version, lease }
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.version.namespace
    }

    pub(crate) fn platform(&self) -> Result<Arc<Platform>, Error> {
        let gone = || Error::new(ErrorCode::ServiceUnavailable, "the server is shutting down");
        self.platform.upgrade().ok_or_else(gone)
    }
}

#[async_trait]
impl Fetcher for House {
    async fn fetch(&self, call: &CallContext, request: FetchRequest) -> Result<FetchReply, EgressError> {
        let gone = |gone: Error| EgressError::Failed(gone.message);
        let platform = self.platform().map_err(gone)?;
        let _held = self.lease.hold().map_err(gone)?;
        let settings = platform.settings_of(self.namespace());
        let policies = [self.version.manifest.egress.as_ref(), settings.egress.as_ref()];
        let policies: Vec<_> = policies.into_iter().flatten().collect();
        let fetched = platform.egress.fetch(self.namespace(), &policies, request, call.deadline);
        self.lease.unless_ended(fetched).await.map_err(gone)?
    }
}

#[async_trait]
impl Invoker for House {
    async fn invoke(&self, call: &CallContext, function: &FunctionRef, input: Bytes) -> Result<Bytes, Error> {
        let platform = self.platform()?;
        let _held = self.lease.hold()?;
        // Boxed: a call that calls is a future inside itself.
        Box::pin(platform.invoke_nested(call, self.namespace(), function, input)).await
    }

    async fn invoke_async(&self, call: &CallContext, function: &FunctionRef, input: Bytes) -> Result<RequestId, Error> {
        let _held = self.lease.hold()?;
        self.platform()?.invoke_detached(call, self.namespace(), function, input)
    }
}
