//! `orama doctor --attack`: hostile programs against the jail, hostile modules against the sandbox of wasm, here and now.

mod modules;

use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use domain::{ErrorCode, Manifest};
use engines::jail::{Jail, JailConfig, LayerName, Level, attack};

use super::{RunRequest, helper_command, run};

/// One attack and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attacked {
    pub attack: String,
    /// What it tried.
    pub tried: String,
    /// What stopped it; `None` when it got through.
    pub stopped_by: Option<String>,
    /// What it met, or what it reached.
    pub detail: String,
}

/// Makes every attack, the jail without the layers in `without`.
///
/// # Errors
/// The attacks could not be made. That no cage can be made is none: nothing of others would run in one either.
pub fn attack_here(without: Vec<LayerName>) -> anyhow::Result<Vec<Attacked>> {
    let mut attacked = attack_jail(without)?;
    for module in MODULES {
        attacked.push(module.attack()?);
    }
    Ok(attacked)
}

fn attack_jail(without: Vec<LayerName>) -> anyhow::Result<Vec<Attacked>> {
    let helper = helper_command()?;
    let config = JailConfig { without, ..JailConfig::new(helper.clone()) };
    let jail: Arc<Jail> = Jail::new(config).context("start the launcher of cages")?;
    if jail.level() == Level::None {
        return Ok(vec![Attacked {
            attack: "jail".to_owned(),
            tried: "start a program".to_owned(),
            stopped_by: Some("no cage".to_owned()),
            detail: "this machine cannot make cages, so no program is started".to_owned(),
        }]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    let findings = runtime.block_on(attack::run(&jail, &helper, &[]));
    // Several reasons deep: the step, and what the kernel said to it.
    let findings = findings.context("attack the jail")?;
    Ok(findings.into_iter().map(Attacked::from).collect())
}

impl From<attack::Finding> for Attacked {
    fn from(finding: attack::Finding) -> Self {
        let attack::Finding { attack, tries, through: _, stopped_by, detail } = finding;
        Self { attack: attack.to_owned(), tried: tries.to_owned(), stopped_by: stopped_by.map(str::to_owned), detail }
    }
}

/// A hostile module. One that says `through` got through; so did one that ends well although it must not.
struct Module {
    name: &'static str,
    tries: &'static str,
    code: &'static [u8],
    /// It can only be ended, with this error; others end by themselves.
    ended_with: Option<ErrorCode>,
    /// What stands against it.
    barrier: &'static str,
}

const MODULES: &[Module] = &[
    Module {
        name: "wasm-loop",
        tries: "run for ever",
        code: modules::LOOPS,
        ended_with: Some(ErrorCode::Timeout),
        barrier: "deadline",
    },
    Module {
        name: "wasm-memory",
        tries: "use ever more memory",
        code: modules::GROWS,
        ended_with: None,
        barrier: "memory limit",
    },
    Module {
        name: "wasm-stack",
        tries: "call itself for ever",
        code: modules::RECURSES,
        ended_with: Some(ErrorCode::FunctionExecutionFailed),
        barrier: "stack limit",
    },
    Module { name: "wasm-file", tries: "open a file", code: modules::OPENS, ended_with: None, barrier: "no files" },
    Module {
        name: "wasm-environment",
        tries: "read the server's environment",
        code: modules::LOOKS,
        ended_with: None,
        barrier: "no environment",
    },
    Module {
        name: "wasm-pointer",
        tries: "point the host outside its memory",
        code: modules::POINTS,
        ended_with: None,
        barrier: "bounds check",
    },
];

impl Module {
    fn attack(&self) -> anyhow::Result<Attacked> {
        let manifest = Manifest::parse("name: hostile\nmemory: 16\ntimeout: 1\n");
        let manifest = manifest.map_err(|invalid| anyhow!("the manifest of attacks: {invalid}"))?;
        let code = Bytes::from_static(self.code);
        let outcome = run(RunRequest { code, manifest, input: Bytes::new() })?;
        let said = match &outcome.result {
            Ok(reply) => Ok(reply.body.starts_with(b"through")),
            Err(error) => Err((error.code, error.message.clone())),
        };
        let (stopped, detail) = match (said, self.ended_with) {
            (Ok(true), _) => (false, "said so".to_owned()),
            (Ok(false), Some(_)) => (false, "ended as if all were well".to_owned()),
            (Ok(false), None) => (true, "got an error and nothing else".to_owned()),
            (Err((code, message)), Some(wanted)) if code == wanted => (true, message),
            // Not as it should be, whatever it was.
            (Err((code, message)), _) => (false, format!("unexpected: {code}: {message}")),
        };
        let stopped_by = stopped.then(|| self.barrier.to_owned());
        Ok(Attacked { attack: self.name.to_owned(), tried: self.tries.to_owned(), stopped_by, detail })
    }
}

/// A layer that an operator may leave out to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut(pub LayerName);

impl FromStr for LeftOut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || LayerName::ALL.into_iter().filter(|layer| layer.can_be_left_out());
        known().find(|layer| layer.as_str() == text).map(Self).ok_or_else(|| {
            let names: Vec<&str> = known().map(LayerName::as_str).collect();
            format!("no such layer; known are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_is_what_its_text_says() {
        let texts = [
            (modules::GROWS, include_str!("attack/grows.wat")),
            (modules::LOOKS, include_str!("attack/looks.wat")),
            (modules::LOOPS, include_str!("attack/loops.wat")),
            (modules::OPENS, include_str!("attack/opens.wat")),
            (modules::POINTS, include_str!("attack/points.wat")),
            (modules::RECURSES, include_str!("attack/recurses.wat")),
        ];
        assert_eq!(texts.len(), MODULES.len());
        for (code, text) in texts {
            assert_eq!(code, wat::parse_str(text).expect("assembles"), "{text}");
        }
    }

    #[test]
    fn layers_are_left_out_by_name() {
        assert_eq!("seccomp".parse(), Ok(LeftOut(LayerName::Seccomp)));
        let refused = "own-uid".parse::<LeftOut>().expect_err("everything stands on it");
        assert!(refused.starts_with("no such layer; known are user-namespace, pid-namespace, root"), "{refused}");
    }
}
