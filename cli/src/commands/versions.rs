use domain::FunctionName;

use super::connect;
use crate::args::{Shared, function_name};
use crate::failure::{Failure, Outcome};
use crate::table::Table;
use crate::wire::{Function, Versions};
use crate::{gateway, screen, units};

/// List the versions of a function, newest first
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: FunctionName,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let document = connect(shared)?.get(&format!("/v1/functions/{}/versions", args.name), &[])?;
    let versions = gateway::read::<Versions>(&document)?.versions;
    if versions.is_empty() {
        return Err(Failure::failed(format!("there is no function `{}`", args.name))
            .hint("run `orama function list` to see what there is"));
    }
    match shared.json {
        true => screen::json(&document),
        false => screen::data(render(&versions).as_bytes()),
    }
    Ok(())
}

fn render(versions: &[Function]) -> String {
    let mut table = Table::new(["VERSION", "CID", "SIZE", "CREATED", "ACTIVE"]);
    for version in versions {
        table.row([
            version.version.to_string(),
            version.wasm_cid.clone(),
            units::size(version.size_bytes),
            units::second(&version.created_at),
            if version.active { "*" } else { "" }.to_owned(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_active_version_is_marked() {
        let document = json!({"count": 2, "versions": [
            {"name": "hello", "version": 2, "wasm_cid": "bafkb", "size_bytes": 4480000, "created_at": "2026-01-31T12:00:00Z", "active": false},
            {"name": "hello", "version": 1, "wasm_cid": "bafka", "size_bytes": 465, "created_at": "2026-01-30T12:00:00Z", "active": true},
        ]});
        let versions = gateway::read::<Versions>(&document).expect("a list").versions;
        expect![[r#"
            VERSION  CID    SIZE    CREATED               ACTIVE
            2        bafkb  4.5 MB  2026-01-31T12:00:00Z
            1        bafka  465 B   2026-01-30T12:00:00Z  *
        "#]]
        .assert_eq(&render(&versions));
    }
}
