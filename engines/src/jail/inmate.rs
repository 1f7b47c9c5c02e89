//! The server's side: the connection to the launcher, and the inmates that it told of.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;
use tokio::net::unix::pipe;
use tokio::sync::{oneshot, watch};

use super::cgroup::Meters;
use super::wire::{self, Failure, LauncherConfig, Order, Plan, Ready, Report};
use super::{Cage, Exit, Inmate, JailConfig, JailError, MemoryLimit, Output, Usage, processes, root};

/// What an inmate left behind.
type Last = Option<(Exit, Usage)>;
type Started = Result<Begun, Failure>;

/// What the launcher tells of an inmate.
struct Begun {
    warden: Pid,
    program: Pid,
    meters: Option<Meters>,
}

/// The connection to a launcher. A thread listens to it until one of both is gone.
pub(super) struct Connection {
    socket: OwnedFd,
    pid: u32,
    next: AtomicU64,
    /// Who waits to be started, and who runs; `None` when the launcher is gone.
    known: Mutex<Option<Known>>,
}

#[derive(Default)]
struct Known {
    starting: HashMap<u64, (oneshot::Sender<Started>, watch::Sender<Last>)>,
    running: HashMap<u64, watch::Sender<Last>>,
}

impl Connection {
    /// Starts a launcher and waits until it has tried out this machine.
    pub(super) fn start(config: &JailConfig) -> Result<(Arc<Self>, Ready), JailError> {
        let (ours, theirs) = wire::pair().map_err(JailError::Lost)?;
        let mut child = spawn(config, theirs).map_err(JailError::Lost)?;
        let ready = match wire::receive::<Report>(&ours) {
            Ok(Some(wire::Received { message: Report::Ready(ready), .. })) => ready,
            answer => {
                let _ = child.kill();
                let _ = child.wait();
                let cause = answer.err().unwrap_or_else(|| io::Error::other("it ended before it was ready"));
                return Err(JailError::Lost(cause));
            }
        };
        let known = Mutex::new(Some(Known::default()));
        let connection = Arc::new(Self { socket: ours, pid: child.id(), next: AtomicU64::new(1), known });
        listen(&connection, child).map_err(JailError::Lost)?;
        Ok((connection, ready))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn is_lost(&self) -> bool {
        self.known().is_none()
    }

    pub(super) async fn launch(self: &Arc<Self>, cage: Cage) -> Result<Inmate, JailError> {
        let (plan, mut files, outputs) = Plan::of(cage);
        let mut plan = checked(plan)?;
        let [stdout, stderr] = outputs;
        let stdout = capture(stdout, 1, &mut plan, &mut files)?;
        let stderr = capture(stderr, 2, &mut plan, &mut files)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        let (ended, last) = watch::channel(None);
        self.known().as_mut().ok_or_else(lost)?.starting.insert(id, (tell, ended));
        let borrowed: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        if let Err(cause) = wire::send(&self.socket, &Order::Launch { id, plan: Box::new(plan) }, &borrowed) {
            self.known().as_mut().map(|known| known.starting.remove(&id));
            return Err(match cause.kind() {
                io::ErrorKind::InvalidInput => JailError::Refused(cause.to_string()),
                _ => JailError::Lost(cause),
            });
        }
        drop(files);
        // From here on, a caller who gives up drops `told`, and the listening thread has nobody to hand the inmate to.
        let started = told.await.map_err(|_| lost())?;
        let Begun { warden, program, meters } =
            started.map_err(|failure| JailError::NotStarted { source: failure.cause(), step: failure.step })?;
        Ok(Inmate { launcher: self.clone(), id, warden, program, meters, last, stdout, stderr })
    }

    pub(super) fn kill(&self, id: u64) {
        // A launcher that is gone has taken its inmates along.
        let _ = wire::send(&self.socket, &Order::Kill { id }, &[]);
    }

    /// What an inmate may have from here on.
    pub(super) fn limit_memory(&self, id: u64, memory_bytes: u64) {
        // With its launcher the inmate is gone, too.
        let _ = wire::send(&self.socket, &Order::Limit { id, memory_bytes }, &[]);
    }

    /// Ends the launcher.
    pub(super) fn close(&self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, report: Report) {
        match report {
            Report::Ready(_) => {}
            Report::Launched { id, warden, program, group } => {
                let pids = Pid::from_raw(warden).zip(Pid::from_raw(program));
                self.hand_over(id, pids.map(|(warden, program)| Begun { warden, program, meters: group }));
            }
            Report::NotStarted { id, failure } => {
                let starting = self.known().as_mut().and_then(|known| known.starting.remove(&id));
                if let Some((tell, _)) = starting {
                    let _ = tell.send(Err(failure));
                }
            }
            Report::Ended { id, exit, usage } => {
                let running = self.known().as_mut().and_then(|known| known.running.remove(&id));
                if let Some(ended) = running {
                    let _ = ended.send(Some((exit, usage)));
                }
            }
        }
    }

    fn hand_over(&self, id: u64, begun: Option<Begun>) {
        let mut known = self.known();
        let Some(known) = known.as_mut() else { return };
        let Some((tell, ended)) = known.starting.remove(&id) else { return };
        known.running.insert(id, ended);
        let handed = begun.is_some_and(|begun| tell.send(Ok(begun)).is_ok());
        if !handed {
            self.kill(id);
        }
    }

    fn lose(&self) {
        let known = self.known().take().unwrap_or_default();
        for ended in known.running.into_values() {
            let _ = ended.send(Some((Exit::Lost, Usage::default())));
        }
    }
}

fn lost() -> JailError {
    JailError::Lost(io::Error::from(io::ErrorKind::BrokenPipe))
}

fn spawn(config: &JailConfig, socket: OwnedFd) -> io::Result<Child> {
    let JailConfig { helper, uid_first, uid_count, writable_below, without } = config;
    let config = LauncherConfig {
        uid_first: *uid_first,
        uid_count: *uid_count,
        writable_below: writable_below.clone(),
        without: without.clone(),
    };
    Command::new(&helper.program)
        .args(&helper.arguments)
        .arg("jail")
        .arg(serde_json::to_string(&config)?)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .spawn()
}

/// Listens until the launcher is gone, and reaps it.
fn listen(connection: &Arc<Connection>, mut child: Child) -> io::Result<()> {
    let heard = connection.socket.try_clone()?;
    let connection = Arc::downgrade(connection);
    let listen = move || {
        while let Ok(Some(received)) = wire::receive::<Report>(&heard) {
            if let Some(connection) = connection.upgrade() {
                connection.take(received.message);
            }
        }
        if let Some(connection) = connection.upgrade() {
            connection.lose();
        }
        let _ = child.wait();
    };
    std::thread::Builder::new().name("jail".to_owned()).spawn(listen).map(drop)
}

/// A plan that makes sense, with its paths resolved.
fn checked(mut plan: Plan) -> Result<Plan, JailError> {
    let refused = |text: String| Err(JailError::Refused(text));
    let resolved = plan.program.canonicalize();
    plan.program = resolved
        .map_err(|source| JailError::NotStarted { step: format!("find `{}`", plan.program.display()), source })?;
    plan.binds = root::arrange(&plan.program, &plan.binds).map_err(JailError::Refused)?;
    let mut numbers = plan.numbers.clone();
    numbers.sort_unstable();
    if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
        return refused("two open files want the same number".to_owned());
    }
    if let Some(number) = numbers.iter().find(|number| !(0..=wire::NUMBER_MAX).contains(*number)) {
        return refused(format!("an open file can have number 0 to {}, not {number}", wire::NUMBER_MAX));
    }
    if let Some((name, _)) = plan.environment.iter().find(|(name, _)| name.is_empty() || has(name, b'=')) {
        return refused(format!("`{}` is no name of a variable", name.display()));
    }
    let texts = plan.arguments.iter().chain(plan.environment.iter().flat_map(|(name, value)| [name, value]));
    if texts.into_iter().any(|text| has(text, 0)) {
        return refused("an argument or a variable has a NUL".to_owned());
    }
    Ok(plan)
}

fn has(text: &std::ffi::OsStr, byte: u8) -> bool {
    text.as_encoded_bytes().contains(&byte)
}

/// A pipe for an output, with its writing end among the files, unless the caller has put a file of its own there.
fn capture(
    output: Output,
    number: i32,
    plan: &mut Plan,
    files: &mut Vec<OwnedFd>,
) -> Result<Option<pipe::Receiver>, JailError> {
    if output == Output::Null || plan.numbers.contains(&number) {
        return Ok(None);
    }
    let failed = |source: io::Error| JailError::NotStarted { step: "make a pipe".to_owned(), source };
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (reads, writes) = pipe.map_err(|error| failed(error.into()))?;
    let reads = pipe::Receiver::from_owned_fd(reads).map_err(failed)?;
    plan.numbers.push(number);
    files.push(writes);
    Ok(Some(reads))
}

impl Inmate {
    /// The process id of the program, here.
    pub fn pid(&self) -> u32 {
        self.program.as_raw_nonzero().get().unsigned_abs()
    }

    /// For changing the memory that all in the cage may have; `None` where no group of the kernel counts it.
    pub fn memory_limit(&self) -> Option<MemoryLimit> {
        self.meters.as_ref().map(|_| MemoryLimit { launcher: self.launcher.clone(), id: self.id })
    }

    /// Ends all processes in the cage, at once. [`Inmate::wait`] says when they are gone.
    pub fn kill(&self) {
        self.launcher.kill(self.id);
    }

    /// Waits until the program has ended and nothing is left of its processes. May be asked again.
    pub async fn wait(&mut self) -> Exit {
        match self.last.wait_for(Option::is_some).await {
            Ok(last) => last.map_or(Exit::Lost, |(exit, _)| exit),
            Err(_gone) => Exit::Lost,
        }
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<Exit> {
        self.last.borrow().map(|(exit, _)| exit)
    }

    /// What it uses now; when it has ended, what it used. Reads two files of the kernel; without a group that counts, one for
    /// every process of the machine: ask once a second at most.
    pub fn usage(&self) -> Usage {
        if let Some((_, usage)) = *self.last.borrow() {
            return usage;
        }
        self.meters.as_ref().and_then(Meters::usage).unwrap_or_else(|| processes::tree(self.warden))
    }
}

impl MemoryLimit {
    /// What the inmate may have from now on, in bytes; if it has more, it is ended.
    pub fn set(&self, bytes: u64) {
        self.launcher.limit_memory(self.id, bytes);
    }
}

impl Drop for Inmate {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill();
        }
    }
}

impl std::fmt::Debug for Inmate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let socket = self.launcher.socket.as_raw_fd();
        formatter.debug_struct("Inmate").field("pid", &self.pid()).field("launcher", &socket).finish_non_exhaustive()
    }
}
