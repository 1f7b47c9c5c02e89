//! `orama storage`: content of a namespace, by content identifier.

mod transfer;

use domain::Cid;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect;
use super::whoami::plain;
use crate::args::Shared;
use crate::failure::Outcome;
use crate::gateway::{self, Gateway};
use crate::table::Table;
use crate::{printable, screen, units};

/// Entries that one question of `ls` brings.
const PAGE: usize = 1000;

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Put(transfer::Put),
    Get(transfer::Get),
    Ls(Ls),
    Status(Status),
    Pin(Pin),
    Unpin(Unpin),
    Gc(Gc),
}

/// List the content of the namespace
#[derive(Debug, clap::Args)]
pub struct Ls {}

/// Show what is known of content
#[derive(Debug, clap::Args)]
pub struct Status {
    /// Content identifier
    #[arg(value_parser = cid)]
    cid: Cid,
}

/// Keep content
#[derive(Debug, clap::Args)]
pub struct Pin {
    /// Content identifier
    #[arg(value_parser = cid)]
    cid: Cid,
    /// Call it something else from now on
    #[arg(long)]
    name: Option<String>,
}

/// Keep content no longer: `gc` removes it
#[derive(Debug, clap::Args)]
pub struct Unpin {
    /// Content identifier
    #[arg(value_parser = cid)]
    cid: Cid,
}

/// Remove what is not pinned
#[derive(Debug, clap::Args)]
pub struct Gc {}

/// Reads a content identifier in any of its forms.
pub fn cid(text: &str) -> Result<Cid, String> {
    Cid::parse(text).map_err(|invalid| invalid.to_string())
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let (document, said) = match verb {
        Verb::Put(args) => return transfer::put(args, &gateway, shared),
        Verb::Get(args) => return transfer::get(args, &gateway, shared),
        Verb::Ls(_) => return list(&gateway, shared),
        Verb::Status(Status { cid }) => return status(cid, &gateway, shared),
        Verb::Pin(Pin { cid, name }) => {
            let mut body = json!({ "cid": cid });
            if let Some(name) = name {
                body["name"] = json!(name);
            }
            (gateway.post("/v1/storage/pin", &body)?, format!("pinned {cid}"))
        }
        Verb::Unpin(Unpin { cid }) => (gateway.delete(&format!("/v1/storage/unpin/{cid}"))?, format!("unpinned {cid}")),
        Verb::Gc(_) => {
            let removed = gateway.post("/v1/storage/gc", &json!({}))?;
            let bytes = units::size(removed["bytes"].as_u64().unwrap_or(0));
            let said = format!("removed {} contents, {bytes}", removed["contents"]);
            (removed, said)
        }
    };
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&said),
    }
    Ok(())
}

fn status(cid: &Cid, gateway: &Gateway, shared: &Shared) -> Outcome {
    let document = gateway.get(&format!("/v1/storage/status/{cid}"), &[])?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let mut table = Table::plain();
    for (name, value) in document.as_object().into_iter().flatten() {
        table.row([name.clone(), plain(value)]);
    }
    screen::data(table.render().as_bytes());
    Ok(())
}

#[derive(Deserialize)]
struct Contents {
    contents: Vec<Content>,
    used_bytes: u64,
    #[serde(default)]
    quota_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Content {
    cid: String,
    name: String,
    size: u64,
    pinned: bool,
    created_at: String,
}

fn list(gateway: &Gateway, shared: &Shared) -> Outcome {
    let mut table = Table::new(["CID", "SIZE", "PINNED", "CREATED", "NAME"]);
    let (mut all, mut after) = (Vec::<Value>::new(), None::<String>);
    let last = loop {
        let mut query = vec![("limit", PAGE.to_string())];
        query.extend(after.map(|after| ("after", after)));
        let mut document = gateway.get("/v1/storage/list", &query)?;
        let page = gateway::read::<Contents>(&document)?;
        all.extend(document["contents"].as_array_mut().into_iter().flatten().map(Value::take));
        after = page.contents.last().map(|content| content.cid.clone());
        let is_last = page.contents.len() < PAGE;
        for Content { cid, name, size, pinned, created_at } in &page.contents {
            let pinned = if *pinned { "yes" } else { "no" };
            table.row([cid.clone(), units::size(*size), pinned.to_owned(), units::second(created_at), name.clone()]);
        }
        if is_last {
            document["contents"] = json!(all);
            document["count"] = json!(all.len());
            break (document, page);
        }
    };
    let (document, Contents { used_bytes, quota_bytes, .. }) = last;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    match all.is_empty() {
        true => screen::talk("no content yet"),
        false => screen::data(table.render().as_bytes()),
    }
    let quota = quota_bytes.map_or(String::new(), |quota| format!(" of {}", units::size(quota)));
    screen::talk(&printable::line(&format!("{} used{quota}", units::size(used_bytes))));
    Ok(())
}
