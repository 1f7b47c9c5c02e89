//! The rights of root, given up for good by a server that has done what only root may do.

use std::io;

/// Makes the whole process, every thread of it, this user and this group, without other groups and without capabilities. There
/// is no way back.
///
/// # Errors
/// Those of the kernel: only root may do this. After one the process may have given up a part of its rights, and should end.
pub fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    // By the C library, which tells all threads: to the kernel an identity is that of one thread (setuid(2), nptl(7)).
    // SAFETY: the calls take numbers, and a list of no length.
    let calls: [fn(u32, u32) -> libc::c_int; 3] = [
        |_, _| unsafe { libc::setgroups(0, std::ptr::null()) },
        |_, gid| unsafe { libc::setresgid(gid, gid, gid) },
        |uid, _| unsafe { libc::setresuid(uid, uid, uid) },
    ];
    for call in calls {
        if call(uid, gid) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: the call takes a number.
    match unsafe { libc::setuid(0) } {
        0 => Err(io::Error::other("the process could become root again")),
        _ => Ok(()),
    }
}

/// From here on no program that this thread starts, or a thread that it makes, gets more rights than it has itself.
///
/// # Errors
/// Those of the kernel.
pub fn refuse_new_privileges() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}
