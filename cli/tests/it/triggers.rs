//! Triggers of a real server: its bus, its databases, its disk, its verbs.

use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Server, check_failure, compiled, fixture};

/// Notes each of its inputs in a table, and changes another table.
const NOTES: &str = r#"(module
    (import "env" "db_execute" (func $execute (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 512) "INSERT INTO notes VALUES (CAST(unhex(?) AS TEXT))")
    (data (i32.const 768) "INSERT INTO watched (text) VALUES ('again')")
    (data (i32.const 1024) "0123456789abcdef")
    (func (export "_start") (local $in i32) (local $out i32) (local $end i32)
        (i32.store (i32.const 0) (i32.const 4096))
        (i32.store (i32.const 4) (i32.const 20000))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $in (i32.const 4096))
        (local.set $end (i32.add (i32.const 4096) (i32.load (i32.const 8))))
        (local.set $out (i32.const 32770))
        (i32.store16 (i32.const 32768) (i32.const 0x225b))
        (block $done
            (loop $byte
                (br_if $done (i32.ge_u (local.get $in) (local.get $end)))
                (i32.store8 (local.get $out) (i32.load8_u (i32.add (i32.const 1024) (i32.shr_u (i32.load8_u (local.get $in)) (i32.const 4)))))
                (i32.store8 offset=1 (local.get $out) (i32.load8_u (i32.add (i32.const 1024) (i32.and (i32.load8_u (local.get $in)) (i32.const 15)))))
                (local.set $in (i32.add (local.get $in) (i32.const 1)))
                (local.set $out (i32.add (local.get $out) (i32.const 2)))
                (br $byte)))
        (i32.store16 (local.get $out) (i32.const 0x5d22))
        (drop (call $execute (i32.const 512) (i32.const 49) (i32.const 32768)
            (i32.sub (i32.add (local.get $out) (i32.const 2)) (i32.const 32768))))
        (drop (call $execute (i32.const 768) (i32.const 43) (i32.const 0) (i32.const 0)))))"#;

/// A server with the function `notes` and its tables.
fn with_notes() -> Server {
    let server = Server::start();
    for schema in ["CREATE TABLE notes (input TEXT)", "CREATE TABLE watched (id INTEGER PRIMARY KEY, text TEXT)"] {
        let created = server.http().post("/v1/rqlite/create-table", json!({ "schema": schema }).to_string().as_bytes());
        assert_eq!(created.status, 201, "{created:?}");
    }
    server.deploy("notes", &compiled(NOTES), []);
    server
}

fn notes(server: &Server) -> Vec<Value> {
    let query = json!({ "sql": "SELECT input FROM notes ORDER BY rowid" }).to_string();
    let rows = server.http().post("/v1/rqlite/query", query.as_bytes()).json();
    let items = rows["items"].as_array().unwrap_or_else(|| panic!("{rows}")).clone();
    let input = |row: &Value| serde_json::from_str(row["input"].as_str().expect("a text")).expect("the input is JSON");
    items.iter().map(input).collect()
}

/// The inputs of the function once there are so many.
#[track_caller]
fn once(server: &Server, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let notes = notes(server);
        if notes.len() >= count {
            return notes;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{count} calls, and not {}", notes.len());
        // The pause of a bounded poll.
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn execute(server: &Server, sql: &str) {
    let done = server.http().post("/v1/rqlite/exec", json!({ "sql": sql }).to_string().as_bytes());
    assert_eq!(done.status, 200, "{done:?}");
}

#[test]
fn changes_of_a_table_call_a_function_and_its_own_changes_end_at_depth_five() {
    let mut server = with_notes();
    server.expect_warning("do they go in a circle?");
    server.orama(["function", "triggers", "add", "notes", "--table", "watched", "--on", "insert,update"]).ok();
    execute(&server, "INSERT INTO watched (text) VALUES ('first')");
    let notes = once(&server, 5);
    let depths: Vec<i64> = notes.iter().map(|note| note["trigger_depth"].as_i64().expect("a number")).collect();
    assert_eq!(depths, [1, 2, 3, 4, 5], "each call changes the table once more");
    let first = &notes[0];
    assert_eq!((&first["table"], &first["operation"]), (&json!("watched"), &json!("INSERT")));
    assert_eq!((&first["row"], &first["namespace"]), (&json!({ "id": 1, "text": "first" }), &json!("default")));

    execute(&server, "UPDATE watched SET text = 'changed' WHERE id = 1");
    let update = &once(&server, 6)[5];
    assert_eq!((&update["operation"], &update["old_row"]["text"]), (&json!("UPDATE"), &json!("first")));
    once(&server, 10);
    let refused = server.orama(["function", "triggers", "add", "notes", "--table", "sqlite_schema"]);
    assert!(refused.stderr.contains("(VALIDATION_FAILED)"), "{}", refused.stderr);
}

#[test]
fn triggers_are_managed_by_verbs() {
    let server = with_notes();
    let triggers = |arguments: &[&str]| server.orama([&["function", "triggers"], arguments].concat());
    let id_of = |said: &str| said.trim().strip_prefix("added ").expect("it says the id").to_owned();
    let topic = id_of(triggers(&["add", "notes", "--topic", "a:*", "--window", "50", "--batch", "10"]).ok());
    let cron = id_of(triggers(&["add", "notes", "--schedule", "0 3 * * *", "--tz", "Europe/Paris"]).ok());
    triggers(&["add", "notes", "--once", "2099-01-01T00:00:00Z"]).ok();

    let listed = triggers(&["list"]).ok().to_owned();
    assert!(listed.starts_with("ID "), "{listed}");
    for part in ["a:* (every 50 ms)", "0 3 * * * Europe/Paris", "2099-01-01T00:00:00Z", "active"] {
        assert!(listed.contains(part), "{listed}");
    }
    assert_eq!(server.orama(["triggers", "list", "notes"]).ok(), listed, "the short way says the same");
    assert_eq!(triggers(&["pause", "notes", &topic]).ok(), format!("paused {topic}\n"));
    assert!(triggers(&["list", "notes"]).ok().contains("paused"));
    assert_eq!(triggers(&["resume", "notes", &topic]).ok(), format!("resumed {topic}\n"));

    server.orama(["pubsub", "publish", "a:b", "{\"n\":1}"]).ok();
    assert_eq!(once(&server, 1)[0]["events"][0]["data"], json!({ "n": 1 }));
    assert_eq!(triggers(&["run", "notes", "--at", "2030-07-01T01:00:00Z"]).ok(), format!("fired {cron}\n"));
    assert_eq!(once(&server, 2)[1]["trigger"], "cron");

    assert_eq!(triggers(&["delete", "notes", &topic]).ok(), format!("deleted {topic}\n"));
    check_failure(
        &server,
        &["function", "triggers", "delete", "notes", "unknown"],
        1,
        expect![[r#"
        error: Trigger not found (NOT_FOUND)
        hint: list the triggers with `orama function triggers list`
    "#]],
    );
    check_failure(
        &server,
        &["function", "triggers", "add", "notes", "--topic", "a["],
        1,
        expect![[r#"
        error: `topic` is refused: character 2 of the pattern opens a `[` that no `]` closes; write `[[]` for the character itself (VALIDATION_FAILED)
    "#]],
    );
    check_failure(
        &server,
        &["function", "triggers", "add", "nobody", "--topic", "a"],
        1,
        expect![[r#"
            error: function `nobody` not found (NOT_FOUND)
        "#]],
    );
    let neither = triggers(&["add", "notes"]);
    assert_eq!(neither.code, Some(2), "{}", neither.stderr);
}

#[test]
fn calls_that_were_given_up_are_driven_again_by_verbs() {
    let server = Server::start();
    server.deploy("fails", &fixture("exit_3"), [("dlq_topic", "dead"), ("pubsub_topics", "[\"calls\"]")]);
    server.orama(["pubsub", "publish", "calls", "{\"n\":1}"]).ok();
    let dlq = |arguments: &[&str]| server.orama([&["function", "triggers", "dlq"], arguments].concat());
    let begun = Instant::now();
    let listed = loop {
        let listed = dlq(&["list", "fails"]).stdout.clone();
        if !listed.is_empty() {
            break listed;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it is given up");
        // The pause of a bounded poll.
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(listed.contains("FUNCTION_EXECUTION_FAILED") && listed.contains("\"data\":{\"n\":1}"), "{listed}");
    assert_eq!(dlq(&["redrive", "fails"]).ok(), "redriven: 1\n");
    let shown = dlq(&["list", "fails", "--json"]).ok().to_owned();
    assert!(shown.contains("\"deliveries\""), "{shown}");
    check_failure(
        &server,
        &["function", "triggers", "dlq", "delete", "fails"],
        1,
        expect![[r#"
            Are you sure you want to delete every given-up call of `fails`? [y/N]
            error: nothing was deleted
            hint: answer `y`, or use `--force`
        "#]],
    );
    assert!(dlq(&["delete", "fails", "--force"]).ok().starts_with("deleted: "));
}
