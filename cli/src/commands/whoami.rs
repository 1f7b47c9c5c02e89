use serde_json::Value;

use super::connect;
use crate::args::Shared;
use crate::failure::Outcome;
use crate::screen;
use crate::table::Table;

/// Show whom the gateway takes you for, and what you may do
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let identity = gateway.get("/v1/auth/whoami", &[])?;
    if shared.json {
        screen::json(&identity);
    } else {
        let mut table = Table::plain();
        table.row(["gateway".to_owned(), gateway.connection().gateway.clone()]);
        for (name, value) in identity.as_object().into_iter().flatten() {
            table.row([name.clone(), plain(value)]);
        }
        screen::data(table.render().as_bytes());
    }
    Ok(())
}

/// A value without the quotes and brackets of JSON, where it is simple enough.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
