//! What runs in the helper process: work on hostile input that must be killable.

use std::ffi::OsString;
use std::process::ExitCode;

/// The entry point of `orama __helper …`: the arguments behind `__helper`.
///
/// The helper talks to its parent only, through standard input and output; nobody starts it by hand.
pub fn helper_main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match arguments.next().as_deref().and_then(|verb| verb.to_str()) {
        Some("compile") => crate::wasm::compile_child(),
        Some("attack") => crate::jail::attack_main(arguments),
        Some("jail") => crate::jail::launcher_main(arguments.next()),
        other => {
            eprintln!("error: unknown helper {other:?}; this command is started by the server itself");
            ExitCode::from(2)
        }
    }
}
