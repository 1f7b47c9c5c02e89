//! HTTP messages in files: what `curl -i` writes, and a request as it went over the wire.

/// A message that was saved: its first line, its fields, and the bytes behind the empty line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved<'a> {
    pub first_line: &'a str,
    /// In their order; spaces around values are gone.
    pub fields: Vec<(&'a str, &'a str)>,
    pub body: &'a [u8],
}

/// Why a file holds no message; the end of a sentence that begins with its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    #[error("has no empty line between head and body; save it with `curl -i -o FILE`")]
    NoHead,
    #[error("has a head that is not text")]
    NotText,
    #[error("has the line `{0}`, which is no field")]
    NoField(String),
    #[error("begins with `{0}`, which is no status line")]
    NoStatus(String),
    #[error("begins with `{0}`, which is no request line")]
    NoRequest(String),
    #[error("has the field `{0}` twice")]
    Twice(String),
}

impl<'a> Saved<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidMessage> {
        let (head, body) = split_head(bytes).ok_or(InvalidMessage::NoHead)?;
        let head = std::str::from_utf8(head).map_err(|_| InvalidMessage::NotText)?;
        let mut lines = head.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let first_line = lines.next().unwrap_or_default();
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        Ok(Self { first_line, fields, body })
    }

    /// The last reply in a file: replies before it were only of the kind `100 Continue`.
    pub fn reply(bytes: &'a [u8]) -> Result<(u16, Self), InvalidMessage> {
        let mut rest = bytes;
        loop {
            let message = Self::parse(rest)?;
            let status =
                status_of(message.first_line).ok_or_else(|| InvalidMessage::NoStatus(short(message.first_line)))?;
            match status {
                100..=199 if status != 101 => rest = message.body,
                _ => return Ok((status, message)),
            }
        }
    }

    /// The method and the target of a request.
    pub fn request_line(&self) -> Result<(&'a str, &'a str), InvalidMessage> {
        let parts: Vec<&str> = self.first_line.split(' ').collect();
        match parts.as_slice() {
            [method, target, version] if version.starts_with("HTTP/") && !method.is_empty() => Ok((method, target)),
            _ => Err(InvalidMessage::NoRequest(short(self.first_line))),
        }
    }

    /// The only field of this name; `None` when there is none.
    pub fn field(&self, name: &str) -> Result<Option<&'a str>, InvalidMessage> {
        let mut found =
            self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(InvalidMessage::Twice(name.to_owned())),
            (first, None) => Ok(first),
        }
    }
}

fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let ends = (0..bytes.len()).filter(|at| bytes[*at] == b'\n');
    for end in ends {
        for gap in [b"\n".as_slice(), b"\r\n"] {
            if bytes[end + 1..].starts_with(gap) {
                return Some((&bytes[..end], &bytes[end + 1 + gap.len()..]));
            }
        }
    }
    None
}

fn field(line: &str) -> Result<(&str, &str), InvalidMessage> {
    let (name, value) = line.split_once(':').ok_or_else(|| InvalidMessage::NoField(short(line)))?;
    match name.is_empty() || name.contains(|c: char| !c.is_ascii_graphic()) {
        true => Err(InvalidMessage::NoField(short(line))),
        false => Ok((name, value.trim_matches([' ', '\t']))),
    }
}

fn status_of(line: &str) -> Option<u16> {
    let mut words = line.split(' ');
    let version = words.next()?;
    let status = words.next().filter(|status| status.len() == 3)?;
    version.starts_with("HTTP/").then(|| status.parse().ok().filter(|status| *status >= 100)).flatten()
}

fn short(line: &str) -> String {
    crate::printable::line(&line.chars().take(60).collect::<String>()).to_string()
}

/// Reads anything as its fuzz target does; public only because that stands outside of the crate.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let parsed = Saved::parse(data);
    if let Ok(message) = &parsed {
        assert!(data.ends_with(message.body));
        let _ = message.request_line();
        assert!(message.fields.iter().all(|(name, value)| !name.contains('\n') && !value.contains('\n')));
    }
    if let Ok((status, message)) = Saved::reply(data) {
        assert!((100..1000).contains(&status) && data.ends_with(message.body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_saved_input_and_no_change_of_one_breaks_the_reader() {
        crate::replay::replay("saved_message", fuzz);
    }

    #[test]
    fn a_reply_is_read_behind_those_that_only_say_go_on() {
        let file = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A:  b c \r\nx-a2: \r\n\r\nbody\r\n\r\nmore";
        let (status, message) = Saved::reply(file).expect("a reply");
        assert_eq!((status, message.body), (200, &b"body\r\n\r\nmore"[..]));
        assert_eq!(message.field("x-A"), Ok(Some("b c")));
        assert_eq!(message.field("X-A2"), Ok(Some("")));
        assert_eq!(message.field("none"), Ok(None));
        let plain = Saved::reply(b"HTTP/2 204\n\n").expect("a reply");
        assert_eq!((plain.0, plain.1.body), (204, &b""[..]));
    }

    #[test]
    fn a_request_is_read_with_its_target_as_it_is() {
        let message = Saved::parse(b"POST /a%20b?x HTTP/1.1\r\nHost: H:1\r\n\r\n{}").expect("a request");
        assert_eq!(message.request_line(), Ok(("POST", "/a%20b?x")));
        assert_eq!((message.field("host"), message.body), (Ok(Some("H:1")), &b"{}"[..]));
    }

    #[test]
    fn what_is_no_message_says_why() {
        for file in [&b""[..], b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\nA: b\r\n"] {
            assert_eq!(Saved::reply(file).err(), Some(InvalidMessage::NoHead));
        }
        assert_eq!(Saved::reply(b"{}\n\n").err(), Some(InvalidMessage::NoStatus("{}".to_owned())));
        assert_eq!(Saved::reply(b"HTTP/1.1 2000 OK\n\n").map(|(status, _)| status).ok(), None);
        assert_eq!(Saved::parse(b"A\nb c: d\n\n").err(), Some(InvalidMessage::NoField("b c: d".to_owned())));
        assert_eq!(Saved::parse(b"A\n folded\n\n").err(), Some(InvalidMessage::NoField(" folded".to_owned())));
        assert_eq!(Saved::parse(b"\xff\n\n").err(), Some(InvalidMessage::NotText));
        let twice = Saved::parse(b"A\nx: 1\nX: 2\n\n").expect("a message").field("x");
        assert_eq!(twice, Err(InvalidMessage::Twice("x".to_owned())));
    }
}
