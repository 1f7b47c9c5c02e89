//! The launcher: a process of one thread that makes cages for a server, watches them, and ends with it.
//!
//! It waits for everything at once and never for one cage: a slow start delays no kill.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, getegid, geteuid, pidfd_send_signal};

use super::cgroup::{Controller, Group, Groups};
use super::confine::Enforced;
use super::filter::{self, Compiled};
use super::inside::{self, Inside};
use super::layers::{self, Active};
use super::raw::{self, Side};
use super::wire::{self, Failure, LauncherConfig, Order, Plan, Report, Step, Word};
use super::{Cage, Exit, Filter, LayerName, Usage, identity, processes};

/// How long a program may take to take over.
const START_MAX: Duration = Duration::from_secs(10);
/// How often is looked after those whose memory no group counts, groups that are not yet empty, and starts.
const ROUND: Duration = Duration::from_millis(50);

/// Runs the launcher: `orama __helper jail CONFIG`, with standard input as the socket of its server.
pub(crate) fn main(config: Option<std::ffi::OsString>) -> ExitCode {
    let config = config.and_then(|text| serde_json::from_str(text.to_str()?).ok());
    let Some(config) = config else {
        eprintln!("error: the launcher of cages is started by the server itself");
        return ExitCode::from(2);
    };
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("error: the launcher of cages failed: {cause}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: LauncherConfig) -> io::Result<()> {
    // Ctrl-C is for the server, which ends its calls first.
    let _ = rustix::process::setsid();
    // Orphans of a warden that dies come here, and are reaped.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let server = std::io::stdin().as_fd().try_clone_to_owned()?;
    raw::number(std::fs::File::open("/dev/null")?, libc::STDIN_FILENO)?;
    let mut launcher = Launcher::prepare(server, config)?;
    let served = launcher.run();
    launcher.end_all();
    served
}

/// What is the same for all cages.
struct Launcher {
    server: OwnedFd,
    config: LauncherConfig,
    groups: Groups,
    active: Active,
    is_root: bool,
    filters: [(Filter, Compiled); 2],
    wards: HashMap<u64, Ward>,
    /// Groups of inmates that are gone, in which somebody is still dying.
    emptying: Vec<Group>,
    uids_given: u32,
}

/// A cage and whoever is in it.
struct Ward {
    /// The warden.
    pid: Pid,
    program: Option<Pid>,
    handle: OwnedFd,
    /// To the warden; gone when it has nothing more to say.
    line: Option<OwnedFd>,
    group: Option<Group>,
    uid: Option<u32>,
    memory_bytes: u64,
    since: Instant,
    stage: Stage,
    over_memory: bool,
    /// Processor time when it was killed: the kernel forgets that of who dies with the warden.
    cpu: Duration,
}

enum Stage {
    Starting,
    Failed(Failure),
    Running,
    /// The program ended with this status of `wait`.
    Ended(i32),
    Tried(Option<Enforced>),
}

impl Launcher {
    fn prepare(server: OwnedFd, config: LauncherConfig) -> io::Result<Self> {
        let wanted = |controller| {
            let layer = match controller {
                Controller::Memory => LayerName::MemoryGroup,
                Controller::Processes => LayerName::ProcessGroup,
                Controller::Cpu | Controller::CpuTime => LayerName::CpuGroup,
            };
            !config.without.contains(&layer)
        };
        let groups = Groups::find(wanted);
        groups.remove_leftovers();
        let is_root = geteuid().is_root();
        let active = Active::probe(&config, &groups, is_root);
        let of = |profile| Ok::<_, io::Error>((profile, filter::compile(profile)?));
        let filters = [of(Filter::Runtime)?, of(Filter::Native)?];
        // Two servers on one machine begin at different places of the range.
        let uids_given = std::process::id().wrapping_mul(127) % config.uid_count.max(1);
        let (wards, emptying) = (HashMap::new(), Vec::new());
        let mut launcher = Self { server, config, groups, active, is_root, filters, wards, emptying, uids_given };
        let trial = launcher.try_out();
        if let Ok(Some(Enforced::Nothing)) = trial {
            launcher.active.remove(LayerName::Landlock);
        }
        let ready = layers::ready(&launcher.config, &launcher.active, &launcher.groups, &trial);
        wire::send(&launcher.server, &Report::Ready(ready), &[])?;
        Ok(launcher)
    }

    /// Makes one cage without a program, with a profile that needs everything.
    fn try_out(&mut self) -> Result<Option<Enforced>, Failure> {
        let (plan, _, _) = Plan::of(Cage::new("/", Filter::Runtime));
        let mut ward = self.start(0, &plan, &[], true)?;
        let until = Instant::now() + START_MAX;
        while Instant::now() < until {
            let Some(line) = &ward.line else { break };
            let mut heard = [PollFd::from_borrowed_fd(line.as_fd(), PollFlags::IN)];
            if poll(&mut heard, Some(&timespec(ROUND))).is_ok_and(|ready| ready > 0) {
                self.listen(&mut ward);
            }
        }
        ward.kill();
        let _ = raw::wait(Some(ward.pid));
        self.discard(&mut ward);
        match ward.stage {
            Stage::Tried(landlock) => Ok(landlock),
            Stage::Failed(failure) => Err(failure),
            _ => Err(Failure::new("try out a cage", &io::Error::from(io::ErrorKind::TimedOut))),
        }
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            for id in ready.wards {
                self.look_after(id)?;
            }
            self.emptying.retain_mut(|group| !group.remove());
            self.watch();
            if ready.server && !self.obey()? {
                return Ok(());
            }
        }
    }

    /// Waits until somebody has something to say.
    fn wait(&self) -> io::Result<Ready> {
        let watched = |ward: &Ward| ward.group.as_ref().is_none_or(|group| group.meters().is_none());
        let often = !self.emptying.is_empty()
            || self.wards.values().any(|ward| watched(ward) || matches!(ward.stage, Stage::Starting));
        let mut fds = vec![PollFd::from_borrowed_fd(self.server.as_fd(), PollFlags::IN)];
        let mut ids = Vec::new();
        for (id, ward) in &self.wards {
            let descriptors = [Some(&ward.handle), ward.line.as_ref()];
            for descriptor in descriptors.into_iter().flatten() {
                fds.push(PollFd::from_borrowed_fd(descriptor.as_fd(), PollFlags::IN));
                ids.push(*id);
            }
        }
        let timeout = often.then(|| timespec(ROUND));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let server = !fds[0].revents().is_empty();
        let mut wards: Vec<u64> =
            fds[1..].iter().zip(ids).filter(|(fd, _)| !fd.revents().is_empty()).map(|(_, id)| id).collect();
        wards.dedup();
        Ok(Ready { server, wards })
    }

    /// Does what the server asks; `false` when it is gone.
    fn obey(&mut self) -> io::Result<bool> {
        let received = match wire::receive::<Order>(&self.server) {
            Ok(Some(received)) => received,
            Ok(None) => return Ok(false),
            Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => return Ok(false),
            Err(error) => return Err(error),
        };
        let files = received.files;
        match received.message {
            Order::Launch { id, plan } => match self.start(id, &plan, &files, false) {
                Ok(ward) => drop(self.wards.insert(id, ward)),
                Err(failure) => self.report(&Report::NotStarted { id, failure })?,
            },
            Order::Kill { id } => {
                if let Some(ward) = self.wards.get_mut(&id) {
                    ward.kill();
                }
            }
            Order::Limit { id, memory_bytes } => {
                if let Some(ward) = self.wards.get_mut(&id) {
                    ward.limit_memory(memory_bytes);
                }
            }
        }
        Ok(true)
    }

    fn report(&self, report: &Report) -> io::Result<()> {
        match wire::send(&self.server, report, &[]) {
            // It is gone; the next look at its socket says so.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    fn start(&mut self, id: u64, plan: &Plan, files: &[OwnedFd], trial: bool) -> Result<Ward, Failure> {
        self.check_writable(plan).step("bind a folder to write into")?;
        let uid = if self.is_root { Some(self.free_uid()?) } else { None };
        let mut group = self.groups.make(id, plan).step("make a group")?;
        let ward = self.fork(plan, files, uid, &group, trial);
        match ward {
            Ok((pid, handle, line)) => {
                let (memory_bytes, since) = (plan.memory_bytes, Instant::now());
                let (line, group, stage) = (Some(line), Some(group), Stage::Starting);
                let (over_memory, cpu) = (false, Duration::ZERO);
                let program = None;
                Ok(Ward { pid, program, handle, line, group, uid, memory_bytes, since, stage, over_memory, cpu })
            }
            Err(failure) => {
                if !group.remove() {
                    self.emptying.push(group);
                }
                Err(failure)
            }
        }
    }

    /// Who asks may have given up the rights that we use for it.
    fn check_writable(&self, plan: &Plan) -> io::Result<()> {
        for bind in plan.binds.iter().filter(|bind| bind.writable) {
            let from = bind.from.canonicalize()?;
            if !self.config.writable_below.as_ref().is_some_and(|folder| from.starts_with(folder)) {
                let text = format!("`{}` lies outside of what cages may write into", from.display());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
        }
        Ok(())
    }

    /// A user id that no inmate has at this moment.
    fn free_uid(&mut self) -> Result<u32, Failure> {
        for _ in 0..self.config.uid_count {
            self.uids_given = (self.uids_given + 1) % self.config.uid_count;
            let uid = self.config.uid_first.wrapping_add(self.uids_given);
            if uid >= 1000 && uid != u32::MAX && !self.wards.values().any(|ward| ward.uid == Some(uid)) {
                return Ok(uid);
            }
        }
        Err(io::Error::other("every user id of the range is in use")).step("find a user id")
    }

    fn fork(
        &self,
        plan: &Plan,
        files: &[OwnedFd],
        uid: Option<u32>,
        group: &Group,
        trial: bool,
    ) -> Result<(Pid, OwnedFd, OwnedFd), Failure> {
        let (ours, theirs) = wire::pair().step("make a line")?;
        wire::tell_senders(&ours).step("make a line")?;
        let filter = self.filters.iter().find(|(profile, _)| *profile == plan.filter);
        let (_, filter) = filter.ok_or_else(|| io::Error::other("no such profile")).step("find the filter")?;
        match raw::fork(self.namespaces()).step("make namespaces")? {
            Side::Child => {
                let (active, counted) = (&self.active, self.active.has(LayerName::MemoryGroup));
                inside::run(&Inside { plan, files, line: theirs, active, uid, filter, counted, trial })
            }
            Side::Parent { child, handle } => match self.let_go(child, uid, group, &ours) {
                Ok(()) => Ok((child, handle, ours)),
                Err(failure) => {
                    let _ = pidfd_send_signal(&handle, Signal::KILL);
                    let _ = raw::wait(Some(child));
                    Err(failure)
                }
            },
        }
    }

    /// The new process waits for its group, and an ordinary user's for its identity.
    fn let_go(&self, child: Pid, uid: Option<u32>, group: &Group, line: &OwnedFd) -> Result<(), Failure> {
        group.add(child).step("make a group")?;
        if uid.is_none() && self.active.has(LayerName::UserNamespace) {
            identity::map(child, geteuid().as_raw(), getegid().as_raw()).step("map the user")?;
        }
        wire::send(line, &(), &[]).step("talk to the warden")
    }

    fn namespaces(&self) -> u64 {
        let flags = [
            (LayerName::PidNamespace, libc::CLONE_NEWPID),
            (LayerName::NetworkNamespace, libc::CLONE_NEWNET),
            (LayerName::IpcNamespace, libc::CLONE_NEWIPC),
            (LayerName::UtsNamespace, libc::CLONE_NEWUTS),
            (LayerName::Root, libc::CLONE_NEWNS),
        ];
        let chosen = flags.iter().filter(|(layer, _)| self.active.has(*layer)).map(|(_, flag)| *flag);
        let of_user = (!self.is_root && self.active.has(LayerName::UserNamespace)).then_some(libc::CLONE_NEWUSER);
        chosen.chain(of_user).fold(0, |all, flag| all | flag as u64)
    }

    /// Hears a warden, and buries it when it is dead.
    fn look_after(&mut self, id: u64) -> io::Result<()> {
        let Some(mut ward) = self.wards.remove(&id) else { return Ok(()) };
        while ward.line.as_ref().is_some_and(|line| readable(line.as_fd())) {
            let was_starting = matches!(ward.stage, Stage::Starting);
            self.listen(&mut ward);
            if was_starting && matches!(ward.stage, Stage::Running) {
                let group = ward.group.as_ref().and_then(Group::meters);
                let warden = ward.pid.as_raw_nonzero().get();
                let program = ward.program.unwrap_or(ward.pid).as_raw_nonzero().get();
                self.report(&Report::Launched { id, warden, program, group })?;
            }
        }
        match readable(ward.handle.as_fd()) {
            true => self.bury(id, ward),
            false => {
                self.wards.insert(id, ward);
                Ok(())
            }
        }
    }

    /// Takes one word of a warden.
    fn listen(&self, ward: &mut Ward) {
        let Some(line) = &ward.line else { return };
        let Ok(Some(received)) = wire::receive::<Word>(line) else {
            ward.line = None;
            return;
        };
        match received.message {
            Word::NeedsIdentity => {
                let uid = ward.uid.unwrap_or(identity::INSIDE);
                let mapped = identity::map(ward.pid, uid, uid).step("map the user");
                if let Err(failure) = mapped.and_then(|()| wire::send(line, &(), &[]).step("talk to the warden")) {
                    ward.stage = Stage::Failed(failure);
                    ward.kill();
                }
            }
            Word::Here => ward.program = received.sender,
            Word::Failed(failure) => ward.stage = Stage::Failed(failure),
            Word::Started => ward.stage = Stage::Running,
            Word::Tried { landlock } => ward.stage = Stage::Tried(landlock),
            Word::Ended { .. } if matches!(ward.stage, Stage::Tried(_)) => {}
            Word::Ended { status } => ward.stage = Stage::Ended(status),
        }
    }

    fn bury(&mut self, id: u64, mut ward: Ward) -> io::Result<()> {
        let (_, status, cpu) = raw::wait(Some(ward.pid))?;
        let over = ward.over_memory || ward.group.as_ref().is_some_and(Group::out_of_memory);
        let counted = ward.group.as_ref().and_then(Group::meters).and_then(|meters| meters.usage());
        self.discard(&mut ward);
        let counted = counted.map_or(ward.cpu, |usage| usage.cpu);
        let usage = Usage { cpu: cpu.max(counted), resident_bytes: 0 };
        let report = match ward.stage {
            Stage::Failed(failure) => Report::NotStarted { id, failure },
            Stage::Starting => {
                let cause = io::Error::other(if over { "out of memory" } else { "it was killed" });
                Report::NotStarted { id, failure: Failure::new("start the program", &cause) }
            }
            // The warden was killed before it could tell.
            Stage::Running | Stage::Tried(_) => Report::Ended { id, exit: exit(status, over), usage },
            Stage::Ended(status) => Report::Ended { id, exit: exit(status, over), usage },
        };
        self.report(&report)
    }

    fn discard(&mut self, ward: &mut Ward) {
        if let Some(mut group) = ward.group.take()
            && !group.remove()
        {
            self.emptying.push(group);
        }
    }

    /// Ends who takes too long to start, and who uses too much memory where no group says so.
    fn watch(&mut self) {
        let watches = self.active.has(LayerName::Watchdog);
        for ward in self.wards.values_mut() {
            if matches!(ward.stage, Stage::Starting) && ward.since.elapsed() > START_MAX {
                let slow = io::Error::from(io::ErrorKind::TimedOut);
                ward.stage = Stage::Failed(Failure::new("start the program in time", &slow));
                ward.kill();
            }
            if watches && !ward.over_memory && processes::tree(ward.pid).resident_bytes > ward.memory_bytes {
                ward.over_memory = true;
                ward.kill();
            }
        }
    }

    fn end_all(&mut self) {
        for ward in self.wards.values() {
            ward.end();
        }
        for (_, mut ward) in std::mem::take(&mut self.wards) {
            let _ = raw::wait(Some(ward.pid));
            self.discard(&mut ward);
        }
        let until = Instant::now() + Duration::from_secs(1);
        while !self.emptying.is_empty() && Instant::now() < until {
            self.emptying.retain_mut(|group| !group.remove());
        }
    }
}

/// Who has something to say.
struct Ready {
    server: bool,
    wards: Vec<u64>,
}

impl Ward {
    /// Ends the warden, and with it everything in its namespace of processes.
    fn end(&self) {
        // It may have ended by itself.
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
    }

    /// Who cannot be held to a limit does not go on.
    fn limit_memory(&mut self, bytes: u64) {
        self.memory_bytes = bytes;
        if self.group.as_ref().is_some_and(|group| group.limit_memory(bytes).is_err()) {
            self.over_memory = true;
            self.kill();
        }
    }

    /// Ends it, and remembers what all of them used where no group does.
    fn kill(&mut self) {
        if self.group.as_ref().is_none_or(|group| group.meters().is_none()) {
            self.cpu = self.cpu.max(processes::tree(self.pid).cpu);
        }
        self.end();
    }
}

/// Would reading not wait? True also when the other end is gone.
fn readable(descriptor: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    poll(&mut fds, Some(&timespec(Duration::ZERO))).is_ok_and(|ready| ready > 0)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}

/// What a status of `wait` means (wait(2)).
fn exit(status: i32, over_memory: bool) -> Exit {
    match libc::WIFSIGNALED(status) {
        true if over_memory && libc::WTERMSIG(status) == libc::SIGKILL => Exit::OutOfMemory,
        true => Exit::Signal(libc::WTERMSIG(status)),
        false => Exit::Code(libc::WEXITSTATUS(status)),
    }
}
