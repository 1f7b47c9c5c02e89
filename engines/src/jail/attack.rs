//! Attacks on the jail, made for real: a helper of this program plays the hostile one inside a cage, and what it reaches is
//! told. Each is harmless when it gets through: it stops after a little more than its limits allow.
//!
//! `hostile.rs` has what they do. Here they are run, and what stopped each is named by what it met there.

mod hostile;

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::{Cage, CpuLimit, Exit, Filter, Inmate, Jail, JailError, LayerName, LayerState, libraries_of};
use crate::HelperCommand;

pub(crate) use hostile::main;

/// An attack and how it ended.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    pub attack: &'static str,
    /// What it tries.
    pub tries: &'static str,
    pub through: bool,
    /// The layer that stopped it, or `deadline`.
    pub stopped_by: Option<&'static str>,
    /// What it met, or what it reached.
    pub detail: String,
}

/// The names of all attacks on the jail.
pub fn names() -> impl Iterator<Item = &'static str> {
    hostile::ATTACKS.iter().map(|attack| attack.name)
}

/// What the attacks aim at: things of this machine that an inmate must not reach.
#[derive(Debug, Serialize, Deserialize)]
struct Targets {
    /// A file that every user of this machine may read.
    file: PathBuf,
    tcp_port: u16,
    udp_port: u16,
    /// The name of an abstract socket.
    socket: String,
    /// The server and the launcher.
    processes: Vec<u32>,
}

/// The targets, and what keeps them in place.
struct Range {
    targets: Targets,
    _folder: tempfile::TempDir,
    _tcp: TcpListener,
    _udp: UdpSocket,
    _socket: UnixListener,
}

impl Range {
    fn set_up(jail: &Jail) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::Builder::new().prefix("orama-attack-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let file = folder.path().join("of-another-tenant");
        std::fs::write(&file, "what another tenant keeps")?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        let socket = format!("orama-attack-{}", jail.launcher_pid());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&socket)?)?;
        let targets = Targets {
            file,
            tcp_port: tcp.local_addr()?.port(),
            udp_port: udp.local_addr()?.port(),
            socket,
            processes: vec![std::process::id(), jail.launcher_pid()],
        };
        Ok(Self { targets, _folder: folder, _tcp: tcp, _udp: udp, _socket: listener })
    }
}

/// Runs attacks one after the other: those that are named, or all. `helper` plays the hostile program.
///
/// # Errors
/// A cage could not be made, or the targets could not.
pub async fn run(jail: &Jail, helper: &HelperCommand, only: &[&str]) -> Result<Vec<Finding>, JailError> {
    let failed = |step: &str| {
        let step = step.to_owned();
        |source: io::Error| JailError::NotStarted { step, source }
    };
    let range = Range::set_up(jail).map_err(failed("set up the targets"))?;
    let targets =
        serde_json::to_string(&range.targets).map_err(|error| failed("describe the targets")(error.into()))?;
    let mut findings = Vec::new();
    for attack in hostile::ATTACKS.iter().filter(|attack| only.is_empty() || only.contains(&attack.name)) {
        let cage = cage(helper, attack.name, &targets).map_err(failed("look at the helper"))?;
        findings.push(judge(jail, attack, jail.launch(cage).await?).await);
    }
    Ok(findings)
}

/// Small limits, so that reaching them is cheap. `hostile.rs` goes beyond each.
fn cage(helper: &HelperCommand, attack: &str, targets: &str) -> io::Result<Cage> {
    // The name of the running program is not its file.
    let program = std::fs::read_link(&helper.program).unwrap_or_else(|_| helper.program.clone());
    let mut cage = Cage::new(&program, Filter::Runtime);
    cage.binds = libraries_of(&program)?;
    let arguments = helper.arguments.iter().map(String::as_str).chain(["attack", attack, targets]);
    cage.arguments = arguments.map(Into::into).collect();
    cage.tmp_bytes = 1 << 20;
    cage.tmp_inodes = 64;
    cage.memory_bytes = hostile::MEMORY_BYTES;
    cage.processes_max = hostile::PROCESSES;
    cage.files_max = hostile::FILES;
    cage.cpu = CpuLimit { millicores: None, seconds: Some(1) };
    Ok(cage)
}

/// How long an attack may take before it is ended.
const DEADLINE: Duration = Duration::from_secs(20);

async fn judge(jail: &Jail, attack: &hostile::Attack, mut inmate: Inmate) -> Finding {
    let mut said = String::new();
    let heard = async {
        if let Some(stdout) = &mut inmate.stdout {
            let _ = stdout.take(4096).read_to_string(&mut said).await;
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, heard).await.is_ok();
    if !in_time {
        inmate.kill();
    }
    // What was said first is what it reached; whoever stays behind is ended.
    if attack.stays {
        inmate.kill();
    }
    let exit = inmate.wait().await;
    let met = Met::of(&said, exit, in_time);
    let (through, stopped_by) = match &met {
        Met::Through(_) => (true, None),
        other => (false, Some(other.layer(jail, attack))),
    };
    Finding { attack: attack.name, tries: attack.tries, through, stopped_by, detail: met.detail() }
}

/// What an attack met.
enum Met {
    Through(String),
    Refused { errno: i32, text: String },
    Ended(Exit),
    Deadline,
}

impl Met {
    fn of(said: &str, exit: Exit, in_time: bool) -> Self {
        match said.lines().next().and_then(|line| serde_json::from_str(line).ok()) {
            Some(hostile::Said::Through(what)) => Self::Through(what),
            Some(hostile::Said::Stopped { errno, text }) => Self::Refused { errno, text },
            None if !in_time => Self::Deadline,
            None => Self::Ended(exit),
        }
    }

    /// Which layer answers like this.
    fn layer(&self, jail: &Jail, attack: &hostile::Attack) -> &'static str {
        let active =
            |name: &LayerName| jail.layers.iter().any(|layer| layer.name == *name && layer.state == LayerState::Active);
        let first =
            |names: &[LayerName]| names.iter().find(|name| active(name)).map_or("the kernel", |name| name.as_str());
        match self {
            Self::Through(_) => "nothing",
            Self::Deadline => "deadline",
            Self::Ended(Exit::OutOfMemory) => first(&[LayerName::MemoryGroup, LayerName::Watchdog]),
            Self::Ended(_) => first(&[LayerName::ResourceLimits]),
            Self::Refused { errno, .. } => match *errno {
                libc::EPERM | libc::ENOSYS if attack.is_call => first(&[LayerName::Seccomp, LayerName::Capabilities]),
                libc::EPERM => first(&[LayerName::Landlock, LayerName::Seccomp]),
                libc::ENOENT => first(attack.on_absent),
                libc::ENOSPC | libc::EROFS | libc::ENOTDIR => first(&[LayerName::Root]),
                libc::ESRCH => first(&[LayerName::PidNamespace]),
                // Root is nobody in its user namespace.
                libc::EINVAL => first(&[LayerName::UserNamespace]),
                libc::ENETUNREACH | libc::ECONNREFUSED | libc::EADDRNOTAVAIL => first(&[LayerName::NetworkNamespace]),
                libc::EACCES => first(attack.on_access),
                libc::EAGAIN => first(&[LayerName::ProcessGroup, LayerName::ResourceLimits]),
                libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::EFBIG => first(&[LayerName::ResourceLimits]),
                _ => "the kernel",
            },
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Through(what) => what.clone(),
            Self::Refused { text, .. } => text.clone(),
            Self::Ended(Exit::Code(code)) => format!("ended with code {code}"),
            Self::Ended(Exit::Signal(signal)) => format!("killed by signal {signal}"),
            Self::Ended(Exit::OutOfMemory) => "killed for its memory".to_owned(),
            Self::Ended(Exit::Lost) => "the launcher is gone".to_owned(),
            Self::Deadline => format!("ended after {} s", DEADLINE.as_secs()),
        }
    }
}
