//! Which process answers which function version: one tenant a process, and always one ready in reserve.
//!
//! The first request of a version takes the process that looked at its code when it was deployed, or one that waits for code; one with
//! its own configuration is started meanwhile and takes over. A process that has served many requests, or holds much memory, is replaced in the same way: the new one is
//! there before the old one gets no more requests, and the old one ends with its last.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use domain::{Cid, FunctionVersion, Manifest};
use ports::{Services, Storage, StorageError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::code::Modules;
use super::process::{Launcher, Process, Start, StartError, memory_bytes_max};
use super::{WorkerLimits, config, locked, random_name};

/// The memory of processes that wait for code: that of a function that asks for no other.
pub(super) const SPARE_MEMORY_MB: u32 = domain::LIMITS.worker_memory_mb.2 as u32;
/// Of what a process may hold: one that holds more is replaced before it is refused any.
const RESIDENT_PERCENT_MAX: u64 = 80;
/// Between two looks at what processes hold and whether anybody uses them.
const ROUND: Duration = Duration::from_secs(1);
/// What a first call is given before other processes start beside it.
const FIRST_CALL_TIME: Duration = Duration::from_millis(100);
/// Until a process that nobody needs has ended.
const ENDING_TIME_MAX: Duration = Duration::from_secs(2);
/// Before a replacement that failed is tried again.
const REPLACE_PAUSE: Duration = Duration::from_secs(5);

/// Why no process answers.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProcess {
    /// All places are taken, and all processes busy.
    #[error("no process is free")]
    Full,
    /// The machine is not shared, and another namespace was first.
    #[error("another namespace runs workers here")]
    Taken,
    #[error("start a process")]
    Start(#[from] StartError),
    #[error("read the code")]
    Code(#[source] StorageError),
    /// It was found good when it was deployed.
    #[error("the code is not what it was: {0}")]
    Refused(String),
}

/// What a process belongs to from its first request on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Tenancy {
    id: String,
    namespace: String,
    function: String,
    version: u32,
    code: Cid,
}

impl Tenancy {
    fn of(version: &FunctionVersion) -> Self {
        Self {
            id: version.id.clone(),
            namespace: version.namespace.as_str().to_owned(),
            function: version.name.as_str().to_owned(),
            version: version.version.get(),
            code: version.code,
        }
    }
}

/// A function version that is being called.
struct Home {
    tenancy: Tenancy,
    manifest: Manifest,
    modules: tokio::sync::OnceCell<Arc<Modules>>,
    current: Mutex<Option<Arc<Process>>>,
    /// When somebody last looked for a process here.
    asked: Mutex<Instant>,
    /// Held by who starts the first process.
    starting: tokio::sync::Mutex<()>,
    replacing: AtomicBool,
}

impl Home {
    fn current(&self) -> Option<Arc<Process>> {
        locked(&self.current).clone().filter(|process| !process.has_ended())
    }

    /// Lets go of a process that has ended: its place is another's.
    fn bury(&self) {
        let mut current = locked(&self.current);
        if current.as_ref().is_some_and(|process| process.has_ended()) {
            *current = None;
        }
    }

    /// How long nobody has asked anything of it; nothing while somebody does.
    fn idle(&self) -> Option<Duration> {
        match self.current() {
            Some(process) => process.idle(),
            None => Some(locked(&self.asked).elapsed()),
        }
    }
}

/// All of them.
pub(super) struct Homes {
    launcher: Launcher,
    storage: Arc<dyn Storage>,
    limits: WorkerLimits,
    places: Arc<Semaphore>,
    homes: Mutex<HashMap<Tenancy, Arc<Home>>>,
    spares: Mutex<Vec<Arc<Process>>>,
    /// The oldest first, no more than in reserve.
    loaded: Mutex<Vec<Loaded>>,
    /// Has anybody asked for a process yet? A node without workers has none in reserve.
    wanted: AtomicBool,
    /// Held by who fills the reserve.
    filling: Arc<tokio::sync::Mutex<()>>,
    /// The one namespace whose workers run, where there is only one.
    sole: OnceLock<String>,
}

/// A process that looked at code while it was deployed. It has run nothing but its top level, so that it can be anybody's who has
/// the same code and the same variables.
struct Loaded {
    process: Arc<Process>,
    code: Cid,
    /// The hash of all that it was given.
    given: blake3::Hash,
}

impl Loaded {
    /// Has it ended, or waited in vain?
    fn is_over(&self, idle_max: Duration) -> bool {
        self.process.has_ended() || self.process.idle().is_some_and(|idle| idle >= idle_max)
    }
}

/// A request at a process: it counts until this is dropped.
pub(super) struct Visit {
    pub(super) process: Arc<Process>,
    home: Arc<Home>,
}

impl Visit {
    fn new(home: Arc<Home>, process: Arc<Process>) -> Self {
        process.in_flight.fetch_add(1, Ordering::Relaxed);
        process.served.fetch_add(1, Ordering::Relaxed);
        Self { process, home }
    }

    /// Sends nobody else there; who is there stays.
    pub(super) fn avoid(&self) {
        let mut current = locked(&self.home.current);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &self.process)) {
            *current = None;
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.process.touch();
        self.process.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Homes {
    pub(super) fn open(launcher: Launcher, storage: Arc<dyn Storage>, limits: WorkerLimits) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(limits.processes_max as usize));
        let (homes, spares, loaded) = (Mutex::default(), Mutex::default(), Mutex::default());
        let filling = Arc::default();
        let wanted = AtomicBool::new(false);
        let sole = OnceLock::new();
        let opened = Self { launcher, storage, limits, places, homes, spares, loaded, wanted, filling, sole };
        let opened = Arc::new(opened);
        opened.launcher.runtime.spawn(rounds(Arc::downgrade(&opened)));
        opened
    }

    /// The process for a request of this version.
    pub(super) async fn visit(self: &Arc<Self>, services: &Services) -> Result<Visit, NoProcess> {
        let namespace = services.version.namespace.as_str();
        if !self.limits.shared && self.sole.get_or_init(|| namespace.to_owned()) != namespace {
            return Err(NoProcess::Taken);
        }
        let home = self.home(&services.version);
        let process = match home.current() {
            Some(process) => process,
            None => self.first(&home).await?,
        };
        if process.served.load(Ordering::Relaxed) >= self.limits.requests_max {
            self.replace(&home);
        }
        Ok(Visit::new(home, process))
    }

    /// A process that waits for code, for a look at what is being deployed.
    pub(super) async fn spare(self: &Arc<Self>) -> Result<Arc<Process>, NoProcess> {
        let spare = locked(&self.spares).pop().filter(|spare| !spare.has_ended());
        self.follow_up(None);
        match spare {
            Some(spare) => Ok(spare),
            None => self.start_spare().await,
        }
    }

    /// Keeps a process that was given this, and has answered nothing yet, for who calls it first. Not where another namespace may be the one
    /// whose workers run.
    pub(super) fn keep(&self, code: Cid, given: &[u8], manifest: &Manifest, process: Arc<Process>) {
        if !self.limits.shared || manifest.memory_mb > SPARE_MEMORY_MB {
            return;
        }
        process.touch();
        let kept = Loaded { process, code, given: blake3::hash(given) };
        let mut loaded = locked(&self.loaded);
        let twin = loaded.iter().position(|loaded| loaded.given == kept.given).map(|at| loaded.remove(at));
        loaded.push(kept);
        let over = loaded.len().saturating_sub(self.limits.spares as usize);
        let over: Vec<Loaded> = loaded.drain(..over).collect();
        // Their folders go with them, which is nothing to do under a lock.
        drop(loaded);
        drop((twin, over));
    }

    /// Ends every process with this code, as soon as it has answered.
    pub(super) fn forget(&self, code: &Cid) {
        locked(&self.homes).retain(|tenancy, _| tenancy.code != *code);
        self.let_go(|loaded| loaded.code == *code);
    }

    fn home(&self, version: &FunctionVersion) -> Arc<Home> {
        let tenancy = Tenancy::of(version);
        let mut homes = locked(&self.homes);
        let home = homes.entry(tenancy.clone()).or_insert_with(|| {
            Arc::new(Home {
                tenancy,
                manifest: version.manifest.clone(),
                modules: tokio::sync::OnceCell::new(),
                current: Mutex::default(),
                asked: Mutex::new(Instant::now()),
                starting: tokio::sync::Mutex::new(()),
                replacing: AtomicBool::new(false),
            })
        });
        home.clone()
    }

    async fn first(self: &Arc<Self>, home: &Arc<Home>) -> Result<Arc<Process>, NoProcess> {
        *locked(&home.asked) = Instant::now();
        let _alone = home.starting.lock().await;
        if let Some(process) = home.current() {
            return Ok(process);
        }
        let process = match self.loaded_spare(home).await? {
            Some(spare) => {
                self.follow_up(Some(home.clone()));
                spare
            }
            None => {
                self.follow_up(None);
                self.start_direct(home).await?
            }
        };
        *locked(&home.current) = Some(process.clone());
        Ok(process)
    }

    /// A process of the reserve with this code; none when there is none, or it ends while it is handed over.
    async fn loaded_spare(&self, home: &Home) -> Result<Option<Arc<Process>>, NoProcess> {
        let nobody = locked(&self.loaded).is_empty() && locked(&self.spares).is_empty();
        if nobody || home.manifest.memory_mb > SPARE_MEMORY_MB {
            return Ok(None);
        }
        let code = config::to_load(&*self.modules(home).await?, &home.manifest);
        if let Some(loaded) = self.loaded_with(&code, &home.manifest) {
            return Ok(Some(loaded));
        }
        let Some(spare) = self.spare_for(&home.manifest) else { return Ok(None) };
        match spare.load(code).await {
            Ok(_) => Ok(Some(spare)),
            Err(cause) => {
                tracing::info!(cause = &*cause as &dyn std::error::Error, "a worker in reserve took no code");
                Ok(None)
            }
        }
    }

    /// Starts what follows a deploy or a first call, when the next has most likely been answered: a process that takes over from the one in
    /// reserve, and the next in reserve.
    fn follow_up(self: &Arc<Self>, home: Option<Arc<Home>>) {
        let homes = Arc::downgrade(self);
        self.launcher.runtime.spawn(async move {
            tokio::time::sleep(FIRST_CALL_TIME).await;
            if let Some(homes) = homes.upgrade() {
                home.iter().for_each(|home| homes.replace(home));
                homes.refill();
            }
        });
    }

    fn spare_for(&self, manifest: &Manifest) -> Option<Arc<Process>> {
        let mut spares = locked(&self.spares);
        let spare = std::iter::from_fn(|| spares.pop()).find(|spare| !spare.has_ended())?;
        if !fits(&spare, manifest) {
            spares.push(spare);
            return None;
        }
        Some(spare)
    }

    fn loaded_with(&self, given: &[u8], manifest: &Manifest) -> Option<Arc<Process>> {
        let given = blake3::hash(given);
        let mut loaded = locked(&self.loaded);
        let fits = |loaded: &Loaded| !loaded.process.has_ended() && fits(&loaded.process, manifest);
        let at = loaded.iter().position(|loaded| loaded.given == given && fits(loaded))?;
        Some(loaded.remove(at).process)
    }

    /// Starts the next process of this version, and lets it take over; at most one at a time.
    fn replace(self: &Arc<Self>, home: &Arc<Home>) {
        if home.replacing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (homes, home) = (Arc::downgrade(self), home.clone());
        self.launcher.runtime.spawn(async move {
            let Some(homes) = homes.upgrade() else { return };
            match homes.start_direct(&home).await {
                Ok(process) => drop(locked(&home.current).replace(process)),
                Err(cause) => {
                    let function = &home.tenancy.function;
                    tracing::warn!(cause = &cause as &dyn std::error::Error, %function, "failed to replace a worker");
                    drop(homes);
                    tokio::time::sleep(REPLACE_PAUSE).await;
                }
            }
            home.replacing.store(false, Ordering::Release);
        });
    }

    async fn start_direct(&self, home: &Home) -> Result<Arc<Process>, NoProcess> {
        let modules = self.modules(home).await?;
        let facts_header = random_name().map_err(StartError::Chance)?;
        let files = config::direct(&modules, &home.manifest, &facts_header);
        let start = Start { files, facts_header, memory_mb: home.manifest.memory_mb, loader: false };
        Ok(Process::start(&self.launcher, start, self.place().await?).await?)
    }

    async fn start_spare(&self) -> Result<Arc<Process>, NoProcess> {
        let facts_header = random_name().map_err(StartError::Chance)?;
        let files = config::loader(&facts_header, SPARE_MEMORY_MB);
        let start = Start { files, facts_header, memory_mb: SPARE_MEMORY_MB, loader: true };
        Ok(Process::start(&self.launcher, start, self.place().await?).await?)
    }

    async fn modules(&self, home: &Home) -> Result<Arc<Modules>, NoProcess> {
        let read = async || {
            let cid = home.tenancy.code;
            let bytes = self.storage.get(&cid).await.map_err(NoProcess::Code)?;
            let modules = Modules::read(&bytes, &home.manifest);
            modules.map(Arc::new).map_err(|error| NoProcess::Refused(error.message))
        };
        home.modules.get_or_try_init(read).await.cloned()
    }

    /// A place for one more process: a free one, that of whoever was idle for longest, or of one in reserve.
    async fn place(&self) -> Result<OwnedSemaphorePermit, NoProcess> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let gives_way = self.drop_loaded() || self.evict().is_some() || locked(&self.spares).pop().is_some();
        if !gives_way {
            return Err(NoProcess::Full);
        }
        // Its process is being ended, and gives its place back.
        let place = tokio::time::timeout(ENDING_TIME_MAX, self.places.clone().acquire_owned()).await;
        place.map_err(|_| NoProcess::Full)?.map_err(|_| NoProcess::Full)
    }

    /// Lets go of the process that has waited longest for the first call of its code.
    fn drop_loaded(&self) -> bool {
        self.let_go(|loaded| loaded.process.has_ended());
        let mut loaded = locked(&self.loaded);
        let oldest = (!loaded.is_empty()).then(|| loaded.remove(0));
        drop(loaded);
        oldest.is_some()
    }

    fn let_go(&self, is_over: impl Fn(&Loaded) -> bool) {
        let over: Vec<Loaded> = locked(&self.loaded).extract_if(.., |loaded| is_over(loaded)).collect();
        drop(over);
    }

    /// Lets go of the process that nobody has asked anything for the longest.
    fn evict(&self) -> Option<Arc<Home>> {
        let mut homes = locked(&self.homes);
        homes.values().for_each(|home| home.bury());
        let idle = homes.iter().filter_map(|(tenancy, home)| Some((home.current()?.idle()?, tenancy)));
        let longest = idle.max_by_key(|(idle, _)| *idle).map(|(_, tenancy)| tenancy.clone())?;
        homes.remove(&longest)
    }

    /// Sees to it that there are as many processes in reserve as there should be.
    fn refill(self: &Arc<Self>) {
        self.wanted.store(true, Ordering::Relaxed);
        let Ok(alone) = self.filling.clone().try_lock_owned() else { return };
        let homes = Arc::downgrade(self);
        self.launcher.runtime.spawn(async move {
            if let Some(homes) = homes.upgrade() {
                homes.fill().await;
            }
            drop(alone);
        });
    }

    /// The same; returns when they are there.
    pub(super) async fn reserve(&self) {
        self.wanted.store(true, Ordering::Relaxed);
        let _alone = self.filling.lock().await;
        self.fill().await;
    }

    /// By one at a time.
    async fn fill(&self) {
        // Nobody has to go for one in reserve.
        while self.places.available_permits() > 0 && locked(&self.spares).len() < self.limits.spares as usize {
            match self.start_spare().await {
                Ok(spare) => locked(&self.spares).push(spare),
                Err(NoProcess::Full) => break,
                Err(cause) => {
                    tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to start a worker in reserve");
                    break;
                }
            }
        }
    }

    fn round(self: &Arc<Self>) {
        let all: Vec<Arc<Home>> = locked(&self.homes).values().cloned().collect();
        for home in all {
            home.bury();
            match (home.idle(), home.current()) {
                (Some(idle), _) if idle >= self.limits.idle_max => {
                    // Unless somebody came at this moment: who has the home keeps its process.
                    locked(&self.homes).remove(&home.tenancy);
                }
                (idle, Some(process)) => {
                    if idle.is_none() {
                        process.look_after(home.manifest.timeout);
                    }
                    if holds_much(&process, &home.manifest) {
                        self.replace(&home);
                    }
                }
                (_, None) => {}
            }
        }
        locked(&self.spares).retain(|spare| !spare.has_ended());
        self.let_go(|loaded| loaded.is_over(self.limits.idle_max));
        if self.wanted.load(Ordering::Relaxed) {
            self.refill();
        }
    }
}

/// May a process of the reserve serve this function? Only one that asks for no more memory than it was started with.
fn fits(process: &Process, manifest: &Manifest) -> bool {
    let asked = manifest.memory_mb;
    asked == SPARE_MEMORY_MB || asked < SPARE_MEMORY_MB && process.shrink(asked)
}

fn holds_much(process: &Process, manifest: &Manifest) -> bool {
    process.meter.read().resident_bytes > memory_bytes_max(manifest.memory_mb) / 100 * RESIDENT_PERCENT_MAX
}

/// Looks after the processes for as long as the engine lives.
async fn rounds(homes: Weak<Homes>) {
    let mut next = tokio::time::interval(ROUND);
    loop {
        next.tick().await;
        match homes.upgrade() {
            Some(homes) => homes.round(),
            None => return,
        }
    }
}
