//! What one instance carries: the data of its `Store`. Nothing here outlives the call.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use domain::HttpHead;
use ports::{CallContext, Observed};
use wasmtime::Memory;

use super::abi::Allocator;
use super::memory::MemoryLimit;
use crate::host::{Host, MESSAGE_BYTES_READ_MAX};

/// Everything of one call.
pub(crate) struct State {
    pub(crate) host: Host,
    pub(crate) limit: MemoryLimit,
    pub(crate) observed: Observed,
    pub(crate) streams: Streams,
    /// The exported memory, once the instance exists.
    pub(crate) memory: Option<Memory>,
    /// Host calls that wait for the guest's allocator, one inside the other.
    pub(crate) allocating: u8,
    pub(crate) allocator: Allocator,
    pub(crate) http: Option<Arc<HttpHead>>,
    /// WASI preview 1 argv and environ as the guest sees them: built at their first use.
    pub(crate) strings: Option<super::wasi::Strings>,
}

impl State {
    pub(crate) fn deadline(&self) -> Instant {
        self.host.context.deadline
    }

    /// Forgets one call and begins the next, of the same function: whose log, usage and deadline those of `context` are.
    pub(crate) fn begin(&mut self, context: CallContext, observed: Observed) {
        self.limit.observe(observed.clone());
        self.host = Host::new(context, self.host.services.clone(), observed.clone());
        self.observed = observed;
    }
}

/// Standard input, output and error.
pub(crate) struct Streams {
    pub(crate) input: Bytes,
    pub(crate) output: Vec<u8>,
    /// Nobody hears standard output: what is written there is gone.
    pub(crate) mute: bool,
    pub(crate) errors: ErrorTail,
    /// Descriptors 0, 1, 2: closed by the guest?
    pub(crate) closed: [bool; 3],
}

impl Streams {
    pub(crate) fn new(input: Bytes) -> Self {
        Self { input, output: Vec::new(), mute: false, errors: ErrorTail::default(), closed: [false; 3] }
    }

    /// No input, and nobody who hears the output.
    pub(crate) fn mute() -> Self {
        Self { mute: true, ..Self::new(Bytes::new()) }
    }
}

/// Standard error: its last bytes, and the line that is not finished yet.
#[derive(Default)]
pub(crate) struct ErrorTail {
    bytes: Vec<u8>,
    cut: bool,
    line: Vec<u8>,
}

impl ErrorTail {
    /// What is shown.
    const BYTES_MAX: usize = 8 << 10;
    /// What is kept: more than is shown by the size of a secret, so that none is cut in two and then not known for one.
    const BYTES_KEPT_MAX: usize = Self::BYTES_MAX + (64 << 10);

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&bytes[bytes.len().saturating_sub(Self::BYTES_KEPT_MAX)..]);
        // Moved only now and then: a program that writes byte by byte would wait for nothing else.
        if self.bytes.len() > 2 * Self::BYTES_KEPT_MAX {
            self.cut = true;
            self.bytes.drain(..self.bytes.len() - Self::BYTES_KEPT_MAX);
        }
    }

    /// The lines that `bytes` finish; of a long one the beginning, and one byte more than is read of it.
    pub(crate) fn lines(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut finished = Vec::new();
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let room = MESSAGE_BYTES_READ_MAX + 1 - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if parts.peek().is_some() {
                finished.extend(self.last_line());
            }
        }
        finished
    }

    /// The line that no line end finished, if it is not blank.
    pub(crate) fn last_line(&mut self) -> Option<Vec<u8>> {
        let mut line = std::mem::take(&mut self.line);
        line.truncate(line.trim_ascii_end().len());
        (!line.is_empty()).then_some(line)
    }

    /// The tail as text without secrets and without the blank end; empty when nothing was written.
    pub(crate) fn text(&self, host: &Host) -> String {
        let masked = host.masked_tail(&String::from_utf8_lossy(&self.bytes), self.cut);
        let text = masked.trim_end();
        let start = text.ceil_char_boundary(text.len().saturating_sub(Self::BYTES_MAX));
        let mark = if self.cut || start > 0 { "… " } else { "" };
        format!("{mark}{}", &text[start..])
    }
}

/// Why a guest was stopped on purpose. Travels as the error of a host call.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Stop {
    #[error("exit {0}")]
    Exit(i32),
    #[error("the deadline passed")]
    Deadline,
    #[error("the output is larger than {0} bytes")]
    Output(usize),
    #[error("the guest aborted: {0}")]
    Abort(String),
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ports::memory::{MemorySecrets, TestServices};

    use super::*;
    use crate::host::tests::idle_host;

    #[test]
    fn the_tail_shows_no_half_of_a_secret() {
        let secret: String = (0..10_000).map(|number| format!("{number:06}")).collect();
        let secrets = Arc::new(MemorySecrets::of(&[("KEY", secret.as_bytes())]));
        let (host, _) = idle_host(&TestServices { secrets, ..TestServices::default() });
        let mut tail = ErrorTail::default();
        // The third drives the first out, and the beginning of the second.
        (0..3).for_each(|_| tail.write(secret.as_bytes()));
        assert_eq!(tail.text(&host), "… ***");
    }

    #[test]
    fn the_tail_is_the_end_of_what_was_written() {
        let (host, _) = idle_host(&TestServices::default());
        let mut tail = ErrorTail::default();
        assert_eq!(tail.text(&host), "");
        (0..100_000).for_each(|number| tail.write(format!("{number}é\n").as_bytes()));
        let text = tail.text(&host);
        assert!(text.starts_with("… ") && text.ends_with("99998é\n99999é"), "{text}");
        assert!((ErrorTail::BYTES_MAX - 4..ErrorTail::BYTES_MAX + 8).contains(&text.len()), "{}", text.len());
    }

    #[test]
    fn lines_are_finished_by_their_ends_and_cut_where_nobody_reads_on() {
        let mut tail = ErrorTail::default();
        assert_eq!(tail.lines(b"one\ntw"), [b"one"]);
        assert_eq!(tail.lines(b"o  \n \n"), [b"two"]);
        tail.lines(&vec![b'x'; 1 << 20]);
        assert_eq!(tail.last_line().map(|line| line.len()), Some(MESSAGE_BYTES_READ_MAX + 1));
        assert_eq!(tail.last_line(), None);
    }
}
