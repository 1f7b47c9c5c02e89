use domain::FunctionRef;
use serde_json::Value;

use super::connect;
use super::whoami::plain;
use crate::args::{Shared, function_ref};
use crate::failure::Outcome;
use crate::screen;
use crate::table::Table;

/// Show every field of a function
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name, or name@N for one version
    #[arg(value_parser = function_ref)]
    name: FunctionRef,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let document = connect(shared)?.get(&format!("/v1/functions/{}", args.name), &[])?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    screen::data(render(&document).as_bytes());
    Ok(())
}

/// The fields that people look for; all others follow in alphabetical order.
const FIRST: [&str; 9] =
    ["name", "namespace", "version", "active", "status", "is_public", "memory_limit_mb", "timeout_seconds", "wasm_cid"];

fn render(document: &Value) -> String {
    let fields = || document.as_object().into_iter().flatten();
    let first = FIRST.iter().filter_map(|name| fields().find(|(known, _)| known == name));
    let others = fields().filter(|(name, _)| !FIRST.contains(&name.as_str()));
    let mut table = Table::plain();
    for (name, value) in first.chain(others) {
        table.row([name.clone(), plain(value)]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_is_shown_and_the_known_ones_come_first() {
        let document = json!({"concurrency": 100, "name": "hello", "version": 2, "env_vars": {"A": "b"}, "zone": null,
            "status": "active", "list": ["a", "b"]});
        expect![[r#"
            name         hello
            version      2
            status       active
            concurrency  100
            env_vars     {"A":"b"}
            list         a, b
            zone         -
        "#]]
        .assert_eq(&render(&document));
    }
}
