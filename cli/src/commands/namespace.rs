//! `orama namespace`: tenants of a node, and which of them verbs work in.

use domain::Namespace;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::connect;
use super::whoami::plain;
use crate::args::Shared;
use crate::credentials::Lock;
use crate::failure::{Failure, Outcome};
use crate::gateway::{self, Gateway};
use crate::table::Table;
use crate::{screen, units};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Create(Create),
    List(List),
    Delete(Delete),
    Use(Use),
    /// The wallets that may do something in a namespace
    #[command(subcommand)]
    Owners(super::owners::Verb),
    Settings(Settings),
}

/// Make a namespace
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Name of the namespace
    #[arg(value_parser = namespace)]
    name: Namespace,
}

/// List the namespaces that you may see
#[derive(Debug, clap::Args)]
pub struct List {}

/// Delete a namespace with everything in it: functions, keys, secrets, database, cache, content, logs
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Name of the namespace
    #[arg(value_parser = namespace)]
    name: Namespace,
    /// Do not ask
    #[arg(long)]
    force: bool,
}

/// Work in this namespace from now on, at the current gateway
#[derive(Debug, clap::Args)]
pub struct Use {
    /// Name of the namespace
    #[arg(value_parser = namespace)]
    name: Namespace,
}

/// Show the limits and the policy of a namespace, or change them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama namespace settings
  orama namespace settings team --set functions_max=50 --set storage_bytes_max=1000000000
  orama namespace settings team --set 'egress={\"allow\": [\"*.example.org\"]}'
  orama namespace settings team --set functions_max=")]
pub struct Settings {
    /// Name of the namespace [default: the one that you are in]
    #[arg(value_parser = namespace)]
    name: Option<Namespace>,
    /// Change a setting; nothing behind `=` makes it follow the node again
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
}

pub fn namespace(text: &str) -> Result<Namespace, String> {
    Namespace::parse(text).map_err(|refused| refused.to_string())
}

/// Reads `key=value`; the value is JSON where it can be.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`"))?;
    let value = match value {
        "" => Value::Null,
        _ => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
    };
    Ok((key.to_owned(), value))
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    match verb {
        Verb::Create(args) => create(args, shared),
        Verb::List(_) => list(shared),
        Verb::Delete(args) => delete(args, shared),
        Verb::Use(args) => work_in(args, shared),
        Verb::Owners(verb) => super::owners::run(verb, shared),
        Verb::Settings(args) => settings(args, shared),
    }
}

fn create(args: &Create, shared: &Shared) -> Outcome {
    let document = connect(shared)?.post("/v1/namespaces", &json!({ "name": args.name }))?;
    match shared.json {
        true => screen::json(&document),
        false => {
            screen::line(&format!("made {}", args.name));
            screen::talk(&format!("work in it with `orama namespace use {}`", args.name));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Namespaces {
    namespaces: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    functions: u64,
    created_at: String,
    created_by: String,
}

fn list(shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let document = gateway.get("/v1/namespaces", &[])?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let current = gateway.namespace()?;
    let mut table = Table::new(["", "NAME", "FUNCTIONS", "CREATED", "BY"]);
    for Entry { name, functions, created_at, created_by } in gateway::read::<Namespaces>(&document)?.namespaces {
        let mark = if name == current { "*" } else { "" };
        table.row([mark.to_owned(), name, functions.to_string(), units::second(&created_at), created_by]);
    }
    screen::data(table.render().as_bytes());
    Ok(())
}

fn delete(args: &Delete, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    super::confirm_deletion(args.force, &format!("the namespace {} with everything in it", args.name))?;
    let path = format!("/v1/namespaces/{}", args.name);
    let document = gateway.document_at_last(gateway.request(reqwest::Method::DELETE, &path, &[]))?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&format!("deleted {}", args.name)),
    }
    Ok(())
}

/// Only what the gateway says we may see can be chosen, and only for a credential that is stored.
fn work_in(args: &Use, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let address = &gateway.connection().gateway;
    let lock = Lock::take()?;
    let stored = lock.read()?.gateways.get(address).cloned();
    let Some(stored) = stored else {
        return Err(Failure::usage(format!("no credential is stored for {address}"))
            .hint("run `orama login` first, or set `ORAMA_NAMESPACE`"));
    };
    drop(lock);
    if stored.session.is_some() && gateway.namespace()? != args.name.as_str() {
        return Err(Failure::usage("the sign-in of a wallet is for one namespace")
            .hint(format!("sign in to this one: `orama login --wallet --key-file FILE --namespace {}`", args.name)));
    }
    check_seen(&gateway, &args.name)?;
    let lock = Lock::take()?;
    let mut credentials = lock.read()?;
    if let Some(stored) = credentials.gateways.get_mut(address) {
        stored.namespace = Some(args.name.to_string());
    }
    lock.write(&credentials)?;
    match shared.json {
        true => screen::json(&json!({ "gateway": address, "namespace": args.name })),
        false => screen::line(&format!("working in {} at {address}", args.name)),
    }
    Ok(())
}

fn check_seen(gateway: &Gateway, name: &Namespace) -> Outcome {
    let seen = gateway::read::<Namespaces>(&gateway.get("/v1/namespaces", &[])?)?.namespaces;
    match seen.iter().any(|entry| entry.name == name.as_str()) {
        true => Ok(()),
        false => Err(Failure::failed(format!("there is no namespace `{name}` that you may see"))
            .hint("run `orama namespace list` to see those that there are")),
    }
}

fn settings(args: &Settings, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let name = match &args.name {
        Some(name) => name.to_string(),
        None => gateway.namespace()?,
    };
    let path = format!("/v1/namespaces/{name}/settings");
    let mut document = gateway.get(&path, &[])?;
    if !args.set.is_empty() {
        let mut settings = gateway::read::<Map<String, Value>>(&document)?;
        for (key, value) in &args.set {
            match value {
                Value::Null => drop(settings.remove(key)),
                value => drop(settings.insert(key.clone(), value.clone())),
            }
        }
        document = gateway.put(&path, &settings)?;
    }
    match shared.json {
        true => screen::json(&document),
        false => print_settings(&document),
    }
    Ok(())
}

fn print_settings(document: &Value) {
    let set: Vec<_> = document.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()).collect();
    if set.is_empty() {
        screen::talk("nothing is set: the namespace follows the node");
        return;
    }
    let mut table = Table::plain();
    for (key, value) in set {
        table.row([key.clone(), plain(value)]);
    }
    screen::data(table.render().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_json_where_it_can_be() {
        assert_eq!(setting("functions_max=50"), Ok(("functions_max".to_owned(), json!(50))));
        assert_eq!(setting("a=b=c"), Ok(("a".to_owned(), json!("b=c"))));
        assert_eq!(setting("egress={\"allow\":[]}"), Ok(("egress".to_owned(), json!({"allow": []}))));
        assert_eq!(setting("functions_max="), Ok(("functions_max".to_owned(), Value::Null)));
        assert!(setting("functions_max").is_err());
    }
}
