//! The control plane in memory: an immutable snapshot that calls read without a lock.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use domain::{Cid, EngineKind, FunctionName, FunctionState, FunctionVersion, Namespace, Timestamp, VersionNumber};
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
    published: Published,
}

/// The versions that answer on the host name of their code's hash, the oldest first. Made when it is first asked for: each
/// snapshot has its own.
#[derive(Default)]
struct Published(OnceLock<HashMap<Vec<u8>, Vec<Arc<FunctionVersion>>>>);

impl Clone for Published {
    fn clone(&self) -> Self {
        Self::default()
    }
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
        let mut functions = Self { places_of, factory, tenants: HashMap::new(), published: Published::default() };
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

    /// The versions with `by_hash: true` whose code has this hash, the oldest first: who published it first keeps its name.
    pub(crate) fn published(&self, hash: &[u8; 32]) -> &[Arc<FunctionVersion>] {
        let published = self.published.0.get_or_init(|| self.all_published());
        published.get(hash.as_slice()).map(Vec::as_slice).unwrap_or_default()
    }

    fn all_published(&self) -> HashMap<Vec<u8>, Vec<Arc<FunctionVersion>>> {
        let mut published: HashMap<_, Vec<_>> = HashMap::new();
        let functions = self.tenants.values().flat_map(|tenant| tenant.by_name.values());
        for live in functions.flat_map(|function| function.versions.values()) {
            if live.version.manifest.by_hash {
                published.entry(live.version.code.digest().to_vec()).or_default().push(live.version.clone());
            }
        }
        for versions in published.values_mut() {
            versions.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        }
        published
    }

    /// The namespace and the function that a host name means: names of hosts know no case, ours do. Two that differ in nothing else
    /// are told apart by writing them exactly.
    pub(crate) fn spoken_namespace(&self, namespace: &str) -> Option<Namespace> {
        the_one(self.tenants.keys(), Namespace::as_str, namespace).cloned()
    }

    pub(crate) fn spoken(&self, namespace: &str, function: &str) -> Option<(Namespace, FunctionName)> {
        let namespace = self.spoken_namespace(namespace)?;
        let names = self.tenants.get(&namespace)?.by_name.keys();
        Some((namespace.clone(), the_one(names, FunctionName::as_str, function)?.clone()))
    }

    pub(crate) fn count(&self) -> usize {
        self.tenants.values().map(|tenant| tenant.by_name.len()).sum()
    }

    /// Is there a version of this engine?
    pub(crate) fn has_any_of(&self, engine: EngineKind) -> bool {
        let mut functions = self.tenants.values().flat_map(|tenant| tenant.by_name.values());
        functions.any(|function| function.versions.values().any(|live| live.version.manifest.engine == engine))
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

/// The one that is written so, else the only one that is written so but for the case of letters.
fn the_one<'a, T>(all: impl Iterator<Item = &'a T>, text: fn(&T) -> &str, wanted: &str) -> Option<&'a T> {
    let alike: Vec<&T> = all.filter(|one| text(one).eq_ignore_ascii_case(wanted)).collect();
    match alike.as_slice() {
        [only] => Some(only),
        many => many.iter().find(|one| text(one) == wanted).copied(),
    }
}
