//! Makes text from a server or a function harmless for a terminal.
//!
//! Escape sequences, other control characters, and the characters that reorder or hide text are shown as escapes, so
//! that a function name or a log line can neither drive the terminal nor pass for a line of ours.

use std::fmt::Write;

/// Text for a cell or a single line: line breaks and tabs are escaped too.
pub fn line(text: &str) -> String {
    escape(text, |_| false)
}

/// Text that may have several lines.
pub fn block(text: &str) -> String {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if keep(c) || !is_hostile(c) => safe.push(c),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if (c as u32) < 0x80 => write!(safe, "\\x{:02x}", c as u32).expect("a String takes every write"),
            c => write!(safe, "\\u{{{:x}}}", c as u32).expect("a String takes every write"),
        }
    }
    safe
}

fn is_hostile(c: char) -> bool {
    let reorders = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let hides = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}' | '\u{feff}');
    c.is_control() || reorders || hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_shown_and_not_sent() {
        assert_eq!(line("\x1b[31mred\x1b]0;title\x07"), "\\x1b[31mred\\x1b]0;title\\x07");
        assert_eq!(line("a\u{9b}31m"), "a\\u{9b}31m");
        assert_eq!(line("a\0b\x7f"), "a\\x00b\\x7f");
        assert_eq!(line("abc\u{202e}fed"), "abc\\u{202e}fed");
    }

    #[test]
    fn a_line_stays_one_line_and_a_block_keeps_its_lines() {
        assert_eq!(line("one\r\ntwo\tthree"), "one\\r\\ntwo\\tthree");
        assert_eq!(block("one\r\ntwo\tthree"), "one\\r\ntwo\tthree");
    }

    #[test]
    fn letters_of_every_script_pass() {
        assert_eq!(line("Grüße, 世界 🙂"), "Grüße, 世界 🙂");
    }
}
