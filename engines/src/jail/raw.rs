//! System calls that no safe wrapper offers, and nothing else.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::process::Pid;

fn checked(answer: libc::c_long) -> io::Result<libc::c_long> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Which side of [`fork`] this is.
pub(super) enum Side {
    Child,
    Parent { child: Pid, handle: OwnedFd },
}

/// `struct clone_args`, as far as Linux 5.5 has it.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// `struct mount_attr`.
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Copies this process, into new namespaces for each `CLONE_NEW…` in `namespaces`.
///
/// # Errors
/// Also when this process has more than one thread: the child would have one, and locks that the others held.
pub(super) fn fork(namespaces: u64) -> io::Result<Side> {
    if std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() != 1) {
        return Err(io::Error::other("a process of several threads cannot fork"));
    }
    let mut handle: RawFd = -1;
    let mut arguments = CloneArguments {
        flags: namespaces | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut handle as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArguments::default()
    };
    // SAFETY: without CLONE_VM the child has a copy of everything, and without other threads no lock is held in it. The
    // arguments live until the call returns, and `handle` is where the kernel writes one descriptor.
    let child = checked(unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArguments>()) })?;
    match Pid::from_raw(child as i32) {
        None => Ok(Side::Child),
        // SAFETY: the kernel has just made this descriptor, for us alone.
        Some(child) => Ok(Side::Parent { child, handle: unsafe { OwnedFd::from_raw_fd(handle) } }),
    }
}

/// Waits for a child that has ended or will soon: its status and the processor time of it and of those it waited for.
/// `None` waits for any child; without a child that is an error.
pub(super) fn wait(child: Option<Pid>) -> io::Result<(Pid, i32, Duration)> {
    let mut status = 0;
    // SAFETY: all fields are integers, for which zero is a value.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    let which = child.map_or(-1, |child| child.as_raw_nonzero().get());
    let ended = loop {
        // SAFETY: both pointers are to values of ours that live until the call returns.
        match checked(unsafe { libc::wait4(which, &mut status, 0, &mut used) }.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    let ended = Pid::from_raw(ended as i32).ok_or_else(|| io::Error::other("no child has ended"))?;
    Ok((ended, status, time(used.ru_utime) + time(used.ru_stime)))
}

fn time(of: libc::timeval) -> Duration {
    Duration::from_secs(of.tv_sec.max(0) as u64) + Duration::from_micros(of.tv_usec.max(0) as u64)
}

/// Gives `file` the number `number`, in place of what had it. The copy stays open when a program is started.
pub(super) fn number(file: impl AsFd, number: RawFd) -> io::Result<()> {
    // SAFETY: no value owns the number: it is that of a standard file, or the caller is about to become another program and
    // has lifted all of its own above.
    checked(unsafe { libc::dup2(file.as_fd().as_raw_fd(), number) }.into()).map(drop)
}

/// Closes every open file but those of `keep`; whoever owns one must not use or close it again.
pub(super) fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    for (first, last) in gaps(keep) {
        // SAFETY: called in a fresh child, where the owners of these numbers are copies that are never used or dropped.
        checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
    }
    Ok(())
}

/// Marks every open file but those of `keep` to be closed when a program is started.
pub(super) fn end_at_exec_all_but(keep: &[RawFd]) -> io::Result<()> {
    for (first, last) in gaps(keep) {
        // SAFETY: changes a flag of descriptors, and touches no memory.
        checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) })?;
    }
    Ok(())
}

/// The ranges of numbers between those of `keep`.
fn gaps(keep: &[RawFd]) -> Vec<(u32, u32)> {
    let mut kept: Vec<u32> = keep.iter().filter_map(|number| u32::try_from(*number).ok()).collect();
    kept.sort_unstable();
    let mut gaps = Vec::new();
    let mut first = 0;
    for number in kept {
        if first < number {
            gaps.push((first, number - 1));
        }
        first = number + 1;
    }
    gaps.push((first, u32::MAX));
    gaps
}

/// Sets flags (`MOUNT_ATTR_…`) on a mount, and with `recursive` on all below it.
pub(super) fn set_mount_flags(mount: impl AsFd, flags: u64, recursive: bool) -> io::Result<()> {
    let mut attributes = MountAttributes { attr_set: flags, ..MountAttributes::default() };
    let how = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let (mount, size) = (mount.as_fd().as_raw_fd(), size_of::<MountAttributes>());
    // SAFETY: the path is empty and ends with NUL; the attributes live until the call returns, and their size is given.
    checked(unsafe { libc::syscall(libc::SYS_mount_setattr, mount, c"".as_ptr(), how, &raw mut attributes, size) })
        .map(drop)
}

/// Signals do what they do in a fresh process: Rust ignores SIGPIPE, and programs inherit that.
pub(super) fn default_signals() {
    // SAFETY: sets a disposition, no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Becomes the program in `file`. Returns only when that fails.
pub(super) fn execute(file: impl AsFd, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| {
        let mut pointers: Vec<*const libc::c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        pointers.push(std::ptr::null());
        pointers
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    let file = file.as_fd().as_raw_fd();
    // SAFETY: both lists end with null, and their texts end with NUL and outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file,
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// Makes a system call to see whether it is let through. For attacks alone, which pass constants: none may be an address.
pub(super) fn attempt(number: libc::c_long, arguments: [libc::c_long; 4]) -> io::Result<libc::c_long> {
    let [first, second, third, fourth] = arguments;
    // SAFETY: no argument is a pointer into our memory: who calls passes flags, process ids and zeroes, so that the kernel
    // can neither read nor write anything here.
    checked(unsafe { libc::syscall(number, first, second, third, fourth, 0, 0) })
}
