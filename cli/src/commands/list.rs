use super::connect;
use crate::args::Shared;
use crate::failure::Outcome;
use crate::table::Table;
use crate::wire::{Function, Functions};
use crate::{gateway, screen, units};

/// List the functions of a namespace
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, shared: &Shared) -> Outcome {
    let document = connect(shared)?.get("/v1/functions", &[])?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let functions = gateway::read::<Functions>(&document)?.functions;
    if functions.is_empty() {
        screen::talk("no functions yet");
        screen::hint("make one with `orama function init hello`, then run `orama function deploy hello`");
    } else {
        screen::data(render(&functions).as_bytes());
    }
    Ok(())
}

fn render(functions: &[Function]) -> String {
    let mut table = Table::new(["NAME", "VERSION", "STATUS", "PUBLIC", "MEMORY", "TIMEOUT", "UPDATED"]);
    for function in functions {
        table.row([
            function.name.clone(),
            function.version.to_string(),
            function.status.clone(),
            if function.is_public { "yes" } else { "no" }.to_owned(),
            format!("{} MB", function.memory_limit_mb),
            format!("{} s", function.timeout_seconds),
            units::second(&function.updated_at),
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
    fn the_table_shows_what_decides_about_a_call() {
        let document = json!({"count": 2, "functions": [
            {"name": "hello", "version": 3, "status": "active", "is_public": false, "memory_limit_mb": 64,
             "timeout_seconds": 30, "updated_at": "2026-01-31T12:00:00.25Z"},
            {"name": "a\u{1b}[2J", "version": 1, "status": "inactive", "is_public": true, "memory_limit_mb": 256,
             "timeout_seconds": 300, "updated_at": "2026-01-31T12:00:00Z"},
        ]});
        let functions = gateway::read::<Functions>(&document).expect("a list").functions;
        expect![[r#"
            NAME      VERSION  STATUS    PUBLIC  MEMORY  TIMEOUT  UPDATED
            hello     3        active    no      64 MB   30 s     2026-01-31T12:00:00Z
            a\x1b[2J  1        inactive  yes     256 MB  300 s    2026-01-31T12:00:00Z
        "#]]
        .assert_eq(&render(&functions));
    }
}
