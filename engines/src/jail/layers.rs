//! Which layers this machine has, and what they add up to.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::cgroup::{Controller, Groups};
use super::confine::Enforced;
use super::wire::{Failure, LauncherConfig, Ready};
use super::{Layer, LayerName, LayerState, Level};

impl LayerName {
    pub const ALL: [Self; 16] = [
        Self::OwnUid,
        Self::UserNamespace,
        Self::PidNamespace,
        Self::Root,
        Self::NetworkNamespace,
        Self::IpcNamespace,
        Self::UtsNamespace,
        Self::CgroupNamespace,
        Self::Capabilities,
        Self::ResourceLimits,
        Self::MemoryGroup,
        Self::ProcessGroup,
        Self::CpuGroup,
        Self::Watchdog,
        Self::Landlock,
        Self::Seccomp,
    ];

    /// In words, without spaces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnUid => "own-uid",
            Self::UserNamespace => "user-namespace",
            Self::PidNamespace => "pid-namespace",
            Self::Root => "root",
            Self::NetworkNamespace => "network-namespace",
            Self::IpcNamespace => "ipc-namespace",
            Self::UtsNamespace => "uts-namespace",
            Self::CgroupNamespace => "cgroup-namespace",
            Self::Capabilities => "capabilities",
            Self::ResourceLimits => "resource-limits",
            Self::MemoryGroup => "memory-group",
            Self::ProcessGroup => "process-group",
            Self::CpuGroup => "cpu-group",
            Self::Watchdog => "watchdog",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }

    /// What a program could do without it.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::OwnUid => "a user id that no other inmate has",
            Self::UserNamespace => "no user of this machine inside",
            Self::PidNamespace => "no process of this machine inside, and all end together",
            Self::Root => "no file of this machine inside but what was bound",
            Self::NetworkNamespace => "no network",
            Self::IpcNamespace => "no queues and shared memory of others",
            Self::UtsNamespace => "a host name of its own",
            Self::CgroupNamespace => "no groups of others",
            Self::Capabilities => "no rights of root, and no way to get any",
            Self::ResourceLimits => "limits on each process: files, file size, processes, dumps",
            Self::MemoryGroup => "a limit on memory, all processes together",
            Self::ProcessGroup => "a limit on processes and threads",
            Self::CpuGroup => "a limit on processor time",
            Self::Watchdog => "ends who is over its limit where no group holds it",
            Self::Landlock => "a second fence around files, TCP, signals and abstract sockets",
            Self::Seccomp => "a list of system calls, all others fail",
        }
    }

    /// May it be left out to see what it is for? The others stand or fall with everything.
    pub fn can_be_left_out(self) -> bool {
        !matches!(self, Self::OwnUid | Self::Capabilities)
    }

    /// The file that a kernel with this kind of namespace has for every process.
    fn namespace_file(self) -> Option<&'static str> {
        match self {
            Self::UserNamespace => Some("user"),
            Self::PidNamespace => Some("pid"),
            Self::Root => Some("mnt"),
            Self::NetworkNamespace => Some("net"),
            Self::IpcNamespace => Some("ipc"),
            Self::UtsNamespace => Some("uts"),
            Self::CgroupNamespace => Some("cgroup"),
            _ => None,
        }
    }
}

/// The layers that are put on every cage.
#[derive(Debug, Clone)]
pub(super) struct Active(BTreeSet<LayerName>);

impl Active {
    /// What was not left out and what the kernel seems to have; whether it does is for a trial to say.
    pub(super) fn probe(config: &LauncherConfig, groups: &Groups, is_root: bool) -> Self {
        let wanted = |layer: &LayerName| !config.without.contains(layer) || !layer.can_be_left_out();
        let here = |layer: &LayerName| exists(*layer, groups, is_root);
        Self(LayerName::ALL.into_iter().filter(wanted).filter(here).collect())
    }

    pub(super) fn has(&self, layer: LayerName) -> bool {
        self.0.contains(&layer)
    }

    /// Without a layer that the trial found missing.
    pub(super) fn remove(&mut self, layer: LayerName) {
        self.0.remove(&layer);
    }
}

fn exists(layer: LayerName, groups: &Groups, is_root: bool) -> bool {
    match layer {
        LayerName::OwnUid => is_root,
        LayerName::MemoryGroup => groups.has(Controller::Memory),
        LayerName::ProcessGroup => groups.has(Controller::Processes),
        LayerName::CpuGroup => groups.has(Controller::Cpu),
        LayerName::Watchdog => !groups.has(Controller::Memory),
        LayerName::Seccomp => fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nSeccomp:")),
        other => other.namespace_file().is_none_or(|file| Path::new("/proc/self/ns").join(file).exists()),
    }
}

/// What is told to the server after the trial.
pub(super) fn ready(
    config: &LauncherConfig,
    active: &Active,
    groups: &Groups,
    trial: &Result<Option<Enforced>, Failure>,
) -> Ready {
    let layer = |name| describe(name, config, active, groups, trial);
    let layers: Vec<Layer> = LayerName::ALL.into_iter().filter_map(layer).collect();
    let full = [LayerName::OwnUid, LayerName::UserNamespace, LayerName::MemoryGroup, LayerName::ProcessGroup];
    let least = [LayerName::PidNamespace, LayerName::Root, LayerName::NetworkNamespace, LayerName::Seccomp];
    // What was left out on purpose is no fault of the machine.
    let here = |name: &LayerName| active.has(*name) || config.without.contains(name);
    let level = match trial {
        Ok(_) if least.iter().chain(&full).all(here) => Level::Full,
        Ok(_) if least.iter().all(here) => Level::User,
        _ => Level::None,
    };
    Ready { level, layers }
}

fn describe(
    name: LayerName,
    config: &LauncherConfig,
    active: &Active,
    groups: &Groups,
    trial: &Result<Option<Enforced>, Failure>,
) -> Option<Layer> {
    // A group counts memory, so nobody has to watch.
    if name == LayerName::Watchdog && groups.has(Controller::Memory) {
        return None;
    }
    if config.without.contains(&name) && name.can_be_left_out() {
        return Some(Layer { name, state: LayerState::Off, detail: "left out on request".to_owned() });
    }
    let failed = trial.as_ref().err().filter(|failure| is_of(name, failure));
    let (state, detail) = match (failed, active.has(name)) {
        (Some(failure), _) => (LayerState::Missing, format!("failed to {}: {}", failure.step, failure.text)),
        (None, true) => (LayerState::Active, detail(name, groups, trial)),
        (None, false) => (LayerState::Missing, missing(name, groups)),
    };
    Some(Layer { name, state, detail })
}

/// Which layer a failed trial is told of: the one whose words are in the step, else the root, where most can go wrong.
fn is_of(name: LayerName, failure: &Failure) -> bool {
    let step = failure.step.as_str();
    let named = match step {
        "make namespaces" | "make a user namespace" | "map the user" => LayerName::UserNamespace,
        "make a cgroup namespace" => LayerName::CgroupNamespace,
        "restrict itself by Landlock" => LayerName::Landlock,
        "filter system calls" => LayerName::Seccomp,
        "limit resources" => LayerName::ResourceLimits,
        "clear ambient capabilities" | "bound capabilities" | "lock capabilities" | "drop capabilities" => {
            LayerName::Capabilities
        }
        "leave all groups" | "become the group" | "become the user" => LayerName::OwnUid,
        "name the host" => LayerName::UtsNamespace,
        "make a group" => LayerName::MemoryGroup,
        _ => LayerName::Root,
    };
    named == name
}

fn detail(name: LayerName, groups: &Groups, trial: &Result<Option<Enforced>, Failure>) -> String {
    let how = match (name, trial) {
        (LayerName::MemoryGroup, _) => Some(groups.detail(Controller::Memory)),
        (LayerName::ProcessGroup, _) => Some(groups.detail(Controller::Processes)),
        (LayerName::CpuGroup, _) => Some(groups.detail(Controller::Cpu)),
        (LayerName::Landlock, Ok(Some(Enforced::Partly))) => Some("this kernel holds a part of the rules".to_owned()),
        _ => None,
    };
    how.map_or_else(|| name.meaning().to_owned(), |how| format!("{}: {how}", name.meaning()))
}

fn missing(name: LayerName, groups: &Groups) -> String {
    match name {
        LayerName::OwnUid => "only root can give each inmate a user id".to_owned(),
        LayerName::MemoryGroup => groups.detail(Controller::Memory),
        LayerName::ProcessGroup => groups.detail(Controller::Processes),
        LayerName::CpuGroup => groups.detail(Controller::Cpu),
        _ => "this kernel has none".to_owned(),
    }
}
