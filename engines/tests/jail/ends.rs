//! How inmates end: by themselves, killed, over a limit, with their launcher; and that nothing stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engines::jail::{Exit, Jail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt;

use super::{jail, jail_of_user, output, shell};

/// Looks again until it holds, for a bounded time.
async fn poll_until(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < until, "never happened: {what}");
        // A bounded poll: nobody tells when a process is gone.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn parent_and_state(pid: u32) -> Option<(u32, char)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = line.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

fn children_of(launcher: u32) -> usize {
    let entries = fs::read_dir("/proc").expect("listed").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent_and_state(*pid).is_some_and(|(parent, _)| parent == launcher)).count()
}

fn groups_of(launcher: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().contains(&format!("-{launcher}-")) {
                    found.push(entry.path());
                }
                folders.push(entry.path());
            }
        }
    }
    found
}

async fn nothing_stays(jail: &Jail) {
    let launcher = jail.launcher_pid();
    poll_until("no child of the launcher", || children_of(launcher) == 0).await;
    poll_until("no group of the launcher", || groups_of(launcher).is_empty()).await;
}

#[tokio::test]
async fn a_signal_is_told_apart_from_a_code() {
    let jail = jail();
    for (script, want) in [("kill -TERM $$", Exit::Signal(15)), ("exit 143", Exit::Code(143))] {
        let mut inmate = jail.launch(shell(script)).await.expect("launched");
        assert_eq!(inmate.wait().await, want);
        assert_eq!(inmate.wait().await, want, "asked again");
    }
    nothing_stays(&jail).await;
}

#[tokio::test]
async fn killing_ends_the_whole_tree_within_250_ms() {
    for jail in [jail(), jail_of_user(&[])] {
        let script = "trap '' TERM INT HUP; for i in 1 2 3 4 5 6 7 8; do (trap '' TERM; sleep 60 & sleep 60) & done; echo up; wait";
        let mut inmate = jail.launch(shell(script)).await.expect("launched");
        let mut up = [0; 3];
        inmate.stdout.as_mut().expect("captured").read_exact(&mut up).await.expect("it is up");
        let begun = Instant::now();
        inmate.kill();
        assert_eq!(inmate.wait().await, Exit::Signal(9));
        assert!(begun.elapsed() < Duration::from_millis(250), "{:?}", begun.elapsed());
        nothing_stays(&jail).await;
    }
}

#[tokio::test]
async fn dropping_an_inmate_ends_it() {
    let jail = jail();
    let inmate = jail.launch(shell("sleep 60")).await.expect("launched");
    let pid = inmate.pid();
    drop(inmate);
    poll_until("the inmate is gone", || !Path::new(&format!("/proc/{pid}")).exists()).await;
    nothing_stays(&jail).await;
}

#[tokio::test]
async fn a_launch_that_is_given_up_leaves_nothing() {
    let jail = jail();
    for _ in 0..10 {
        let launch = jail.launch(shell("sleep 60"));
        // Polled once, so that the order is out, and dropped.
        tokio::select! {
            biased;
            launched = launch => drop(launched),
            () = std::future::ready(()) => {}
        }
    }
    let mut after = jail.launch(shell("exit 0")).await.expect("launched");
    assert_eq!(after.wait().await, Exit::Code(0));
    nothing_stays(&jail).await;
}

#[tokio::test]
async fn orphans_leave_no_zombie() {
    let jail = jail();
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'true &' &) ; done; sleep 0.3; ps() { cat /proc/[0-9]*/stat; }; ps | grep -c ' Z '";
    let mut inmate = jail.launch(shell(script)).await.expect("launched");
    let (out, err, _) = output(&mut inmate).await;
    assert_eq!(out, "0\n", "{err}");
    nothing_stays(&jail).await;
}

#[tokio::test]
async fn more_memory_than_allowed_is_told_as_that() {
    for jail in [jail(), jail_of_user(&[])] {
        let mut cage = shell("x=0123456789abcdef; while :; do x=$x$x; done");
        cage.memory_bytes = 48 << 20;
        let mut inmate = jail.launch(cage).await.expect("launched");
        let exit = inmate.wait().await;
        // Without a group the shell may be refused memory before the watchdog looks.
        assert!(
            exit == Exit::OutOfMemory || jail.level() < engines::jail::Level::Full && exit != Exit::Code(0),
            "{exit:?}"
        );
        nothing_stays(&jail).await;
    }
}

#[tokio::test]
async fn usage_counts_processor_and_memory() {
    let jail = jail();
    let mut inmate = jail.launch(shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; sleep 60")).await;
    let inmate = inmate.as_mut().expect("launched");
    let mut done = [0; 4];
    inmate.stdout.as_mut().expect("captured").read_exact(&mut done).await.expect("it is done");
    let running = inmate.usage();
    assert!(running.cpu > Duration::from_millis(20) && running.resident_bytes > 100 << 10, "{running:?}");
    inmate.kill();
    inmate.wait().await;
    assert!(inmate.usage().cpu > Duration::from_millis(20), "{:?}", inmate.usage());
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("not zero");
    kill_process(pid, Signal::KILL).expect("killed");
}

#[tokio::test]
async fn the_launchers_death_is_that_of_its_inmates_and_the_next_one_tidies_up() {
    let jail = jail();
    let mut inmate = jail.launch(shell("sleep 60 & sleep 60")).await.expect("launched");
    let pid = inmate.pid();
    let killed = jail.launcher_pid();
    kill(killed);
    assert_eq!(inmate.wait().await, Exit::Lost);
    poll_until("the inmate is gone", || !Path::new(&format!("/proc/{pid}")).exists()).await;
    let mut next = jail.launch(shell("exit 4")).await.expect("another launcher is there");
    assert_eq!(next.wait().await, Exit::Code(4));
    assert_ne!(jail.launcher_pid(), killed);
    poll_until("no group of the first launcher", || groups_of(killed).is_empty()).await;
}

#[tokio::test]
async fn dropping_the_jail_ends_everything() {
    let jail = jail();
    let launcher = jail.launcher_pid();
    let mut inmate = jail.launch(shell("sleep 60")).await.expect("launched");
    drop(jail);
    assert_eq!(inmate.wait().await, Exit::Lost);
    poll_until("the launcher is gone", || !Path::new(&format!("/proc/{launcher}")).exists()).await;
    assert!(groups_of(launcher).is_empty());
}

#[tokio::test]
async fn many_at_once_do_not_wait_for_each_other() {
    let jail = jail();
    let one = |number: u32| {
        let jail = jail.clone();
        async move {
            let mut inmate = jail.launch(shell(&format!("exit {number}"))).await.expect("launched");
            assert_eq!(inmate.wait().await, Exit::Code(number as i32));
        }
    };
    let mut all = tokio::task::JoinSet::new();
    (0..40).for_each(|number| drop(all.spawn(one(number))));
    while let Some(ended) = all.join_next().await {
        ended.expect("it ended as it said");
    }
    nothing_stays(&jail).await;
}
