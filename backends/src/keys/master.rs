//! Where master keys come from: a file, a variable of the environment, or a command that prints them.
//!
//! One key or several, newest first, each 32 bytes in hexadecimal or base64, apart by commas or white space. Nothing of a source is
//! ever shown: messages name the file, the variable or the program.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ports::{BoxError, KEY_BYTES, KeysError, MasterKey, NodeKey};
use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use super::{check_private, decode, make};

/// The longest source that is read, in bytes: far more than anybody has keys.
const SOURCE_BYTES_MAX: u64 = 16 << 10;
/// How long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);
/// How often it is asked whether a command that closed its output has ended.
const COMMAND_INTERVAL: Duration = Duration::from_millis(5);

/// Where the master keys of a node are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKeySource {
    /// A file that only its owner may read.
    File(PathBuf),
    /// The name of a variable.
    Environment(String),
    /// A program and its arguments; its output is the keys.
    Command(Vec<String>),
}

impl MasterKeySource {
    /// As an operator calls it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::File(path) => format!("the file `{}`", path.display()),
            Self::Environment(name) => format!("the environment variable `{name}`"),
            Self::Command(words) => format!("the command `{}`", program(words)),
        }
    }

    /// Reads the keys; `or_make` makes a file that is not there.
    pub(super) fn read(&self, or_make: bool) -> Result<Vec<MasterKey>, KeysError> {
        let text = match self {
            Self::File(path) => read_file(path, or_make),
            Self::Environment(name) => read_variable(name),
            Self::Command(words) => run(words, COMMAND_LIMIT),
        };
        let unusable = |reason: String| KeysError::Unusable { purpose: "master".to_owned(), reason };
        parse(&text.map_err(unusable)?).map_err(|reason| unusable(format!("{} {reason}", self.describe())))
    }
}

type Text = Zeroizing<String>;

fn parse(text: &str) -> Result<Vec<MasterKey>, &'static str> {
    let mut keys = Vec::<MasterKey>::new();
    for word in text.split([',', ' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()) {
        let key = master_of(word).ok_or("does not hold keys: each is 32 bytes in hexadecimal or base64")?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.is_empty() { Err("holds no key") } else { Ok(keys) }
}

fn master_of(word: &str) -> Option<MasterKey> {
    let bytes = decode(word).or_else(|| decode_base64(word))?;
    let hash = blake3::derive_key("orama 2026-11 name of a master key", &bytes);
    let id = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Some(MasterKey { id, key: NodeKey::new(bytes) })
}

fn decode_base64(word: &str) -> Option<[u8; KEY_BYTES]> {
    let word = word.strip_suffix('=').unwrap_or(word);
    let bytes = STANDARD_NO_PAD.decode(word).or_else(|_| URL_SAFE_NO_PAD.decode(word)).ok()?;
    Zeroizing::new(bytes).as_slice().try_into().ok()
}

fn read_file(path: &Path, or_make: bool) -> Result<Text, String> {
    let shown = path.display();
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && or_make => {
            make(path).map_err(|error: BoxError| format!("cannot make `{shown}`: {error}"))?;
            File::open(path).map_err(|error| format!("cannot read `{shown}`: {error}"))?
        }
        opened => opened.map_err(|error| format!("cannot read `{shown}`: {error}"))?,
    };
    check_private(&file, path)?;
    read_text(&mut file).map_err(|error| format!("cannot read `{shown}`: {error}"))
}

fn read_variable(name: &str) -> Result<Text, String> {
    match std::env::var(name) {
        Ok(text) => Ok(Text::new(text)),
        Err(std::env::VarError::NotPresent) => Err(format!("the environment variable `{name}` is not set")),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("the environment variable `{name}` is not a text")),
    }
}

fn read_text(source: &mut impl Read) -> io::Result<Text> {
    let mut text = Text::default();
    if source.take(SOURCE_BYTES_MAX + 1).read_to_string(&mut text)? as u64 > SOURCE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long to hold keys"));
    }
    Ok(text)
}

/// The name of a program; its arguments may be secret, too.
fn program(words: &[String]) -> &str {
    words.first().map_or("", String::as_str)
}

/// What a program prints, within a time limit.
fn run(words: &[String], limit: Duration) -> Result<Text, String> {
    let name = program(words);
    let mut child = Command::new(name)
        .args(words.get(1..).unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A group of its own, so that what it started ends with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot run the command `{name}`: {error}"))?;
    let ended = output_of(&mut child, Instant::now() + limit);
    if !matches!(ended, Ok(Some(_))) {
        stop(&mut child);
    }
    match ended {
        Err(error) => Err(format!("cannot read what the command `{name}` prints: {error}")),
        Ok(None) => Err(format!("the command `{name}` did not end within {} s", limit.as_secs_f64())),
        Ok(Some((status, _))) if !status.success() => Err(format!("the command `{name}` failed: {status}")),
        Ok(Some((_, text))) => Ok(text),
    }
}

/// The output of a child that ended, or `None` when it did not in time.
fn output_of(child: &mut Child, deadline: Instant) -> io::Result<Option<(ExitStatus, Text)>> {
    let mut output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (sender, receiver) = channel();
    // Not joined: what the program started may hold its output open.
    std::thread::spawn(move || sender.send(read_text(&mut output)));
    let text = match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(text) => text?,
        Err(RecvTimeoutError::Timeout) => return Ok(None),
        Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
    };
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some((status, text))),
            None if Instant::now() >= deadline => return Ok(None),
            None => std::thread::sleep(COMMAND_INTERVAL),
        }
    }
}

fn stop(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // It may have ended just now; waiting for it is what counts.
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
    let _ = child.wait();
}

#[cfg(test)]
mod tests;
