//! This node: the one place where engines, backends, platform and gateway are wired together.

mod attack;
mod backup;
mod checks;
mod fsck;
mod jail;
mod life;
mod logging;
mod run;
mod serve;
mod tls;
mod user;
mod workers;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use domain::{Error, LogLine, Manifest, ReplyHead, RequestId, Usage};

pub use attack::{Attacked, LeftOut, attack_here};
pub use backup::{Summary, backup, restore};
pub use checks::checks;
pub use fsck::fsck;
pub use jail::jail_checks;
pub use run::run;
pub use serve::serve;
pub use tls::certificate_checks;
pub use workers::workerd_check;

/// A call made here, without a server, under the limits of production.
#[derive(Debug, Clone)]
pub struct RunRequest {
    pub code: Bytes,
    pub manifest: Manifest,
    pub input: Bytes,
}

/// How such a call ended.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    pub request_id: RequestId,
    pub duration: Duration,
    pub result: Result<RunReply, Error>,
    pub logs: Vec<LogLine>,
    pub usage: Usage,
}

#[derive(Debug, Clone)]
pub struct RunReply {
    /// Set when the function composed its own HTTP reply.
    pub head: Option<ReplyHead>,
    pub body: Bytes,
}

/// What was found in a data folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// What was checked, and how many of it.
    pub checked: Vec<(String, u64)>,
    /// What is wrong; empty when all is well.
    pub problems: Vec<String>,
    /// What is odd and harmless, such as code that an interrupted deploy left.
    pub notices: Vec<String>,
}

/// A line of `orama doctor` about this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    pub state: CheckState,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    Ok,
    /// Works without it, with less speed or fewer features.
    Note,
    Problem,
}

/// Runs as a helper process of a server.
pub fn helper() -> ExitCode {
    engines::helper_main(std::env::args_os().skip(2))
}

/// How this program starts itself as a helper.
fn helper_command() -> anyhow::Result<engines::HelperCommand> {
    // The running program itself, also when its file was replaced by a newer one.
    let program = std::path::PathBuf::from("/proc/self/exe");
    let program = if program.exists() { program } else { std::env::current_exe().context("find this program")? };
    Ok(engines::HelperCommand { program, arguments: vec![crate::HELPER_ARGUMENT.to_owned()] })
}
