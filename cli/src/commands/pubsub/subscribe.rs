//! Following topics. A connection that is lost is made again behind the last message, so that none is missed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Position;
use reqwest::Method;
use serde_json::{Value, json};

use super::events::{Event, Reader};
use crate::args::Shared;
use crate::failure::{Exit, Failure, Outcome};
use crate::gateway::Gateway;
use crate::{printable, screen};

/// The gateway says something at least every 20 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
/// Attempts to come back, one after the other, before it is given up.
const ATTEMPTS: u32 = 30;

/// Print the messages of topics as they come
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama pubsub subscribe orders:new
  orama pubsub subscribe orders:new orders:paid --json
  orama pubsub subscribe orders:new --after 5629499534213-42")]
pub struct Subscribe {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Begin behind this message; with several topics a position for each, with commas between
    #[arg(long, value_name = "POSITION", value_parser = positions)]
    after: Option<String>,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

fn positions(text: &str) -> Result<String, String> {
    let wrong = text.split(',').find_map(|position| position.parse::<Position>().err());
    wrong.map_or_else(|| Ok(text.to_owned()), |wrong| Err(wrong.to_string()))
}

pub(super) fn run(args: &Subscribe, gateway: &Gateway, shared: &Shared) -> Outcome {
    let mut follower = Follower {
        gateway,
        topics: &args.topics,
        json: shared.json,
        left: args.count,
        reader: Reader::behind(args.after.clone()),
        attempts: 0,
    };
    gateway.block_on(follower.follow())
}

struct Follower<'a> {
    gateway: &'a Gateway,
    topics: &'a [String],
    json: bool,
    /// Messages that are still wanted.
    left: Option<u64>,
    reader: Reader,
    /// How often it was tried since the gateway said something.
    attempts: u32,
}

impl Follower<'_> {
    async fn follow(&mut self) -> Outcome {
        let mut connected = false;
        while self.left != Some(0) {
            match self.read_stream(&mut connected).await {
                Ok(()) => {}
                // Whoever was never connected, and whoever is refused, does not try again.
                Err(failure) if !connected || failure.exit != Exit::Unreachable => return Err(failure),
                Err(failure) if self.attempts >= ATTEMPTS => return Err(failure),
                Err(_) => {}
            }
            if self.left != Some(0) {
                self.attempts += 1;
                self.reader.restart();
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// Reads one stream to its end, however it ends.
    async fn read_stream(&mut self, connected: &mut bool) -> Outcome {
        let topics: Vec<(&str, String)> = self.topics.iter().map(|topic| ("topic", topic.clone())).collect();
        let mut request = self.gateway.request(Method::GET, "/v1/pubsub/sse", &topics);
        if let Some(id) = &self.reader.last_id {
            request = request.header("last-event-id", id);
        }
        let mut response = self.gateway.send(request).await?;
        if !response.status().is_success() {
            return Err(self.gateway.read_whole(response).await?.failure());
        }
        if !std::mem::replace(connected, true) {
            screen::talk(&printable::line(&format!("listening to {}", self.topics.join(", "))));
        }
        while let Ok(Ok(Some(piece))) = tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
            self.attempts = 0;
            for event in self.reader.feed(&piece)? {
                self.show(&event)?;
                if self.left == Some(0) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn show(&mut self, event: &Event) -> Outcome {
        let data: Value = serde_json::from_str(&event.data)
            .map_err(|_| Failure::failed("the gateway sent an event that is not JSON"))?;
        match event.name.as_str() {
            "" => {
                self.left = self.left.map(|left| left - 1);
                match self.json {
                    true => screen::json(&opened(data)),
                    false => screen::line(&printable::line(&self.described(&data))),
                }
            }
            "cannot_resume" => {
                let topic = data["topic"].as_str().unwrap_or_default();
                screen::warning(&printable::line(&format!(
                    "messages of `{topic}` are missing: they are not kept any more"
                )));
            }
            "end" if data["reason"] == "unauthorized" => {
                return Err(Failure::new(Exit::NotAllowed, "the credential has ended")
                    .hint("run `orama login`, then go on with `--after`"));
            }
            // What else the gateway tells of the stream, it follows by itself.
            _ => {}
        }
        Ok(())
    }

    /// A message in one line for people.
    fn described(&self, data: &Value) -> String {
        let text = match data_of(data).map(String::from_utf8) {
            None => data.to_string(),
            Some(Ok(text)) => text,
            Some(Err(binary)) => format!("(base64) {}", STANDARD.encode(binary.as_bytes())),
        };
        match (self.topics.len() > 1, data["topic"].as_str()) {
            (true, Some(topic)) => format!("{topic}: {text}"),
            _ => text,
        }
    }
}

/// The data of a message of a client or a function; `None` for what the platform itself says, which is bare.
fn data_of(message: &Value) -> Option<Vec<u8>> {
    message.get("position")?;
    STANDARD.decode(message["data"].as_str()?).ok()
}

/// A message as a document: its data as text where it is text.
fn opened(mut data: Value) -> Value {
    let Some(bytes) = data_of(&data) else { return data };
    let sent = data.as_object_mut().and_then(|fields| fields.remove("data"));
    match String::from_utf8(bytes) {
        Ok(text) => data["data"] = json!(text),
        Err(_) => data["data_base64"] = sent.unwrap_or_default(),
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_shown_as_text_where_it_is() {
        let sent =
            |data: &[u8]| json!({ "data": STANDARD.encode(data), "timestamp": 1, "topic": "t", "position": "7-1" });
        assert_eq!(opened(sent(b"hi")), json!({ "data": "hi", "timestamp": 1, "topic": "t", "position": "7-1" }));
        let binary = json!({ "data_base64": "/wA=", "timestamp": 1, "topic": "t", "position": "7-1" });
        assert_eq!(opened(sent(&[0xff, 0])), binary);
        let event = json!({ "_orama": "ephemeral.set", "topic": "t", "key": "k", "client_id": "c" });
        assert_eq!(opened(event.clone()), event, "what the platform says is bare");
    }

    #[test]
    fn a_position_is_checked_before_anything_is_sent() {
        assert_eq!(positions("7-1,8-2").as_deref(), Ok("7-1,8-2"));
        assert!(["", "7", "7-1,", "7-x", "-1"].into_iter().all(|wrong| positions(wrong).is_err()));
    }
}
