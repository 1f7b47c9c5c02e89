//! Landlock and resource limits: what a process puts on itself just before it becomes the program.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::wire::{Failure, Plan, Step};

/// The newest rules that are asked for; older kernels enforce those that they know.
const LANDLOCK: ABI = ABI::V6;

/// Everything may be read; `/tmp` and the writable binds may be changed; no TCP; no signals and abstract sockets to the
/// outside.
pub(super) fn landlock(plan: &Plan) -> Result<Enforced, Failure> {
    restrict(plan).map_err(io::Error::other).step("restrict itself by Landlock")
}

/// How much of the rules the kernel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Enforced {
    Fully,
    Partly,
    Nothing,
}

fn restrict(plan: &Plan) -> Result<Enforced, Box<dyn std::error::Error + Send + Sync>> {
    let everything = AccessFs::from_all(LANDLOCK);
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(everything)?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new("/")?, AccessFs::from_read(LANDLOCK)))?
        .add_rule(PathBeneath::new(PathFd::new("/tmp")?, everything))?
        .add_rule(PathBeneath::new(PathFd::new("/dev")?, device))?;
    for bind in plan.binds.iter().filter(|bind| bind.writable) {
        let rights = if Path::new(&bind.to).is_dir() { everything } else { AccessFs::from_file(LANDLOCK) };
        rules = rules.add_rule(PathBeneath::new(PathFd::new(&bind.to)?, rights))?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Enforced::Fully,
        RulesetStatus::PartiallyEnforced => Enforced::Partly,
        RulesetStatus::NotEnforced => Enforced::Nothing,
    })
}

/// Limits of each process. `counted` says that a group of the kernel counts memory; without one, what a process may map to
/// write is limited, with room for what runtimes reserve.
pub(super) fn resource_limits(plan: &Plan, counted: bool) -> Result<(), Failure> {
    let mut limits = vec![
        (Resource::Core, 0),
        (Resource::Nofile, u64::from(plan.files_max)),
        // The warden has the same user.
        (Resource::Nproc, u64::from(plan.processes_max) + 1),
        (Resource::Fsize, plan.tmp_bytes),
        (Resource::Memlock, 64 << 10),
        (Resource::Msgqueue, 0),
    ];
    limits.extend(plan.cpu.seconds.map(|seconds| (Resource::Cpu, seconds)));
    if !counted {
        limits.push((Resource::Data, plan.memory_bytes.saturating_mul(4)));
    }
    limits.into_iter().try_for_each(|(resource, limit)| lower(resource, limit).step("limit resources"))
}

/// Never above what this process may have itself.
fn lower(resource: Resource, limit: u64) -> io::Result<()> {
    let limit = getrlimit(resource).maximum.map_or(limit, |most| most.min(limit));
    Ok(setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?)
}
