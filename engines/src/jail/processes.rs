//! What `/proc` says about processes: when they began, and what a tree of them uses.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use rustix::process::Pid;

use super::Usage;

/// One line of `/proc/<pid>/stat`, as far as it matters (proc_pid_stat(5)).
struct Process {
    parent: u32,
    ticks: u64,
    started: u64,
    pages: u64,
}

/// When a process began, in ticks since the machine did: with its id, the name of one process for ever.
pub(super) fn started(pid: u32) -> Option<u64> {
    Some(read(pid)?.started)
}

fn read(pid: u32) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name stands in parentheses and may contain anything, parentheses too.
fn parse(line: &str) -> Option<Process> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
    Some(Process { parent: u32::try_from(number(1)?).ok()?, ticks, started: number(19)?, pages: number(21)? })
}

/// What a process and all below it use. Orphans count too where the root of the tree is the first process of a namespace.
pub(super) fn tree(root: Pid) -> Usage {
    let root = root.as_raw_nonzero().get() as u32;
    let all = all();
    let usage = |process: &Process| Usage {
        cpu: Duration::from_millis(process.ticks * 1000 / rustix::param::clock_ticks_per_second().max(1)),
        resident_bytes: process.pages * rustix::param::page_size() as u64,
    };
    all.iter().filter(|(pid, _)| is_below(&all, **pid, root)).fold(Usage::default(), |sum, (_, process)| {
        let one = usage(process);
        Usage { cpu: sum.cpu + one.cpu, resident_bytes: sum.resident_bytes + one.resident_bytes }
    })
}

fn all() -> HashMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, read(pid)?))).collect()
}

/// Processes come and go while they are read, so the way up is followed for a bounded number of steps.
fn is_below(all: &HashMap<u32, Process>, pid: u32, root: u32) -> bool {
    const STEPS_MAX: usize = 4096;
    let up = std::iter::successors(Some(pid), |pid| all.get(pid).map(|process| process.parent));
    up.take(STEPS_MAX).take_while(|pid| *pid != 0).any(|pid| pid == root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_fields() {
        let line =
            "7 (a) R 1 1 (b)) S 42 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 999 1000 55 18446744073709551615";
        let process = parse(line).expect("a line");
        assert_eq!((process.parent, process.ticks, process.started, process.pages), (42, 100, 999, 55));
        assert!(parse("7 (a) S 1").is_none());
        assert!(parse("").is_none());
    }

    #[test]
    fn this_process_is_a_tree_that_uses_memory() {
        let usage = tree(rustix::process::getpid());
        assert!(usage.resident_bytes > 1 << 20, "{usage:?}");
        assert!(started(std::process::id()).is_some());
    }
}
