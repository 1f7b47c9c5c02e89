//! What is downloaded lands whole or not at all: under another name until its last byte is there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use reqwest::{RequestBuilder, Response};

use crate::failure::{Failure, Outcome};
use crate::gateway::Gateway;
use crate::screen;

/// Where to put it, as a person named it.
pub struct Target<'a> {
    /// `None` and `-` mean stdout.
    pub file: Option<&'a Path>,
    /// Replace a file that is there.
    pub force: bool,
}

/// Looks at every byte on its way, and has the last word.
pub trait Check {
    fn take(&mut self, piece: &[u8]);
    fn verdict(self) -> Outcome;
}

/// Whatever comes is right.
impl Check for () {
    fn take(&mut self, _piece: &[u8]) {}

    fn verdict(self) -> Outcome {
        Ok(())
    }
}

impl Target<'_> {
    /// The file; `None` for stdout.
    pub fn path(&self) -> Option<&Path> {
        self.file.filter(|file| file.as_os_str() != "-")
    }

    /// Sends the request and writes the body of its answer; returns how many bytes that were.
    pub fn fill(&self, gateway: &Gateway, request: RequestBuilder, check: impl Check) -> Outcome<u64> {
        let Some(path) = self.path() else {
            return gateway.block_on(receive(gateway, request, io::stdout().lock(), check));
        };
        self.refuse_existing(path)?;
        let partial = Partial::create(path)?;
        let bytes = gateway.block_on(receive(gateway, request, &partial.file, check))?;
        partial.file.sync_all().map_err(Failure::file("write", &partial.path))?;
        self.refuse_existing(path)?;
        fs::rename(&partial.path, path).map_err(Failure::file("write", path))?;
        Ok(bytes)
    }

    fn refuse_existing(&self, path: &Path) -> Outcome {
        match !self.force && path.symlink_metadata().is_ok() {
            true => Err(Failure::usage(format!("`{}` exists", path.display())).hint("use `--force` to replace it")),
            false => Ok(()),
        }
    }
}

/// A file that is removed unless it got its name.
struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    fn create(target: &Path) -> Outcome<Self> {
        let name = target.file_name().ok_or_else(|| Failure::usage(format!("`{}` is no file", target.display())))?;
        let mut partial = std::ffi::OsString::from(".");
        partial.push(name);
        partial.push(format!(".{}", std::process::id()));
        let path = target.with_file_name(partial);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        Ok(Self { file: file.map_err(Failure::file("create", target))?, path })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

async fn receive(
    gateway: &Gateway,
    request: RequestBuilder,
    mut out: impl Write,
    mut check: impl Check,
) -> Outcome<u64> {
    let mut response = gateway.send(request).await?;
    if !response.status().is_success() {
        return Err(gateway.read_whole(response).await?.failure());
    }
    let bar = screen::progress(response.content_length(), "downloading");
    let received = pieces(&mut response, &mut out, &mut check, &bar).await;
    bar.finish_and_clear();
    let bytes = received?;
    check.verdict()?;
    Ok(bytes)
}

async fn pieces(
    response: &mut Response,
    out: &mut impl Write,
    check: &mut impl Check,
    bar: &ProgressBar,
) -> Outcome<u64> {
    let mut bytes = 0;
    let cut = |error| Failure::failed(format!("the download broke off: {error}")).hint("try again; nothing was kept");
    while let Some(piece) = response.chunk().await.map_err(cut)? {
        out.write_all(&piece).map_err(|error| Failure::failed(format!("failed to write the download: {error}")))?;
        check.take(&piece);
        bytes += piece.len() as u64;
        bar.inc(piece.len() as u64);
    }
    out.flush().map_err(|error| Failure::failed(format!("failed to write the download: {error}")))?;
    Ok(bytes)
}
