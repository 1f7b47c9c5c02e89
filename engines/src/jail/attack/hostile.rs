//! What the hostile program does, once it is inside.

use std::ffi::OsString;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::MountFlags;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};

use super::{LayerName, Targets};
use crate::jail::raw;

/// What the cages of attacks allow, which each attack tries to have more of.
pub(super) const MEMORY_BYTES: u64 = 64 << 20;
pub(super) const PROCESSES: u32 = 16;
pub(super) const FILES: u32 = 64;

pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) tries: &'static str,
    /// Is it one system call? Then a refusal comes from the filter.
    pub(super) is_call: bool,
    /// Who makes that nothing is there.
    pub(super) on_absent: &'static [LayerName],
    /// Who answers with `EACCES`.
    pub(super) on_access: &'static [LayerName],
    /// Leaves processes behind.
    pub(super) stays: bool,
    act: fn(&Targets) -> io::Result<String>,
}

/// What the attack says, in one line.
#[derive(Serialize, Deserialize)]
pub(super) enum Said {
    Through(String),
    Stopped { errno: i32, text: String },
}

const OF_FILES: &[LayerName] = &[LayerName::Root, LayerName::OwnUid, LayerName::Landlock];
const OF_NETWORK: &[LayerName] = &[LayerName::Landlock, LayerName::NetworkNamespace];
const OF_PROC: &[LayerName] = &[LayerName::PidNamespace, LayerName::OwnUid];

const fn attack(name: &'static str, tries: &'static str, act: fn(&Targets) -> io::Result<String>) -> Attack {
    Attack { name, tries, is_call: false, on_absent: &[LayerName::Root], on_access: OF_FILES, stays: false, act }
}

const fn call(name: &'static str, tries: &'static str, act: fn(&Targets) -> io::Result<String>) -> Attack {
    Attack { is_call: true, ..attack(name, tries, act) }
}

pub(super) const ATTACKS: &[Attack] = &[
    attack("shadow", "read /etc/shadow", |_| read("/etc/shadow")),
    attack("tenant-file", "read a file of another tenant", |targets| read(&targets.file)),
    attack("symlink", "reach a file of another tenant through links", symlink),
    attack("root-write", "write beside /tmp", |_| create("/written")),
    attack("cgroup-files", "write to control groups", |_| create("/sys/fs/cgroup/cgroup.procs")),
    Attack {
        on_absent: OF_PROC,
        on_access: OF_PROC,
        ..attack("proc", "read /proc of other processes", proc_of_others)
    },
    Attack { on_access: OF_NETWORK, ..attack("metadata-tcp", "reach the metadata address by TCP", metadata_tcp) },
    attack("metadata-udp", "reach the metadata address by UDP", |_| send_to([169, 254, 169, 254], 53)),
    Attack { on_access: OF_NETWORK, ..attack("loopback-tcp", "reach a server on loopback by TCP", loopback_tcp) },
    attack("loopback-udp", "reach a server on loopback by UDP", |targets| send_to([127, 0, 0, 1], targets.udp_port)),
    attack("abstract-socket", "reach an abstract Unix socket", abstract_socket),
    attack("signal", "send signals to the server and the launcher", signal),
    attack("signal-warden", "end its own warden", signal_warden),
    Attack { stays: true, ..attack("fork-bomb", "start ever more processes", fork_bomb) },
    attack("memory", "use ever more memory", memory),
    attack("descriptors", "open ever more files", descriptors),
    attack("disk-bytes", "fill the disk", disk_bytes),
    attack("disk-inodes", "make ever more files", disk_inodes),
    attack("disk-sparse", "make a file of one terabyte", |_| disk_sparse()),
    attack("busy-loop", "use the processor for ever", |_| busy_loop()),
    call("ptrace", "trace its warden", |_| reach(libc::SYS_ptrace, [libc::PTRACE_ATTACH as i64, parent(), 0, 0])),
    call("mount", "mount a file system", |_| mount()),
    call("unshare", "make a user namespace", |_| reach(libc::SYS_unshare, [i64::from(libc::CLONE_NEWUSER), 0, 0, 0])),
    call("setuid", "become root", |_| raw::attempt(libc::SYS_setuid, [0; 4]).map(|_| "is root".to_owned())),
    call("device", "make a device", |_| device()),
    call("module", "load a kernel module", |_| reach(libc::SYS_init_module, [0; 4])),
    call("kexec", "start another kernel", |_| reach(libc::SYS_kexec_load, [0; 4])),
    call("bpf", "load a program into the kernel", |_| reach(libc::SYS_bpf, [0; 4])),
    call("io-uring", "make system calls that no filter sees", |_| reach(libc::SYS_io_uring_setup, [1, 0, 0, 0])),
    call("keyctl", "read keys of the kernel", |_| reach(libc::SYS_keyctl, [0, -3, 1, 0])),
    call("perf", "watch the kernel's counters", |_| reach(libc::SYS_perf_event_open, [0; 4])),
    call("userfaultfd", "stop the kernel where it reads memory", |_| reach(libc::SYS_userfaultfd, [0; 4])),
    call("vm-read", "read memory of its warden", |_| reach(libc::SYS_process_vm_readv, [parent(), 0, 0, 0])),
    call("vsock", "reach the machine below this one", |_| {
        reach(libc::SYS_socket, [i64::from(libc::AF_VSOCK), 1, 0, 0])
    }),
    call("netlink", "talk to the kernel's network", |_| {
        reach(libc::SYS_socket, [i64::from(libc::AF_NETLINK), i64::from(libc::SOCK_RAW), 0, 0])
    }),
    call("af-alg", "use the kernel's cryptography", |_| {
        reach(libc::SYS_socket, [i64::from(libc::AF_ALG), i64::from(libc::SOCK_SEQPACKET), 0, 0])
    }),
    call("clone-namespace", "start a process in a namespace of its own", |_| {
        reach(libc::SYS_clone, [i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD), 0, 0, 0])
    }),
];

/// `attack NAME TARGETS`: tries it, says how it went.
pub(crate) fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let name = arguments.next().unwrap_or_default();
    let targets = arguments.next().and_then(|text| serde_json::from_str(text.to_str()?).ok());
    let attack = ATTACKS.iter().find(|attack| name == attack.name);
    let (Some(attack), Some(targets)) = (attack, targets) else {
        eprintln!("error: unknown attack {name:?}; this command is started by `orama doctor --attack`");
        return ExitCode::from(2);
    };
    let said = match (attack.act)(&targets) {
        Ok(what) => Said::Through(what),
        Err(error) => Said::Stopped { errno: error.raw_os_error().unwrap_or(0), text: error.to_string() },
    };
    let line = serde_json::to_string(&said).unwrap_or_default();
    let _ = writeln!(io::stdout(), "{line}");
    ExitCode::SUCCESS
}

/// Makes one call with numbers. Refused by who decides about rights, or not there: stopped. Any other answer is the kernel's
/// after it let the call in.
fn reach(number: i64, arguments: [i64; 4]) -> io::Result<String> {
    match raw::attempt(number, arguments) {
        // The child of a clone: it must not go on as a second attack.
        Ok(0) if number == libc::SYS_clone => std::process::exit(0),
        Ok(_) => Ok("the kernel did it".to_owned()),
        Err(error) => match error.raw_os_error() {
            Some(libc::EPERM | libc::ENOSYS | libc::EACCES | libc::EAFNOSUPPORT) => Err(error),
            _ => Ok(format!("the kernel let it in: {error}")),
        },
    }
}

fn parent() -> i64 {
    rustix::process::getppid().map_or(1, |parent| i64::from(parent.as_raw_nonzero().get()))
}

fn read(path: impl AsRef<Path>) -> io::Result<String> {
    Ok(format!("read {} bytes", fs::read(path)?.len()))
}

fn create(path: &str) -> io::Result<String> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    Ok(format!("wrote {path}"))
}

fn symlink(targets: &Targets) -> io::Result<String> {
    let link = PathBuf::from(format!("/tmp/orama-attack-{}", std::process::id()));
    std::os::unix::fs::symlink(&targets.file, &link)?;
    let below = targets.file.strip_prefix("/").unwrap_or(&targets.file);
    let paths = [link.clone(), Path::new("/tmp/../../../..").join(below), Path::new("/proc/1/root").join(below)];
    let results = paths.map(read);
    // Where it has no root of its own, the link is in the machine's.
    let _ = fs::remove_file(&link);
    first_through(results)
}

/// What got through, else the first refusal.
fn first_through<const N: usize>(results: [io::Result<String>; N]) -> io::Result<String> {
    let (through, stopped): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let none = || Err(io::Error::other("nothing was tried"));
    through.into_iter().next().unwrap_or_else(|| stopped.into_iter().next().unwrap_or_else(none))
}

fn proc_of_others(targets: &Targets) -> io::Result<String> {
    let [server, launcher] = targets.processes[..] else { return Err(io::Error::other("two processes are aimed at")) };
    first_through([
        read(format!("/proc/{server}/stat")),
        read(format!("/proc/{launcher}/stat")),
        read("/proc/1/environ"),
        read("/proc/1/mem"),
    ])
}

fn metadata_tcp(_: &Targets) -> io::Result<String> {
    let address = SocketAddr::from(([169, 254, 169, 254], 80));
    match TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        Err(error) if error.kind() != io::ErrorKind::TimedOut => Err(error),
        _ => Ok("packets went out".to_owned()),
    }
}

fn loopback_tcp(targets: &Targets) -> io::Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], targets.tcp_port));
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).map(|_| "connected".to_owned())
}

fn send_to(address: [u8; 4], port: u16) -> io::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.send_to(b"hello", SocketAddr::from((address, port)))?;
    Ok("a packet went out".to_owned())
}

fn abstract_socket(targets: &Targets) -> io::Result<String> {
    UnixStream::connect_addr(&UnixAddress::from_abstract_name(&targets.socket)?)?;
    Ok("connected".to_owned())
}

fn signal(targets: &Targets) -> io::Result<String> {
    let mut stopped = None;
    for pid in targets.processes.iter().filter_map(|pid| Pid::from_raw(*pid as i32)) {
        match test_kill_process(pid) {
            Ok(()) => return Ok(format!("could signal process {pid:?}")),
            Err(error) => stopped = Some(error.into()),
        }
    }
    Err(stopped.unwrap_or_else(|| io::Error::other("nobody to signal")))
}

/// The first process of a namespace cannot be killed from inside; the call may still say that it worked.
fn signal_warden(_: &Targets) -> io::Result<String> {
    let Some(warden) = rustix::process::getppid() else { return Err(io::Error::from_raw_os_error(libc::ESRCH)) };
    kill_process(warden, Signal::KILL)?;
    let is_first = warden.as_raw_nonzero().get() == 1;
    match test_kill_process(warden) {
        Ok(()) if is_first => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        _ => Ok("killed it".to_owned()),
    }
}

fn fork_bomb(_: &Targets) -> io::Result<String> {
    for _ in 0..PROCESSES * 4 {
        // As the C library does it where the kernel has no clone3.
        let child = raw::attempt(libc::SYS_clone, [i64::from(libc::SIGCHLD), 0, 0, 0])?;
        if child == 0 {
            // Ends with the cage.
            loop {
                std::thread::park();
            }
        }
    }
    Ok(format!("started {} processes of {PROCESSES}", PROCESSES * 4))
}

fn memory(_: &Targets) -> io::Result<String> {
    const STEP: usize = 1 << 20;
    let mut taken: Vec<Vec<u8>> = Vec::new();
    while (taken.len() * STEP) as u64 <= MEMORY_BYTES * 4 {
        let mut more = Vec::new();
        more.try_reserve_exact(STEP).map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
        more.resize(STEP, 1);
        taken.push(black_box(more));
    }
    Ok(format!("has {} MiB of {}", taken.len(), MEMORY_BYTES >> 20))
}

fn descriptors(_: &Targets) -> io::Result<String> {
    let mut taken = Vec::new();
    while taken.len() < FILES as usize * 4 {
        taken.push(fs::File::open("/dev/null")?);
    }
    Ok(format!("opened {} files of {FILES}", taken.len()))
}

/// Files of half the largest size that is allowed.
fn disk_bytes(_: &Targets) -> io::Result<String> {
    for number in 0..16 {
        fs::write(format!("/tmp/{number}"), vec![1; 512 << 10])?;
    }
    Ok("wrote 8 MiB of 1".to_owned())
}

fn disk_inodes(_: &Targets) -> io::Result<String> {
    for number in 0..1000 {
        fs::write(format!("/tmp/{number}"), "")?;
    }
    Ok("made 1000 files of 64".to_owned())
}

fn disk_sparse() -> io::Result<String> {
    fs::File::create("/tmp/sparse")?.set_len(1 << 40)?;
    Ok("made it".to_owned())
}

/// Twice what the cage allows.
fn busy_loop() -> io::Result<String> {
    let used = || {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        black_box(used.tv_sec)
    };
    while used() < 2 {}
    Ok("used 2 s of 1".to_owned())
}

fn mount() -> io::Result<String> {
    rustix::mount::mount("tmpfs", "/tmp", "tmpfs", MountFlags::empty(), c"size=1m")?;
    Ok("mounted".to_owned())
}

fn device() -> io::Result<String> {
    let first_disk = rustix::fs::makedev(8, 0);
    rustix::fs::mknodat(CWD, "/tmp/disk", FileType::BlockDevice, Mode::from_raw_mode(0o600), first_disk)?;
    Ok("made it".to_owned())
}
