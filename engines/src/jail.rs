//! The jail: where programs run that nobody here trusts, and the runtimes of code that nobody trusts.
//!
//! A [`Jail`] keeps one *launcher*, a process of one thread at the other end of a socket. It makes a *cage* for each
//! program (`jail/launcher.rs`, `jail/inside.rs`): namespaces, a root that holds only what was bound into it, limits, Landlock,
//! seccomp. A server of many threads never forks, and may give up its privileges while the launcher keeps them. The launcher
//! ends with the server, and every inmate with the launcher.
//!
//! Each layer that this machine has is put on or the launch fails; what it has not is in [`Jail::layers`]. Nothing here
//! knows a tenant: who may share a machine at which [`Level`] is decided above.

pub mod attack;
mod cgroup;
mod confine;
mod filter;
mod identity;
mod inmate;
mod inside;
mod launcher;
mod layers;
mod processes;
mod raw;
mod root;
mod wire;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use tokio::net::unix::pipe;
use tokio::sync::watch;

use crate::HelperCommand;

pub(crate) use attack::main as attack_main;
pub(crate) use launcher::main as launcher_main;
pub use root::libraries_of;

use inmate::Connection;
use wire::Ready;

/// What the jail needs to know.
#[derive(Debug, Clone)]
pub struct JailConfig {
    pub helper: HelperCommand,
    /// As root: the first of the user ids that inmates get, one each.
    pub uid_first: u32,
    /// How many of them there are, which is also how many inmates there can be.
    pub uid_count: u32,
    /// Below this folder cages may be given folders to write into; none may have any without it. The launcher holds the
    /// server to that, which may have fewer rights than it.
    pub writable_below: Option<PathBuf>,
    /// Layers to leave out, so that an attack shows what they are for. Empty wherever programs of others run.
    pub without: Vec<LayerName>,
}

impl JailConfig {
    /// All layers, and user ids that no distribution gives out.
    pub fn new(helper: HelperCommand) -> Self {
        Self { helper, uid_first: 2_000_000_000, uid_count: 65_536, writable_below: None, without: Vec::new() }
    }
}

/// What a machine gives: how well a program is kept from everything else on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// No cage can be made here.
    None,
    /// Cages of an ordinary user: every inmate has the same user id, and limits count per process.
    User,
    /// A user id for each inmate, and limits of the kernel on its memory and processes.
    Full,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::User => "user",
            Self::Full => "full",
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One thing that stands between an inmate and the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    pub name: LayerName,
    pub state: LayerState,
    /// For people: how it is done, or why it is not there.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerName {
    /// A user id that no other inmate has.
    OwnUid,
    UserNamespace,
    PidNamespace,
    /// A root of its own, with what was bound into it.
    Root,
    NetworkNamespace,
    IpcNamespace,
    UtsNamespace,
    CgroupNamespace,
    /// No capabilities, and no way to get any.
    Capabilities,
    ResourceLimits,
    MemoryGroup,
    ProcessGroup,
    CpuGroup,
    /// Ends who uses more memory than it may where no group counts it.
    Watchdog,
    Landlock,
    Seccomp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerState {
    Active,
    /// Left out by [`JailConfig::without`].
    Off,
    /// Not to be had on this machine.
    Missing,
}

/// Why there is no inmate.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// The cage makes no sense, on any machine.
    #[error("cage refused: {0}")]
    Refused(String),
    /// This machine cannot make cages.
    #[error("this machine cannot make cages: {0}; `orama doctor` lists what is missing")]
    Unavailable(String),
    /// The cage or its program could not be started.
    #[error("failed to {step}")]
    NotStarted {
        step: String,
        #[source]
        source: std::io::Error,
    },
    /// The launcher could not be started, or is gone.
    #[error("the launcher of cages is gone")]
    Lost(#[source] std::io::Error),
}

/// A program and all it may have.
#[derive(Debug)]
pub struct Cage {
    /// A file of this machine. It is bound into the cage under its own path (links resolved), unless a bind covers that.
    pub program: PathBuf,
    /// Without the program's own name.
    pub arguments: Vec<OsString>,
    /// All of it: nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    pub binds: Vec<Bind>,
    /// Size of the private `/tmp`, the only place that can be written unless a bind is `writable`.
    pub tmp_bytes: u64,
    pub tmp_inodes: u64,
    /// Memory of all processes together, `/tmp` included.
    pub memory_bytes: u64,
    /// Processes and threads together.
    pub processes_max: u32,
    /// Open files of each process.
    pub files_max: u32,
    pub cpu: CpuLimit,
    /// Open files to hand in, each with its number inside. 0, 1 and 2 may be among them.
    pub descriptors: Vec<(OwnedFd, i32)>,
    pub stdout: Output,
    pub stderr: Output,
    pub filter: Filter,
}

impl Cage {
    /// A cage without arguments, environment and binds, with modest limits and both outputs captured.
    pub fn new(program: impl Into<PathBuf>, filter: Filter) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            binds: Vec::new(),
            tmp_bytes: 16 << 20,
            tmp_inodes: 1024,
            memory_bytes: 256 << 20,
            processes_max: 64,
            files_max: 1024,
            cpu: CpuLimit::default(),
            descriptors: Vec::new(),
            stdout: Output::Captured,
            stderr: Output::Captured,
            filter,
        }
    }
}

/// A file or folder of this machine that an inmate sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    pub from: PathBuf,
    /// An absolute path in the cage.
    pub to: PathBuf,
    /// Read-only unless set. As root, a writable folder is given to the user id of the inmate.
    pub writable: bool,
}

impl Bind {
    /// Read-only, under another path.
    pub fn read_only(from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        Self { from: from.into(), to: to.into(), writable: false }
    }
}

/// How much processor an inmate gets; nothing means what is free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuLimit {
    /// Thousandths of a core, all processes together, where a group of the kernel can hold it.
    pub millicores: Option<u32>,
    /// Seconds of processor time of each process, after which it is killed.
    pub seconds: Option<u64>,
}

/// Where an output of the inmate goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    Captured,
    Null,
}

/// Which system calls an inmate may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Filter {
    /// What workerd, node and python need. They also get a `/proc` with their own processes.
    Runtime,
    /// What a program needs that reads, computes and writes.
    Native,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// It used more memory than it may.
    OutOfMemory,
    /// The launcher is gone, and the inmate with it.
    Lost,
}

/// A program in its cage. Dropping it ends everything in the cage.
pub struct Inmate {
    launcher: Arc<Connection>,
    id: u64,
    /// The first process in the cage.
    warden: Pid,
    program: Pid,
    /// Where a group of the kernel counts its memory.
    meters: Option<cgroup::Meters>,
    last: watch::Receiver<Option<(Exit, Usage)>>,
    /// What it writes, until somebody takes it; nobody reading makes it wait.
    pub stdout: Option<pipe::Receiver>,
    pub stderr: Option<pipe::Receiver>,
}

/// The limit of an inmate's memory, which can be changed while it runs.
pub struct MemoryLimit {
    launcher: Arc<Connection>,
    id: u64,
}

/// What an inmate uses, all its processes together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub cpu: Duration,
    pub resident_bytes: u64,
}

/// The jail of a node. Dropping it ends the launcher and all inmates.
pub struct Jail {
    config: JailConfig,
    launcher: Mutex<Arc<Connection>>,
    level: Level,
    layers: Vec<Layer>,
}

impl Jail {
    /// Starts the launcher, which tries out what this machine gives, and waits until it has: some milliseconds. Needs no
    /// runtime; a server that gives up privileges calls it before.
    ///
    /// # Errors
    /// `Lost` when the helper cannot be started or does not answer. A machine without cages is no error here: see
    /// [`Jail::level`].
    pub fn new(config: JailConfig) -> Result<Arc<Self>, JailError> {
        let (launcher, Ready { level, layers }) = Connection::start(&config)?;
        Ok(Arc::new(Self { config, launcher: Mutex::new(launcher), level, layers }))
    }

    pub fn layers(&self) -> Vec<Layer> {
        self.layers.clone()
    }

    pub fn level(&self) -> Level {
        self.level
    }

    /// The process id of the launcher.
    pub fn launcher_pid(&self) -> u32 {
        self.current().pid()
    }

    /// Starts a program in a cage of its own; returns when the program has taken over. A future that is dropped before
    /// leaves nothing behind. Needs a tokio runtime when an output is captured. A launcher that died is replaced.
    pub async fn launch(&self, cage: Cage) -> Result<Inmate, JailError> {
        if self.level == Level::None {
            let missing = self.layers.iter().filter(|layer| layer.state == LayerState::Missing);
            let details: Vec<&str> = missing.map(|layer| layer.detail.as_str()).collect();
            return Err(JailError::Unavailable(details.join("; ")));
        }
        self.launcher()?.launch(cage).await
    }

    fn current(&self) -> MutexGuard<'_, Arc<Connection>> {
        self.launcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The launcher, or another where it has died: some milliseconds, in which all launches wait.
    fn launcher(&self) -> Result<Arc<Connection>, JailError> {
        let mut current = self.current();
        if current.is_lost() {
            let (launcher, ready) = Connection::start(&self.config)?;
            // A server that has given up its rights cannot start a launcher that has them.
            if ready.level < self.level {
                let cause = format!("another has level `{}` and not `{}`", ready.level, self.level);
                return Err(JailError::Lost(std::io::Error::other(cause)));
            }
            *current = launcher;
        }
        Ok(current.clone())
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        self.current().close();
    }
}
