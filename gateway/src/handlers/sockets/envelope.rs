//! Messages of a topic, as its subscribers get them: made once for all of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::{Message, Origin};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::websocket::Frame;

/// Frames that are kept for the next subscriber of their message.
const FRAMES_MAX: usize = 64;
const BYTES_MAX: usize = 8 << 20;

/// The frames that were made last. Ten thousand subscribers of a topic share one.
#[derive(Default)]
pub(crate) struct Envelopes(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    /// A message that is gone has no subscribers any more; its place in memory is kept, so that no other takes it for its own.
    frames: VecDeque<(Weak<Message>, Frame)>,
    bytes: usize,
}

#[derive(Serialize)]
struct Envelope<'a> {
    data: String,
    timestamp: i64,
    topic: &'a str,
    position: String,
}

impl Envelopes {
    pub(crate) fn frame_of(&self, message: &Arc<Message>) -> Frame {
        if let Some(frame) = self.recent().find(message) {
            return frame;
        }
        let frame = compose(message);
        self.recent().keep(message, &frame);
        frame
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.0.lock().expect("no holder panics")
    }
}

impl Recent {
    fn find(&self, message: &Arc<Message>) -> Option<Frame> {
        let same = |(known, _): &&(Weak<Message>, Frame)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(message));
        self.frames.iter().rev().find(same).map(|(_, frame)| frame.clone())
    }

    fn keep(&mut self, message: &Arc<Message>, frame: &Frame) {
        self.bytes += frame.len();
        self.frames.push_back((Arc::downgrade(message), frame.clone()));
        while self.frames.len() > FRAMES_MAX || self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.frames.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }
}

fn compose(message: &Message) -> Frame {
    match message.origin {
        Origin::User => Frame::json(&Envelope {
            data: STANDARD.encode(&message.data),
            timestamp: message.at.as_millisecond(),
            topic: message.topic.as_str(),
            position: message.position.to_string(),
        }),
        Origin::Presence | Origin::Ephemeral => Frame::json(&event(message)),
    }
}

/// An event of the platform has its fields beside those of the envelope, because some clients look for them there and others
/// in `data`. Where both have a field, that of the event stands.
fn event(message: &Message) -> Map<String, Value> {
    let mut fields = match serde_json::from_slice(&message.data) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let envelope: [(&str, Value); 4] = [
        ("data", STANDARD.encode(&message.data).into()),
        ("timestamp", message.at.as_millisecond().into()),
        ("topic", message.topic.as_str().into()),
        ("position", message.position.to_string().into()),
    ];
    for (name, value) in envelope {
        fields.entry(name).or_insert(value);
    }
    fields
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use domain::{Position, Topic};
    use expect_test::expect;

    use super::*;

    fn message(data: &'static str, origin: Origin) -> Arc<Message> {
        Arc::new(Message {
            topic: Topic::parse("room").expect("a topic"),
            position: Position { epoch: 7, seq: 42 },
            data: Bytes::from_static(data.as_bytes()),
            origin,
            at: "2026-01-01T00:00:00.5Z".parse().expect("a time"),
        })
    }

    fn shown(message: &Arc<Message>) -> String {
        let frame = Envelopes::default().frame_of(message);
        let bytes = frame.bytes();
        let head = if bytes[1] == 126 { 4 } else { 2 };
        String::from_utf8_lossy(&bytes[head..]).into_owned()
    }

    #[test]
    fn a_message_is_wrapped_and_an_event_is_opened() {
        expect![[r#"{"data":"aGk=","timestamp":1767225600500,"topic":"room","position":"7-42"}"#]]
            .assert_eq(&shown(&message("hi", Origin::User)));
        expect![[r#"{"data":"","timestamp":1767225600500,"topic":"room","position":"7-42"}"#]]
            .assert_eq(&shown(&message("", Origin::User)));
        let join = r#"{"type":"presence.join","member_id":"ada","timestamp":9}"#;
        let seen: Value = serde_json::from_str(&shown(&message(join, Origin::Presence))).expect("JSON");
        assert_eq!(
            (&seen["type"], &seen["member_id"], &seen["timestamp"]),
            (&"presence.join".into(), &"ada".into(), &9.into())
        );
        assert_eq!(seen["data"], STANDARD.encode(join));
        let set = r#"{"_orama":"ephemeral.set","topic":"room","key":"k","client_id":"c"}"#;
        let seen: Value = serde_json::from_str(&shown(&message(set, Origin::Ephemeral))).expect("JSON");
        assert_eq!((&seen["_orama"], &seen["timestamp"]), (&"ephemeral.set".into(), &1_767_225_600_500_i64.into()));
    }

    #[test]
    fn a_frame_is_made_once_and_what_is_kept_is_bounded() {
        let envelopes = Envelopes::default();
        let first = message("hi", Origin::User);
        let twice = [envelopes.frame_of(&first), envelopes.frame_of(&first)];
        assert!(std::ptr::eq(twice[0].bytes(), twice[1].bytes()));
        for _ in 0..FRAMES_MAX {
            envelopes.frame_of(&message("other", Origin::User));
        }
        assert_eq!(envelopes.recent().frames.len(), FRAMES_MAX);
        assert!(!std::ptr::eq(twice[0].bytes(), envelopes.frame_of(&first).bytes()));
        let kept: usize = envelopes.recent().frames.iter().map(|(_, frame)| frame.len()).sum();
        assert_eq!(envelopes.recent().bytes, kept);
    }
}
