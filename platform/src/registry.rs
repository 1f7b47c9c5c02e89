//! The control plane in memory: an immutable snapshot that calls read without a lock.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use domain::{Cid, FunctionName, FunctionState, FunctionVersion, Namespace, Timestamp, VersionNumber};
use ports::{Services, StoredFunction};

use crate::api::FunctionView;
use crate::lease::Lease;
use crate::permits::{FunctionSlots, Tenant};
use crate::services::ServiceFactory;

/// How many calls at once a namespace may have.
pub(crate) type PlacesOf = Arc<dyn Fn(&Namespace) -> usize + Send + Sync>;

/// Every function of the node. Cloning copies pointers, not functions.
#[derive(Clone)]
pub(crate) struct Functions {
    places_of: PlacesOf,
    factory: ServiceFactory,
    tenants: HashMap<Namespace, TenantFunctions>,
}

#[derive(Clone)]
struct TenantFunctions {
    tenant: Arc<Tenant>,
    by_name: HashMap<FunctionName, Arc<Function>>,
}

/// One function with its versions.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) state: FunctionState,
    pub(crate) versions: BTreeMap<VersionNumber, Arc<Live>>,
    pub(crate) slots: Arc<FunctionSlots>,
}

/// A version with everything its calls use.
pub(crate) struct Live {
    pub(crate) version: Arc<FunctionVersion>,
    pub(crate) services: Arc<Services>,
    /// That of its namespace.
    pub(crate) lease: Arc<Lease>,
}

impl Live {
    fn of(version: FunctionVersion, factory: &ServiceFactory) -> Arc<Self> {
        let (lease, version) = (factory.lease_of(&version), Arc::new(version));
        Arc::new(Self { services: factory.services_of(version.clone(), &lease), version, lease })
    }
}

impl Function {
    pub(crate) fn view(&self, number: VersionNumber) -> Option<FunctionView> {
        let live = self.versions.get(&number)?;
        Some(FunctionView { version: live.version.clone(), state: self.state.clone() })
    }

    pub(crate) fn active(&self) -> &Arc<Live> {
        self.versions.get(&self.state.active).expect("the active version of a function exists")
    }
}

impl Functions {
    pub(crate) fn of(stored: Vec<StoredFunction>, places_of: PlacesOf, factory: ServiceFactory) -> Self {
        let mut functions = Self { places_of, factory, tenants: HashMap::new() };
        for StoredFunction { state, versions } in stored {
            let live = |version: FunctionVersion| (version.version, Live::of(version, &functions.factory));
            let versions = versions.into_iter().map(live).collect();
            functions.put(Function { state, versions, slots: Arc::new(FunctionSlots::new(0)) });
        }
        functions
    }

    pub(crate) fn find(&self, namespace: &Namespace, name: &FunctionName) -> Option<&Arc<Function>> {
        self.tenants.get(namespace)?.by_name.get(name)
    }

    pub(crate) fn find_with_tenant(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
    ) -> Option<(&Arc<Tenant>, &Arc<Function>)> {
        let tenant = self.tenants.get(namespace)?;
        Some((&tenant.tenant, tenant.by_name.get(name)?))
    }

    /// The functions of a namespace, by name.
    pub(crate) fn of_namespace(&self, namespace: &Namespace) -> Vec<&Arc<Function>> {
        let mut found: Vec<_> = self.tenants.get(namespace).into_iter().flat_map(|t| t.by_name.values()).collect();
        found.sort_by(|a, b| a.state.name.cmp(&b.state.name));
        found
    }

    pub(crate) fn count(&self) -> usize {
        self.tenants.values().map(|tenant| tenant.by_name.len()).sum()
    }

    pub(crate) fn referenced_code(&self) -> HashSet<Cid> {
        let functions = self.tenants.values().flat_map(|tenant| tenant.by_name.values());
        functions.flat_map(|function| function.versions.values()).map(|live| live.version.code).collect()
    }

    /// The snapshot after a version was published.
    pub(crate) fn with_version(&self, version: FunctionVersion) -> Self {
        let known = self.find(&version.namespace, &version.name).map(|known| Function::clone(known));
        let mut function = known.unwrap_or_else(|| Function {
            state: FunctionState {
                namespace: version.namespace.clone(),
                name: version.name.clone(),
                active: version.version,
                enabled: true,
                updated_at: version.created_at,
            },
            versions: BTreeMap::new(),
            slots: Arc::new(FunctionSlots::new(0)),
        });
        function.state.active = version.version;
        function.state.updated_at = version.created_at;
        function.versions.insert(version.version, Live::of(version, &self.factory));
        self.with(function)
    }

    /// The snapshot after the state of a function changed.
    pub(crate) fn with_state(
        &self,
        function: &Function,
        now: Timestamp,
        change: impl FnOnce(&mut FunctionState),
    ) -> Self {
        let mut function = function.clone();
        change(&mut function.state);
        function.state.updated_at = now;
        self.with(function)
    }

    /// The snapshot after a version was deleted; the last version takes the function along.
    pub(crate) fn without_version(&self, function: &Function, version: VersionNumber) -> Self {
        let mut function = function.clone();
        function.versions.remove(&version);
        match function.versions.is_empty() {
            true => self.without(&function.state.namespace, &function.state.name),
            false => self.with(function),
        }
    }

    pub(crate) fn without(&self, namespace: &Namespace, name: &FunctionName) -> Self {
        let mut next = self.clone();
        if let Some(tenant) = next.tenants.get_mut(namespace) {
            tenant.by_name.remove(name);
        }
        next
    }

    /// The snapshot without anything of a namespace.
    pub(crate) fn without_namespace(&self, namespace: &Namespace) -> Self {
        let mut next = self.clone();
        next.tenants.remove(namespace);
        next
    }

    /// The snapshot after the settings of a namespace changed: calls that run keep the places that they have.
    pub(crate) fn with_settings_of(&self, namespace: &Namespace) -> Self {
        let mut next = self.clone();
        let places = (self.places_of)(namespace);
        if let Some(tenant) = next.tenants.get_mut(namespace).filter(|tenant| tenant.tenant.count() != places) {
            tenant.tenant = Arc::new(Tenant::new(places));
        }
        next
    }

    fn with(&self, function: Function) -> Self {
        let mut next = self.clone();
        next.put(function);
        next
    }

    fn put(&mut self, mut function: Function) {
        let places = function.active().version.manifest.concurrency as usize;
        if function.slots.count() != places {
            function.slots = Arc::new(FunctionSlots::new(places));
        }
        let namespace = &function.state.namespace;
        let tenant = self.tenants.entry(namespace.clone()).or_insert_with(|| TenantFunctions {
            tenant: Arc::new(Tenant::new((self.places_of)(namespace))),
            by_name: HashMap::new(),
        });
        tenant.by_name.insert(function.state.name.clone(), Arc::new(function));
    }
}
