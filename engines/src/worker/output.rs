//! What a process writes: lines for its calls on standard output, its last words on standard error.
//!
//! A line that stands for a call is in the pipe before the reply is in the socket. Whoever has the end of a reply reads the
//! pipe dry first, and so has every line.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

use super::calls::Calls;
use super::locked;

/// Longer lines are none of ours.
const LINE_BYTES_MAX: usize = 1 << 20;
/// How much of standard error is kept: its end.
const LAST_WORDS_BYTES_MAX: usize = 8 << 10;
const PIECE_BYTES: usize = 16 << 10;
/// Begins a line of ours.
const MARK: char = '\u{1}';

/// Standard output.
pub(super) struct Output {
    pipe: AsyncFd<OwnedFd>,
    /// The line that is not complete yet.
    begun: Mutex<Vec<u8>>,
    calls: Arc<Calls>,
}

impl Output {
    pub(super) fn new(pipe: pipe::Receiver, calls: Arc<Calls>) -> std::io::Result<Self> {
        let pipe = pipe.into_nonblocking_fd()?;
        // SAFETY: an `OwnedFd` is the same open file for as long as it lives.
        let pipe = unsafe { AsyncFd::register(pipe) }?;
        Ok(Self { pipe, begun: Mutex::default(), calls })
    }

    /// Reads until the process has ended.
    pub(super) async fn read(&self) {
        while let Ok(mut ready) = self.pipe.readable().await
            && self.drain()
        {
            ready.clear_ready();
        }
    }

    /// Reads what is there, whether or not the runtime has heard of it yet; false when nothing will come any more.
    pub(super) fn drain(&self) -> bool {
        let mut begun = locked(&self.begun);
        let mut piece = [0; PIECE_BYTES];
        loop {
            match rustix::io::read(self.pipe.get_ref(), &mut piece) {
                Ok(0) => return false,
                Ok(bytes) => self.take(&mut begun, &piece[..bytes]),
                Err(Errno::INTR) => {}
                Err(cause) => return cause == Errno::WOULDBLOCK,
            }
        }
    }

    fn take(&self, begun: &mut Vec<u8>, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if begun.len() + piece.len() <= LINE_BYTES_MAX {
                begun.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                self.line(begun);
                begun.clear();
            }
        }
    }

    /// `MARK token word text-as-JSON`; all else is what code writes that answers no request.
    fn line(&self, line: &[u8]) {
        let told = std::str::from_utf8(line).ok().and_then(|line| line.trim_end().strip_prefix(MARK));
        let mut parts = told.into_iter().flat_map(|told| told.splitn(3, ' '));
        let (Some(token), Some(word), Some(json)) = (parts.next(), parts.next(), parts.next()) else { return };
        if let (Some(call), Ok(text)) = (self.calls.find(token), serde_json::from_str::<String>(json)) {
            call.told(word, &text);
        }
    }
}

/// The end of standard error.
#[derive(Default)]
pub(super) struct LastWords(Mutex<Vec<u8>>);

impl LastWords {
    /// Reads until the process has ended.
    pub(super) async fn read(&self, pipe: pipe::Receiver) {
        let mut piece = [0; PIECE_BYTES];
        while pipe.readable().await.is_ok() {
            match pipe.try_read(&mut piece) {
                Ok(0) => return,
                Ok(bytes) => self.keep(&piece[..bytes]),
                Err(cause) if cause.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = locked(&self.0);
        kept.extend_from_slice(bytes);
        let surplus = kept.len().saturating_sub(LAST_WORDS_BYTES_MAX);
        kept.drain(..surplus);
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&locked(&self.0)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ports::Observed;
    use ports::memory::TestServices;

    use super::*;
    use crate::host::tests::idle;

    #[tokio::test]
    async fn lines_find_their_call_however_they_are_cut() {
        let (context, services) = idle(&TestServices::default());
        let (calls, observed) = (Arc::new(Calls::default()), Observed::default());
        let begun = calls.begin(context, services, observed.clone()).expect("begun");
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let pipe = pipe::Receiver::from_owned_fd(reader.into()).expect("a pipe");
        let output = Output::new(pipe, calls.clone()).expect("an output");
        let token = &begun.live.token;
        let text = format!(
            "noise\n\u{1}{token} info \"one\\ntwo\"\n\u{1}other info \"x\"\n\u{1}{token} warn no-json\n\u{1}{token}\n\u{1}{token} er"
        );
        writer.write_all(text.as_bytes()).expect("written");
        assert!(output.drain());
        writer.write_all(b"ror \"three\"\n").expect("written");
        drop(writer);
        output.read().await;
        let lines: Vec<_> = observed.take().logs.into_iter().map(|line| line.message).collect();
        assert_eq!(lines, ["one\ntwo", "three"]);
    }

    #[test]
    fn only_the_last_words_are_kept() {
        let words = LastWords::default();
        words.keep(&[b'a'; LAST_WORDS_BYTES_MAX]);
        words.keep(b"the end");
        assert!(words.text().len() == LAST_WORDS_BYTES_MAX && words.text().ends_with("the end"));
    }
}
