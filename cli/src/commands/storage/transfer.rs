//! Content in and out, piece by piece; whatever its size, little of it is in memory.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::{CHUNK_BYTES, Cid, CidBuilder, Leaf};
use futures_util::StreamExt;
use indicatif::ProgressBar;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use serde_json::json;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::cid;
use crate::args::Shared;
use crate::download::{Check, Target};
use crate::failure::{Failure, Outcome};
use crate::gateway::Gateway;
use crate::{printable, screen, units};

const PIECE_BYTES: usize = 256 << 10;

/// Store a file and print its content identifier
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama storage put photo.jpg
  tar c folder | orama storage put - --name folder.tar")]
pub struct Put {
    /// File to store, or - for stdin
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// What people call it [default: the name of the file]
    #[arg(long)]
    name: Option<String>,
    /// Do not keep it for ever: `gc` removes it
    #[arg(long)]
    no_pin: bool,
}

/// Fetch content; what arrives is checked against its identifier
#[derive(Debug, clap::Args)]
pub struct Get {
    /// Content identifier
    #[arg(value_parser = cid)]
    cid: Cid,
    /// File to write [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub(super) fn put(args: &Put, gateway: &Gateway, shared: &Shared) -> Outcome {
    let answer = gateway.block_on(async {
        let (part, bar) = part(args).await?;
        let form = Form::new().text("pin", (!args.no_pin).to_string()).part("file", part);
        let answer = gateway.answer(gateway.request(Method::POST, "/v1/storage/upload", &[]).multipart(form)).await;
        bar.finish_and_clear();
        answer?.succeeded()
    })?;
    let document: serde_json::Value = gateway.parse(&answer.body)?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&printable::line(document["cid"].as_str().unwrap_or_default())),
    }
    Ok(())
}

async fn part(args: &Put) -> Outcome<(Part, ProgressBar)> {
    let (part, bar) = match args.file.as_os_str() == "-" {
        true => {
            let bar = screen::progress(None, "uploading");
            (Part::stream(body(stdin()?, &bar)), bar)
        }
        false => of_file(&args.file).await?,
    };
    let of_path = || args.file.file_name().filter(|name| *name != "-").map(|name| name.to_string_lossy().into_owned());
    let name = args.name.clone().or_else(of_path).unwrap_or_else(|| "stdin".to_owned());
    Ok((part.file_name(name), bar))
}

/// Stdin as a file, so that it is read where blocking is allowed.
fn stdin() -> Outcome<tokio::fs::File> {
    let descriptor = std::io::stdin().as_fd().try_clone_to_owned();
    let descriptor = descriptor.map_err(|error| Failure::failed(format!("failed to read stdin: {error}")))?;
    Ok(tokio::fs::File::from_std(descriptor.into()))
}

async fn of_file(path: &Path) -> Outcome<(Part, ProgressBar)> {
    let file = tokio::fs::File::open(path).await.map_err(Failure::file("read", path))?;
    let metadata = file.metadata().await.map_err(Failure::file("read", path))?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("`{}` is a folder", path.display()))
            .hint(format!("store it as an archive: `tar c {} | orama storage put -`", path.display())));
    }
    if !metadata.is_file() {
        let bar = screen::progress(None, "uploading");
        return Ok((Part::stream(body(file, &bar)), bar));
    }
    let bar = screen::progress(Some(metadata.len()), "uploading");
    Ok((Part::stream_with_length(body(file, &bar), metadata.len()), bar))
}

fn body(source: impl AsyncRead + Send + 'static, bar: &ProgressBar) -> Body {
    let bar = bar.clone();
    let count = move |piece: std::io::Result<Bytes>| piece.inspect(|piece| bar.inc(piece.len() as u64));
    Body::wrap_stream(ReaderStream::with_capacity(source, PIECE_BYTES).map(count))
}

pub(super) fn get(args: &Get, gateway: &Gateway, shared: &Shared) -> Outcome {
    let target = Target { file: args.output.as_deref(), force: args.force };
    if target.path().is_none() && screen::stdout_is_terminal() {
        return Err(Failure::usage("content may be no text").hint("name a file with `-o FILE`, or use a pipe"));
    }
    let request = gateway.request(Method::GET, &format!("/v1/storage/get/{}", args.cid), &[]);
    let bytes = target.fill(gateway, request, Identified::of(args.cid))?;
    let Some(path) = target.path() else { return Ok(()) };
    match shared.json {
        true => screen::json(&json!({ "cid": args.cid, "file": path, "size": bytes })),
        false => screen::talk(&format!("wrote {}, {}", path.display(), units::size(bytes))),
    }
    Ok(())
}

/// Makes the identifier of what arrives.
struct Identified {
    wanted: Cid,
    builder: CidBuilder,
    chunk: Vec<u8>,
}

impl Identified {
    fn of(wanted: Cid) -> Self {
        Self { wanted, builder: CidBuilder::new(), chunk: Vec::with_capacity(CHUNK_BYTES) }
    }

    fn push(&mut self) {
        self.builder.push(Leaf::of(&self.chunk));
        self.chunk.clear();
    }
}

impl Check for Identified {
    fn take(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let (now, later) = piece.split_at(piece.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            piece = later;
            if self.chunk.len() == CHUNK_BYTES {
                self.push();
            }
        }
    }

    fn verdict(mut self) -> Outcome {
        if !self.chunk.is_empty() {
            self.push();
        }
        match self.builder.finish() == self.wanted {
            true => Ok(()),
            false => Err(Failure::failed(format!("what arrived is not {}", self.wanted)).hint("try again")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_judged_by_its_identifier_however_it_arrives() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            for piece_bytes in [1000, CHUNK_BYTES, CHUNK_BYTES + 1] {
                let mut identified = Identified::of(Cid::of(&content));
                content.chunks(piece_bytes).for_each(|piece| identified.take(piece));
                assert!(identified.verdict().is_ok(), "{length} bytes in pieces of {piece_bytes}");
            }
        }
        let mut identified = Identified::of(Cid::of(b"right"));
        identified.take(b"wrong");
        assert!(identified.verdict().is_err());
    }
}
