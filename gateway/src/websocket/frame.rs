//! Frames on their way out, and the codes with which sockets close.
//!
//! A frame of ours has no mask and is never in pieces: a head, then the payload as it is, so that ten thousand subscribers share
//! the bytes of one message. The library, which would copy them for each, only writes what answers the client: pongs and closes.

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// Room for the head of a frame without a mask.
const HEAD_BYTES_MAX: usize = 10;
/// A control frame carries 125 bytes, two of which are the code.
const REASON_BYTES_MAX: usize = 123;

/// A whole frame, head included.
#[derive(Debug, Clone)]
pub(crate) struct Frame(pub(super) Bytes);

impl Frame {
    pub(crate) fn text(payload: &str) -> Self {
        Self::of(Data::Text, |buffer| buffer.extend_from_slice(payload.as_bytes()))
    }

    pub(crate) fn binary(payload: &[u8]) -> Self {
        Self::of(Data::Binary, |buffer| buffer.extend_from_slice(payload))
    }

    pub(crate) fn json(value: &impl serde::Serialize) -> Self {
        Self::of(Data::Text, |buffer| {
            serde_json::to_writer(buffer, value).expect("our own values have text keys and serialize");
        })
    }

    /// The payload is written behind room for the longest head, so that it is written once.
    fn of(kind: Data, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut buffer = vec![0; HEAD_BYTES_MAX];
        write(&mut buffer);
        let head = FrameHeader { opcode: OpCode::Data(kind), ..FrameHeader::default() };
        let mut written = Vec::with_capacity(HEAD_BYTES_MAX);
        let length = (buffer.len() - HEAD_BYTES_MAX) as u64;
        head.format(length, &mut written).expect("a vector takes everything");
        let begin = HEAD_BYTES_MAX - written.len();
        buffer[begin..HEAD_BYTES_MAX].copy_from_slice(&written);
        buffer.shrink_to_fit();
        Self(Bytes::from(buffer).slice(begin..))
    }

    pub(super) fn ping() -> Self {
        Self(Bytes::from_static(&[0x89, 0x00]))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes without the head.
    pub(crate) fn payload_len(&self) -> usize {
        let head = match self.0.get(1) {
            Some(126) => 4,
            Some(127) => 10,
            _ => 2,
        };
        self.0.len().saturating_sub(head)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why a socket closes: a code of RFC 6455, section 7.4, or one of ours from 4000 up, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Goodbye {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

/// The client may come back at once: this end is going away.
pub(crate) const RESTART: u16 = 1012;
pub(crate) const NORMAL: u16 = 1000;
pub(crate) const GOING_AWAY: u16 = 1001;
pub(crate) const PROTOCOL: u16 = 1002;
pub(crate) const NOT_TEXT: u16 = 1007;
pub(crate) const POLICY: u16 = 1008;
pub(crate) const TOO_BIG: u16 = 1009;
pub(crate) const FAILED: u16 = 1011;
pub(crate) const TRY_LATER: u16 = 1013;
/// Like the status 401: the credential is not valid any more.
pub(crate) const UNAUTHORIZED: u16 = 4401;
/// Like the status 403: the credential does not allow it any more.
pub(crate) const FORBIDDEN: u16 = 4403;
/// Like the status 404: what the socket spoke to is gone.
pub(crate) const GONE: u16 = 4404;

impl Goodbye {
    pub(crate) fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        let mut end = reason.len().min(REASON_BYTES_MAX);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason.truncate(end);
        Self { code, reason }
    }

    pub(crate) fn restart() -> Self {
        Self::new(RESTART, "server restarting, reconnect")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_as_short_as_they_can_be() {
        assert_eq!(Frame::text("hi").bytes(), b"\x81\x02hi");
        assert_eq!(Frame::binary(&[]).bytes(), b"\x82\x00");
        assert_eq!(&Frame::binary(&[7; 126]).bytes()[..5], b"\x82\x7e\x00\x7e\x07");
        for payload in [0, 125, 126, 65_535, 65_536] {
            assert_eq!(Frame::binary(&vec![7; payload]).payload_len(), payload);
        }
        assert_eq!(&Frame::binary(&vec![7; 65536]).bytes()[..11], b"\x82\x7f\0\0\0\0\0\x01\0\0\x07");
        assert_eq!(Frame::json(&[1]).bytes(), b"\x81\x03[1]");
    }

    #[test]
    fn a_reason_fits_into_a_control_frame() {
        assert_eq!(Goodbye::new(POLICY, "é".repeat(100)).reason.len(), 122);
    }
}
