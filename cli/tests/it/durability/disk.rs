//! A file system in a file, whose power can be cut: what was not synced is gone after that, as on a real disk.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use crate::support::PATIENCE;

const BYTES: u64 = 256 << 20;

pub struct Disk {
    home: TempDir,
    folder: PathBuf,
}

impl Disk {
    pub fn make() -> Self {
        let is_root = rustix::process::geteuid().is_root();
        assert!(is_root, "this test mounts a file system, which only root may do: run the tests as root");
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("disk");
        fs::create_dir(&folder).expect("a folder");
        let disk = Self { home, folder };
        File::create(disk.image()).and_then(|file| file.set_len(BYTES)).expect("a file");
        run("mkfs.ext4", [OsStr::new("-q"), disk.image().as_os_str()]);
        disk.mount();
        disk
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// From here on nothing reaches the file; what had not reached it yet never will.
    pub fn cut_power(&self) {
        run("xfs_io", ["-x", "-c", "shutdown"].map(OsStr::new).into_iter().chain([self.folder.as_os_str()]));
    }

    /// Power is back. Whoever used the disk must have ended.
    pub fn mount_again(&self) {
        let deadline = Instant::now() + PATIENCE;
        // Children of a killed server may take a moment to end. One in a mount namespace of its own does not keep us from unmounting, but
        // what is mounted then is still the dead disk.
        loop {
            while !self.unmount() {
                assert!(Instant::now() < deadline, "the disk is still in use");
            }
            self.mount();
            if self.takes_files() {
                return;
            }
            assert!(Instant::now() < deadline, "the disk is still the dead one");
        }
    }

    fn takes_files(&self) -> bool {
        let probe = self.folder.join("probe");
        fs::write(&probe, "x").and_then(|()| fs::remove_file(&probe)).is_ok()
    }

    fn image(&self) -> PathBuf {
        self.home.path().join("image")
    }

    fn mount(&self) {
        run(
            "mount",
            ["-o", "loop"].map(OsStr::new).into_iter().chain([self.image().as_os_str(), self.folder.as_os_str()]),
        );
    }

    fn unmount(&self) -> bool {
        Command::new("umount").arg(&self.folder).output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if !self.unmount() {
            // A test that failed may have left a server; the disk goes when that ends.
            let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
        }
    }
}

#[track_caller]
fn run<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("`{program}` does not start: {error}"));
    assert!(output.status.success(), "`{program}` failed: {}", String::from_utf8_lossy(&output.stderr));
}
