//! The jail of this node: started first, and refused where it holds less than the configuration asks for.

use std::sync::Arc;

use anyhow::{Context, bail};
use engines::jail::{Jail, JailConfig, LayerState, Level};

use super::{Check, CheckState, helper_command};
use crate::config::EngineConfig;

/// Starts it. The server has one thread still, and all its rights.
pub(super) fn open(config: &EngineConfig) -> anyhow::Result<Arc<Jail>> {
    let jail = start(config)?;
    check_level(jail.level(), config.require_isolation)?;
    Ok(jail)
}

fn check_level(level: Level, required: Level) -> anyhow::Result<()> {
    if level < required {
        bail!(
            "this machine isolates programs at level `{level}`, and `engine.require_isolation` asks for `{required}`; \
             `orama doctor` lists what is missing"
        );
    }
    Ok(())
}

fn start(config: &EngineConfig) -> anyhow::Result<Arc<Jail>> {
    let settings = JailConfig { uid_first: config.jail_uid_first, ..JailConfig::new(helper_command()?) };
    Jail::new(settings).context("start the launcher of cages")
}

/// What this machine gives, layer by layer.
pub fn jail_checks(config: &EngineConfig) -> Vec<Check> {
    let jail = match start(config) {
        Ok(jail) => jail,
        Err(cause) => return vec![check("isolation", CheckState::Problem, format!("{cause:#}"))],
    };
    let (level, required) = (jail.level(), config.require_isolation);
    let state = match (level < required, level) {
        (true, _) => CheckState::Problem,
        (false, Level::Full) => CheckState::Ok,
        (false, _) => CheckState::Note,
    };
    let mut checks = vec![check("isolation", state, meaning(level, required))];
    for layer in jail.layers() {
        let state = if layer.state == LayerState::Active { CheckState::Ok } else { CheckState::Note };
        checks.push(check(&format!("layer {}", layer.name.as_str()), state, layer.detail));
    }
    checks
}

fn meaning(level: Level, required: Level) -> String {
    let meaning = match level {
        Level::Full => "programs of different namespaces may share this machine",
        Level::User => "programs share one user id, and their limits count per process; for more, run as root",
        Level::None => "programs cannot be run here, only wasm",
    };
    match level < required {
        true => format!("level `{level}`, and `engine.require_isolation` asks for `{required}`: {meaning}"),
        false => format!("level `{level}`: {meaning}"),
    }
}

fn check(name: &str, state: CheckState, detail: String) -> Check {
    Check { name: name.to_owned(), state, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_isolation_than_required_is_refused_with_what_to_do() {
        let refused = check_level(Level::User, Level::Full).expect_err("less than required").to_string();
        assert_eq!(
            refused,
            "this machine isolates programs at level `user`, and `engine.require_isolation` asks for `full`; `orama doctor` \
             lists what is missing"
        );
        assert!(check_level(Level::None, Level::User).is_err());
        for level in [Level::None, Level::User, Level::Full] {
            assert!(check_level(level, level).is_ok() && check_level(level, Level::None).is_ok());
        }
    }

    #[test]
    fn what_a_level_means_is_said() {
        assert!(meaning(Level::User, Level::None).starts_with("level `user`: programs share one user id"));
        assert!(meaning(Level::None, Level::Full).contains("`engine.require_isolation` asks for `full`"));
    }
}
