use expect_test::{Expect, expect};

use super::*;

#[track_caller]
fn check(manifest: &str, want: Expect) {
    let seen = match Manifest::parse(manifest) {
        Ok(manifest) => serde_json::to_string(&manifest).expect("a manifest serializes"),
        Err(wrong) => format!("refused: {wrong}"),
    };
    want.assert_eq(&seen);
}

#[test]
fn the_name_alone_takes_every_default() {
    check(
        "name: hello",
        expect![[
            r#"{"name":"hello","public":false,"internal":false,"engine":"wasm","language":null,"build":[],"memory_mb":64,"timeout":{"secs":30,"nanos":0},"retry":{"count":0,"delay":{"secs":5,"nanos":0}},"dlq_topic":null,"env":{},"concurrency":100,"http":false,"reactor":false,"raw_http_response":false,"websocket":{"persistent":false,"idle_timeout":{"secs":0,"nanos":0},"frame_bytes_max":262144,"inflight_max":64,"auth":""},"triggers":[]}"#
        ]],
    );
}

#[test]
fn every_field_is_read() {
    check(
        "name: hello
public: true
memory: 128
timeout: 300
retry: {count: 2, delay: 1}
env: {MY_VAR: value, N: 3, T: true}
engine: wasm
language: go
build: [go build .]
concurrency: 7
http: true
reactor: true
raw_http_response: true
internal: true
ws_persistent: true
ws_idle_timeout_sec: 9
ws_max_frame_bytes: 1024
ws_max_inflight_per_conn: 3
ws_auth: capability
dlq_topic: dead
sign: true
by_hash: true
egress: {allow: [api.example.com]}
triggers:
  - topic: calls:invite
  - {cron: '0 * * * *', tz: Europe/Berlin}
  - {table: users, on: [insert]}
",
        expect![[
            r#"{"name":"hello","public":true,"internal":true,"engine":"wasm","language":"go","build":["go build ."],"memory_mb":128,"timeout":{"secs":300,"nanos":0},"retry":{"count":2,"delay":{"secs":1,"nanos":0}},"dlq_topic":"dead","env":{"MY_VAR":"value","N":"3","T":"true"},"concurrency":7,"http":true,"reactor":true,"raw_http_response":true,"websocket":{"persistent":true,"idle_timeout":{"secs":9,"nanos":0},"frame_bytes_max":1024,"inflight_max":3,"auth":"capability"},"triggers":[{"topic":"calls:invite"},{"cron":"0 * * * *","tz":"Europe/Berlin"},{"table":"users","on":["insert"]}],"egress":{"allow":["api.example.com"]},"sign":true,"by_hash":true}"#
        ]],
    );
}

#[test]
fn a_value_outside_its_range_names_the_range() {
    check("name: hello\ntimeout: -1", expect!["refused: line 2, column 10: `timeout` must be 1 to 300 seconds"]);
    check("name: hello\ntimeout: 301", expect!["refused: line 2, column 10: `timeout` must be 1 to 300 seconds"]);
    check("name: hello\nmemory: 0", expect!["refused: line 2, column 9: `memory` must be 1 to 256 MB"]);
    check("name: hello\nmemory: 1000000000", expect!["refused: line 2, column 9: `memory` must be 1 to 256 MB"]);
    check(
        "name: hello\nretry:\n  count: 6",
        expect!["refused: line 3, column 10: `retry.count` must be 0 to 5 attempts"],
    );
    check(
        "name: hello\nengine: native",
        expect!["refused: line 2, column 9: `engine` is `native`; known are `wasm` and `worker`"],
    );
    check(
        "name: hello\nlanguage: cobol",
        expect![
            "refused: line 2, column 11: `language` is `cobol`; known are `go`, `rust`, `c`, `zig`, `assemblyscript`, `js`"
        ],
    );
    check(
        "name: secrets",
        expect!["refused: line 1, column 7: `name` is refused: `secrets` is a reserved word; choose another name"],
    );
    check("public: true", expect!["refused: line 1, column 1: `name` is required; write `name: my-function`"]);
    check("", expect!["refused: line 1, column 1: `name` is required; write `name: my-function`"]);
}

#[test]
fn a_value_of_another_type_is_refused() {
    check(
        "name: hello\nmemory: \"64\"",
        expect![[r#"refused: line 2, column 9: `memory` must be a whole number, not the text "64""#]],
    );
    check("name: hello\nmemory: 1.5", expect!["refused: line 2, column 9: `memory` must be a whole number, not `1.5`"]);
    check("name: hello\npublic: 1", expect!["refused: line 2, column 9: `public` must be `true` or `false`, not `1`"]);
    check("name: [hello]", expect!["refused: line 1, column 7: `name` must be text, not a list"]);
    check("- name", expect!["refused: line 1, column 1: the manifest must be a map of keys, not a list"]);
    check(
        "name: hello\nenv: [A]",
        expect!["refused: line 2, column 6: `env` must be a map of names to values, not a list"],
    );
    check(
        "name: hello\ntriggers: {topic: a}",
        expect!["refused: line 2, column 11: `triggers` must be a list, such as `- topic: orders`"],
    );
    check(
        "name: hello\ntriggers:\n  - {topic: a, cron: b}",
        expect!["refused: line 3, column 5: a trigger needs exactly one of `topic`, `cron`, `table`"],
    );
}

#[test]
fn a_wrong_trigger_is_pointed_at() {
    check(
        "name: hello\ntriggers:\n  - topic: orders:*\n    aggregation_window_ms: 60001",
        expect!["refused: line 4, column 28: `aggregation_window_ms` must be 0 to 60000"],
    );
    check(
        "name: hello\ntriggers:\n  - topic: orders:*\n    aggregation_max_batch_size: -1",
        expect!["refused: line 4, column 33: `aggregation_max_batch_size` must be 0 to 1000"],
    );
    check(
        "name: hello\ntriggers:\n  - {topic: 'a[b'}",
        expect![
            "refused: line 3, column 13: `topic` is refused: character 2 of the pattern opens a `[` that no `]` closes; write `[[]` for the character itself"
        ],
    );
    check(
        "name: hello\ntriggers: [{topic: a, tz: UTC}]",
        expect!["refused: line 2, column 27: `tz` has no meaning for a trigger with `topic`"],
    );
    check(
        "name: hello\ntriggers: [{cron: '* * * * *', overlap: never}]",
        expect![[r#"refused: line 2, column 41: `overlap` is "never"; known are `skip`, `queue`, `allow`"#]],
    );
    check(
        "name: hello\ntriggers: [{table: users, on: [insert, drop]}]",
        expect!["refused: line 2, column 31: `on` names \"drop\"; use any of `insert`, `update`, `delete`"],
    );
    check(
        "name: hello\ndlq_topic: \"a\\nb\"",
        expect!["refused: line 2, column 12: `dlq_topic` is refused: the topic contains the control character '\\n'"],
    );
}

#[test]
fn every_option_of_a_trigger_is_read() {
    let yaml = "name: hello\ntriggers:
  - {topic: 'a:*', aggregation_window_ms: 500, aggregation_max_batch_size: 10}
  - {cron: '0 3 * * *', tz: UTC, overlap: queue, catch_up: all, day_rule: and}
  - {table: users, on: DELETE}
  - {table: users, on: [delete]}";
    let manifest = Manifest::parse(yaml).expect("a valid manifest");
    expect![[r#"[{"topic":"a:*","aggregation_window_ms":500,"aggregation_max_batch_size":10},{"cron":"0 3 * * *","tz":"UTC","overlap":"queue","catch_up":"all","day_rule":"and"},{"table":"users","on":["delete"]}]"#]]
        .assert_eq(&serde_json::to_string(&manifest.triggers).expect("triggers serialize"));
}

#[test]
fn javascript_runs_in_a_worker() {
    let engine = |manifest: &str| {
        let manifest = Manifest::parse(manifest).expect("a good manifest");
        (manifest.engine, manifest.memory_mb, manifest.main, manifest.compatibility_date)
    };
    assert_eq!(engine("name: hello\nlanguage: js"), (EngineKind::Worker, 256, None, None));
    assert_eq!(engine("name: hello\nengine: worker\nmemory: 1024"), (EngineKind::Worker, 1024, None, None));
    let whole =
        "name: hello\nengine: worker\nlanguage: js\nmemory: 128\nmain: src/a-b.mjs\ncompatibility_date: \"2023-03-07\"";
    let date = Some("2023-03-07".to_owned());
    assert_eq!(engine(whole), (EngineKind::Worker, 128, Some("src/a-b.mjs".to_owned()), date));
}

#[test]
fn what_a_worker_cannot_be_is_refused() {
    for (manifest, want) in [
        ("memory: 127", "`memory` must be 128 to 1024 MB"),
        ("memory: 1025", "`memory` must be 128 to 1024 MB"),
        ("engine: wasm", "`engine` is `wasm`, but the language needs `worker`"),
        ("reactor: true", "`reactor` has a meaning for `engine: wasm` only"),
        ("ws_persistent: true", "`ws_persistent` has a meaning for `engine: wasm` only"),
        ("main: ../index.js", "`main` must be the path of a module below the folder, such as `src/index.js`"),
        ("main: /index.js", "`main` must be the path of a module below the folder, such as `src/index.js`"),
        ("main: index.ts", "`main` must be the path of a module below the folder, such as `src/index.js`"),
        ("compatibility_date: '2023-02-30'", "`compatibility_date` must be a day, such as `2026-11-01`"),
        ("compatibility_date: 'soon'", "`compatibility_date` must be a day, such as `2026-11-01`"),
    ] {
        let refused = Manifest::parse(&format!("name: hello\nlanguage: js\n{manifest}")).expect_err(manifest);
        assert_eq!((refused.line, refused.reason.as_str()), (3, want), "{manifest}");
    }
    for (manifest, want) in [
        ("main: index.js", "`main` has a meaning for `engine: worker` only"),
        ("compatibility_date: '2023-03-07'", "`compatibility_date` has a meaning for `engine: worker` only"),
        ("language: go\nengine: worker", "`engine` is `worker`, but the language needs `wasm`"),
        ("memory: 257", "`memory` must be 1 to 256 MB"),
    ] {
        let refused = Manifest::parse(&format!("name: hello\n{manifest}")).expect_err(manifest);
        assert_eq!(refused.reason, want, "{manifest}");
    }
}

#[test]
fn the_path_of_a_module_stays_in_its_folder() {
    for good in ["index.js", "a/b/c.mjs", "a_b-1.2.js"] {
        assert!(crate::is_module_path(good), "{good}");
    }
    for bad in ["", "/a.js", "a//b.js", "../a.js", "a/../b.js", ".hidden/a.js", "a b.js", "a\\b.js", "é.js", "a\"b.js"]
    {
        assert!(!crate::is_module_path(bad), "{bad}");
    }
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    check(
        "name: hello\nmemroy: 64",
        expect!["refused: line 2, column 1: unknown key `memroy`; did you mean `memory`?"],
    );
    check(
        "name: hello\nretry: {cuont: 1}",
        expect!["refused: line 2, column 9: unknown key `cuont`; did you mean `count`?"],
    );
    check(
        "name: hello\ncolour: red",
        expect![
            "refused: line 2, column 1: unknown key `colour`; known are `name`, `public`, `memory`, `timeout`, `retry`, `env`, `engine`, `language`, `build`, `concurrency`, `http`, `reactor`, `raw_http_response`, `internal`, `ws_persistent`, `ws_idle_timeout_sec`, `ws_max_frame_bytes`, `ws_max_inflight_per_conn`, `ws_auth`, `dlq_topic`, `triggers`, `egress`, `main`, `compatibility_date`, `sign`, `by_hash`, `description`"
        ],
    );
}

#[test]
fn egress_is_a_list_of_rules() {
    let allow = |manifest: &str| Manifest::parse(manifest).expect("a good manifest").egress.map(|policy| policy.allow);
    let rules = allow("name: hello\negress:\n  allow: [api.example.com, \"*.example.org:443\", 10.0.0.0/8]");
    let texts: Vec<String> = rules.expect("a policy").iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["api.example.com", "*.example.org:443", "10.0.0.0/8"]);
    assert_eq!(allow("name: hello\negress: {allow: []}"), Some(Vec::new()), "nothing at all");
    assert_eq!(allow("name: hello"), None, "every public address");
}

#[test]
fn a_wrong_egress_names_its_place_and_what_a_rule_looks_like() {
    check(
        "name: hello\negress:\n  allow:\n    - api.example.com\n    - https://example.com/v1",
        expect![
            "refused: line 5, column 7: `https://example.com/v1` is no rule for outbound HTTP: leave out the scheme and the path"
        ],
    );
    check(
        "name: hello\negress:\n  allow: [10.0.0.1/8]",
        expect![
            "refused: line 3, column 11: `10.0.0.1/8` is no rule for outbound HTTP: the range that holds this address is `10.0.0.0/8`"
        ],
    );
    check(
        "name: hello\negress:",
        expect![
            "refused: line 2, column 7: `egress` needs `allow`, such as `allow: [api.example.com]`; `allow: []` refuses every request"
        ],
    );
    check(
        "name: hello\negress: {alow: []}",
        expect!["refused: line 2, column 10: unknown key `alow`; did you mean `allow`?"],
    );
    check(
        "name: hello\negress: {allow: api.example.com}",
        expect![[
            r#"refused: line 2, column 17: `egress.allow` must be a list, such as `[api.example.com]`, not the text "api.example.com""#
        ]],
    );
    check(
        "name: hello\negress: [api.example.com]",
        expect!["refused: line 2, column 9: egress must be a map of keys, not a list"],
    );
    check(
        "name: hello\negress: {allow: [443]}",
        expect!["refused: line 2, column 18: `egress.allow` must be text, not `443`"],
    );
    let rules = vec!["a.example"; 101].join(", ");
    check(
        &format!("name: hello\negress: {{allow: [{rules}]}}"),
        expect!["refused: line 2, column 9: `egress` has 101 rules, the limit is 100"],
    );
}

#[test]
fn a_manifest_that_was_stored_without_egress_is_read() {
    let stored = serde_json::to_string(&Manifest::parse("name: hello").expect("a good manifest")).expect("JSON");
    assert!(!stored.contains("egress"), "the key of a default is not stored");
    assert_eq!(serde_json::from_str::<Manifest>(&stored).expect("a stored manifest").egress, None);
}

#[test]
fn hostile_yaml_is_refused_and_not_expanded() {
    check("name: hello\nname: other", expect!["refused: line 2, column 1: the key `name` stands twice"]);
    check("name: [", expect!["refused: line 1, column 7: unclosed bracket '['"]);
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]";
    assert!(Manifest::parse(bomb).is_err());
    assert!(Manifest::parse(&"[".repeat(100_000)).is_err());
    assert!(Manifest::parse(&format!("name: {}", "a".repeat(10 << 20))).is_err());
}
