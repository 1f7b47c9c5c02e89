//! The jail on this machine: what a cage holds, what it lets a program do, and what is left when it is gone.

#[path = "jail/attacks.rs"]
mod attacks;
#[path = "jail/bad_input.rs"]
mod bad_input;
#[path = "jail/ends.rs"]
mod ends;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use engines::HelperCommand;
use engines::jail::{Bind, Cage, Exit, Filter, Inmate, Jail, JailConfig, JailError, LayerName, Level, libraries_of};
use tokio::io::AsyncReadExt;

/// The helper where everybody may read it: the folder it was built in may be somebody's home.
static HELPER: LazyLock<PathBuf> = LazyLock::new(|| {
    const NAME: &str = "orama-jail-test-";
    let parent = std::env::temp_dir();
    for left in fs::read_dir(&parent).expect("listed").flatten() {
        let name = left.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(NAME));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(left.path());
        }
    }
    let folder = parent.join(format!("{NAME}{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("open to all");
    let (built, there) = (Path::new(env!("CARGO_BIN_EXE_engine-helper")), folder.join("engine-helper"));
    fs::hard_link(built, &there).or_else(|_| fs::copy(built, &there).map(drop)).expect("the helper");
    there
});

fn helper() -> HelperCommand {
    HelperCommand { program: HELPER.clone(), arguments: Vec::new() }
}

/// The jail of whoever runs the tests.
fn jail() -> Arc<Jail> {
    Jail::new(JailConfig::new(helper())).expect("a jail")
}

/// The jail of an ordinary user, also when root runs the tests.
fn jail_of_user(without: &[LayerName]) -> Arc<Jail> {
    let mut config = JailConfig::new(helper());
    config.without = without.to_vec();
    if is_root() {
        let drop = ["--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned);
        let arguments = drop.into_iter().chain([HELPER.display().to_string()]).collect();
        config.helper = HelperCommand { program: "/usr/bin/setpriv".into(), arguments };
    }
    Jail::new(config).expect("a jail")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A cage with a shell, which every machine of ours has.
fn shell(script: &str) -> Cage {
    let mut cage = Cage::new("/bin/sh", Filter::Runtime);
    cage.arguments = ["-c", script].map(OsString::from).to_vec();
    cage.environment = vec![("PATH".into(), "/usr/bin:/bin".into())];
    cage.binds = libraries_of(Path::new("/bin/sh")).expect("the shell");
    cage.binds.push(Bind::read_only("/usr/bin", "/usr/bin"));
    cage
}

async fn output(inmate: &mut Inmate) -> (String, String, Exit) {
    let (mut out, mut err) = (String::new(), String::new());
    inmate.stdout.as_mut().expect("captured").read_to_string(&mut out).await.expect("read");
    inmate.stderr.as_mut().expect("captured").read_to_string(&mut err).await.expect("read");
    (out, err, inmate.wait().await)
}

async fn run(cage: Cage) -> (String, String, Exit) {
    let jail = jail();
    let mut inmate = jail.launch(cage).await.expect("launched");
    output(&mut inmate).await
}

#[tokio::test]
async fn a_program_runs_and_its_output_and_code_come_back() {
    let (out, err, exit) = run(shell("echo out; echo err >&2; exit 7")).await;
    assert_eq!((out.as_str(), err.as_str(), exit), ("out\n", "err\n", Exit::Code(7)));
}

#[tokio::test]
async fn a_user_without_rights_has_a_jail_too() {
    let jail = jail_of_user(&[]);
    assert_eq!(jail.level(), Level::User, "{:?}", jail.layers());
    let mut inmate = jail.launch(shell("id -u; exit 3")).await.expect("launched");
    assert_eq!(output(&mut inmate).await, ("1000\n".to_owned(), String::new(), Exit::Code(3)));
}

#[tokio::test]
async fn a_program_sees_what_was_bound_and_nothing_else() {
    let script = "echo /*; echo /dev/*; echo /tmp/*; hostname; cat /proc/self/cgroup | cut -d: -f3 | sort -u; ls /proc";
    let (out, err, exit) = run(shell(script)).await;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "/dev /etc /lib /lib64 /proc /tmp /usr", "{err}");
    assert_eq!(lines[1], "/dev/full /dev/null /dev/random /dev/urandom /dev/zero");
    assert_eq!(lines[2..5], ["/tmp/*", "cage", "/"], "nothing in /tmp, a host name, no group of others");
    assert!(lines[5..].iter().all(|line| line.parse::<u32>().is_ok_and(|pid| pid < 20) || line.ends_with("self")));
    assert_eq!(exit, Exit::Code(0));
}

#[tokio::test]
async fn nothing_of_the_server_is_inherited() {
    let mut cage = shell("env; ls -l /proc/self/fd | wc -l; grep -E '^(Cap|NoNew|Seccomp)' /proc/self/status");
    cage.environment.push(("MINE".into(), "yes".into()));
    let (out, err, _) = run(cage).await;
    let mut variables: Vec<&str> = out.lines().filter(|line| line.contains('=')).collect();
    variables.sort_unstable();
    assert_eq!(variables, ["MINE=yes", "PATH=/usr/bin:/bin", "PWD=/"], "{err}");
    assert!(out.lines().any(|line| line == "5"), "a heading, three standard files and the folder itself: {out}");
    let capabilities: Vec<&str> = out.lines().filter(|line| line.starts_with("Cap")).collect();
    assert!(capabilities.len() == 5 && capabilities.iter().all(|line| line.ends_with("\t0000000000000000")), "{out}");
    assert!(out.contains("NoNewPrivs:\t1") && out.contains("Seccomp:\t2"), "{out}");
}

#[tokio::test]
async fn open_files_get_the_numbers_that_were_asked_for() {
    let file = |text: &str| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        std::io::Seek::rewind(&mut file).expect("rewound");
        OwnedFd::from(file)
    };
    let mut cage = shell("cat <&0; cat <&7; cat <&3; cat <&9");
    cage.descriptors = vec![(file("three,"), 3), (file("nine"), 9), (file("zero,"), 0), (file("seven,"), 7)];
    let (out, err, _) = run(cage).await;
    assert_eq!(out, "zero,seven,three,nine", "{err}");
}

#[tokio::test]
async fn inmates_have_users_of_their_own() {
    if !is_root() {
        return;
    }
    let jail = jail();
    let [first, second] = [jail.launch(shell("sleep 60")).await, jail.launch(shell("sleep 60")).await];
    let user = |inmate: &Inmate| {
        let status = fs::read_to_string(format!("/proc/{}/status", inmate.pid())).expect("it runs");
        status.lines().find(|line| line.starts_with("Uid:")).expect("a line").to_owned()
    };
    let [first, second] = [first.expect("launched"), second.expect("launched")].map(|inmate| user(&inmate));
    assert!(first != second && first.starts_with("Uid:\t20000"), "{first} {second}");
}

#[tokio::test]
async fn a_writable_bind_keeps_what_is_written_and_a_read_only_one_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("closed to others");
    let other = tempfile::tempdir().expect("a folder");
    fs::set_permissions(other.path(), fs::Permissions::from_mode(0o777)).expect("open to all");
    let mut cage = shell("echo kept > /mine/file; echo lost > /other/file || echo refused");
    cage.binds.push(Bind { from: folder.path().into(), to: "/mine".into(), writable: true });
    cage.binds.push(Bind::read_only(other.path(), "/other"));
    let mut config = JailConfig::new(helper());
    config.writable_below = Some(std::env::temp_dir().canonicalize().expect("a folder"));
    let jail = Jail::new(config).expect("a jail");
    let mut inmate = jail.launch(cage).await.expect("launched");
    let (out, err, _) = output(&mut inmate).await;
    assert_eq!(out, "refused\n", "{err}");
    assert_eq!(fs::read_to_string(folder.path().join("file")).expect("it was written"), "kept\n");
    assert!(!other.path().join("file").exists());
}

/// A server that was taken over cannot have `/etc` given to an inmate of its.
#[tokio::test]
async fn nothing_may_be_written_into_but_below_the_folder_for_it() {
    let (allowed, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    std::os::unix::fs::symlink(other.path(), allowed.path().join("link")).expect("a link");
    for (below, from) in [
        (None, allowed.path().to_owned()),
        (Some(allowed.path()), other.path().to_owned()),
        (Some(allowed.path()), allowed.path().join("link")),
    ] {
        let mut config = JailConfig::new(helper());
        config.writable_below = below.map(|folder| folder.canonicalize().expect("a folder"));
        let mut cage = shell("true");
        cage.binds.push(Bind { from, to: "/mine".into(), writable: true });
        let refused = Jail::new(config).expect("a jail").launch(cage).await.expect_err("refused");
        assert!(
            matches!(&refused, JailError::NotStarted { step, .. } if step == "bind a folder to write into"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn links_in_a_bind_lead_nowhere_outside() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open to all");
    std::os::unix::fs::symlink("/etc", folder.path().join("out")).expect("a link");
    let inner = tempfile::tempdir().expect("a folder");
    let mut cage = shell("cat /bound/out/hostname; ls /bound/out/");
    cage.binds.push(Bind::read_only(folder.path(), "/bound"));
    cage.binds.push(Bind::read_only(inner.path(), "/etc/inner"));
    let (out, _, _) = run(cage).await;
    assert!(!out.contains("hostname") && out.contains("inner"), "{out}");
}

#[tokio::test]
async fn the_process_id_is_that_of_the_program() {
    for jail in [jail(), jail_of_user(&[])] {
        let inmate = jail.launch(shell("exec sleep 60")).await.expect("launched");
        let command = || fs::read_to_string(format!("/proc/{}/cmdline", inmate.pid())).unwrap_or_default();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while command() != concat!("sleep\0", "60\0") {
            assert!(std::time::Instant::now() < until, "{:?}", command());
            tokio::task::yield_now().await;
        }
    }
}
