//! The log lines of one call, within bounds.

use domain::{Level, LogLine, Timestamp};

const LINES_MAX: usize = 1_000;
const BYTES_MAX: usize = 256 << 10;
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// Lines in the order in which they were written; what passes the bounds is dropped and a mark says so.
#[derive(Default)]
pub(crate) struct LogBook {
    lines: Vec<LogLine>,
    bytes: usize,
    full: bool,
}

impl LogBook {
    /// Keeps `message`, cut to 16 KiB at a character.
    pub(crate) fn write(&mut self, level: Level, message: &str) {
        if self.full {
            return;
        }
        let cut = message.floor_char_boundary(MESSAGE_BYTES_MAX);
        let mut text = message[..cut].to_owned();
        if cut < message.len() {
            text.push_str(" … [truncated]");
        }
        self.bytes += text.len();
        if self.lines.len() >= LINES_MAX || self.bytes > BYTES_MAX {
            self.full = true;
            text = format!("[truncated: a call keeps {LINES_MAX} log lines and {} KiB]", BYTES_MAX >> 10);
        }
        self.lines.push(LogLine { level, message: text, at: Timestamp::now() });
    }

    pub(crate) fn take(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_says_so() {
        let mut book = LogBook::default();
        (0..5_000).for_each(|_| book.write(Level::Info, "x"));
        let lines = book.take();
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert!(lines[LINES_MAX].message.starts_with("[truncated"));
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut book = LogBook::default();
        book.write(Level::Error, &"é".repeat(MESSAGE_BYTES_MAX));
        let line = &book.take()[0];
        assert!(line.message.ends_with("é … [truncated]"));
        assert!(line.message.len() < MESSAGE_BYTES_MAX + 32);
    }
}
