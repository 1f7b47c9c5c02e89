//! Server-Sent Events, as far as a gateway sends them: lines in, events out.

use crate::failure::{Failure, Outcome};

/// More than the largest message in base64, with what stands around it.
const LINE_BYTES_MAX: usize = 2 << 20;

/// Something that was dispatched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Empty for a message.
    pub name: String,
    pub data: String,
}

/// Reads a stream as it arrives, cut anywhere.
#[derive(Default)]
pub struct Reader {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    /// Of the last event: where to go on after the connection was lost.
    pub last_id: Option<String>,
}

impl Reader {
    /// Begins behind an event that was seen.
    pub fn behind(last_id: Option<String>) -> Self {
        Self { last_id, ..Self::default() }
    }

    /// What is complete with these bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Outcome<Vec<Event>> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.keep(&rest[..end])?;
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
            events.extend(self.read(&line));
        }
        self.keep(rest)?;
        Ok(events)
    }

    /// Begins a new stream where this one has ended: half an event is none.
    pub fn restart(&mut self) {
        *self = Self { last_id: self.last_id.take(), ..Self::default() };
    }

    fn keep(&mut self, bytes: &[u8]) -> Outcome {
        if self.line.len() + bytes.len() > LINE_BYTES_MAX {
            return Err(Failure::failed("the gateway sends a line without an end"));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.name = value.to_owned(),
            "id" => self.last_id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // A comment, or nothing for us.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        "retry: 3000\nid: 7-1\n\n: ping\n\nid: 7-2\ndata: {\"a\":1}\n\nevent: end\r\ndata: x\r\ndata:y\r\n\r\n";

    #[test]
    fn a_stream_is_the_same_however_it_is_cut() {
        let event = |name: &str, data: &str| Event { name: name.to_owned(), data: data.to_owned() };
        for size in 1..=STREAM.len() {
            let mut reader = Reader::default();
            let pieces = STREAM.as_bytes().chunks(size);
            let events: Vec<Event> = pieces.flat_map(|piece| reader.feed(piece).expect("short lines")).collect();
            assert_eq!(events, [event("", "{\"a\":1}"), event("end", "x\ny")], "in pieces of {size}");
            assert_eq!(reader.last_id.as_deref(), Some("7-2"));
        }
    }

    #[test]
    fn half_an_event_is_none_and_no_line_is_endless() {
        let mut reader = Reader::default();
        assert_eq!(reader.feed(b"id: 7-3\ndata: half").expect("a short line"), []);
        reader.restart();
        assert_eq!(reader.feed(b"\n\n").expect("a short line"), []);
        assert_eq!(reader.last_id.as_deref(), Some("7-3"));
        assert!(reader.feed(&vec![b'x'; LINE_BYTES_MAX + 1]).is_err());
    }
}
