use domain::{AuditEvent, Timestamp};
use serde::Deserialize;

use super::connect;
use crate::args::Shared;
use crate::failure::Outcome;
use crate::table::Table;
use crate::{gateway, screen, units};

/// Show what was done to a namespace or the node, by whom, with what outcome; newest last
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama audit --since 1h
  orama audit --action function.deploy
  orama audit --action key --all")]
pub struct Args {
    /// Only what happened since then: 30s, 15m, 2h, 7d, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = |text: &str| units::since(text, Timestamp::now()))]
    since: Option<Timestamp>,
    /// Only this action, or those of a kind: function.deploy, function
    #[arg(long)]
    action: Option<String>,
    /// The most events to show
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Of the node and every namespace; for operators
    #[arg(long)]
    all: bool,
}

#[derive(Deserialize)]
struct Events {
    events: Vec<AuditEvent>,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let query = [
        Some(("limit", args.limit.to_string())),
        args.since.map(|since| ("since", since.to_string())),
        args.action.clone().map(|action| ("action", action)),
        args.all.then(|| ("all", "1".to_owned())),
    ];
    let document = connect(shared)?.get("/v1/audit", &query.into_iter().flatten().collect::<Vec<_>>())?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let events = gateway::read::<Events>(&document)?.events;
    match events.is_empty() {
        true => screen::talk("nothing happened"),
        false => screen::data(render(&events).as_bytes()),
    }
    Ok(())
}

fn render(events: &[AuditEvent]) -> String {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let mut table = Table::new(["TIME", "NAMESPACE", "ACTOR", "ACTION", "RESOURCE", "FROM", "OUTCOME"]);
    for event in events.iter().rev() {
        let AuditEvent { at, namespace, actor, action, resource, ip, request_id: _, outcome } = event;
        table.row([
            units::millisecond(&at.to_string()),
            namespace.as_ref().map_or("-".to_owned(), |namespace| namespace.to_string()),
            actor.clone(),
            action.clone(),
            or_dash(resource),
            or_dash(ip),
            outcome.clone(),
        ]);
    }
    table.render()
}
