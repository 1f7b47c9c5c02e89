//! Where the messages of an HTTP/1 connection begin and end, followed beside the parser.
//!
//! hyper drops the `Content-Length` of a request that also has `Transfer-Encoding`, and the second of two equal ones, before
//! a service can see them. Whoever stands before us may have read such a request differently, so it has to be refused. This
//! also tells the timers whether a connection is between requests, inside a head or inside a body.

use memchr::memchr;

/// The longest start of a line that is looked at, however it arrives: the two names and a length fit well.
const LINE_BYTES_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    BetweenMessages,
    InHead,
    InBody,
}

#[derive(Debug, Default)]
pub(crate) struct Framing {
    state: State,
    /// The start of a line whose end has not arrived.
    line: Vec<u8>,
    /// The last byte of that line, also when it is longer than what is kept.
    last: u8,
    head: Head,
    heads_seen: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Lines of a head, up to an empty one.
    #[default]
    Head,
    Body {
        left: u64,
    },
    ChunkSize,
    Chunk {
        left: u64,
    },
    ChunkEnd,
    Trailers,
    /// What follows is not HTTP/1 as we know it. The parser may think otherwise, so nothing behind this point is believed.
    Lost,
}

/// What was read of the head so far.
#[derive(Debug, Default)]
struct Head {
    /// The request line was seen.
    begun: bool,
    chunked: bool,
    length: Option<u64>,
    ambiguous: bool,
}

impl Framing {
    pub(crate) fn position(&self) -> Position {
        match self.state {
            State::Head if !self.head.begun && self.line.is_empty() => Position::BetweenMessages,
            State::Head => Position::InHead,
            _ => Position::InBody,
        }
    }

    /// The heads that have ended so far.
    pub(crate) fn heads_seen(&self) -> u64 {
        self.heads_seen
    }

    /// Follows `bytes`; returns the number of the first head (counted from 0) that is ambiguous, as all behind it are.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Option<u64> {
        let mut ambiguous = None;
        while !bytes.is_empty() {
            match &mut self.state {
                State::Lost => break,
                State::Body { left } | State::Chunk { left } => {
                    let taken = (*left).min(bytes.len() as u64);
                    *left -= taken;
                    bytes = &bytes[taken as usize..];
                    if *left == 0 {
                        self.state =
                            if matches!(self.state, State::Body { .. }) { State::Head } else { State::ChunkEnd };
                    }
                }
                State::Head | State::ChunkSize | State::ChunkEnd | State::Trailers => {
                    let Some(end) = memchr(b'\n', bytes) else {
                        self.keep(bytes);
                        break;
                    };
                    let refused = self.end_of_line(&bytes[..end]);
                    ambiguous = ambiguous.or(refused);
                    bytes = &bytes[end + 1..];
                }
            }
        }
        ambiguous
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.last = bytes.last().copied().unwrap_or(self.last);
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_of_line(&mut self, bytes: &[u8]) -> Option<u64> {
        if self.line.is_empty() {
            let start = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
            return self.line_read(start, bytes.ends_with(b"\r"));
        }
        self.keep(bytes);
        let line = std::mem::take(&mut self.line);
        let ambiguous = self.line_read(&line, self.last == b'\r');
        self.line = line;
        self.line.clear();
        ambiguous
    }

    fn line_read(&mut self, line: &[u8], ended_by_crlf: bool) -> Option<u64> {
        let whole = line.len() < LINE_BYTES_MAX;
        let line = if whole { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        match self.state {
            State::Head if !line.is_empty() => {
                self.head.line(line);
                None
            }
            // Empty lines before a request line are skipped, as parsers do.
            State::Head if !self.head.begun => None,
            State::Head => self.head_ended(),
            // A parser that reads on to the CR sees the end of this message elsewhere.
            _ if !ended_by_crlf => self.lose(),
            State::ChunkSize => self.chunk_begins(line),
            State::ChunkEnd if line.is_empty() => {
                self.state = State::ChunkSize;
                None
            }
            State::ChunkEnd => self.lose(),
            State::Trailers if line.is_empty() => {
                self.state = State::Head;
                None
            }
            State::Trailers | State::Body { .. } | State::Chunk { .. } | State::Lost => None,
        }
    }

    fn chunk_begins(&mut self, line: &[u8]) -> Option<u64> {
        self.state = match chunk_size(line) {
            None => return self.lose(),
            Some(0) => State::Trailers,
            Some(left) => State::Chunk { left },
        };
        None
    }

    /// Every head that the parser finds from here on is ambiguous.
    fn lose(&mut self) -> Option<u64> {
        self.state = State::Lost;
        Some(self.heads_seen)
    }

    fn head_ended(&mut self) -> Option<u64> {
        let Head { chunked, length, ambiguous, begun: _ } = std::mem::take(&mut self.head);
        let number = self.heads_seen;
        self.heads_seen += 1;
        self.state = match length {
            _ if ambiguous => State::Lost,
            _ if chunked => State::ChunkSize,
            None | Some(0) => State::Head,
            Some(left) => State::Body { left },
        };
        ambiguous.then_some(number)
    }
}

impl Head {
    fn line(&mut self, line: &[u8]) {
        if !std::mem::replace(&mut self.begun, true) {
            return;
        }
        // Only names that begin with `c` or `t` matter: most lines end here.
        match line[0] | 0x20 {
            b'c' => {
                if let Some(value) = value_of(line, b"content-length") {
                    // A length behind that much space may have been cut; nobody honest sends one.
                    self.ambiguous |= self.length.is_some() || self.chunked || line.len() >= LINE_BYTES_MAX;
                    match decimal(value) {
                        Some(length) => self.length = Some(length),
                        // The parser refuses what is not a number.
                        None => self.ambiguous = true,
                    }
                }
            }
            b't' if value_of(line, b"transfer-encoding").is_some() => {
                self.ambiguous |= self.chunked || self.length.is_some();
                self.chunked = true;
            }
            _ => {}
        }
    }
}

/// The value of a header line when its name is `name`, in any case.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    head.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// `None` also for so many digits that the line may have been cut among them.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits >= LINE_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(&line[..digits]).ok()?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in one piece and byte by byte; both must agree.
    fn follow(bytes: &[u8]) -> (Option<u64>, u64, Position) {
        let mut whole = Framing::default();
        let first = whole.feed(bytes);
        let mut single = Framing::default();
        let mut first_single = None;
        for byte in bytes {
            first_single = first_single.or(single.feed(&[*byte]));
        }
        assert_eq!((first, whole.heads_seen, whole.position()), (first_single, single.heads_seen, single.position()));
        (first, whole.heads_seen, whole.position())
    }

    #[test]
    fn messages_are_told_apart() {
        let between = Position::BetweenMessages;
        assert_eq!(follow(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n"), (None, 2, between));
        assert_eq!(
            follow(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n"),
            (None, 2, between)
        );
        let chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nt: 1\r\n\r\n";
        assert_eq!(follow(chunked), (None, 1, between));
        assert_eq!(follow(b"GET / HT"), (None, 0, Position::InHead));
        assert_eq!(follow(b"POST / HTTP/1.1\ncontent-length: 9\n\nab"), (None, 1, Position::InBody));
    }

    #[test]
    fn two_lengths_are_ambiguous_wherever_they_stand() {
        for (lines, number) in [
            ("content-length: 2\r\ntransfer-encoding: chunked", 0),
            ("Transfer-Encoding: chunked\r\nCONTENT-LENGTH: 2", 0),
            ("content-length: 2\r\ncontent-length: 2", 0),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", 0),
            ("content-length: +2", 0),
        ] {
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n");
            assert_eq!(follow(head.as_bytes()).0, Some(number), "{lines}");
            // Hidden behind another request in the same packet.
            let pipelined = format!("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nab{head}");
            assert_eq!(follow(pipelined.as_bytes()).0, Some(number + 1), "{lines}");
        }
        assert_eq!(follow(b"POST / HTTP/1.1\r\ncontent-length: 14\r\n\r\ncontent-length: 2").0, None);
    }

    /// A parser takes `\n\n` in a trailer for a part of it, and any number of zeros before a size.
    #[test]
    fn nothing_is_believed_behind_a_chunk_that_can_be_read_in_two_ways() {
        let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        let zeros = "0".repeat(LINE_BYTES_MAX);
        let sizes = [format!("{zeros}3\r\nabc\r\n"), "3\nabc\r\n".to_owned(), "3\r\nabc\n".to_owned()];
        let trailers = ["0\r\nt: 1\n\n", "0\r\n\n", "0\n\r\n"].map(str::to_owned);
        for body in sizes.into_iter().chain(trailers) {
            let hidden = "GET / HTTP/1.1\r\ncontent-length: 9\r\n\r\n";
            assert_eq!(follow(format!("{head}{body}{hidden}").as_bytes()).0, Some(1), "{body:?}");
        }
        let long = format!("{head}3;{}\r\nabc\r\n0\r\nt: {}\r\n\r\n", "x".repeat(99), "y".repeat(99));
        assert_eq!(follow(long.as_bytes()), (None, 1, Position::BetweenMessages));
    }

    #[test]
    fn noise_is_never_a_panic_and_never_kept() {
        let parts: [&[u8]; 12] = [
            b"\r\n",
            b"\n",
            b"POST / HTTP/1.1\r\n",
            b"content-length: ",
            b"7",
            b"99999999999999999999",
            b"abc",
            b"ffffffffffffffff",
            b"transfer-encoding: chunked\r\n",
            b"\0",
            b":",
            b"0\r\n",
        ];
        let mut state = 5_u64;
        for _ in 0..5000 {
            let mut bytes = Vec::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                bytes.extend_from_slice(parts[(state >> 33) as usize % parts.len()]);
            }
            follow(&bytes);
        }
        let mut framing = Framing::default();
        framing.feed(&vec![b'x'; 1 << 20]);
        assert!(framing.line.len() <= LINE_BYTES_MAX);
    }
}
