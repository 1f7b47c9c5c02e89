use super::*;

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

#[test]
fn a_command_that_does_not_end_is_killed_with_what_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let pids = folder.path().join("pids");
    let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pids.display());
    let refused = run(&shell(&script), Duration::from_secs(1)).expect_err("it does not end");
    assert_eq!(refused, "the command `sh` did not end within 1 s");
    let text = std::fs::read_to_string(&pids).expect("the child started");
    let sleeper = Path::new("/proc").join(text.trim());
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_running(&sleeper) {
        assert!(Instant::now() < deadline, "what the command started still runs");
        std::thread::yield_now();
    }
}

/// A process that was killed may wait for its parent to notice.
fn is_running(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn a_command_that_prints_without_end_is_stopped() {
    let refused = run(&shell("yes"), COMMAND_LIMIT).expect_err("it prints without end");
    assert!(refused.ends_with("it is too long to hold keys"), "{refused}");
}
