//! Starting and stopping: what a server finishes, what it keeps, and what it refuses to start with.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use expect_test::{Expect, expect};

use crate::support::{Printed, Server, fixture, normalised};

#[test]
fn a_stop_lets_running_calls_finish_and_writes_their_records() {
    let mut server = Server::start();
    server.deploy("sleeps", &fixture("sleeps"), []);
    let http = server.http();
    let running = http.open("POST", "/v1/functions/sleeps/invoke", &[], &1500u32.to_le_bytes()).expect("it is sent");
    for _ in 0..10 {
        assert_eq!(http.post("/v1/functions/sleeps/invoke", &1u32.to_le_bytes()).status, 200);
    }
    server.wait_for_running(1);
    server.terminate();
    assert_eq!(running.reply().expect("it is answered").status, 200);
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    server.assert_calm(&log);
    assert!(http.connect().is_err(), "nobody listens any more");

    server.restart();
    let records = server.records("sleeps", 11);
    assert!(records.iter().all(|record| record["status"] == "success"), "{records:?}");
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let mut server = Server::prepared();
    server.set_environment([("ORAMA_DRAIN_SECONDS", OsStr::new("1"))]);
    server.expect_warning("stopped before every call had finished");
    server.expect_warning("connections were closed before their requests ended");
    server.restart();
    server.deploy("loop", &fixture("infinite_loop"), [("timeout_seconds", "300")]);
    let running = server.http().open("POST", "/v1/functions/loop/invoke", &[], b"{}").expect("it is sent");
    server.wait_for_running(1);
    server.terminate();
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    server.assert_calm(&log);
    assert!(log.contains("stopped before every call had finished"), "{log}");
    drop(running);
}

#[test]
fn a_second_server_on_the_same_folder_names_the_first() {
    let server = Server::start();
    let second = serve(&server, &["--data".as_ref(), server.data().as_os_str()]);
    let said = second.stderr.replace(&server.pid().to_string(), "PID");
    check_failed(
        &second,
        &said.replace(&*server.data().to_string_lossy(), "DATA"),
        1,
        expect![[r#"
        error: the data folder `DATA` is in use by process PID; stop that process, or choose another folder with `--data DIR`
    "#]],
    );
    assert_eq!(server.http().get("/health").status, 200);
}

#[test]
fn a_restart_keeps_everything_and_compiles_nothing() {
    let mut server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    server.deploy("echo", &fixture("environment"), []);
    server.orama(["function", "rollback", "echo"]).ok();
    server.deploy("off", &fixture("echo"), []);
    server.orama(["function", "disable", "off"]).ok();
    server.http().post("/v1/functions/echo/invoke", b"[1]");
    server.records("echo", 1);
    let look = |server: &Server| {
        let verbs: [&[&str]; 4] =
            [&["function", "list"], &["function", "versions", "echo"], &["function", "logs", "echo"], &["whoami"]];
        verbs.map(|verb| server.orama(verb).ok().replace(server.address(), "GATEWAY")).concat()
    };
    let (before, key) = (look(&server), server.admin_key().to_owned());
    server.terminate();
    let (_, log) = server.ended();
    server.assert_calm(&log);

    server.restart();
    assert_eq!(server.admin_key(), key);
    // The credentials file has the key for the address of the first start.
    server.orama(["login", "--api-key", &key]).ok();
    assert_eq!(look(&server), before);
    assert_eq!(server.http().post("/v1/functions/echo/invoke", b"[1]").body, "[1]");
    assert_eq!(server.http().post("/v1/functions/echo@2/invoke", b"[1]").status, 200);
    assert_eq!(server.http().post("/v1/functions/off/invoke", b"[1]").json()["code"], "FUNCTION_UNAVAILABLE");
    let log = server.kill();
    server.assert_calm(&log);
    assert!(!log.contains("compiling again"), "{log}");
}

#[test]
fn a_tampered_compiled_module_is_compiled_again() {
    let mut server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    server.kill();
    let compiled = files_below(&server.data().join("compiled"));
    let compiled = compiled.iter().find(|path| path.extension() == Some(OsStr::new("cwasm"))).expect("it is kept");
    let mut bytes = fs::read(compiled).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(compiled, bytes).expect("written");

    server.expect_warning("a compiled module is damaged; not using it");
    server.restart();
    assert_eq!(server.http().post("/v1/functions/echo/invoke", b"[1]").body, "[1]");
    let log = server.kill();
    server.assert_calm(&log);
    assert!(log.contains("a compiled module is damaged"), "{log}");
    assert!(log.contains("compiling again"), "{log}");
}

#[test]
fn damaged_code_is_never_run() {
    let mut server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    server.deploy("other", &fixture("environment"), []);
    let cid = server.http().get("/v1/functions/echo").json()["wasm_cid"].as_str().expect("a CID").to_owned();
    server.kill();
    let blob =
        files_below(&server.data().join("code")).into_iter().find(|path| path.ends_with(&cid)).expect("its code");
    let mut bytes = fs::read(&blob).expect("readable");
    bytes[20] ^= 1;
    fs::write(&blob, bytes).expect("written");
    for file in files_below(&server.data().join("compiled")) {
        fs::remove_file(file).expect("removed");
    }
    let fsck = server.orama([OsStr::new("fsck"), OsStr::new("--data"), server.data().as_os_str()]);
    let said = fsck.stdout.replace(&*server.data().to_string_lossy(), "DATA").replace(&cid, "CID");
    assert_eq!(fsck.code, Some(1));
    expect![[r#"
        CHECKED        COUNT
        functions      2
        versions       2
        code files     1
        code bytes     247
        content files  0
        content bytes  0
        databases      0
        records        0
        problem: the code CID of `default/echo@1` is damaged; deploy it again
    "#]]
    .assert_eq(&said);

    server.expect_warning("failed to run a call");
    server.restart();
    let reply = server.http().post("/v1/functions/echo/invoke", b"[1]");
    assert_eq!((reply.status, &reply.json()["code"]), (500, &"CORRUPT".into()), "{reply:?}");
    assert_eq!(server.http().post("/v1/functions/other/invoke", b"").status, 200, "others are fine");
}

#[test]
fn mistakes_in_the_configuration_are_one_clear_line() {
    let server = Server::start();
    let file = server.folder().join("orama.yaml");
    let mut said = String::new();
    for text in [
        "limits:\n  queue_maxx: 5\n",
        "limits:\n  queue_max: -5\n",
        "listen: nowhere\n",
        "log: {level: loud}\n",
        "listen: [\n",
        "limits: {queue_max: 5, queue_max: 6}\n",
    ] {
        fs::write(&file, text).expect("written");
        let printed = serve(&server, &[]);
        assert_eq!(printed.code, Some(2), "{text:?}: {printed:?}");
        said.push_str(&format!("{text:?}\n{}", printed.stderr));
    }
    expect![[r#"
        "limits:\n  queue_maxx: 5\n"
        error: `orama.yaml` line 2, column 3: unknown key `queue_maxx`; did you mean `queue_max`?
        "limits:\n  queue_max: -5\n"
        error: `orama.yaml` line 2, column 14: `limits.queue_max` must be a whole number from 0 to 1000000, not `-5`
        "listen: nowhere\n"
        error: `orama.yaml` line 1, column 9: `listen` must be an address and a port, such as `127.0.0.1:6001`, not `nowhere`
        "log: {level: loud}\n"
        error: `orama.yaml` line 1, column 14: `log.level` is `loud`; known are `error`, `warn`, `info`, `debug`, `trace`
        "listen: [\n"
        error: `orama.yaml` line 1, column 9: unclosed bracket '['
        "limits: {queue_max: 5, queue_max: 6}\n"
        error: `orama.yaml` line 1, column 24: the key `queue_max` stands twice
    "#]].assert_eq(&said);
    fs::remove_file(&file).expect("removed");

    let mut command = server.command(&server.folder());
    command.args(["serve"]).env("ORAMA_LIMITS_QUEUE_MAXX", "5").stdin(Stdio::null());
    let printed: Printed = command.output().expect("it starts").into();
    check_failed(
        &printed,
        &printed.stderr,
        2,
        expect![[r#"
        error: unknown variable `ORAMA_LIMITS_QUEUE_MAXX`; did you mean `ORAMA_LIMITS_QUEUE_MAX`?
        hint: run `orama config show --origin` to see every setting
    "#]],
    );
    let printed = serve(&server, &["--config".as_ref(), "missing.yaml".as_ref()]);
    check_failed(
        &printed,
        &printed.stderr,
        2,
        expect![[r#"
        error: failed to read the configuration `missing.yaml`: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let server = Server::start();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it has one").to_string();
    let printed = serve(&server, &["--listen".as_ref(), address.as_ref(), "--data".as_ref(), "elsewhere".as_ref()]);
    let said: String = printed.stderr.lines().filter(|line| !line.contains(" INFO ")).collect();
    check_failed(
        &printed,
        &said.replace(&address, "ADDRESS"),
        1,
        expect![[r#"
            error: listen on ADDRESS: Address already in use (os error 98)
        "#]],
    );
    // No key was made that nobody was told of: the first start that succeeds makes it.
    let data = server.folder().join("elsewhere");
    assert!(data.is_dir() && !data.join("admin.key").exists());
}

#[test]
fn a_lost_key_of_api_keys_is_not_made_anew_beside_an_old_registry() {
    let mut server = Server::start();
    server.kill();
    let key = server.data().join("keys/api-keys.key");
    let kept = fs::read(&key).expect("it was made");
    fs::remove_file(&key).expect("removed");
    let said = server.try_restart().expect_err("it does not start");
    assert!(said.contains("no API key is valid without it; restore it from a backup"), "{said}");
    assert!(!key.exists(), "nothing was made in its place");
    fs::write(&key, kept).expect("restored");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("changed");
    server.restart();
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let mut server = Server::start();
    server.kill();
    let key = server.data().join("keys/compiled-modules.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("changed");
    let said = server.try_restart().expect_err("it does not start");
    expect![[r#"
        `orama serve` said ""
        error: open the key of compiled modules: the key `compiled-modules` cannot be used: others may read `KEY` (mode 644); if nobody did, run `chmod 600 KEY`
    "#]].assert_eq(&said.replace(&*key.to_string_lossy(), "KEY"));
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("changed");
    server.restart();
}

#[test]
fn folders_that_are_no_data_folder_are_refused() {
    let server = Server::start();
    let folder = server.folder().join("documents");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("letter.txt"), "dear").expect("written");
    let listen: [&OsStr; 3] = ["--listen".as_ref(), "127.0.0.1:0".as_ref(), "--data".as_ref()];
    let printed = serve(&server, &[listen.as_slice(), &["documents".as_ref()]].concat());
    check_failed(
        &printed,
        &printed.stderr,
        1,
        expect![[r#"
        error: `documents` is not empty and not a data folder of orama; choose another one with `--data DIR`
    "#]],
    );
    assert_eq!(fs::read_to_string(folder.join("letter.txt")).expect("it is there"), "dear");

    fs::remove_file(folder.join("letter.txt")).expect("removed");
    fs::write(folder.join("format"), "999\n").expect("written");
    let printed = serve(&server, &[listen.as_slice(), &["documents".as_ref()]].concat());
    check_failed(
        &printed,
        &printed.stderr,
        1,
        expect![[r#"
        error: the data folder `documents` has layout 999, this program knows up to 1; use a newer `orama`
    "#]],
    );
}

/// `orama serve` that is expected not to start.
fn serve(server: &Server, arguments: &[&OsStr]) -> Printed {
    let mut command = server.command(&server.folder());
    command.arg("serve").args(arguments).stdin(Stdio::null());
    command.output().expect("the binary starts").into()
}

#[track_caller]
fn check_failed(printed: &Printed, said: &str, code: i32, want: Expect) {
    assert_eq!((printed.code, &*printed.stdout), (Some(code), ""), "{printed:?}");
    want.assert_eq(&normalised(said));
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Every thread, and what it may.
fn identities(pid: u32) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let field = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).expect("a status");
    tasks
        .map(|task| status(task.expect("a thread")))
        .map(|text| (field(&text, "Uid:"), field(&text, "CapEff:")))
        .collect()
}

/// The tests run as root, as a service would be started.
#[test]
fn a_server_of_root_becomes_somebody_else_and_finds_its_data_again() {
    const NOBODY: &str = "1999999999 1999999999 1999999999 1999999999";
    let mut server = Server::start();
    server.deploy("echo", &fixture("echo"), []);
    for _ in 0..2 {
        let threads = identities(server.pid());
        assert!(threads.len() > 4 && threads.iter().all(|(ids, _)| ids == NOBODY), "{threads:?}");
        assert!(threads.iter().all(|(_, rights)| rights == "0000000000000000"), "{threads:?}");
        assert_eq!(server.http().post("/v1/functions/echo/invoke", b"{}").status, 200);
        // What root puts there meanwhile is no obstacle.
        let key = server.data().join("admin.key");
        server.terminate();
        server.ended();
        std::os::unix::fs::chown(&key, Some(0), Some(0)).expect("given");
        server.restart();
        assert_eq!(fs::metadata(&key).expect("there").uid(), 1_999_999_999);
    }
}

#[test]
fn root_stays_root_where_it_is_told_to_or_its_data_is_out_of_reach() {
    let mut server = Server::prepared();
    server.set_environment([("ORAMA_NODE_USER", OsStr::new("root"))]);
    server.restart();
    assert!(identities(server.pid()).iter().all(|(ids, _)| ids == "0 0 0 0"));
    server.terminate();
    server.ended();

    fs::set_permissions(server.home(), Permissions::from_mode(0o700)).expect("closed to others");
    server.set_environment([("ORAMA_NODE_USER", OsStr::new("")), ("ORAMA_LOG_LEVEL", OsStr::new("info"))]);
    server.restart();
    assert!(identities(server.pid()).iter().all(|(ids, _)| ids == "0 0 0 0"));
    server.terminate();
    server.ended();

    server.set_environment([("ORAMA_NODE_USER", OsStr::new("54321"))]);
    let refused = server.try_restart().expect_err("it cannot");
    assert!(refused.contains("the server cannot become user 54321: user 54321 may not enter `"), "{refused}");
    server.set_environment([("ORAMA_NODE_USER", OsStr::new("nobody-here"))]);
    let refused = server.try_restart().expect_err("there is none");
    assert!(refused.contains("/etc/passwd has no user `nobody-here`"), "{refused}");
}
