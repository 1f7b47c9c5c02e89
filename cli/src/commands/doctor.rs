use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use domain::Language;
use serde_json::json;

use crate::args::Shared;
use crate::config::{ConfigFlags, ServeConfig, Settings};
use crate::connection::Connection;
use crate::credentials::{self, Credentials};
use crate::failure::{Exit, Failure, Outcome};
use crate::gateway::Gateway;
use crate::node::{self, Attacked, Check, CheckState, LeftOut};
use crate::table::Table;
use crate::{screen, toolchain};

/// Check this machine: toolchains, configuration, data folder, gateway, kernel
///
/// A missing toolchain or a server that does not run is a note. What would keep `orama` from working is a problem, and
/// the exit code is 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFlags,
    /// Attack the jail and the wasm sandbox of this machine with hostile programs, which do no harm, and show what stops each;
    /// exit code 1 when one gets through
    #[arg(long)]
    attack: bool,
    /// Leave a layer of the jail out, to see what it is for; may be repeated
    #[arg(long, value_name = "LAYER", requires = "attack")]
    without: Vec<LeftOut>,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    if args.attack {
        return attack(args, shared);
    }
    let checks = all(args, shared);
    if shared.json {
        let document = |check: &Check| json!({"name": check.name, "state": word(check.state), "detail": check.detail});
        screen::json(&json!({"checks": checks.iter().map(document).collect::<Vec<_>>()}));
    } else {
        screen::data(render(&checks).as_bytes());
    }
    match checks.iter().filter(|check| check.state == CheckState::Problem).count() {
        0 => Ok(()),
        1 => Err(Failure::failed("1 problem found")),
        count => Err(Failure::failed(format!("{count} problems found"))),
    }
}

fn attack(args: &Args, shared: &Shared) -> Outcome {
    let attacked = node::attack_here(args.without.iter().map(|layer| layer.0).collect())?;
    if shared.json {
        let document = |attacked: &Attacked| {
            json!({"attack": attacked.attack, "tried": attacked.tried, "stopped_by": attacked.stopped_by,
                "detail": attacked.detail})
        };
        screen::json(&json!({"attacks": attacked.iter().map(document).collect::<Vec<_>>()}));
    } else {
        screen::data(render_attacks(&attacked).as_bytes());
    }
    match attacked.iter().filter(|attacked| attacked.stopped_by.is_none()).count() {
        0 => Ok(()),
        1 => Err(Failure::failed("1 attack got through")),
        count => Err(Failure::failed(format!("{count} attacks got through"))),
    }
}

fn render_attacks(attacked: &[Attacked]) -> String {
    let mut table = Table::new(["ATTACK", "TRIES TO", "STOPPED BY", "DETAIL"]);
    for Attacked { attack, tried, stopped_by, detail } in attacked {
        let stopped_by = stopped_by.clone().unwrap_or_else(|| "NOTHING".to_owned());
        table.row([attack.clone(), tried.clone(), stopped_by, detail.clone()]);
    }
    table.render()
}

fn all(args: &Args, shared: &Shared) -> Vec<Check> {
    let mut checks = vec![check("orama", CheckState::Ok, env!("CARGO_PKG_VERSION"))];
    // JavaScript runs as it is; what runs it depends on the configuration.
    checks.extend(Language::ALL.into_iter().filter(|language| *language != Language::JavaScript).map(toolchain));
    match Settings::load(&args.config) {
        Ok(settings) => {
            checks.push(check("configuration", CheckState::Ok, "all settings are right"));
            let config = ServeConfig::from(&settings);
            checks.push(data_folder(&config.data));
            checks.extend(node::certificate_checks(&config.gateway.tls, &config.data));
            checks.extend(node::jail_checks(&config.engine));
            checks.push(node::workerd_check(&config.engine));
        }
        Err(failure) => checks.push(check("configuration", CheckState::Problem, failure.message)),
    }
    checks.push(credentials());
    checks.push(gateway(shared));
    checks.extend(node::checks());
    checks
}

fn check(name: &str, state: CheckState, detail: impl Into<String>) -> Check {
    Check { name: name.to_owned(), state, detail: detail.into() }
}

fn toolchain(language: Language) -> Check {
    match toolchain::find(language) {
        Ok(tool) => {
            let version = tool.version().unwrap_or_else(|| "version unknown".to_owned());
            check(language.as_str(), CheckState::Ok, format!("{} ({})", version, tool.program.display()))
        }
        Err(missing) => {
            check(language.as_str(), CheckState::Note, format!("{}; to have it, {}", missing.message, missing.install))
        }
    }
}

/// Whether `serve` could use the folder, without making it.
fn data_folder(data: &Path) -> Check {
    let (state, detail) = match fs::metadata(data) {
        Ok(metadata) if !metadata.is_dir() => (CheckState::Problem, "is not a folder".to_owned()),
        Ok(_) if !writable(data) => (CheckState::Problem, "is not writable".to_owned()),
        Ok(_) => (CheckState::Ok, "is there".to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            (CheckState::Note, "`orama serve` will make it".to_owned())
        }
        Err(error) => (CheckState::Problem, error.to_string()),
    };
    check("data folder", state, format!("{}: {detail}", data.display()))
}

fn writable(folder: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

fn credentials() -> Check {
    let Some(path) = credentials::path() else {
        return check("credentials", CheckState::Note, "neither `XDG_CONFIG_HOME` nor `HOME` is set");
    };
    match Credentials::read(&path) {
        Ok(credentials) if credentials.gateways.is_empty() => check("credentials", CheckState::Note, "none stored yet"),
        Ok(credentials) => {
            let gateways = credentials.gateways.keys().cloned().collect::<Vec<_>>().join(", ");
            check("credentials", CheckState::Ok, format!("{}: {gateways}", path.display()))
        }
        Err(failure) => {
            let hint = failure.hint.map_or(String::new(), |hint| format!("; {hint}"));
            check("credentials", CheckState::Problem, format!("{}{hint}", failure.message))
        }
    }
}

fn gateway(shared: &Shared) -> Check {
    let asked = Connection::of(&shared.connection).and_then(Gateway::connect).and_then(|gateway| {
        let health = gateway.get("/v1/version", &[])?;
        Ok((gateway.connection().gateway.clone(), health["version"].as_str().unwrap_or("unknown").to_owned()))
    });
    match asked {
        Ok((address, version)) => check("gateway", CheckState::Ok, format!("{address}, version {version}")),
        Err(failure) if failure.exit == Exit::Unreachable => check("gateway", CheckState::Note, failure.message),
        Err(failure) => check("gateway", CheckState::Problem, failure.message),
    }
}

fn word(state: CheckState) -> &'static str {
    match state {
        CheckState::Ok => "ok",
        CheckState::Note => "note",
        CheckState::Problem => "problem",
    }
}

fn render(checks: &[Check]) -> String {
    let mut table = Table::new(["CHECK", "STATE", "DETAIL"]);
    for check in checks {
        table.row([check.name.clone(), word(check.state).to_owned(), check.detail.clone()]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_a_file_is_a_problem_and_a_missing_one_is_not() {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join("file");
        fs::write(&file, "").expect("written");
        assert_eq!(data_folder(&file).state, CheckState::Problem);
        assert_eq!(data_folder(&home.path().join("none")).state, CheckState::Note);
        assert_eq!(data_folder(home.path()).state, CheckState::Ok);
    }
}
