//! Who an inmate is: one user id and one group id, without capabilities and without a way to get others.

use std::fs;
use std::io;

use rustix::process::{Gid, Pid, Uid};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::wire::{Failure, Step};

/// The user and group that every inmate is, seen from inside.
pub(super) const INSIDE: u32 = 1000;

/// Maps the one identity of the user namespace that `pid` stands in to `uid` and `gid` outside (user_namespaces(7)).
pub(super) fn map(pid: Pid, uid: u32, gid: u32) -> io::Result<()> {
    let write = |file: &str, text: String| fs::write(format!("/proc/{}/{file}", pid.as_raw_nonzero()), text);
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{INSIDE} {uid} 1"))?;
    write("gid_map", format!("{INSIDE} {gid} 1"))
}

/// Leaves the groups that came with the user.
pub(super) fn leave_groups() -> Result<(), Failure> {
    set_thread_groups(&[]).step("leave all groups")
}

/// Becomes one user and one group, for ever.
pub(super) fn become_user(uid: u32, gid: u32) -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_res_gid(gid, gid, gid).step("become the group")?;
    set_thread_res_uid(uid, uid, uid).step("become the user")
}

/// Makes sure that no program can bring a capability. Needs one itself, so it comes before the others are dropped.
pub(super) fn bound_capabilities() -> Result<(), Failure> {
    const HIGHEST: u32 = 63;
    clear_ambient_capability_set().step("clear ambient capabilities")?;
    for number in 0..=HIGHEST {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            // Newer than this kernel.
            Err(rustix::io::Errno::INVAL) => {}
            other => other.step("bound capabilities")?,
        }
    }
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(bits).step("lock capabilities")
}

/// Gives up every capability.
pub(super) fn drop_capabilities() -> Result<(), Failure> {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .step("drop capabilities")
}

/// No program that is started from here on gets more rights than this process has.
pub(super) fn no_new_privileges() -> Result<(), Failure> {
    set_no_new_privs(true).step("refuse new privileges")
}
