//! `orama certificates`: what the node shows to those who call it by TLS.

use serde::Deserialize;

use super::connect;
use crate::args::Shared;
use crate::failure::Outcome;
use crate::table::Table;
use crate::{gateway, printable, screen};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    List(List),
}

/// List the certificates of the node, the first to expire first; for operators
#[derive(Debug, clap::Args)]
pub struct List {}

#[derive(Deserialize)]
struct Certificates {
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
struct Certificate {
    names: Vec<String>,
    issuer: String,
    not_after: String,
    source: String,
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    let Verb::List(List {}) = verb;
    let document = connect(shared)?.get("/v1/certificates", &[])?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let certificates = gateway::read::<Certificates>(&document)?.certificates;
    match certificates.is_empty() {
        true => screen::talk("there are none; `gateway.tls` in the configuration says where they come from"),
        false => screen::data(render(&certificates).as_bytes()),
    }
    Ok(())
}

fn render(certificates: &[Certificate]) -> String {
    let mut table = Table::new(["NAME", "ISSUER", "NOT-AFTER", "SOURCE"]);
    for Certificate { names, issuer, not_after, source } in certificates {
        // They come out of files.
        let text = |text: &str| printable::line(text);
        let name = if names.is_empty() { "-".to_owned() } else { text(&names.join(", ")) };
        table.row([name, text(issuer), not_after.clone(), source.clone()]);
    }
    table.render()
}
