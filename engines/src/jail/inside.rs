//! What happens in the new process, from the fork to the program: layer after layer, and none is skipped when it fails.
//!
//! The first process of a cage stays as its *warden*: it takes in orphans, tells how the program ended, and takes everything
//! along when it ends. It has no rights that the program has not. The program is its child.

use std::ffi::{CString, OsStr};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal, setsid, umask,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde::{Deserialize, Serialize};

use super::confine::{self, Enforced};
use super::filter::{self, Compiled};
use super::layers::Active;
use super::raw::{self, Side};
use super::wire::{self, Failure, Plan, Step, Word};
use super::{LayerName, identity, root};

/// What the new process knows.
pub(super) struct Inside<'a> {
    pub(super) plan: &'a Plan,
    /// For the numbers of the plan, in their order.
    pub(super) files: &'a [OwnedFd],
    /// To the launcher.
    pub(super) line: OwnedFd,
    pub(super) active: &'a Active,
    /// As root: the user id to become.
    pub(super) uid: Option<u32>,
    pub(super) filter: &'a Compiled,
    /// Does a group of the kernel count its memory?
    pub(super) counted: bool,
    /// Stop before the program.
    pub(super) trial: bool,
}

/// Runs the warden, in a fresh child of the launcher.
pub(super) fn run(inside: &Inside<'_>) -> ! {
    // Unwinding further would run the launcher's loop a second time.
    let ended = catch_unwind(AssertUnwindSafe(|| warden(inside)));
    if let Ok(Err(failure)) = ended {
        let _ = wire::send(&inside.line, &Word::Failed(failure), &[]);
    }
    std::process::exit(0)
}

fn warden(inside: &Inside<'_>) -> Result<(), Failure> {
    let mut keep = vec![libc::STDERR_FILENO, inside.line.as_raw_fd()];
    keep.extend(inside.files.iter().map(AsRawFd::as_raw_fd));
    raw::close_all_but(&keep).step("close files")?;
    die_with_parent()?;
    wait_for_launcher(&inside.line)?;
    setsid().step("leave the session")?;
    umask(rustix::fs::Mode::from_raw_mode(0o022));
    name_host(inside.active)?;
    leave_cgroups(inside.active)?;
    if inside.active.has(LayerName::Root) {
        root::change(inside.plan, inside.uid, inside.active.has(LayerName::PidNamespace))?;
    }
    take_identity(inside)?;
    // A change of identity forgets it.
    die_with_parent()?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step("hide its memory")?;
    start(inside)
}

fn die_with_parent() -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL)).step("tie itself to its parent")
}

/// The launcher has something to do first. When it is gone, nobody answers.
fn wait_for_launcher(line: &OwnedFd) -> Result<(), Failure> {
    match wire::receive::<()>(line).step("listen to the launcher")? {
        Some(_) => Ok(()),
        None => Err(io::Error::from(io::ErrorKind::BrokenPipe)).step("listen to the launcher"),
    }
}

fn name_host(active: &Active) -> Result<(), Failure> {
    match active.has(LayerName::UtsNamespace) {
        true => rustix::system::sethostname(b"cage").step("name the host"),
        false => Ok(()),
    }
}

/// From inside, its own group is the top of all groups.
fn leave_cgroups(active: &Active) -> Result<(), Failure> {
    match active.has(LayerName::CgroupNamespace) {
        true => unshare(UnshareFlags::NEWCGROUP).step("make a cgroup namespace"),
        false => Ok(()),
    }
}

fn unshare(what: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: called with namespaces only, in a process of one thread: no descriptor or memory of anybody changes.
    unsafe { unshare_unsafe(what) }
}

/// As root, the user namespace is made last: what stands was mounted by the real root, and is out of the inmate's reach. An
/// ordinary user has been in it from the start, because it needs one to mount.
fn take_identity(inside: &Inside<'_>) -> Result<(), Failure> {
    let Some(uid) = inside.uid else {
        identity::bound_capabilities()?;
        identity::drop_capabilities()?;
        return identity::no_new_privileges();
    };
    identity::leave_groups()?;
    let mut own = uid;
    if inside.active.has(LayerName::UserNamespace) {
        unshare(UnshareFlags::NEWUSER).step("make a user namespace")?;
        wire::send(&inside.line, &Word::NeedsIdentity, &[]).step("tell the launcher")?;
        wait_for_launcher(&inside.line)?;
        own = identity::INSIDE;
    }
    identity::bound_capabilities()?;
    identity::become_user(own, own)?;
    identity::drop_capabilities()?;
    identity::no_new_privileges()
}

/// From the process that becomes the program to the warden; nothing at all when the program has taken over.
#[derive(Serialize, Deserialize)]
enum Note {
    Failed(Failure),
    Tried(Option<Enforced>),
}

fn start(inside: &Inside<'_>) -> Result<(), Failure> {
    let (reads, low) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).step("make a pipe")?;
    let writes = lift(low.as_fd())?;
    drop(low);
    let child = match raw::fork(0).step("start the program's process")? {
        Side::Child => become_program(inside, &writes),
        Side::Parent { child, .. } => child,
    };
    drop(writes);
    let mut note = Vec::new();
    std::fs::File::from(reads).read_to_end(&mut note).step("hear of the program")?;
    let word = match serde_json::from_slice(&note) {
        Ok(Note::Failed(failure)) => return Err(failure),
        Ok(Note::Tried(landlock)) => Word::Tried { landlock },
        Err(_nothing) => Word::Started,
    };
    let tell = |word: &Word| wire::send(&inside.line, word, &[]).step("tell the launcher");
    tell(&word)?;
    let status = loop {
        let (ended, status, _) = raw::wait(None).step("wait for the program")?;
        if ended == child {
            break status;
        }
    };
    tell(&Word::Ended { status })
}

fn become_program(inside: &Inside<'_>, writes: &OwnedFd) -> ! {
    let ended = catch_unwind(AssertUnwindSafe(|| confine(inside)));
    let note = match ended {
        Ok(Ok(landlock)) => Note::Tried(landlock),
        Ok(Err(failure)) => Note::Failed(failure),
        Err(_panic) => Note::Failed(Failure::new("prepare the program", &io::Error::other("panic"))),
    };
    if let (Ok(bytes), Ok(writes)) = (serde_json::to_vec(&note), writes.try_clone()) {
        let _ = std::fs::File::from(writes).write_all(&bytes);
    }
    std::process::exit(0)
}

/// Puts on the last layers and becomes the program; returns at a trial.
fn confine(inside: &Inside<'_>) -> Result<Option<Enforced>, Failure> {
    let Inside { plan, active, .. } = inside;
    die_with_parent()?;
    wire::send(&inside.line, &Word::Here, &[]).step("tell the launcher")?;
    let program = open_program(inside)?;
    let (arguments, environment) = (arguments(plan)?, environment(plan)?);
    let landlock = active.has(LayerName::Landlock).then(|| confine::landlock(plan)).transpose()?;
    let lifted = Lifted::of(inside, program)?;
    if active.has(LayerName::ResourceLimits) {
        confine::resource_limits(plan, inside.counted)?;
    }
    let given = lifted.give_numbers()?;
    raw::end_at_exec_all_but(&given).step("close files")?;
    raw::default_signals();
    if active.has(LayerName::Seccomp) {
        filter::apply(inside.filter).step("filter system calls")?;
    }
    match lifted.program {
        None => Ok(landlock),
        Some(program) => {
            let cause = raw::execute(program, &arguments, &environment);
            Err(cause).step(format!("start `{}`", plan.program.display()))
        }
    }
}

fn open_program(inside: &Inside<'_>) -> Result<Option<OwnedFd>, Failure> {
    if inside.trial {
        return Ok(None);
    }
    let program = &inside.plan.program;
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let opened = rustix::fs::open(program, flags, rustix::fs::Mode::empty());
    opened.map(Some).step(format!("open `{}`", program.display()))
}

/// Open files, out of the way of the numbers that they will get.
struct Lifted {
    numbered: Vec<(OwnedFd, i32)>,
    program: Option<OwnedFd>,
}

/// A copy whose number is above all that a program is given.
fn lift(file: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    rustix::io::fcntl_dupfd_cloexec(file, wire::NUMBER_MAX + 1).step("number open files")
}

impl Lifted {
    fn of(inside: &Inside<'_>, program: Option<OwnedFd>) -> Result<Self, Failure> {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").step("open `/dev/null`")?;
        let mut numbered = Vec::new();
        for standard in 0..=2 {
            if !inside.plan.numbers.contains(&standard) {
                numbered.push((lift(null.as_fd())?, standard));
            }
        }
        for (file, number) in inside.files.iter().zip(&inside.plan.numbers) {
            numbered.push((lift(file.as_fd())?, *number));
        }
        let program = program.map(|program| lift(program.as_fd())).transpose()?;
        Ok(Self { numbered, program })
    }

    /// The numbers that the program will find.
    fn give_numbers(&self) -> Result<Vec<i32>, Failure> {
        for (file, number) in &self.numbered {
            raw::number(file, *number).step("number open files")?;
        }
        Ok(self.numbered.iter().map(|(_, number)| *number).collect())
    }
}

fn arguments(plan: &Plan) -> Result<Vec<CString>, Failure> {
    let all = std::iter::once(plan.program.as_os_str()).chain(plan.arguments.iter().map(AsRef::as_ref));
    all.map(|argument| text(argument.as_bytes().to_vec())).collect()
}

fn environment(plan: &Plan) -> Result<Vec<CString>, Failure> {
    let pair = |(name, value): &(std::ffi::OsString, std::ffi::OsString)| {
        text([name.as_bytes(), OsStr::new("=").as_bytes(), value.as_bytes()].concat())
    };
    plan.environment.iter().map(pair).collect()
}

fn text(bytes: Vec<u8>) -> Result<CString, Failure> {
    CString::new(bytes).map_err(io::Error::from).step("pass arguments and environment")
}
