//! The root of a cage: an empty file system with a `/tmp`, four devices, and what was bound into it.
//!
//! What is to be seen is taken hold of before the old root goes, and put in place after it went, so that a link inside
//! cannot lead to anything of this machine.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, move_mount,
    open_tree, unmount,
};

use super::wire::{Failure, Plan, Step};
use super::{Bind, Filter, raw};

const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Any folder that is there: the new root stands on it for the moment in which the old one goes.
const PLACES: [&str; 4] = ["/tmp", "/mnt", "/var", "/usr"];
const FOLDER_MODE: u32 = 0o755;

/// A file or folder of this machine that will be seen in the cage.
struct Tree {
    mount: OwnedFd,
    bind: Bind,
    is_folder: bool,
}

/// Puts this process into a root of its own. `owner` gets the folders that may be written; `with_proc` says that it may
/// see its own processes.
pub(super) fn change(plan: &Plan, owner: Option<u32>, with_proc: bool) -> Result<(), Failure> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).step("keep mounts to itself")?;
    let trees = plan.binds.iter().map(take).collect::<Result<Vec<_>, _>>()?;
    let devices = DEVICES.map(|name| Bind {
        from: Path::new("/dev").join(name),
        to: Path::new("/dev").join(name),
        writable: true,
    });
    let devices = devices.iter().map(take_device).collect::<Result<Vec<_>, _>>()?;
    replace_root(with_proc && plan.filter == Filter::Runtime)?;
    make_tmp(plan)?;
    devices.iter().chain(&trees).try_for_each(|tree| put(tree, owner))?;
    let root = open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLOEXEC).step("open the new root")?;
    raw::set_mount_flags(root, libc::MOUNT_ATTR_RDONLY, false).step("make the new root read-only")
}

fn take(bind: &Bind) -> Result<Tree, Failure> {
    let step = || format!("bind `{}`", bind.from.display());
    let is_folder = fs::metadata(&bind.from).step(step())?.is_dir();
    let recursive = if is_folder { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | recursive;
    let mount = open_tree(CWD, &bind.from, flags).step(step())?;
    let read_only = if bind.writable { 0 } else { libc::MOUNT_ATTR_RDONLY };
    let mount_flags = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | read_only;
    raw::set_mount_flags(&mount, mount_flags, is_folder).step(step())?;
    Ok(Tree { mount, bind: bind.clone(), is_folder })
}

fn take_device(bind: &Bind) -> Result<Tree, Failure> {
    let step = || format!("bind `{}`", bind.from.display());
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, &bind.from, flags).step(step())?;
    raw::set_mount_flags(&mount, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC, false).step(step())?;
    Ok(Tree { mount, bind: bind.clone(), is_folder: false })
}

fn replace_root(with_proc: bool) -> Result<(), Failure> {
    let place = PLACES.iter().find(|place| Path::new(place).is_dir());
    let place = Path::new(place.ok_or_else(|| io::Error::other("no folder to stand on")).step("find a folder")?);
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", place, "tmpfs", flags, c"size=1m,nr_inodes=8192,mode=755").step("mount the new root")?;
    if with_proc {
        mount_proc(&place.join("proc"))?;
    }
    rustix::process::chdir(place).step("enter the new root")?;
    rustix::process::pivot_root(".", ".").step("change the root")?;
    unmount(".", UnmountFlags::DETACH).step("let the old root go")?;
    rustix::process::chdir("/").step("enter the new root")
}

/// Only processes that may be traced are seen there, and nothing else of the machine where the kernel can leave it out (5.8).
fn mount_proc(at: &Path) -> Result<(), Failure> {
    make_folder(at).step("make `/proc`")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let strict = mount("proc", at, "proc", flags, c"hidepid=ptraceable,subset=pid");
    strict.or_else(|_| mount("proc", at, "proc", flags, c"hidepid=2")).step("mount `/proc`")
}

fn make_tmp(plan: &Plan) -> Result<(), Failure> {
    make_folder(Path::new("/tmp")).step("make `/tmp`")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // Zero would mean no limit.
    let (bytes, inodes) = (plan.tmp_bytes.max(4096), plan.tmp_inodes.max(2));
    let options = std::ffi::CString::new(format!("size={bytes},nr_inodes={inodes},mode=1777"));
    let options = options.map_err(io::Error::from).step("mount `/tmp`")?;
    mount("tmpfs", "/tmp", "tmpfs", flags, options.as_c_str()).step("mount `/tmp`")
}

fn put(tree: &Tree, owner: Option<u32>) -> Result<(), Failure> {
    let to = &tree.bind.to;
    let step = || format!("put `{}` into the cage", to.display());
    make_target(to, tree.is_folder).step(step())?;
    move_mount(&tree.mount, "", CWD, to, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).step(step())?;
    match owner.filter(|_| tree.bind.writable && tree.is_folder) {
        Some(owner) => std::os::unix::fs::chown(to, Some(owner), Some(owner)).step(step()),
        None => Ok(()),
    }
}

fn make_target(to: &Path, is_folder: bool) -> io::Result<()> {
    if is_folder {
        return make_folder(to);
    }
    make_folder(to.parent().unwrap_or(Path::new("/")))?;
    fs::OpenOptions::new().create(true).append(true).open(to).map(drop).or_else(|error| match to.exists() {
        // It stands in a folder that was bound read-only.
        true => Ok(()),
        false => Err(error),
    })
}

fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// The binds as they are put: the program under its own path unless something covers it, outer folders before inner.
///
/// # Errors
/// A sentence, when a path is not absolute, has `..`, or is one that the cage makes itself.
pub(super) fn arrange(program: &Path, binds: &[Bind]) -> Result<Vec<Bind>, String> {
    let mut arranged = binds.to_vec();
    if !binds.iter().any(|bind| program.starts_with(&bind.to)) {
        arranged.push(Bind::read_only(program, program));
    }
    for bind in &arranged {
        let plain =
            |path: &Path| path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !bind.from.is_absolute() || !bind.to.is_absolute() || !plain(&bind.to) {
            return Err(format!("`{}` -> `{}` has to be two absolute paths", bind.from.display(), bind.to.display()));
        }
        if TAKEN.iter().any(|taken| bind.to == Path::new(taken) || below_kept(&bind.to, taken)) {
            return Err(format!("`{}` is made by the cage itself", bind.to.display()));
        }
    }
    arranged.sort_by_key(|bind| bind.to.components().count());
    Ok(arranged)
}

const TAKEN: [&str; 4] = ["/", "/tmp", "/dev", "/proc"];

/// Files may be bound into `/tmp`, not into the others.
fn below_kept(path: &Path, taken: &str) -> bool {
    taken != "/" && taken != "/tmp" && path.starts_with(taken)
}

/// What a program that was linked dynamically needs beside itself: nothing for one that was not.
///
/// # Errors
/// The program cannot be read.
pub fn libraries_of(program: &Path) -> io::Result<Vec<Bind>> {
    const FOLDERS: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];
    if !asks_for_loader(&read_start(program)?) {
        return Ok(Vec::new());
    }
    let folders = FOLDERS.map(PathBuf::from).into_iter().filter(|folder| folder.is_dir());
    let mut binds: Vec<Bind> = folders.map(|folder| Bind::read_only(folder.clone(), folder)).collect();
    let cache = Path::new("/etc/ld.so.cache");
    if cache.is_file() {
        binds.push(Bind::read_only(cache, cache));
    }
    Ok(binds)
}

fn read_start(program: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    const START_BYTES: u64 = 4096;
    let mut start = Vec::new();
    fs::File::open(program)?.take(START_BYTES).read_to_end(&mut start)?;
    Ok(start)
}

/// Does an ELF file of 64 bits, little-endian, have a program header `PT_INTERP` (elf(5))?
fn asks_for_loader(start: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let half = |at: usize| Some(u16::from_le_bytes(start.get(at..at + 2)?.try_into().ok()?) as usize);
    let word = |at: usize| Some(u32::from_le_bytes(start.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_le_bytes(start.get(at..at + 8)?.try_into().ok()?) as usize);
    let headers = || Some((long(32)?, half(54)?, half(56)?));
    let Some((first, size, count)) = headers().filter(|_| start.starts_with(b"\x7fELF\x02\x01")) else { return false };
    (0..count).any(|index| {
        let at = first.checked_add(index * size).filter(|at| *at < start.len());
        at.and_then(word) == Some(PT_INTERP)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_bound_unless_a_folder_brings_it() {
        let program = Path::new("/opt/runtime/bin/run");
        let folder = Bind::read_only("/opt/runtime", "/opt/runtime");
        assert_eq!(arrange(program, std::slice::from_ref(&folder)), Ok(vec![folder]));
        assert_eq!(arrange(program, &[]), Ok(vec![Bind::read_only(program, program)]));
    }

    #[test]
    fn outer_folders_come_before_inner_ones() {
        let binds = [Bind::read_only("/b", "/a/b"), Bind::read_only("/a", "/a")];
        let arranged = arrange(Path::new("/a/p"), &binds).expect("arranged");
        assert_eq!(arranged.iter().map(|bind| bind.to.as_path()).collect::<Vec<_>>(), ["/a", "/a/b"].map(Path::new));
    }

    #[test]
    fn odd_paths_are_refused() {
        for to in ["a", "/a/../b", "/", "/tmp", "/proc", "/proc/self", "/dev/null", "/dev"] {
            assert!(arrange(Path::new("/p"), &[Bind::read_only("/x", to)]).is_err(), "{to}");
        }
        assert!(arrange(Path::new("/p"), &[Bind::read_only("x", "/x")]).is_err());
        assert!(arrange(Path::new("/p"), &[Bind::read_only("/x", "/tmp/x")]).is_ok());
    }

    #[test]
    fn odd_files_ask_for_no_loader() {
        for start in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0xff; 4096], b"\x7fELF\x02\x01\x01"] {
            assert!(!asks_for_loader(start));
        }
        let mut huge = b"\x7fELF\x02\x01".to_vec();
        huge.resize(64, 0xff);
        assert!(!asks_for_loader(&huge));
    }

    #[test]
    fn this_program_asks_for_one() {
        let libraries = libraries_of(&std::env::current_exe().expect("this program")).expect("read");
        assert!(libraries.iter().any(|bind| bind.to.starts_with("/lib") || bind.to.starts_with("/lib64")));
    }
}
