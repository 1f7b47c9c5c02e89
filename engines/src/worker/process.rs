//! One workerd process in its jail: started, watched, and ended with what holds it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use ports::BoxError;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::calls::Calls;
use super::config::{self, File};
use super::connections::{self, Broken, Connection, Connections, RequestBody};
use super::folder::Folder;
use super::locked;
use super::meter::Meter;
use super::output::{LastWords, Output};
use crate::jail::{Bind, Cage, Exit, Filter, Inmate, Jail, JailError, MemoryLimit};

/// From the start to the open socket, on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(10);
/// How long an event loop may stand still when its process is suspected.
const PROBE_TIME_MAX: Duration = Duration::from_millis(500);
/// To read what an ended process wrote.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(1);
/// What the runtime needs beside the memory of a function.
const RUNTIME_MEMORY_BYTES: u64 = 128 << 20;
const PROCESSES_MAX: u32 = 32;
const FILES_MAX: u32 = 4096;
/// Numbers of open files inside: what is listened on, and where it is said that this has begun.
const HTTP_DESCRIPTOR: i32 = 3;
const PROBE_DESCRIPTOR: i32 = 4;
const CONTROL_DESCRIPTOR: i32 = 5;

/// Why a process did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("make the folder of the process")]
    Folder(#[source] io::Error),
    #[error("start the process in its jail")]
    Jail(#[from] JailError),
    #[error("draw a name")]
    Chance(#[source] getrandom::Error),
    #[error("the process ended while it started: {0}")]
    Ended(String),
    #[error("the process was not ready within {} s", START_TIME_MAX.as_secs())]
    Slow,
}

/// What starts processes.
pub(super) struct Launcher {
    pub(super) jail: Arc<Jail>,
    pub(super) program: PathBuf,
    /// What the program is linked with.
    pub(super) libraries: Vec<Bind>,
    /// Where folders of processes are made.
    pub(super) folders: PathBuf,
    pub(super) runtime: Handle,
}

/// What a process is started with.
pub(super) struct Start {
    pub(super) files: Vec<File>,
    /// The name of the header in which a request brings the facts of its call.
    pub(super) facts_header: String,
    pub(super) memory_mb: u32,
    /// Can code be loaded into it?
    pub(super) loader: bool,
}

/// How a process ended.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) exit: Exit,
    /// Why we ended it, if we did.
    pub(super) why: Option<&'static str>,
    pub(super) last_words: String,
}

/// A process. Dropping it ends it.
pub(super) struct Process {
    pub(super) calls: Arc<Calls>,
    pub(super) meter: Meter,
    memory_limit: Option<MemoryLimit>,
    output: Arc<Output>,
    connections: Connections,
    folder: Folder,
    facts_header: String,
    runtime: Handle,
    vital: Arc<Vital>,
    /// Requests at this moment, WebSockets among them.
    pub(super) in_flight: AtomicUsize,
    /// Requests so far.
    pub(super) served: AtomicU64,
    used: Mutex<Instant>,
    looked_after: AtomicBool,
    _end: DropGuard,
}

/// What stays while the process itself is being ended.
struct Vital {
    stop: CancellationToken,
    why: Mutex<Option<&'static str>>,
    ended: watch::Sender<Option<Ending>>,
}

impl Process {
    pub(super) async fn start(
        launcher: &Launcher,
        start: Start,
        place: OwnedSemaphorePermit,
    ) -> Result<Arc<Self>, StartError> {
        let Start { files, facts_header, memory_mb, loader } = start;
        let parent = launcher.folders.clone();
        let made = tokio::task::spawn_blocking(move || make_folder(&parent, &files)).await;
        let Made { folder, http, probe, host } =
            made.map_err(|cause| StartError::Folder(io::Error::other(cause)))??;
        let (said, says) = io::pipe().map_err(StartError::Folder)?;
        let said = pipe::Receiver::from_owned_fd(said.into()).map_err(StartError::Folder)?;
        let descriptors = vec![(http, HTTP_DESCRIPTOR), (probe, PROBE_DESCRIPTOR), (says.into(), CONTROL_DESCRIPTOR)];
        let cage = cage(launcher, &folder, memory_mb, loader, descriptors);
        let mut inmate = launcher.jail.launch(cage).await?;
        let calls = Arc::new(Calls::default());
        let stdout = inmate.stdout.take().ok_or_else(|| StartError::Ended("it has no output".into()))?;
        let output = Arc::new(Output::new(stdout, calls.clone()).map_err(StartError::Folder)?);
        let words = Arc::new(LastWords::default());
        let vital =
            Arc::new(Vital { stop: CancellationToken::new(), why: Mutex::default(), ended: watch::Sender::new(None) });
        let process = Arc::new(Self {
            meter: Meter::of(inmate.pid()),
            memory_limit: inmate.memory_limit(),
            output: output.clone(),
            connections: Connections::default(),
            folder,
            facts_header,
            runtime: launcher.runtime.clone(),
            in_flight: AtomicUsize::new(0),
            served: AtomicU64::new(0),
            used: Mutex::new(Instant::now()),
            looked_after: AtomicBool::new(false),
            _end: vital.stop.clone().drop_guard(),
            vital: vital.clone(),
            calls: calls.clone(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn_on(async move { output.read().await }, &launcher.runtime);
        if let Some(stderr) = inmate.stderr.take() {
            let words = words.clone();
            tasks.spawn_on(async move { words.read(stderr).await }, &launcher.runtime);
        }
        let house = tokio::net::UnixListener::from_std(host).map_err(StartError::Folder)?;
        let house = super::house::serve(house, calls, process.facts_header.as_str().into());
        launcher.runtime.spawn(supervise(inmate, tasks, house, (words, vital), place));
        process.ready(said).await?;
        Ok(process)
    }

    /// Waits until the process says that it listens.
    async fn ready(&self, said: pipe::Receiver) -> Result<(), StartError> {
        let mut ended = self.vital.ended.subscribe();
        let listening = async {
            let mut byte = [0; 1];
            loop {
                said.readable().await?;
                match said.try_read(&mut byte) {
                    Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
                    // Closed without a word: it is about to end.
                    Ok(0) => std::future::pending().await,
                    said => return said.map(drop),
                }
            }
        };
        let watched = async {
            tokio::select! {
                listening = listening => listening.map_err(StartError::Folder),
                ending = ended.wait_for(Option::is_some) => Err(StartError::Ended(last_words(ending.ok().as_deref()))),
            }
        };
        tokio::time::timeout(START_TIME_MAX, watched).await.unwrap_or(Err(StartError::Slow))
    }

    /// Sends a request, with what its call is to know and the scheme that the client used, if that was not `http`.
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
        facts: &str,
        is_secure: bool,
    ) -> Result<(Response<Incoming>, Connection), Broken> {
        let facts = HeaderValue::from_str(facts).expect("the JSON is plain ASCII");
        let name = |name: &str| HeaderName::try_from(name).expect("made of plain letters");
        request.headers_mut().append(name(&self.facts_header), facts);
        if is_secure {
            let scheme = name(&config::scheme_header(&self.facts_header));
            request.headers_mut().append(scheme, HeaderValue::from_static("https"));
        }
        self.connections.send(&self.folder, request).await
    }

    /// Hands code to a process that waits for it. What it says of the code comes back.
    pub(super) async fn load(&self, code: Vec<u8>) -> Result<Vec<u8>, BoxError> {
        let body = RequestBody::new(Full::from(code).map_err(|never| match never {}));
        let request = Request::post("/").header(http::header::HOST, "orama").body(body)?;
        let (reply, connection) = self.connections.send(&self.folder, request).await?;
        let whole = reply.into_body().collect().await?.to_bytes();
        self.keep(connection);
        Ok(whole.into())
    }

    /// Returns when the event loop has turned.
    async fn probe(&self) -> Result<(), Broken> {
        connections::is_answered(&self.folder, config::PROBE_SOCKET).await
    }

    /// Gives it no more memory than a function of this much has; false where nobody could hold it to that.
    pub(super) fn shrink(&self, memory_mb: u32) -> bool {
        let limit = self.memory_limit.as_ref();
        limit.inspect(|limit| limit.set(memory_bytes_max(memory_mb))).is_some()
    }

    pub(super) fn keep(&self, connection: Connection) {
        self.connections.keep(connection);
    }

    /// Reads every line that was written before the reply that has just ended.
    pub(super) fn drain_output(&self) {
        self.output.drain();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.vital.stop.is_cancelled() || self.vital.ended.borrow().is_some()
    }

    /// Returns when it has ended.
    pub(super) async fn ended(&self) {
        // The sender is ours, and outlives this.
        let _ = self.vital.ended.subscribe().wait_for(Option::is_some).await;
    }

    /// How it ended, when it has, or does so within `time_max`.
    pub(super) async fn ending(&self, time_max: Duration) -> Option<Ending> {
        let mut ended = self.vital.ended.subscribe();
        let ended = tokio::time::timeout(time_max, ended.wait_for(Option::is_some)).await.ok()?;
        ended.ok().and_then(|ending| ending.clone())
    }

    /// A call went on for too long, or nobody waits for it any more: ends the process unless it answers, at `until` at the
    /// latest or very soon.
    pub(super) fn suspect(self: &Arc<Self>, until: Instant) {
        let until = until.max(Instant::now() + PROBE_TIME_MAX);
        let process = Arc::downgrade(self);
        let vital = self.vital.clone();
        self.runtime.spawn(async move {
            let asked = async {
                if let Some(process) = process.upgrade() {
                    // A connection that breaks off tells nothing of a loop that stands still.
                    drop(process.probe().await);
                }
            };
            if tokio::time::timeout_at(until.into(), asked).await.is_err() {
                vital.end("a call of the function went on past its deadline");
            }
        });
    }

    /// Is the event loop alive? For WebSockets, which have no deadline: one probe at a time, with as much time as a call has.
    pub(super) fn look_after(self: &Arc<Self>, time_max: Duration) {
        if self.looked_after.swap(true, Ordering::AcqRel) {
            return;
        }
        let (process, vital) = (self.clone(), self.vital.clone());
        self.runtime.spawn(async move {
            let asked = tokio::time::timeout(time_max + PROBE_TIME_MAX, process.probe()).await;
            if asked.is_err() {
                vital.end("its event loop stood still for longer than a call may take");
            }
            process.looked_after.store(false, Ordering::Release);
        });
    }

    pub(super) fn touch(&self) {
        *locked(&self.used) = Instant::now();
    }

    /// How long nobody has asked anything of it; nothing while somebody does.
    pub(super) fn idle(&self) -> Option<Duration> {
        let used = locked(&self.used).elapsed();
        (self.in_flight.load(Ordering::Relaxed) == 0).then_some(used)
    }
}

impl Vital {
    fn end(&self, why: &'static str) {
        locked(&self.why).get_or_insert(why);
        self.stop.cancel();
    }
}

struct Made {
    folder: Folder,
    http: OwnedFd,
    probe: OwnedFd,
    host: std::os::unix::net::UnixListener,
}

fn make_folder(parent: &Path, files: &[File]) -> Result<Made, StartError> {
    let make = || {
        let folder = Folder::make(parent)?;
        for (name, text) in files {
            folder.write(name, text.as_bytes())?;
        }
        let listen = |name| folder.listen(name);
        let (http, probe) = (listen(config::HTTP_SOCKET)?.into(), listen(config::PROBE_SOCKET)?.into());
        let host = listen(config::HOST_SOCKET)?;
        host.set_nonblocking(true)?;
        Ok(Made { folder, http, probe, host })
    };
    make().map_err(StartError::Folder)
}

fn cage(launcher: &Launcher, folder: &Folder, memory_mb: u32, loader: bool, descriptors: Vec<(OwnedFd, i32)>) -> Cage {
    let mut arguments = vec![
        "serve".into(),
        format!("{}/{}", config::PLACE, config::FILE).into(),
        format!("--socket-fd=http={HTTP_DESCRIPTOR}").into(),
        format!("--socket-fd=probe={PROBE_DESCRIPTOR}").into(),
        format!("--control-fd={CONTROL_DESCRIPTOR}").into(),
    ];
    if loader {
        arguments.push("--experimental".into());
    }
    let mut binds = launcher.libraries.clone();
    binds.push(Bind::read_only(folder.path(), config::PLACE));
    Cage {
        arguments,
        binds,
        memory_bytes: memory_bytes_max(memory_mb),
        processes_max: PROCESSES_MAX,
        files_max: FILES_MAX,
        descriptors,
        ..Cage::new(launcher.program.clone(), Filter::Runtime)
    }
}

/// What a process may hold that runs a function of this much memory.
pub(super) fn memory_bytes_max(memory_mb: u32) -> u64 {
    (u64::from(memory_mb) << 20) + RUNTIME_MEMORY_BYTES
}

/// Lives as long as the inmate, and ends it when it is told to. The place is another's as soon as it has ended, whoever still
/// has something of it.
async fn supervise(
    mut inmate: Inmate,
    mut tasks: JoinSet<()>,
    house: impl Future<Output = ()>,
    (words, vital): (Arc<LastWords>, Arc<Vital>),
    place: OwnedSemaphorePermit,
) {
    let exit = {
        tokio::pin!(house);
        tokio::select! {
            exit = inmate.wait() => Some(exit),
            () = vital.stop.cancelled() => None,
            () = &mut house => None,
        }
    };
    let exit = match exit {
        Some(exit) => exit,
        None => {
            inmate.kill();
            inmate.wait().await
        }
    };
    drop(place);
    // What it wrote at last is in the pipes.
    let _ = tokio::time::timeout(LAST_WORDS_TIME_MAX, async { while tasks.join_next().await.is_some() {} }).await;
    let why = *locked(&vital.why);
    vital.ended.send_replace(Some(Ending { exit, why, last_words: words.text() }));
    vital.stop.cancel();
}

fn last_words(ending: Option<&Option<Ending>>) -> String {
    let words = ending.and_then(|ending| ending.as_ref()).map(|ending| ending.last_words.trim().to_owned());
    words.unwrap_or_default()
}
