//! What the engine finds on this machine, for `orama doctor`.

use super::{Check, CheckState};

/// Kernel features and limits that decide how fast calls are, or whether they run.
pub fn checks() -> Vec<Check> {
    vec![kernel(), descriptors(), instances()]
}

fn check(name: &str, state: CheckState, detail: String) -> Check {
    Check { name: name.to_owned(), state, detail }
}

/// PAGEMAP_SCAN came with Linux 6.7; without it, giving back a guest's memory is several times dearer.
fn kernel() -> Check {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version >= (6, 7) {
        true => {
            check("kernel", CheckState::Ok, format!("Linux {release}, resets guest memory in place (PAGEMAP_SCAN)"))
        }
        false => check(
            "kernel",
            CheckState::Note,
            format!("Linux {release}; from 6.7 on, small calls are 2 to 4 times faster"),
        ),
    }
}

fn descriptors() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    match limit {
        None => check("open files", CheckState::Ok, "no limit".to_owned()),
        Some(limit @ ..4096) => check(
            "open files",
            CheckState::Note,
            format!("at most {limit}: each connection is one; raise `ulimit -Hn`"),
        ),
        Some(limit) => check("open files", CheckState::Ok, format!("at most {limit}")),
    }
}

/// Each instance reserves addresses, not memory; a limit of address space (`ulimit -v`) makes that fail.
fn instances() -> Check {
    const INSTANCES: u32 = 1000;
    let config = engines::settings::for_running(INSTANCES, engines::settings::MEMORY_KEEP_RESIDENT_BYTES);
    match engines::settings::try_reserve(&config) {
        Ok(()) => check("engine", CheckState::Ok, format!("wasmtime, room for {INSTANCES} calls at once")),
        Err(cause) => check("engine", CheckState::Problem, format!("no room for {INSTANCES} calls at once: {cause}")),
    }
}
