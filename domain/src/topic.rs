//! Topics of pub/sub: their names, patterns over them, and places in their streams.

mod pattern;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use pattern::{InvalidPattern, PATTERN_CHARS_MAX, Pattern};

/// The longest name of a topic, in bytes.
pub const TOPIC_BYTES_MAX: usize = 256;

/// Why a topic or a pattern was refused; the text says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    #[error("the topic is empty; use 1 to {TOPIC_BYTES_MAX} bytes, such as `orders:new`")]
    Empty,
    #[error("the topic is {0} bytes long, the limit is {TOPIC_BYTES_MAX}")]
    TooLong(usize),
    #[error("the topic contains the control character {0:?}")]
    Control(char),
}

/// The name of a topic inside its namespace: 1 to 256 bytes without control characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(Arc<str>);

impl Topic {
    pub fn parse(text: &str) -> Result<Self, InvalidTopic> {
        match text {
            "" => Err(InvalidTopic::Empty),
            _ if text.len() > TOPIC_BYTES_MAX => Err(InvalidTopic::TooLong(text.len())),
            _ => match text.chars().find(|c| c.is_control()) {
                Some(c) => Err(InvalidTopic::Control(c)),
                None => Ok(Self(text.into())),
            },
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl FromStr for Topic {
    type Err = InvalidTopic;
    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Topic {
    type Error = InvalidTopic;
    fn try_from(text: String) -> Result<Self, InvalidTopic> {
        Self::parse(&text)
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> String {
        topic.0.as_ref().to_owned()
    }
}

/// A place in the stream of a topic. Numbers rise by one a message within an epoch; a stream that began anew, after a restart
/// or because its history was dropped, has another epoch, and positions of two epochs do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    pub epoch: u64,
    pub seq: u64,
}

/// `<epoch>-<seq>`, as clients send it back.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no position; send back what a message had, such as `1767225600000-42`")]
pub struct InvalidPosition(pub String);

impl FromStr for Position {
    type Err = InvalidPosition;
    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let parsed = text.split_once('-').and_then(|(epoch, seq)| Some((epoch.parse().ok()?, seq.parse().ok()?)));
        let (epoch, seq) = parsed.ok_or_else(|| InvalidPosition(text.chars().take(80).collect()))?;
        Ok(Self { epoch, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_short_and_printable() {
        assert!(Topic::parse("calls:invite").is_ok());
        assert_eq!(Topic::parse(""), Err(InvalidTopic::Empty));
        assert_eq!(Topic::parse("a\nb"), Err(InvalidTopic::Control('\n')));
        assert_eq!(Topic::parse(&"é".repeat(129)), Err(InvalidTopic::TooLong(258)));
    }

    #[test]
    fn a_position_reads_back() {
        let position = Position { epoch: 7, seq: 42 };
        assert_eq!(position.to_string().parse(), Ok(position));
        assert!("42".parse::<Position>().is_err() && "1--2".parse::<Position>().is_err());
    }
}
