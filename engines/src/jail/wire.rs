//! What goes between a server, its launcher and the wardens of cages: one message a packet, with open files beside it.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::confine::Enforced;
use super::{Bind, Cage, CpuLimit, Exit, Filter, Layer, LayerName, Level, Output, Usage};

/// The largest message. A packet has to fit into the buffer of a socket, 208 KiB where nobody changed it.
pub(super) const MESSAGE_BYTES_MAX: usize = 128 << 10;
/// Open files beside a message.
pub(super) const DESCRIPTORS_MAX: usize = 64;

/// The highest number that an open file can get inside.
pub(super) const NUMBER_MAX: i32 = 255;

/// How the launcher is configured: its one argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LauncherConfig {
    pub(super) uid_first: u32,
    pub(super) uid_count: u32,
    pub(super) writable_below: Option<PathBuf>,
    pub(super) without: Vec<LayerName>,
}

/// From the server to the launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// With the descriptors of the plan beside it, in their order, then standard output and error where captured.
    Launch {
        id: u64,
        plan: Box<Plan>,
    },
    Kill {
        id: u64,
    },
    /// The memory of an inmate, from here on.
    Limit {
        id: u64,
        memory_bytes: u64,
    },
}

/// A [`Cage`] without its open files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) binds: Vec<Bind>,
    pub(super) tmp_bytes: u64,
    pub(super) tmp_inodes: u64,
    pub(super) memory_bytes: u64,
    pub(super) processes_max: u32,
    pub(super) files_max: u32,
    pub(super) cpu: CpuLimit,
    /// The number inside of each file beside the message.
    pub(super) numbers: Vec<i32>,
    pub(super) filter: Filter,
}

impl Plan {
    /// The plan of a cage, and what goes beside it but for captured outputs.
    pub(super) fn of(cage: Cage) -> (Self, Vec<OwnedFd>, [Output; 2]) {
        let Cage {
            program,
            arguments,
            environment,
            binds,
            tmp_bytes,
            tmp_inodes,
            memory_bytes,
            processes_max,
            files_max,
            cpu,
            descriptors,
            stdout,
            stderr,
            filter,
        } = cage;
        let (files, numbers) = descriptors.into_iter().unzip();
        let plan = Self {
            program,
            arguments,
            environment,
            binds,
            tmp_bytes,
            tmp_inodes,
            memory_bytes,
            processes_max,
            files_max,
            cpu,
            numbers,
            filter,
        };
        (plan, files, [stdout, stderr])
    }
}

/// From the launcher to the server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    Ready(Ready),
    Launched {
        id: u64,
        /// The first process in the cage.
        warden: i32,
        program: i32,
        /// Where the kernel counts what the inmate uses.
        group: Option<super::cgroup::Meters>,
    },
    NotStarted {
        id: u64,
        failure: Failure,
    },
    Ended {
        id: u64,
        exit: Exit,
        usage: Usage,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) level: Level,
    pub(super) layers: Vec<Layer>,
}

/// A step that did not work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Failure {
    /// Verb first: `mount the root`.
    pub(super) step: String,
    pub(super) errno: Option<i32>,
    pub(super) text: String,
}

impl Failure {
    pub(super) fn new(step: impl Into<String>, cause: &io::Error) -> Self {
        Self { step: step.into(), errno: cause.raw_os_error(), text: cause.to_string() }
    }

    pub(super) fn cause(&self) -> io::Error {
        self.errno.map_or_else(|| io::Error::other(self.text.clone()), io::Error::from_raw_os_error)
    }
}

/// Names the step that an error came from.
pub(super) trait Step<T> {
    fn step(self, step: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|cause| Failure::new(step, &cause.into()))
    }
}

/// From a warden to the launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// It stands in its own user namespace and waits for the mapping.
    NeedsIdentity,
    Failed(Failure),
    /// From the process that becomes the program: who it is, the kernel says beside it.
    Here,
    /// The program has taken over.
    Started,
    /// Everything but starting a program has worked; how much of Landlock's rules the kernel holds, where they were set.
    Tried {
        landlock: Option<Enforced>,
    },
    /// The program ended with this status of `wait`.
    Ended {
        status: i32,
    },
}

/// Two ends of a connection of packets; no program that is started inherits them.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message, and waits while the other end's buffer is full.
///
/// # Errors
/// `InvalidInput` when the message is larger than [`MESSAGE_BYTES_MAX`] or has more than [`DESCRIPTORS_MAX`] files.
pub(super) fn send(socket: impl AsFd, message: &impl Serialize, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MESSAGE_BYTES_MAX || files.len() > DESCRIPTORS_MAX {
        let text = format!("{} bytes and {} open files are too much for one cage", bytes.len(), files.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(files));
    }
    rustix::io::retry_on_intr(|| sendmsg(&socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Makes the kernel tell with each message who sent it, in terms of the receiver.
pub(super) fn tell_senders(socket: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_passcred(socket, true)?)
}

/// A message and what came beside it.
pub(super) struct Received<T> {
    pub(super) message: T,
    pub(super) files: Vec<OwnedFd>,
    /// Where senders are told.
    pub(super) sender: Option<Pid>,
}

/// Receives one message; `None` when the other end is closed.
pub(super) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<Received<T>>> {
    let mut bytes = vec![0; MESSAGE_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX), ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let (mut files, mut sender) = (Vec::new(), None);
    for beside in control.drain() {
        match beside {
            RecvAncillaryMessage::ScmRights(rights) => files.extend(rights),
            RecvAncillaryMessage::ScmCredentials(credentials) => sender = Some(credentials.pid),
            _ => {}
        }
    }
    match bytes.get(..received.bytes) {
        None | Some([]) => Ok(None),
        Some(message) => Ok(Some(Received { message: serde_json::from_slice(message)?, files, sender })),
    }
}
