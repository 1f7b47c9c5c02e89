//! Groups of the kernel that count and limit memory, processes and processor time: version 2, version 1, or none.
//!
//! Groups are made below the one that the launcher itself is in, and their names say whose they are, so that the next launcher
//! removes what a killed one left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::wire::Plan;
use super::{Usage, processes};

const NAME: &str = "orama-cage";
/// The group that takes the server itself where version 2 wants no process beside groups with limits.
const SERVER_GROUP: &str = "orama-server";
const PERIOD_MICROSECONDS: u64 = 100_000;

/// What can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Memory,
    Processes,
    Cpu,
    /// Counts processor time where that is a group of its own: version 1.
    CpuTime,
}

impl Controller {
    const ALL: [Self; 4] = [Self::Memory, Self::Processes, Self::Cpu, Self::CpuTime];

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "pids",
            Self::Cpu => "cpu",
            Self::CpuTime => "cpuacct",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Version {
    One,
    Two,
}

/// A folder where groups with one kind of limit can be made.
#[derive(Debug, Clone)]
struct Place {
    controller: Controller,
    version: Version,
    folder: PathBuf,
}

/// What this process may use of groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    places: Vec<Place>,
    missing: Vec<(Controller, String)>,
    prefix: String,
}

impl Groups {
    /// Looks for the groups of this process and tries whether it may make others below. `wanted` are those to use.
    pub(super) fn find(wanted: impl Fn(Controller) -> bool) -> Self {
        let mut groups = Self { prefix: prefix(), ..Self::default() };
        for controller in Controller::ALL.into_iter().filter(|controller| wanted(*controller)) {
            match place(controller) {
                Ok(place) => groups.places.push(place),
                Err(reason) => groups.missing.push((controller, reason)),
            }
        }
        groups
    }

    pub(super) fn has(&self, controller: Controller) -> bool {
        self.places.iter().any(|place| place.controller == controller)
    }

    /// For people: how a limit is held, or why it cannot be.
    pub(super) fn detail(&self, controller: Controller) -> String {
        let place = self.places.iter().find(|place| place.controller == controller);
        let missing = || self.missing.iter().find(|(missing, _)| *missing == controller).map(|(_, why)| why.clone());
        match place {
            Some(Place { version: Version::One, folder, .. }) => format!("cgroup version 1 in {}", folder.display()),
            Some(Place { version: Version::Two, folder, .. }) => format!("cgroup version 2 in {}", folder.display()),
            None => missing().unwrap_or_else(|| "not used".to_owned()),
        }
    }

    /// Makes a group with the limits of a plan.
    pub(super) fn make(&self, id: u64, plan: &Plan) -> io::Result<Group> {
        let mut group = Group { parts: Vec::new() };
        for place in &self.places {
            let folder = place.folder.join(format!("{}-{id}", self.prefix));
            match fs::create_dir(&folder) {
                // Version 2 has one folder for everything.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
            group.parts.push(Place { folder, ..place.clone() });
        }
        let limited = group.parts.iter().try_for_each(|part| limit(part, plan));
        if let Err(cause) = limited {
            group.remove();
            return Err(cause);
        }
        Ok(group)
    }

    /// Ends and removes what launchers left that are gone.
    pub(super) fn remove_leftovers(&self) {
        for place in &self.places {
            let Ok(entries) = fs::read_dir(&place.folder) else { continue };
            for folder in entries.flatten().map(|entry| entry.path()).filter(|folder| is_leftover(folder)) {
                end_all_in(&folder);
                // Who is still dying keeps the folder; the next start finds it again.
                let _ = fs::remove_dir(&folder);
            }
        }
    }
}

/// `orama-cage-<pid namespace>-<launcher>-<its start>`: process ids mean something in one namespace only, and are given again.
fn prefix() -> String {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let namespace: String = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    let pid = std::process::id();
    format!("{NAME}-{namespace}-{pid}-{}", processes::started(pid).unwrap_or(0))
}

/// Is `folder` of a launcher of this pid namespace that is gone?
fn is_leftover(folder: &Path) -> bool {
    let Some(name) = folder.file_name().and_then(|name| name.to_str()) else { return false };
    let Some(parts) = name.strip_prefix(NAME).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let numbers: Vec<u64> = parts.split('-').map_while(|part| part.parse().ok()).collect();
    let [namespace, pid, started, ..] = numbers[..] else { return false };
    let ours = prefix().starts_with(&format!("{NAME}-{namespace}-"));
    ours && u32::try_from(pid).is_ok_and(|pid| processes::started(pid) != Some(started))
}

fn end_all_in(folder: &Path) {
    for pid in members(folder) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn members(folder: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok().and_then(Pid::from_raw)).collect()
}

/// Where groups with this limit can be made, or why nowhere.
fn place(controller: Controller) -> Result<Place, String> {
    let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
    let mounts =
        fs::read_to_string("/proc/self/mountinfo").map_err(|error| format!("/proc/self/mountinfo: {error}"))?;
    let name = controller.name();
    let (version, folder) = match own_folder(&own, &mounts, name) {
        Some(found) => found,
        None => return Err(format!("the kernel or its mounts offer no `{name}` group")),
    };
    if version == Version::Two {
        enable(&folder, name).map_err(|error| format!("cannot turn on `{name}` in {}: {error}", folder.display()))?;
    }
    let trial = folder.join(format!("{}-trial", prefix()));
    fs::create_dir(&trial).map_err(|error| format!("cannot make a group in {}: {error}", folder.display()))?;
    let _ = fs::remove_dir(&trial);
    Ok(Place { controller, version, folder })
}

/// The folder of the group that this process is in, for a controller: from `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn own_folder(own: &str, mounts: &str, controller: &str) -> Option<(Version, PathBuf)> {
    let mut two = None;
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        if names.split(',').any(|name| name == controller) {
            let folder = mounted(mounts, "cgroup", Some(controller), path)?;
            return Some((Version::One, folder));
        }
        if names.is_empty() {
            two = mounted(mounts, "cgroup2", None, path);
        }
    }
    let folder = two?;
    let offered = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    offered.split_whitespace().any(|name| name == controller).then_some((Version::Two, folder))
}

/// The folder of group `path` in a mounted hierarchy. A line of mountinfo: `id parent dev root mount-point options… - type
/// source super-options` (proc(5)).
fn mounted(mounts: &str, kind: &str, controller: Option<&str>, path: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let mut after = after.split(' ');
        let (found, options) = (after.next()?, after.nth(1)?);
        let offers = controller.is_none_or(|controller| options.split(',').any(|option| option == controller));
        if found != kind || !offers {
            return None;
        }
        let below = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        let folder = Path::new(point).join(below);
        folder.is_dir().then_some(folder).or_else(|| Some(PathBuf::from(point)))
    })
}

/// Turns a controller on for groups below `folder`. Version 2 allows that only where no process is beside them, so those
/// that are go into a group of their own.
fn enable(folder: &Path, controller: &str) -> io::Result<()> {
    let control = folder.join("cgroup.subtree_control");
    let on = fs::read_to_string(&control)?;
    if on.split_whitespace().any(|name| name == controller) {
        return Ok(());
    }
    let turn_on = || fs::write(&control, format!("+{controller}"));
    match turn_on() {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            let server = folder.join(SERVER_GROUP);
            fs::create_dir_all(&server)?;
            for pid in members(folder) {
                fs::write(server.join("cgroup.procs"), pid.as_raw_nonzero().to_string())?;
            }
            turn_on()
        }
        other => other,
    }
}

fn limit_memory(part: &Place, bytes: u64) -> io::Result<()> {
    let (limit, with_swap) = match part.version {
        Version::One => ("memory.limit_in_bytes", ("memory.memsw.limit_in_bytes", bytes)),
        Version::Two => ("memory.max", ("memory.swap.max", 0)),
    };
    fs::write(part.folder.join(limit), bytes.to_string())?;
    ignore_missing(fs::write(part.folder.join(with_swap.0), with_swap.1.to_string()))
}

fn limit(part: &Place, plan: &Plan) -> io::Result<()> {
    let set = |file: &str, value: String| fs::write(part.folder.join(file), value);
    // The warden is in the group too.
    let processes = u64::from(plan.processes_max) + 1;
    let quota = plan.cpu.millicores.map(|millicores| u64::from(millicores.max(10)) * PERIOD_MICROSECONDS / 1000);
    match (part.controller, part.version) {
        (Controller::Memory, Version::One) => limit_memory(part, plan.memory_bytes),
        (Controller::Memory, Version::Two) => {
            limit_memory(part, plan.memory_bytes)?;
            ignore_missing(set("memory.oom.group", "1".to_owned()))
        }
        (Controller::Processes, _) => set("pids.max", processes.to_string()),
        (Controller::Cpu, Version::One) => match quota {
            Some(quota) => {
                set("cpu.cfs_period_us", PERIOD_MICROSECONDS.to_string())?;
                set("cpu.cfs_quota_us", quota.to_string())
            }
            None => Ok(()),
        },
        (Controller::CpuTime, _) => Ok(()),
        (Controller::Cpu, Version::Two) => match quota {
            Some(quota) => set("cpu.max", format!("{quota} {PERIOD_MICROSECONDS}")),
            None => Ok(()),
        },
    }
}

/// Kernels without accounting of swap lack these files.
fn ignore_missing(set: io::Result<()>) -> io::Result<()> {
    match set {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(()),
        other => other,
    }
}

/// The group of one inmate.
#[derive(Debug)]
pub(super) struct Group {
    parts: Vec<Place>,
}

impl Group {
    pub(super) fn add(&self, pid: Pid) -> io::Result<()> {
        let number = pid.as_raw_nonzero().to_string();
        self.parts.iter().try_for_each(|part| fs::write(part.folder.join("cgroup.procs"), &number))
    }

    /// Was somebody killed because the limit of memory was reached?
    pub(super) fn out_of_memory(&self) -> bool {
        let Some(part) = self.part(Controller::Memory) else { return false };
        let file = match part.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        field(&part.folder.join(file), "oom_kill").is_some_and(|kills| kills > 0)
    }

    /// Holds from now on; whoever has more than that is ended.
    pub(super) fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        self.part(Controller::Memory).map_or(Ok(()), |part| limit_memory(part, bytes))
    }

    pub(super) fn meters(&self) -> Option<Meters> {
        let part = self.part(Controller::Memory)?;
        let cpu = match part.version {
            Version::One => self.part(Controller::CpuTime)?.folder.join("cpuacct.usage"),
            Version::Two => part.folder.join("cpu.stat"),
        };
        Some(Meters { version: part.version, memory: part.folder.join("memory.stat"), cpu })
    }

    fn part(&self, controller: Controller) -> Option<&Place> {
        self.parts.iter().find(|part| part.controller == controller)
    }

    /// Removes it; `false` when somebody in it has not quite gone yet.
    pub(super) fn remove(&mut self) -> bool {
        self.parts.retain(|part| match fs::remove_dir(&part.folder) {
            Ok(()) => false,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        });
        self.parts.is_empty()
    }
}

/// Where the kernel counts what an inmate uses, for whoever may read it: the server too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Meters {
    version: Version,
    memory: PathBuf,
    cpu: PathBuf,
}

impl Meters {
    /// `None` when the group is gone.
    pub(super) fn usage(&self) -> Option<Usage> {
        let number = |name| field(&self.memory, name);
        let shared = number("shmem").unwrap_or(0);
        Some(match self.version {
            Version::One => {
                let nanoseconds = fs::read_to_string(&self.cpu).ok()?.trim().parse().ok()?;
                Usage { cpu: Duration::from_nanos(nanoseconds), resident_bytes: number("rss")? + shared }
            }
            Version::Two => {
                let cpu = Duration::from_micros(field(&self.cpu, "usage_usec")?);
                Usage { cpu, resident_bytes: number("anon")? + shared }
            }
        })
    }
}

/// The number behind `name` in a file of lines `name number`.
fn field(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests;
