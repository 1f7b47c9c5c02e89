//! What a namespace keeps, from the command line: secrets, SQL, the cache, content.

use std::fs;
use std::path::Path;

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Printed, Server, check, check_failure, clean, fixture, normalised, with_input};

fn write(server: &Server, name: &str, bytes: impl AsRef<[u8]>) {
    let path = server.folder().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("written");
}

fn read(server: &Server, name: &str) -> Vec<u8> {
    fs::read(server.folder().join(name)).expect("a file")
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn json_of(printed: &Printed) -> Value {
    serde_json::from_str(printed.ok()).expect("a document")
}

#[test]
fn secrets_are_set_listed_and_deleted_and_never_shown() {
    let server = Server::start();
    let secrets = ["function", "secrets"];
    let run = |more: &[&str]| server.orama([&secrets[..], more].concat());
    check(
        &server,
        &["function", "secrets", "list"],
        expect![[r#"
        no secrets yet
        hint: set one with `orama function secrets set NAME VALUE`
    "#]],
    );
    check(
        &server,
        &["function", "secrets", "set", "ONE", "first-value"],
        expect![[r#"
        set ONE
    "#]],
    );
    write(&server, "binary", b"\xff\x00\r\n");
    run(&["set", "TWO", "--from-file", "binary"]).ok();
    with_input(&server, &["function", "secrets", "set", "THREE", "-"], b"piped-value\n").ok();
    check(
        &server,
        &["function", "secrets", "list"],
        expect![[r#"
        NAME  CREATED  UPDATED
        ONE  TIME  TIME
        THREE  TIME  TIME
        TWO  TIME  TIME
    "#]],
    );
    assert_eq!(json_of(&run(&["list", "--json"]))["secrets"], json!(["ONE", "THREE", "TWO"]));

    check_failure(
        &server,
        &["function", "secrets", "delete", "ONE"],
        1,
        expect![[r#"
        Are you sure you want to delete the secret ONE? [y/N]
        error: nothing was deleted
        hint: answer `y`, or use `--force`
    "#]],
    );
    let refused = with_input(&server, &["function", "secrets", "delete", "ONE"], b"n\n");
    assert_eq!(refused.code, Some(1));
    let agreed = with_input(&server, &["function", "secrets", "delete", "ONE"], b"y\n");
    assert_eq!(agreed.ok(), "deleted ONE\n");
    check(
        &server,
        &["function", "secrets", "delete", "TWO", "--force"],
        expect![[r#"
        deleted TWO
    "#]],
    );
    assert_eq!(json_of(&run(&["list", "--json"]))["secrets"], json!(["THREE"]));
    check(
        &server,
        &["function", "secrets", "rotate"],
        expect![[r#"
        sealed anew: 1 secrets, 1 keys of namespaces
    "#]],
    );

    check_failure(
        &server,
        &["function", "secrets", "set", "not a name", "x"],
        1,
        expect![[r#"
        error: the name of a secret is 1 to 128 letters, digits, `_`, `.` and `-` (VALIDATION_FAILED)
    "#]],
    );
    check_failure(
        &server,
        &["function", "secrets", "set", "EMPTY", ""],
        2,
        expect![[r#"
        error: the value is empty
        hint: delete a secret with `orama function secrets delete`
    "#]],
    );
    check_failure(
        &server,
        &["function", "secrets", "set", "NONE"],
        2,
        expect![[r#"
        Value of NONE:
        error: no value was given
        hint: write it, or use `--from-file FILE`, or `-` for stdin
    "#]],
    );
    check_failure(
        &server,
        &["function", "secrets", "delete", "ONE", "--force"],
        1,
        expect![[r#"
        error: secret not found (NOT_FOUND)
    "#]],
    );
    assert_eq!(run(&["set", "X", "value", "--from-file", "binary"]).code, Some(2), "one value");
}

/// What a function reads is what was set, byte for byte.
#[test]
fn a_secret_of_a_file_reaches_the_function_as_it_is() {
    let server = Server::start();
    server.deploy("reader", &fixture("get_secret"), []);
    write(&server, "value", b"line one\nline two\n");
    server.orama(["function", "secrets", "set", "TOKEN", "--from-file", "value"]).ok();
    write(&server, "input", b"\x05\0\0\0TOKEN");
    let reply = server.orama(["function", "invoke", "reader", "--data", "@input"]);
    assert!(reply.ok().contains("line one\\nline two\\n"), "{reply:?}");
}

#[test]
fn statements_change_and_show_rows() {
    let server = Server::start();
    check(
        &server,
        &["db", "schema"],
        expect![[r#"
        no tables yet
    "#]],
    );
    check(
        &server,
        &["db", "exec", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, big INTEGER, data BLOB)"],
        expect![[r#"
            0 rows changed
        "#]],
    );
    let insert = "INSERT INTO users (name, big, data) VALUES (?, ?, ?)";
    check(
        &server,
        &["db", "exec", insert, "--args", r#"["Ada", 9007199254740993, {"base64": "AP8="}]"#],
        expect![[r#"
            1 row changed, last id 1
        "#]],
    );
    check(
        &server,
        &["db", "exec", insert, "--args", "[null, -1, null]"],
        expect![[r#"
        1 row changed, last id 2
    "#]],
    );
    check(
        &server,
        &["db", "query", "SELECT name, id, big, data FROM users ORDER BY id"],
        expect![[r#"
        name  id  big  data
        Ada  1  9007199254740993  x'00ff'
        NULL  2  -1  NULL
    "#]],
    );
    check(
        &server,
        &["db", "query", "SELECT big, id FROM users WHERE name = ?", "--args", "[\"Ada\"]", "--json"],
        expect![[r#"
            {"items":[{"big":9007199254740993,"id":1}],"count":1}
        "#]],
    );
    check(
        &server,
        &["db", "query", "SELECT * FROM users WHERE id > 7"],
        expect![[r#"
        no rows
    "#]],
    );
    check(
        &server,
        &["db", "schema"],
        expect![[r#"
        CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, big INTEGER, data BLOB);
    "#]],
    );
    check_failure(
        &server,
        &["db", "query", "SELECT nothing"],
        1,
        expect![[r#"
        error: near "nothing": syntax error (VALIDATION_FAILED)
    "#]],
    );
    check_failure(
        &server,
        &["db", "exec", "ATTACH 'x.db' AS x"],
        4,
        expect![[r#"
        error: `ATTACH` and `DETACH` are not allowed; a namespace has one database (SQL_NOT_ALLOWED)
    "#]],
    );
    assert_eq!(server.orama(["db", "query", "-- a comment\nSELECT 1 AS one"]).ok(), "one\n1\n");
    check_failure(
        &server,
        &["db", "exec", insert, "--args", "{}"],
        2,
        expect![[r#"
        error: invalid value '{}' for '--args <JSON>': no JSON list: invalid type: map, expected a sequence at line 1 column 0

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn the_shell_takes_statements_over_several_lines() {
    let server = Server::start();
    let shell = |input: &str| with_input(&server, &["db", "shell"], input.as_bytes());
    let printed = shell(
        "CREATE TABLE a (b, c);\n\
         INSERT INTO a\n  VALUES (1, ';'), -- not the end;\n  (2, 'two');\n\
         CREATE TRIGGER t AFTER DELETE ON a BEGIN\n  INSERT INTO a VALUES (old.b + 10, 'again');\nEND;\n\
         DELETE FROM a WHERE b = 1; SELECT * FROM a\nORDER BY b;\n\
         INSERT INTO a VALUES (3, NULL) RETURNING b AS new;\n\
         .tables\n.schema\n.quit\nSELECT 'never';\n",
    );
    printed.ok();
    expect![[r#"
        0 rows changed
        2 rows changed, last id 2
        0 rows changed
        1 row changed
        b  c
        2  two
        11  again
        new
        3
        a
        CREATE TABLE a (b, c);
        CREATE TRIGGER t AFTER DELETE ON a BEGIN
          INSERT INTO a VALUES (old.b + 10, 'again');
        END;
    "#]]
    .assert_eq(&clean(&server, &printed));

    let printed = shell("SELECT 1 AS one;\nSELECT nothing;\nSELECT 2 AS two;\n");
    assert_eq!((printed.code, &*printed.stdout), (Some(1), "one\n1\n"), "a script ends at its first error");
    let printed = shell("SELECT 1");
    assert_eq!((printed.code, &*printed.stdout), (Some(1), ""));
    expect![[r#"
        error: the last statement has no end, and was not run
        hint: end it with `;`
    "#]]
    .assert_eq(&printed.stderr);
    assert_eq!(shell(".nothing\n").code, Some(2));
    assert_eq!(shell(" -- nothing at all\n").ok(), "");
    let documents = with_input(&server, &["db", "shell", "--json"], b"SELECT 1 AS one; SELECT 'x' AS two;");
    assert_eq!(documents.ok(), "{\"items\":[{\"one\":1}],\"count\":1}\n{\"items\":[{\"two\":\"x\"}],\"count\":1}\n");
}

#[test]
fn migrations_are_applied_once_in_their_order() {
    let server = Server::start();
    check_failure(
        &server,
        &["db", "migrate"],
        1,
        expect![[r#"
        error: failed to read `migrations`: No such file or directory (os error 2)
    "#]],
    );
    write(&server, "migrations/0002_fill.sql", "INSERT INTO users (name) VALUES ('Ada');\n");
    write(&server, "migrations/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);\n");
    write(&server, "migrations/README.md", "not SQL");
    check(
        &server,
        &["db", "migrate", "--dry-run"],
        expect![[r#"
        would apply 0001_users
        would apply 0002_fill
    "#]],
    );
    assert_eq!(server.orama(["db", "schema"]).ok(), "", "a dry run changes nothing");
    check(
        &server,
        &["db", "migrate"],
        expect![[r#"
        applied 0001_users
        applied 0002_fill
    "#]],
    );
    check(
        &server,
        &["db", "migrate"],
        expect![[r#"
        nothing to apply: all 2 migrations were applied before
    "#]],
    );
    write(&server, "migrations/0003_bad.sql", "CREATE TABLE more (a);\nINSERT INTO nothing VALUES (1);\n");
    check_failure(
        &server,
        &["db", "migrate", "migrations"],
        1,
        expect![[r#"
        error: migration `0003_bad`, line 2: near "nothing": syntax error (VALIDATION_FAILED)
    "#]],
    );
    assert_eq!(server.orama(["db", "query", "SELECT * FROM more"]).code, Some(1), "all of a file or nothing");
    write(&server, "migrations/0003_bad.sql", "CREATE TABLE more (a);\n");
    write(&server, "migrations/0001_users.sql", "CREATE TABLE users (id);\n");
    check_failure(
        &server,
        &["db", "migrate"],
        1,
        expect![[r#"
        error: migration `0001_users` was changed after it was applied; restore it and write a new one (SCHEMA_MISMATCH)
    "#]],
    );
    write(&server, "empty/notes.txt", "");
    check_failure(
        &server,
        &["db", "migrate", "empty"],
        2,
        expect![[r#"
        error: there is no `.sql` file in `empty`
        hint: name them in their order, for example `0001_users.sql`
    "#]],
    );
}

#[test]
fn a_database_goes_out_and_in_as_text_and_as_a_file() {
    let server = Server::start();
    let script = "CREATE TABLE a (b INTEGER, c BLOB);\nINSERT INTO a VALUES (9007199254740993, x'00ff');\n";
    let imported = with_input(&server, &["db", "import", "-"], script.as_bytes());
    assert_eq!(imported.ok(), "ran 2 statements\n");
    server.orama(["db", "export", "copy.sql"]).ok();
    let exported = server.orama(["db", "export"]);
    assert_eq!(exported.ok().as_bytes(), read(&server, "copy.sql"));
    assert!(exported.ok().contains("9007199254740993") && exported.ok().contains("x'00ff'"), "{exported:?}");
    check_failure(
        &server,
        &["db", "export", "copy.sql"],
        2,
        expect![[r#"
        error: `copy.sql` exists
        hint: use `--force` to replace it
    "#]],
    );
    server.orama(["db", "export", "copy.sql", "--force"]).ok();

    server.orama(["namespace", "create", "other"]).ok();
    server.orama(["db", "import", "copy.sql", "--namespace", "other"]).ok();
    assert_eq!(server.orama(["db", "export", "--namespace", "other"]).ok(), exported.ok());
    check_failure(
        &server,
        &["db", "import", "copy.sql"],
        1,
        expect![[r#"
        error: line 1: table a already exists (VALIDATION_FAILED)
    "#]],
    );

    server.orama(["db", "backup", "copy.db"]).ok();
    assert!(read(&server, "copy.db").starts_with(b"SQLite format 3\0"));
    check_failure(
        &server,
        &["db", "backup", "copy.db"],
        2,
        expect![[r#"
        error: `copy.db` exists
        hint: use `--force` to replace it
    "#]],
    );
    check_failure(
        &server,
        &["db", "backup", "none/copy.db"],
        1,
        expect![[r#"
        error: failed to create `none/copy.db`: No such file or directory (os error 2)
    "#]],
    );
    assert_eq!(server.orama(["db", "backup", "x.db", "--namespace", "nowhere"]).code, Some(1));
    assert_eq!(names_in(&server.folder()), ["copy.db", "copy.sql"], "what failed left nothing");
}

#[test]
fn values_of_the_cache_keep_their_types() {
    let server = Server::start();
    let cache = |arguments: &[&str]| server.orama([&["cache"], arguments, &["--map", "demo"]].concat());
    check(
        &server,
        &["cache", "set", "text", "hello you", "--map", "demo"],
        expect![[r#"
        set text
    "#]],
    );
    assert_eq!(cache(&["get", "text"]).ok(), "hello you");
    cache(&["set", "big", "12345678901234567890123"]).ok();
    assert_eq!(cache(&["get", "big"]).ok(), "12345678901234567890123\n");
    cache(&["set", "object", r#"{"b": 1, "a": [true, null]}"#, "--ttl", "1h"]).ok();
    assert_eq!(cache(&["get", "object"]).ok(), "{\"b\":1,\"a\":[true,null]}\n");
    assert_eq!(
        cache(&["get", "big", "--json"]).ok(),
        "{\"key\":\"big\",\"value\":12345678901234567890123,\"dmap\":\"demo\"}\n"
    );
    with_input(&server, &["cache", "set", "piped", "-", "--map", "demo"], b"\"17\"\n").ok();
    assert_eq!(cache(&["get", "piped"]).ok(), "17");
    assert_eq!(cache(&["incr", "count"]).ok(), "1\n");
    assert_eq!(cache(&["incr", "count", "--by=-5"]).ok(), "-4\n");
    assert_eq!(cache(&["incr", "count", "--by", "10"]).ok(), "6\n");
    check(
        &server,
        &["cache", "scan", "--map", "demo"],
        expect![[r#"
        big
        count
        object
        piped
        text
    "#]],
    );
    assert_eq!(cache(&["scan", "^t"]).ok(), "text\n");
    check(
        &server,
        &["cache", "scan", "--map", "demo", "--limit", "2"],
        expect![[r#"
        big
        count
        hint: there are more keys; see them with a larger `--limit`
    "#]],
    );
    assert_eq!(json_of(&cache(&["scan", "--json"]))["count"], 5);
    cache(&["delete", "text"]).ok();
    check_failure(
        &server,
        &["cache", "get", "text", "--map", "demo"],
        1,
        expect![[r#"
        error: key not found (NOT_FOUND)
    "#]],
    );
    check_failure(
        &server,
        &["cache", "delete", "text", "--map", "demo"],
        1,
        expect![[r#"
        error: key not found (NOT_FOUND)
    "#]],
    );
    check_failure(
        &server,
        &["cache", "incr", "object", "--map", "demo"],
        1,
        expect![[r#"
        error: the value is not a whole number (CONFLICT)
    "#]],
    );
    check_failure(
        &server,
        &["cache", "set", "x", "null", "--map", "demo"],
        1,
        expect![[r#"
        error: value is required, and must not be null (VALIDATION_FAILED)
    "#]],
    );
    check_failure(
        &server,
        &["cache", "scan", "(", "--map", "demo"],
        1,
        expect![[r#"
        error: `match` is not a regular expression (VALIDATION_FAILED)
    "#]],
    );
    assert_eq!(server.orama(["cache", "get", "x"]).code, Some(2), "a key is in a map");
    assert_eq!(cache(&["set", "x", "1", "--ttl=-1s"]).code, Some(1), "time does not run back");
}

#[test]
fn a_scan_goes_on_until_every_key_is_there() {
    let server = Server::start();
    let http = server.http();
    for number in 0..1203 {
        let body = json!({ "dmap": "many", "key": format!("{number:05}"), "value": number });
        assert_eq!(http.post("/v1/cache/put", body.to_string().as_bytes()).status, 200);
    }
    let keys = server.orama(["cache", "scan", "--map", "many"]);
    let wanted: String = (0..1203).map(|number| format!("{number:05}\n")).collect();
    assert_eq!(keys.ok(), wanted);
}

#[test]
fn content_is_stored_listed_kept_and_removed() {
    let server = Server::start();
    check(
        &server,
        &["storage", "ls"],
        expect![[r#"
        no content yet
        0 B used
    "#]],
    );
    let large: Vec<u8> = (0..3_000_001_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    write(&server, "large.bin", &large);
    let large_cid = server.orama(["storage", "put", "large.bin"]).ok().trim().to_owned();
    let small = with_input(&server, &["storage", "put", "-", "--name", "note.txt", "--no-pin"], b"hello");
    let small = small.ok().trim().to_owned();
    let list = server.orama(["storage", "ls"]);
    let rows: Vec<_> = list.ok().lines().map(|line| normalised(line).trim_end().to_owned()).collect();
    assert_eq!(rows[0], "CID  SIZE  PINNED  CREATED  NAME");
    assert_eq!(rows.len(), 3);
    assert!(rows.contains(&"CID  SIZE  yes  TIME  large.bin".to_owned()), "{rows:?}");
    assert!(rows.contains(&"CID  SIZE  no  TIME  note.txt".to_owned()), "{rows:?}");
    assert_eq!(list.stderr, "3.0 MB used\n");
    assert_eq!(json_of(&server.orama(["storage", "ls", "--json"]))["count"], 2);

    server.orama(["storage", "get", &large_cid, "-o", "back.bin"]).ok();
    assert!(read(&server, "back.bin") == large, "every byte comes back");
    assert_eq!(server.orama(["storage", "get", &small]).ok(), "hello");
    let again = server.orama(["storage", "get", &small, "-o", "back.bin"]);
    assert_eq!(again.code, Some(2), "a file is not replaced unasked");
    server.orama(["storage", "get", &small, "-o", "back.bin", "--force"]).ok();
    assert_eq!(read(&server, "back.bin"), b"hello");
    check(
        &server,
        &["storage", "status", &small],
        expect![[r#"
        cid  CID
        name  note.txt
        peers  local
        replication_factor  1
        replication_max  1
        replication_min  1
        size  5
        status  unpinned
    "#]],
    );

    check(
        &server,
        &["storage", "unpin", &large_cid],
        expect![[r#"
        unpinned CID
    "#]],
    );
    check(
        &server,
        &["storage", "pin", &small],
        expect![[r#"
        pinned CID
    "#]],
    );
    let collected = server.orama(["storage", "gc", "--json"]);
    assert_eq!(json_of(&collected), json!({ "contents": 1, "bytes": 3_000_001 }));
    assert_eq!(server.orama(["storage", "get", &large_cid, "-o", "gone"]).code, Some(1));
    check_failure(
        &server,
        &["storage", "get", "not-a-cid"],
        2,
        expect![[r#"
        error: invalid value 'not-a-cid' for '<CID>': `not-a-cid` is not a CIDv1 with a sha2-256 hash, as `ipfs add --cid-version=1` prints it

        For more information, try '--help'.
    "#]],
    );
    check_failure(
        &server,
        &["storage", "put", "."],
        2,
        expect![[r#"
        error: `.` is a folder
        hint: store it as an archive: `tar c . | orama storage put -`
    "#]],
    );
    assert_eq!(server.orama(["storage", "put", "missing"]).code, Some(1));
    assert_eq!(names_in(&server.folder()), ["back.bin", "large.bin"], "what failed left nothing");
}

#[test]
fn every_verb_says_what_it_takes() {
    let server = Server::start();
    let groups: [(&[&str], &[&str]); 9] = [
        (&["auth", "keys"], &["create", "list", "revoke"]),
        (&["auth", "claims"], &["set", "list", "delete"]),
        (&["namespace"], &["create", "list", "delete", "use", "owners", "settings"]),
        (&["namespace", "owners"], &["list", "add", "remove"]),
        (&["function", "secrets"], &["set", "list", "delete", "rotate"]),
        (&["db"], &["shell", "query", "exec", "schema", "migrate", "export", "import", "backup"]),
        (&["cache"], &["get", "set", "delete", "scan", "incr"]),
        (&["storage"], &["put", "get", "ls", "status", "pin", "unpin", "gc"]),
        (&["wallet"], &["new", "address", "sign"]),
    ];
    for (group, verbs) in groups {
        let printed = server.orama([group, &["--help"]].concat());
        for verb in verbs {
            assert!(printed.ok().contains(&format!("\n  {verb} ")), "{group:?} {verb}\n{}", printed.stdout);
            let help = server.orama([group, &[*verb, "--help"]].concat());
            assert!(help.ok().contains("Usage: orama "), "{group:?} {verb}");
        }
        assert_eq!(server.orama(group).code, Some(2), "{group:?} needs a verb");
    }
}
