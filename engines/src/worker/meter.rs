//! What a process has used, as the kernel counts it: in steps of 10 ms of processor time, so that asking more often says
//! nothing more.

use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::locked;

/// A hundredth of a second, as `/proc` counts (proc_pid_stat(5), `utime` and `stime`).
const TICK: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) cpu: Duration,
    pub(super) resident_bytes: u64,
}

pub(super) struct Meter {
    /// The first process in the cage.
    first: u32,
    /// The one that does the work, found when it runs.
    program: OnceLock<u32>,
    last: Mutex<Option<(Instant, Used)>>,
}

impl Meter {
    /// Of a process in a cage, or of what it started: the last of a line of only children. Asked when the program runs.
    pub(super) fn of(first: u32) -> Self {
        Self { first, program: OnceLock::new(), last: Mutex::default() }
    }

    /// What it has used until now, or a moment ago.
    pub(super) fn read(&self) -> Used {
        let mut last = locked(&self.last);
        if let Some((at, used)) = *last
            && at.elapsed() < TICK
        {
            return used;
        }
        let program = self.program.get_or_init(|| last_child(self.first));
        let stat = std::fs::read_to_string(format!("/proc/{program}/stat")).unwrap_or_default();
        // A process that has ended has used what it had.
        let used = parse(&stat).or(last.map(|(_, used)| used)).unwrap_or_default();
        *last = Some((Instant::now(), used));
        used
    }
}

fn last_child(mut pid: u32) -> u32 {
    let child = |pid: u32| {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    };
    while let Some(child) = child(pid) {
        pid = child;
    }
    pid
}

/// Fields 14, 15 and 24, counted behind the name, which may hold anything.
fn parse(stat: &str) -> Option<Used> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let number = |field: usize| fields.get(field - 3)?.trim().parse::<u64>().ok();
    let ticks = u32::try_from(number(14)? + number(15)?).ok()?;
    Some(Used { cpu: TICK * ticks, resident_bytes: number(24)? * rustix::param::page_size() as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_kernel_is_read() {
        let line = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 2 0 99 1000 3 18446744073709551615 1";
        let page = rustix::param::page_size() as u64;
        assert_eq!(parse(line), Some(Used { cpu: Duration::from_secs(3), resident_bytes: 3 * page }));
        for damaged in ["", "7 (a)", "7 (a) S 1 2 3"] {
            assert_eq!(parse(damaged), None, "{damaged}");
        }
        assert!(Meter::of(std::process::id()).read().resident_bytes > 0);
    }
}
