//! A folder of one process: its configuration, and the two sockets that join it with us.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;
use tokio::net::UnixStream;

/// Removed with everything in it when it is dropped.
pub(super) struct Folder {
    folder: TempDir,
    /// The same, open: paths through it are short enough for sockets, wherever the folder is.
    open: OwnedFd,
}

impl Folder {
    pub(super) fn make(parent: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("worker-").tempdir_in(parent)?;
        // Whoever runs in the jail is somebody else; nobody else gets past the folder above.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let open = rustix::fs::open(folder.path(), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { folder, open })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file that the inmate may read; `name` may lie in folders below.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.path().join(name);
        let mut parent = self.folder.path().to_owned();
        for below in Path::new(name).parent().into_iter().flat_map(Path::components) {
            parent.push(below);
            match std::fs::create_dir(&parent) {
                Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(cause),
                _ => std::fs::set_permissions(&parent, Permissions::from_mode(0o755))?,
            }
        }
        std::fs::write(&path, bytes)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o644))
    }

    pub(super) fn listen(&self, name: &str) -> io::Result<UnixListener> {
        let listener = UnixListener::bind(self.short(name))?;
        std::fs::set_permissions(self.folder.path().join(name), Permissions::from_mode(0o666))?;
        Ok(listener)
    }

    pub(super) async fn connect(&self, name: &str) -> io::Result<UnixStream> {
        UnixStream::connect(self.short(name)).await
    }

    fn short(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.open.as_raw_fd()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sockets_work_however_long_the_path_is() {
        let home = tempfile::tempdir().expect("a folder");
        let deep = home.path().join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&deep).expect("made");
        let folder = Folder::make(&deep).expect("a folder");
        let listener = folder.listen("socket").expect("a socket");
        folder.connect("socket").await.expect("connected");
        listener.accept().expect("accepted");
        folder.write("a/b/c.js", b"text").expect("written");
        let path = folder.path().to_owned();
        assert_eq!(std::fs::read(path.join("a/b/c.js")).expect("read"), b"text");
        drop(folder);
        assert!(!path.exists());
    }
}
