//! `orama pubsub`: messages on the topics of a namespace.

mod events;
mod subscribe;

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::connect;
use crate::args::Shared;
use crate::failure::{Failure, Outcome};
use crate::gateway::Gateway;
use crate::table::Table;
use crate::{gateway, printable, screen};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Publish(Publish),
    Subscribe(subscribe::Subscribe),
    Topics(Topics),
}

/// Publish a message on a topic
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama pubsub publish orders:new '{\"id\": 7}'
  date | orama pubsub publish clock -
  orama pubsub publish pictures --file photo.jpg")]
pub struct Publish {
    /// The topic
    topic: String,
    /// The message, or - for stdin
    #[arg(value_name = "DATA|-", required_unless_present = "file")]
    data: Option<String>,
    /// File with the message
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    file: Option<PathBuf>,
}

/// List the topics in use, and those whose history is kept
#[derive(Debug, clap::Args)]
pub struct Topics {}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    match verb {
        Verb::Publish(args) => publish(args, &gateway, shared),
        Verb::Subscribe(args) => subscribe::run(args, &gateway, shared),
        Verb::Topics(_) => topics(&gateway, shared),
    }
}

fn publish(args: &Publish, gateway: &Gateway, shared: &Shared) -> Outcome {
    let data = match (&args.file, args.data.as_deref()) {
        (Some(file), _) => std::fs::read(file).map_err(Failure::file("read", file))?,
        (None, Some("-")) => super::read_stdin()?,
        (None, data) => data.unwrap_or_default().as_bytes().to_vec(),
    };
    if data.is_empty() {
        return Err(Failure::usage("the message is empty").hint("give some data, or `-` to read it from stdin"));
    }
    let message = json!({ "topic": args.topic, "data_base64": STANDARD.encode(data) });
    let document = gateway.post("/v1/pubsub/publish", &message)?;
    match shared.json {
        true => screen::json(&document),
        false => {
            let position = document["position"].as_str().unwrap_or("?");
            screen::talk(&printable::line(&format!("published on {} at {position}", args.topic)));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Listed {
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    topic: String,
    subscribers: u64,
    history: u64,
    position: String,
}

fn topics(gateway: &Gateway, shared: &Shared) -> Outcome {
    let document = gateway.get("/v1/pubsub/topics", &[])?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let details = gateway::read::<Listed>(&document)?.details;
    match details.is_empty() {
        true => screen::talk("no topic is in use"),
        false => screen::data(render(&details).as_bytes()),
    }
    Ok(())
}

fn render(details: &[Detail]) -> String {
    let mut table = Table::new(["TOPIC", "SUBSCRIBERS", "HISTORY", "POSITION"]);
    for Detail { topic, subscribers, history, position } in details {
        table.row([topic.clone(), subscribers.to_string(), history.to_string(), position.clone()]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_table_shows_who_listens_and_what_is_kept() {
        let document = json!({ "topics": ["a", "room:1"], "count": 2, "details": [
            { "topic": "a\u{1b}[2J", "subscribers": 0, "position": "7-3", "history": 3 },
            { "topic": "room:1", "subscribers": 12, "position": "8-0", "history": 0 },
        ]});
        let details = gateway::read::<Listed>(&document).expect("a list").details;
        expect![[r#"
            TOPIC     SUBSCRIBERS  HISTORY  POSITION
            a\x1b[2J  0            3        7-3
            room:1    12           0        8-0
        "#]]
        .assert_eq(&render(&details));
    }
}
