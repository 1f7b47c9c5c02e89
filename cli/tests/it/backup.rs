//! A node is copied while it works, and comes back from the copy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::support::{Printed, Server, fixture};

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn backup(server: &Server, to: &Path) -> Printed {
    server.orama(["backup", path(to), "--data", path(&server.data())])
}

fn restore(server: &Server, from: &Path, data: &Path) -> Printed {
    server.orama(["restore", path(from), "--data", path(data)])
}

/// Something of everything that a node keeps.
fn fill(server: &Server) -> String {
    server.deploy("echo", &fixture("echo"), []);
    server.orama(["db", "exec", "CREATE TABLE rows (n INTEGER PRIMARY KEY)"]).ok();
    server.orama(["function", "secrets", "set", "TOKEN", "value"]).ok();
    server.orama(["namespace", "create", "team"]).ok();
    server.orama(["db", "exec", "CREATE TABLE rows (n)", "--namespace", "team"]).ok();
    fs::write(server.folder().join("content"), vec![7; 600_000]).expect("written");
    server.orama(["storage", "put", "content"]).ok().trim().to_owned()
}

fn rows(server: &Server) -> i64 {
    let document = server.orama(["db", "query", "SELECT count(*) AS n FROM rows", "--json"]);
    let document: Value = serde_json::from_str(document.ok()).expect("JSON");
    document["items"][0]["n"].as_i64().expect("a number")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_running_node_is_copied_and_its_copy_serves() {
    let mut server = Server::start();
    let cid = fill(&server);
    let stop = AtomicBool::new(false);
    let (folder, archive) = (server.home().join("copy"), server.home().join("copy.tar"));
    // Writers, and functions that come and go, as long as the copies take.
    std::thread::scope(|threads| {
        for writer in 0..2 {
            let (http, stop) = (server.http(), &stop);
            threads.spawn(move || {
                for number in (writer..).step_by(2) {
                    let body = json!({ "sql": "INSERT INTO rows VALUES (?)", "args": [number] });
                    assert_eq!(http.post("/v1/rqlite/exec", body.to_string().as_bytes()).status, 200);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        let (http, stop_flag) = (server.http(), &stop);
        threads.spawn(move || {
            for number in 0_u32.. {
                let program = [&fixture("echo")[..], &custom_section(number)].concat();
                assert_eq!(http.deploy("passing", &program, &[]).expect("it answers").status, 201);
                assert_eq!(http.send("DELETE", "/v1/functions/passing", &[], b"").status, 200);
                if stop_flag.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let copies = [backup(&server, &folder), backup(&server, &archive)];
        stop.store(true, Ordering::Relaxed);
        for copy in copies {
            copy.ok();
            assert!(copy.stderr.contains("warning: the copy holds the keys of the node"), "{copy:?}");
        }
    });
    for file in files_below(&folder) {
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o077, 0, "{}", file.display());
    }
    assert_eq!(fs::metadata(&archive).expect("a file").permissions().mode() & 0o777, 0o600);
    let beside: Vec<_> =
        fs::read_dir(server.home()).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    assert!(beside.iter().all(|name| !name.to_string_lossy().starts_with(".new-")), "{beside:?}");

    let acknowledged = rows(&server);
    server.kill();
    for (number, from) in [folder, archive].into_iter().enumerate() {
        let data = server.home().join(format!("restored-{number}"));
        let printed = restore(&server, &from, &data);
        assert!(!printed.ok().contains("notice"), "{printed:?}");
        assert!(printed.ok().contains("databases      2"), "{printed:?}");
        server.keep_data_in(data);
        server.restart();
        // The credential that is stored is for the address that the node had before.
        let key = server.admin_key().to_owned();
        server.orama(["login", "--api-key", &key]).ok();
        let found = rows(&server);
        assert!(0 < found && found <= acknowledged, "{found} of {acknowledged} rows");
        assert_eq!(server.orama(["function", "invoke", "echo", "--data", "{\"a\":1}"]).code, Some(0));
        assert!(server.orama(["function", "secrets", "list"]).ok().contains("TOKEN"));
        server.orama(["storage", "get", &cid, "-o", "back", "--force"]).ok();
        assert_eq!(fs::read(server.folder().join("back")).expect("a file"), vec![7; 600_000]);
        assert_eq!(server.orama(["function", "list", "--json"]).code, Some(0), "the key of before is valid");
        server.terminate();
        let (code, log) = server.ended();
        assert_eq!(code, Some(0));
        server.assert_calm(&log);
    }
}

/// Makes a program another one: a section that nobody reads.
fn custom_section(number: u32) -> Vec<u8> {
    let name = b"\x04copy";
    [&[0, (name.len() + 4) as u8], &name[..], &number.to_le_bytes()].concat()
}

#[test]
fn a_stopped_node_is_copied_too() {
    let mut server = Server::start();
    fill(&server);
    server.kill();
    let copy = server.home().join("copy");
    backup(&server, &copy).ok();
    restore(&server, &copy, &server.home().join("restored")).ok();
}

#[track_caller]
fn refused(server: &Server, printed: &Printed, want: Expect) {
    assert_eq!((printed.code, &*printed.stdout), (Some(1), ""), "{printed:?}");
    want.assert_eq(&printed.stderr.replace(path(server.home()), "HOME"));
}

#[test]
fn nothing_is_overwritten() {
    let server = Server::start();
    let copy = server.home().join("copy");
    backup(&server, &copy).ok();
    refused(
        &server,
        &backup(&server, &copy),
        expect![[r#"
        error: `HOME/copy` is there already; choose another place
    "#]],
    );
    let archive = server.home().join("copy.tar");
    fs::write(&archive, "something else").expect("written");
    refused(
        &server,
        &backup(&server, &archive),
        expect![[r#"
        error: `HOME/copy.tar` is there already; choose another place
    "#]],
    );
    assert_eq!(fs::read(&archive).expect("a file"), b"something else");
    refused(
        &server,
        &restore(&server, &copy, &server.data()),
        expect![[r#"
        error: `HOME/data` is there already; choose another place
    "#]],
    );
    let nowhere = server.home().join("nowhere");
    refused(
        &server,
        &server.orama(["backup", path(&server.home().join("x")), "--data", path(&nowhere)]),
        expect![[r#"
            error: there is no data folder at `HOME/nowhere`; name the right one with `--data DIR`
        "#]],
    );
    assert!(!server.home().join("x").exists());
}

#[test]
fn what_is_no_backup_is_not_restored() {
    let server = Server::start();
    fill(&server);
    let (copy, data) = (server.home().join("copy"), server.home().join("restored"));
    backup(&server, &copy).ok();
    let changed = |change: &dyn Fn(&Path)| {
        let other = server.home().join("changed");
        let _ = fs::remove_dir_all(&other);
        copy_folder(&copy, &other);
        change(&other);
        let printed = restore(&server, &other, &data);
        let left = data.read_dir().map_or(0, Iterator::count);
        (printed, left)
    };
    let (printed, left) = changed(&|folder| fs::write(folder.join("format"), "99\n").expect("written"));
    refused(
        &server,
        &printed,
        expect![[r#"
        error: the data folder `HOME/changed` has layout 99, this program knows up to 1; use a newer `orama`
    "#]],
    );
    assert_eq!(left, 0, "what is refused leaves an empty folder");
    let (printed, left) = changed(&|folder| fs::remove_file(folder.join("format")).expect("removed"));
    refused(
        &server,
        &printed,
        expect![[r#"
        error: `HOME/changed` is not a backup: it does not begin with a format
    "#]],
    );
    assert_eq!(left, 0);
    let (printed, left) = changed(&|folder| fs::remove_file(folder.join("databases/team.db")).expect("removed"));
    refused(
        &server,
        &printed,
        expect![[r#"
        error: `HOME/changed` is not a backup: its files are not those of its inventory
    "#]],
    );
    assert_eq!(left, 0);
    let (printed, left) = changed(&|folder| fs::write(folder.join("lock"), "").expect("written"));
    refused(
        &server,
        &printed,
        expect![[r#"
        error: `HOME/changed` is not a backup: it holds `lock`
    "#]],
    );
    assert_eq!(left, 0);
    let (printed, left) = changed(&|folder| {
        fs::remove_file(folder.join("admin.key")).expect("removed");
        std::os::unix::fs::symlink("/etc/passwd", folder.join("admin.key")).expect("linked");
    });
    refused(
        &server,
        &printed,
        expect![[r#"
        error: `HOME/changed` is not a backup: `admin.key` is no file
    "#]],
    );
    assert_eq!(left, 0);
    refused(
        &server,
        &restore(&server, &server.data().join("admin.key"), &data),
        expect![[r#"
        error: `HOME/data/admin.key` is not a backup: it cannot be read as an archive: failed to read entire block
    "#]],
    );
}

/// Damage is found before anybody serves from it.
#[test]
fn a_damaged_copy_is_told_at_once() {
    let server = Server::start();
    fill(&server);
    let copy = server.home().join("copy");
    backup(&server, &copy).ok();
    let content = files_below(&copy.join("content")).pop().expect("content");
    fs::write(&content, vec![8; 600_000]).expect("written");
    let databases = copy.join("databases");
    fs::rename(databases.join("default.db"), databases.join("swap")).expect("renamed");
    fs::rename(databases.join("team.db"), databases.join("default.db")).expect("renamed");
    fs::rename(databases.join("swap"), databases.join("team.db")).expect("renamed");
    let size = |name: &str| fs::metadata(databases.join(name)).expect("a file").len();
    assert_eq!(size("team.db"), size("default.db"), "no size tells that they were swapped");
    let printed = restore(&server, &copy, &server.home().join("restored"));
    assert_eq!(printed.code, Some(1));
    let problems: Vec<_> = printed.stdout.lines().filter(|line| line.starts_with("problem: ")).collect();
    assert_eq!(problems.len(), 3, "{printed:?}");
    assert!(problems.iter().any(|problem| problem.contains("content")), "{problems:?}");
    assert_eq!(problems.iter().filter(|problem| problem.contains("is not the database of the namespace")).count(), 2);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy_folder(&path, &target),
            false => drop(fs::copy(&path, &target).expect("copied")),
        }
    }
}
