//! Which system calls an inmate may make: lists of what is allowed, and everything else fails.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use super::Filter;

/// The programs that the kernel runs at each call: the newer the more it says.
pub(super) struct Compiled {
    /// Says of what newer kernels have that it does not exist, so that programs fall back.
    absent: BpfProgram,
    allowed: BpfProgram,
}

/// Compiles the filter of a profile.
pub(super) fn compile(filter: Filter) -> io::Result<Compiled> {
    let absent = ABSENT.iter().map(|number| (*number, Vec::new())).collect();
    Ok(Compiled {
        absent: program(absent, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?,
        allowed: program(allowed(filter)?, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?,
    })
}

/// Puts the filter on this process and all it starts, for ever.
pub(super) fn apply(filter: &Compiled) -> io::Result<()> {
    apply_filter(&filter.absent).map_err(io::Error::other)?;
    apply_filter(&filter.allowed).map_err(io::Error::other)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn program(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> io::Result<BpfProgram> {
    let architecture = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, architecture).map_err(io::Error::other)?;
    filter.try_into().map_err(io::Error::other)
}

fn allowed(filter: Filter) -> io::Result<Rules> {
    let of_profile = match filter {
        Filter::Runtime => OF_RUNTIMES,
        Filter::Native => &[],
    };
    let plain = COMMON.iter().chain(OF_ARCHITECTURE).chain(of_profile).chain(ABSENT);
    let mut rules: Rules = plain.map(|number| (*number, Vec::new())).collect();
    rules.extend(conditional(filter).map_err(io::Error::other)?);
    Ok(rules)
}

/// Calls that depend on an argument.
fn conditional(filter: Filter) -> Result<Rules, seccompiler::BackendError> {
    let families: &[i32] = match filter {
        Filter::Runtime => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6],
        Filter::Native => &[libc::AF_UNIX],
    };
    let one_of = |argument, values: &[u64]| -> Result<Vec<SeccompRule>, _> {
        let equals = |value: &u64| SeccompRule::new(vec![compare(argument, SeccompCmpOp::Eq, *value)?]);
        values.iter().map(equals).collect()
    };
    let families: Vec<u64> = families.iter().map(|family| *family as u64).collect();
    let no_namespace = compare_all(0, SeccompCmpOp::MaskedEq(NAMESPACES), 0)?;
    let no_input = vec![
        compare(1, SeccompCmpOp::Ne, libc::TIOCSTI)?,
        compare(1, SeccompCmpOp::Ne, libc::TIOCLINUX)?,
        compare(1, SeccompCmpOp::Ne, TIOCSETD)?,
    ];
    Ok(BTreeMap::from([
        (libc::SYS_socket, one_of(0, &families)?),
        (libc::SYS_clone, vec![SeccompRule::new(vec![no_namespace])?]),
        (libc::SYS_ioctl, vec![SeccompRule::new(no_input)?]),
        (libc::SYS_prctl, one_of(0, PRCTL)?),
    ]))
}

/// Compares the lower half of an argument, which is all that the kernel reads of it.
fn compare(argument: u8, how: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, how, value)
}

fn compare_all(argument: u8, how: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, how, value)
}

/// Flags of clone(2) that ask for a namespace.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// Changes what a terminal does with bytes; it has given rights to many.
const TIOCSETD: u64 = 0x5423;

/// What prctl(2) may be asked for: names, and what a process says about itself.
const PRCTL: &[u64] = &[
    libc::PR_SET_PDEATHSIG as u64,
    libc::PR_GET_PDEATHSIG as u64,
    libc::PR_GET_DUMPABLE as u64,
    libc::PR_SET_DUMPABLE as u64,
    libc::PR_SET_NAME as u64,
    libc::PR_GET_NAME as u64,
    libc::PR_CAPBSET_READ as u64,
    libc::PR_SET_TIMERSLACK as u64,
    libc::PR_GET_TIMERSLACK as u64,
    libc::PR_SET_NO_NEW_PRIVS as u64,
    libc::PR_GET_NO_NEW_PRIVS as u64,
    libc::PR_SET_THP_DISABLE as u64,
    libc::PR_GET_THP_DISABLE as u64,
    libc::PR_SET_CHILD_SUBREAPER as u64,
    libc::PR_GET_CHILD_SUBREAPER as u64,
    libc::PR_SET_VMA as u64,
];

/// Allowed by the list below, and answered with `ENOSYS` by the filter in front: the C library then uses the older call.
/// clone3 hides its flags from filters; io_uring makes calls that no filter sees.
const ABSENT: &[i64] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// What only runtimes with just-in-time compilers, many threads and loops of events need.
const OF_RUNTIMES: &[i64] = &[
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_pkey_mprotect,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_setpriority,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_mlock2,
    libc::SYS_memfd_create,
    libc::SYS_mincore,
    libc::SYS_mremap,
    libc::SYS_capget,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_copy_file_range,
];

const COMMON: &[i64] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_membarrier,
    libc::SYS_rseq,
    // Files.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_readlinkat,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_umask,
    libc::SYS_utimensat,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_signalfd4,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_restart_syscall,
    // Signals, to processes of its own.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_sigaltstack,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    // Processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_set_tid_address,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getpgid,
    libc::SYS_setpgid,
    libc::SYS_getsid,
    libc::SYS_setsid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_getpriority,
    libc::SYS_getrusage,
    libc::SYS_prlimit64,
    libc::SYS_getrlimit,
    libc::SYS_setrlimit,
    libc::SYS_times,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getcpu,
    libc::SYS_getrandom,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    // Time.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_setitimer,
    libc::SYS_getitimer,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
    libc::SYS_timer_gettime,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_delete,
    // Sockets that it was given, or made of a kind that is allowed.
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
];

/// Older names of calls above, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const OF_ARCHITECTURE: &[i64] = &[
    libc::SYS_arch_prctl,
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_getdents,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_inotify_init,
    libc::SYS_pause,
    libc::SYS_alarm,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_getpgrp,
    libc::SYS_time,
];

#[cfg(not(target_arch = "x86_64"))]
const OF_ARCHITECTURE: &[i64] = &[libc::SYS_newfstatat];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_profiles_compile_into_what_the_kernel_takes() {
        const INSTRUCTIONS_MAX: usize = 4096;
        for profile in [Filter::Runtime, Filter::Native] {
            let compiled = compile(profile).expect("compiles");
            assert!(compiled.allowed.len() < INSTRUCTIONS_MAX, "{}", compiled.allowed.len());
        }
    }

    #[test]
    fn what_breaks_out_elsewhere_is_in_no_list() {
        let dangerous = [
            libc::SYS_ptrace,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_kexec_load,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_open_by_handle_at,
            libc::SYS_setuid,
            libc::SYS_setresuid,
            libc::SYS_chroot,
            libc::SYS_personality,
            libc::SYS_pidfd_getfd,
        ];
        let rules = allowed(Filter::Runtime).expect("a list");
        assert!(dangerous.iter().all(|number| !rules.contains_key(number)));
    }
}
