//! Where frames and messages begin and end, followed beside the library that reads them.
//!
//! The library says when a message is complete. What it does not say is whether one has begun, of how many frames it consists,
//! how large the frame is that arrives, and how often the client pings: so that nobody can keep a message open for ever, or
//! keep us busy with nothing. It also tells when nothing is half read, and all buffers may go.

/// The longest head of a frame: two bytes, eight of length, four of mask.
const HEAD_BYTES_MAX: usize = 14;

/// The head of a frame, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) control: bool,
    /// How many frames the message has so far, this one included; 0 for a control frame.
    pub(crate) frames: u32,
    /// Their bytes, whether they have arrived or not.
    pub(crate) bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Boundary {
    head: [u8; HEAD_BYTES_MAX],
    /// The bytes of a head that have arrived.
    have: usize,
    /// The bytes of a payload that have not.
    left: u64,
    /// The frames of a message whose last one has not begun, and their bytes.
    frames: u32,
    message_bytes: u64,
}

impl Boundary {
    /// Is nothing half read?
    pub(crate) fn at_rest(&self) -> bool {
        self.have == 0 && self.left == 0 && self.frames == 0
    }

    /// Follows `bytes`, and tells of every head that is complete.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Head)) {
        while let Some(first) = bytes.first() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len() as u64);
                self.left -= taken;
                bytes = &bytes[usize::try_from(taken).unwrap_or(usize::MAX)..];
                continue;
            }
            self.head[self.have] = *first;
            self.have += 1;
            bytes = &bytes[1..];
            if self.have >= 2 && self.have == self.head_bytes() {
                seen(self.head_ended());
            }
        }
    }

    fn head_bytes(&self) -> usize {
        let length = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn head_ended(&mut self) -> Head {
        let bytes = match self.head[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            127 => self.head[2..10].iter().fold(0, |length, byte| (length << 8) | u64::from(*byte)),
            short => u64::from(short),
        };
        (self.have, self.left) = (0, bytes);
        if self.head[0] & 0x08 != 0 {
            return Head { control: true, frames: 0, bytes };
        }
        let frames = self.frames.saturating_add(1);
        let message_bytes = self.message_bytes.saturating_add(bytes);
        let last = self.head[0] & 0x80 != 0;
        (self.frames, self.message_bytes) = if last { (0, 0) } else { (frames, message_bytes) };
        Head { control: false, frames, bytes: message_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows `bytes` whole and byte by byte; both must agree.
    fn follow(bytes: &[u8]) -> (Vec<Head>, bool) {
        let (mut whole, mut heads) = (Boundary::default(), Vec::new());
        whole.feed(bytes, |head| heads.push(head));
        let (mut single, mut same) = (Boundary::default(), Vec::new());
        for byte in bytes {
            single.feed(&[*byte], |head| same.push(head));
        }
        assert_eq!((&heads, whole.at_rest()), (&same, single.at_rest()));
        (heads, whole.at_rest())
    }

    const fn data(bytes: u64, frames: u32) -> Head {
        Head { control: false, bytes, frames }
    }

    const PING: Head = Head { control: true, bytes: 0, frames: 0 };

    #[test]
    fn frames_of_every_length_are_told_apart() {
        assert_eq!(follow(&[0x81, 0x82, 1, 2, 3, 4, 9, 9]), (vec![data(2, 1)], true));
        assert_eq!(follow(&[0x81, 0x82, 1, 2, 3, 4, 9]), (vec![data(2, 1)], false));
        assert_eq!(follow(&[0x82, 0x7e, 1, 0]), (vec![data(256, 1)], false));
        assert_eq!(follow(&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]), (vec![data(65536, 1)], false));
        assert_eq!(follow(&[0x82, 0x7f, 255, 255, 255, 255, 255, 255, 255, 255]), (vec![data(u64::MAX, 1)], false));
        assert_eq!(follow(&[0x82]), (vec![], false));
        assert_eq!(follow(&[]), (vec![], true));
    }

    #[test]
    fn a_message_in_pieces_is_open_until_its_last_frame_has_ended() {
        let pieces = [0x01, 0x00, 0x89, 0x00, 0x00, 0x00];
        assert_eq!(follow(&pieces), (vec![data(0, 1), PING, data(0, 2)], false));
        let whole = [0x01, 0x00, 0x80, 0x01, b'x', 0x81, 0x00];
        assert_eq!(follow(&whole), (vec![data(0, 1), data(1, 2), data(0, 1)], true));
        let more = [0x02, 0x01, 7, 0x00, 0x02, 7, 7, 0x80, 0x01, 7];
        assert_eq!(follow(&more), (vec![data(1, 1), data(3, 2), data(4, 3)], true));
    }
}
