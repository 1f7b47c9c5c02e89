//! A look at a worker that is being deployed: a process starts it, and says what is wrong with it.

use std::sync::Arc;
use std::time::Duration;

use domain::{Error, Manifest};
use ports::{Code, PrepareError, Prepared};
use serde::Deserialize;

use super::code::Modules;
use super::config;
use super::homes::{Homes, NoProcess};
use super::process::Process;

/// For the code at the top level of all modules.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Until a process that broke off is known to have ended.
const ENDING_TIME_MAX: Duration = Duration::from_secs(1);

/// What a process says of code that it was given.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Seen {
    /// Has it something that answers requests?
    handler: bool,
    refused: Option<String>,
}

pub(super) async fn check(homes: &Arc<Homes>, code: &Code, manifest: &Manifest) -> Result<Prepared, PrepareError> {
    let modules = Modules::read(&code.bytes, manifest).map_err(PrepareError::Refused)?;
    let process = homes.spare().await.map_err(unavailable)?;
    let given = config::to_load(&modules, manifest);
    let asked = tokio::time::timeout(TIME_MAX, process.load(given.clone())).await;
    let seen = match asked {
        Err(_) => return Err(refused(too_slow())),
        Ok(Err(_)) => return Err(broke_off(&process).await),
        Ok(Ok(said)) => serde_json::from_slice(&said).unwrap_or_default(),
    };
    match seen {
        Seen { refused: Some(why), .. } => Err(refused(as_the_author_reads(&why))),
        Seen { handler: false, .. } => Err(refused(no_handler())),
        Seen { handler: true, .. } => {
            homes.keep(code.cid, &given, manifest, process);
            Ok(Prepared::default())
        }
    }
}

fn refused(error: Error) -> PrepareError {
    PrepareError::Refused(error)
}

fn unavailable(cause: NoProcess) -> PrepareError {
    PrepareError::Unavailable(Box::new(cause))
}

fn too_slow() -> Error {
    let message = format!("the code at the top level did not end within {} s", TIME_MAX.as_secs());
    Error::invalid(message).hint("do the work in the handler, when a request comes")
}

fn no_handler() -> Error {
    Error::invalid("the worker answers no requests: its main module has no fetch handler")
        .hint("write `export default { fetch(request, env, ctx) { … } }`, or `addEventListener(\"fetch\", …)`")
}

/// The process did not survive the code.
async fn broke_off(process: &Process) -> PrepareError {
    match process.ending(ENDING_TIME_MAX).await {
        Some(ending) if ending.is_out_of_memory() => {
            refused(Error::invalid("the code at the top level used up the memory"))
        }
        Some(_) => refused(Error::invalid("the code at the top level ended the process")),
        None => PrepareError::Unavailable("the process that looks at code broke off".into()),
    }
}

/// From `…Uncaught SyntaxError: text\n  at index.js:3:12\n    at async take (…)` to `index.js:3:12: SyntaxError: text`.
fn as_the_author_reads(report: &str) -> Error {
    let lines: Vec<&str> = report
        .lines()
        .map(str::trim)
        .filter(|line| !line.contains("loader.js") && !line.starts_with("Error: Failed to start Worker"))
        .filter(|line| !line.is_empty())
        .collect();
    let place = lines.iter().find_map(|line| line.strip_prefix("at ").filter(|place| is_place(place)));
    let said = lines.iter().filter(|line| !line.starts_with("at ")).map(|line| line.trim_end_matches('.'));
    let text = said.collect::<Vec<_>>().join(", ");
    let text = text.strip_prefix("Uncaught ").unwrap_or(&text);
    match place {
        Some(place) => Error::invalid(format!("{place}: {text}")),
        None => Error::invalid(text),
    }
}

/// `module:line:column`.
fn is_place(text: &str) -> bool {
    let mut parts = text.rsplitn(3, ':');
    let mut number = || parts.next().is_some_and(|part| part.parse::<u32>().is_ok());
    number() && number() && parts.next().is_some_and(|module| !module.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_the_runtime_become_messages() {
        for (report, want) in [
            (
                "Error: Failed to start Worker:\nUncaught SyntaxError: Unexpected token ';'\n  at index.js:3:12\n    at async take (file:///bundle/loader.js:17:12)",
                "index.js:3:12: SyntaxError: Unexpected token ';'",
            ),
            (
                "Error: Failed to start Worker:\nUncaught Error: No such module \"nope.js\".\n  imported from \"index.js\"\n    at async take (file:///bundle/loader.js:17:12)",
                "Error: No such module \"nope.js\", imported from \"index.js\"",
            ),
            ("TypeError: odd", "TypeError: odd"),
        ] {
            assert_eq!(as_the_author_reads(report).message, want);
        }
    }
}
