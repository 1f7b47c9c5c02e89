//! What one instance carries: the data of its `Store`. Nothing here outlives the call.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use domain::{HttpHead, ReplyHead};
use wasmtime::Memory;

use super::memory::MemoryLimit;
use crate::host::Host;

/// Everything of one call.
pub(crate) struct State {
    pub(crate) host: Host,
    pub(crate) limit: MemoryLimit,
    pub(crate) streams: Streams,
    /// The exported memory, once the instance exists.
    pub(crate) memory: Option<Memory>,
    /// Host calls that wait for the guest's allocator, one inside the other.
    pub(crate) allocating: u8,
    /// The reply that `set_http_response` composed.
    pub(crate) response: Option<(ReplyHead, Bytes)>,
    pub(crate) http: Option<Arc<HttpHead>>,
    /// WASI preview 1 argv and environ as the guest sees them: built at their first use.
    pub(crate) strings: Option<super::wasi::Strings>,
}

impl State {
    pub(crate) fn deadline(&self) -> Instant {
        self.host.context.deadline
    }
}

/// Standard input, output and error.
pub(crate) struct Streams {
    pub(crate) input: Bytes,
    pub(crate) output: Vec<u8>,
    pub(crate) errors: ErrorTail,
    /// Descriptors 0, 1, 2: closed by the guest?
    pub(crate) closed: [bool; 3],
}

impl Streams {
    pub(crate) fn new(input: Bytes) -> Self {
        Self { input, output: Vec::new(), errors: ErrorTail::default(), closed: [false; 3] }
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
    const BYTES_MAX: usize = 8 << 10;
    const LINE_BYTES_MAX: usize = 16 << 10;

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&bytes[bytes.len().saturating_sub(Self::BYTES_MAX)..]);
        let extra = self.bytes.len().saturating_sub(Self::BYTES_MAX);
        self.cut |= extra > 0;
        self.bytes.drain(..extra);
    }

    /// The lines that `bytes` finish.
    pub(crate) fn lines(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut finished = Vec::new();
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let room = Self::LINE_BYTES_MAX - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if parts.peek().is_some() {
                finished.extend(self.last_line());
            }
        }
        finished
    }

    /// The line that no line end finished, if it is not blank.
    pub(crate) fn last_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// The tail as text, without the blank end; empty when nothing was written.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let mark = if self.cut { "… " } else { "" };
        format!("{mark}{}", text.trim_end())
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
