//! The log lines of one call, within bounds and without secrets.

use domain::{Level, LogLine, Timestamp};
use ports::Observed;

use super::Host;

const LINES_MAX: usize = 1_000;
const BYTES_MAX: usize = 256 << 10;
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// How much of a message is looked at. A secret has at most 64 KiB, so one that this cuts in two begins behind everything that is
/// shown; if a secret before it was masked and the rest moved up, [`masked_start`] drops that rest.
pub(crate) const MESSAGE_BYTES_READ_MAX: usize = 128 << 10;
/// What stands for a secret.
const MASK: &str = "***";

/// Lines in the order in which they were written; what passes the bounds is dropped and a mark says so.
pub(crate) struct LogBook {
    observed: Observed,
    lines: usize,
    bytes: usize,
    full: bool,
}

impl LogBook {
    /// Lines go to `observed`, where they are seen also when the call never ends.
    pub(crate) fn new(observed: Observed) -> Self {
        Self { observed, lines: 0, bytes: 0, full: false }
    }

    /// Keeps `message`, cut to 16 KiB at a character.
    fn write(&mut self, level: Level, message: &str) {
        let cut = message.floor_char_boundary(MESSAGE_BYTES_MAX);
        let mut text = message[..cut].to_owned();
        if cut < message.len() {
            text.push_str(" … [truncated]");
        }
        self.bytes += text.len();
        if self.lines >= LINES_MAX || self.bytes > BYTES_MAX {
            self.full = true;
            text = format!("[truncated: a call keeps {LINES_MAX} log lines and {} KiB]", BYTES_MAX >> 10);
        }
        self.lines += 1;
        let line = LogLine { level, message: text, at: Timestamp::now() };
        self.observed.update(|ended| ended.logs.push(line));
    }
}

impl Host {
    /// Keeps a line, with `***` for every value of a secret.
    pub(crate) fn log(&mut self, level: Level, message: &str) {
        // A flood costs its author nothing more than the calls.
        if self.logs.full {
            return;
        }
        match self.services.secrets.mask(message) {
            Some(masked) => self.logs.write(level, &masked),
            None => self.logs.write(level, message),
        }
    }

    /// A line of a guest at level info.
    pub(crate) fn log_info(&mut self, message: &[u8]) {
        self.log_bytes(Level::Info, message);
    }

    /// A line of a guest at level error.
    pub(crate) fn log_error(&mut self, message: &[u8]) {
        self.log_bytes(Level::Error, message);
    }

    /// Keeps a line of a guest, of which the first [`MESSAGE_BYTES_READ_MAX`] bytes and one more are enough.
    pub(crate) fn log_bytes(&mut self, level: Level, message: &[u8]) {
        if self.logs.full {
            return;
        }
        let read = &message[..message.len().min(MESSAGE_BYTES_READ_MAX)];
        let text = self.masked(&String::from_utf8_lossy(read), read.len() < message.len());
        self.logs.write(level, &text);
    }

    /// The beginning of a text of a guest, with `***` for every value of a secret; `cut` says that there was more.
    pub(crate) fn masked(&self, text: &str, cut: bool) -> String {
        match self.services.secrets.mask(text) {
            Some(masked) if cut => masked_start(&masked).to_owned(),
            Some(masked) => masked,
            None => text.to_owned(),
        }
    }

    /// The end of a text of a guest, the same.
    pub(crate) fn masked_tail(&self, text: &str, cut: bool) -> String {
        match self.services.secrets.mask(text) {
            Some(masked) if cut => masked_end(&masked).to_owned(),
            Some(masked) => masked,
            None => text.to_owned(),
        }
    }
}

/// What is certain to hold no part of a secret, of a masked text whose end was cut off before it was masked.
fn masked_start(masked: &str) -> &str {
    masked.find(MASK).map_or("", |at| &masked[..at + MASK.len()])
}

/// The same for a text whose beginning was cut off.
fn masked_end(masked: &str) -> &str {
    masked.rfind(MASK).map_or("", |at| &masked[at..])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ports::memory::{MemorySecrets, TestServices};

    use super::*;
    use crate::host::tests::idle_host;

    fn book() -> (LogBook, Observed) {
        let observed = Observed::default();
        (LogBook::new(observed.clone()), observed)
    }

    #[test]
    fn a_flood_is_cut_and_says_so() {
        let (mut book, observed) = book();
        (0..=LINES_MAX).for_each(|_| book.write(Level::Info, "x"));
        assert!(book.full);
        let lines = observed.take().logs;
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert!(lines[LINES_MAX].message.starts_with("[truncated"));
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let (mut book, observed) = book();
        book.write(Level::Error, &"é".repeat(MESSAGE_BYTES_MAX));
        let line = &observed.take().logs[0];
        assert!(line.message.ends_with("é … [truncated]"));
        assert!(line.message.len() < MESSAGE_BYTES_MAX + 32);
    }

    #[test]
    fn a_message_shows_no_half_of_a_secret() {
        let secret: String = (0..10_000).map(|number| format!("{number:06}")).collect();
        let secrets = Arc::new(MemorySecrets::of(&[("KEY", secret.as_bytes())]));
        let (mut host, observed) = idle_host(&TestServices { secrets, ..TestServices::default() });
        // Of the third, only the beginning is read.
        host.log_info(secret.repeat(3).as_bytes());
        host.log_info(format!("a {secret} b").as_bytes());
        let lines = observed.take().logs;
        assert_eq!(lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["***", "a *** b"]);
    }

    #[test]
    fn half_a_secret_at_a_cut_is_dropped() {
        assert_eq!(masked_start("key=*** and anoth"), "key=***");
        assert_eq!(masked_end("cret and key=*** done"), "*** done");
    }
}
