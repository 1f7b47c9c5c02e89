//! SQL.

use domain::{SqlChanged, SqlRows, SqlValue};
use expect_test::expect;
use ports::SqlError;

use crate::support::{Bench, ask, ask_number, call, show};

/// A database that answers a few statements, of every kind of result and failure.
fn bench() -> Bench {
    let bench = Bench::new();
    let text = |text: &str| SqlValue::Text(text.to_owned());
    let rows = |columns: &[&str], rows: Vec<Vec<SqlValue>>| SqlRows {
        columns: columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().into(),
        rows,
    };
    let values =
        vec![SqlValue::Integer(9_007_199_254_740_993), SqlValue::Null, text("é\"\0"), SqlValue::Blob(vec![0, 255])];
    let databases = &bench.databases;
    databases.answer("VALUES", rows(&["n", "nothing", "t", "b"], vec![values]));
    databases.answer("NOTHING", rows(&["n"], Vec::new()));
    databases.answer("MANY", rows(&["n"], (0..1000).map(|n| vec![SqlValue::Integer(n)]).collect()));
    databases.answer("HUGE", rows(&["t"], vec![vec![text(&"\u{1}".repeat(12 << 20))]]));
    databases.answer("INSERT", SqlChanged { rows_affected: 1, last_insert_id: Some(7) });
    databases.answer("UPDATE", SqlChanged { rows_affected: 3, last_insert_id: None });
    databases.answer("UPDATE ALL", SqlChanged { rows_affected: 1 << 40, last_insert_id: None });
    databases.fail("ATTACH", || SqlError::NotAllowed("ATTACH is not allowed here".into()));
    databases.fail("TWICE", || SqlError::Constraint("UNIQUE constraint failed: t.id".into()));
    databases.fail("BUSY", || SqlError::Busy);
    databases.fail("LONG", || SqlError::Deadline);
    databases.fail("LOST", || SqlError::Unavailable("a cause that only the operator reads".into()));
    bench
}

#[tokio::test]
async fn db_query() {
    let bench = bench();
    show(
        ask(&bench, "db_query", &[b"VALUES", b"[1, true, null, 0.5, {\"base64\":\"AP8=\"}]"]).await,
        expect![[r#"
            [{"n":9007199254740993,"nothing":null,"t":"é\"\u0000","b":{"base64":"AP8="}}]
        "#]],
    );
    let (_, asked) = bench.databases.asked().remove(0);
    expect!["[Integer(1), Integer(1), Null, Real(0.5), Blob([0, 255])]"].assert_eq(&format!("{:?}", asked.arguments));
    assert_eq!(ask(&bench, "db_query", &[b"NOTHING", b""]).await.expect("success").body, "[]");
    show(
        ask(&bench, "db_query", &[b"ATTACH", b""]).await,
        expect![[r#"

            log warn: `db_query`: ATTACH is not allowed here
        "#]],
    );
}

#[tokio::test]
async fn rows_in_pieces_are_one_list() {
    let body = ask(&bench(), "db_query", &[b"MANY", b""]).await.expect("success").body;
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&body).expect("JSON");
    assert!(rows.iter().enumerate().all(|(index, row)| row["n"] == index) && rows.len() == 1000);
}

#[tokio::test]
async fn what_is_no_argument_never_reaches_the_database() {
    let bench = bench();
    let nested = "[".repeat(10_000);
    let long = format!("[\"{}\"]", "x".repeat(1 << 20));
    let cases: [&[u8]; 11] = [
        b"{}",
        b"1",
        b"[",
        nested.as_bytes(),
        b"[1e400]",
        b"[18446744073709551615]",
        b"[{\"__proto__\":1}]",
        b"[[1]]",
        b"[\"\\ud800\"]",
        b"[\"\xff\"]",
        long.as_bytes(),
    ];
    let mut seen = String::new();
    for case in cases {
        let body = ask(&bench, "db_query_v2", &[b"VALUES", case]).await.expect("an error is an answer").body;
        seen += &format!("{}\n", String::from_utf8_lossy(&body));
        assert_eq!(ask(&bench, "db_query", &[b"VALUES", case]).await.expect("the same").body, "");
        assert_eq!(ask_number(&bench, "db_execute", &[b"INSERT", case]).await, 0);
    }
    expect![[r#"
        {"rows":[],"error":"the arguments are refused: invalid type: map, expected a sequence at line 1 column 0","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the arguments are refused: invalid type: integer `1`, expected a sequence at line 1 column 1","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the arguments are refused: EOF while parsing a list at line 1 column 1","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the arguments are refused: EOF while parsing a list at line 1 column 10000","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the arguments are refused: argument 1: number out of range at line 1 column 5","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the arguments are refused: argument 1: the integer 18446744073709551615 does not fit 64 bits with a sign; send it as a text","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the arguments are refused: argument 1: an object must be `{\"base64\": \"…\"}`; send other objects as JSON texts at line 1 column 15","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the arguments are refused: argument 1: invalid type: sequence, expected null, a boolean, a number, a text or `{\"base64\": \"…\"}` at line 1 column 1","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the arguments are refused: argument 1: unexpected end of hex escape at line 1 column 8","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the arguments are refused: invalid unicode code point at line 1 column 3","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the JSON of the arguments is larger than 1048576 bytes","code":"PAYLOAD_TOO_LARGE"}
    "#]].assert_eq(&seen);
    assert!(bench.databases.asked().is_empty());
}

#[tokio::test]
async fn db_execute() {
    let bench = bench();
    assert_eq!(ask_number(&bench, "db_execute", &[b"INSERT", b""]).await, 1);
    assert_eq!(ask_number(&bench, "db_execute", &[b"UPDATE", b"[]"]).await, 3);
    assert_eq!(ask_number(&bench, "db_execute", &[b"UPDATE ALL", b""]).await, i64::from(i32::MAX));
    assert_eq!(ask_number(&bench, "db_execute", &[b"TWICE", b""]).await, 0);
}

#[tokio::test]
async fn db_query_v2() {
    let bench = bench();
    let mut seen = String::new();
    for sql in ["VALUES", "NOTHING", "ATTACH", "TWICE", "BUSY", "LONG", "LOST", "HUGE", "", "\0"] {
        let body = ask(&bench, "db_query_v2", &[sql.as_bytes(), b""]).await.expect("an error is an answer").body;
        seen += &format!("{}\n", String::from_utf8_lossy(&body));
    }
    let long = "x".repeat((1 << 20) + 1);
    for sql in [&b"SELECT '\xff'"[..], long.as_bytes()] {
        let body = ask(&bench, "db_query_v2", &[sql, b""]).await.expect("an error is an answer").body;
        seen += &format!("{}\n", String::from_utf8_lossy(&body));
    }
    expect![[r#"
        {"rows":[{"n":9007199254740993,"nothing":null,"t":"é\"\u0000","b":{"base64":"AP8="}}]}
        {"rows":[]}
        {"rows":[],"error":"ATTACH is not allowed here","code":"SQL_NOT_ALLOWED"}
        {"rows":[],"error":"UNIQUE constraint failed: t.id","code":"CONSTRAINT_VIOLATION"}
        {"rows":[],"error":"the database is busy; try again","code":"UNAVAILABLE"}
        {"rows":[],"error":"the statement did not finish in time","code":"DEADLINE_EXCEEDED"}
        {"rows":[],"error":"the database is unavailable","code":"UNAVAILABLE"}
        {"rows":[],"error":"the result does not fit into the memory of the function","code":"PAYLOAD_TOO_LARGE"}
        {"rows":[],"error":"no answer is planned for ``","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"no answer is planned for `\u0000`","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the SQL is not valid UTF-8","code":"INVALID_ARGUMENT"}
        {"rows":[],"error":"the SQL is longer than 1048576 bytes","code":"PAYLOAD_TOO_LARGE"}
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn db_execute_v2() {
    let bench = bench();
    let mut seen = String::new();
    for (sql, arguments) in [("INSERT", "[1]"), ("UPDATE", ""), ("UPDATE ALL", ""), ("TWICE", ""), ("INSERT", "{}")] {
        let body = ask(&bench, "db_execute_v2", &[sql.as_bytes(), arguments.as_bytes()]).await.expect("success").body;
        seen += &format!("{}\n", String::from_utf8_lossy(&body));
    }
    expect![[r#"
        {"rows_affected":1,"last_insert_id":7}
        {"rows_affected":3}
        {"rows_affected":1099511627776}
        {"rows_affected":0,"error":"UNIQUE constraint failed: t.id","code":"CONSTRAINT_VIOLATION"}
        {"rows_affected":0,"error":"the arguments are refused: invalid type: map, expected a sequence at line 1 column 0","code":"INVALID_ARGUMENT"}
    "#]].assert_eq(&seen);
}

#[tokio::test]
async fn db_transaction() {
    let bench = bench();
    let mut seen = String::new();
    for ops in [
        r#"{"ops":[{"kind":"query","sql":"VALUES"},{"kind":"exec","sql":"INSERT","args":[1]},{"kind":"exec","sql":"UPDATE"}]}"#,
        r#"{"ops":[{"kind":"exec","sql":"INSERT"},{"kind":"query","sql":"BUSY","args":null},{"kind":"query","sql":"NOTHING"}]}"#,
        r#"{"ops":[]}"#,
        r#"{"ops":[{"kind":"exec","sql":"TWICE"},{"kind":"exec","sql":"INSERT"}]}"#,
        r#"{"ops":[{"kind":"query","sql":"VALUES"},{"kind":"exec","sql":"ATTACH"}]}"#,
        r#"{"ops":[{"kind":"exec","sql":"INSERT"},{"kind":"exec","sql":"INSERT","args":{}}]}"#,
        r#"{"ops":[{"kind":"exec","sql":"INSERT"},{"kind":"execute","sql":"INSERT"}]}"#,
        r#"{"ops":[{"kind":"exec"}]}"#,
        r#"{"ops":null}"#,
        "{}",
        "[]",
        "",
        r#"{"ops":[],"ops":[]}"#,
    ] {
        let body = ask(&bench, "db_transaction", &[ops.as_bytes()]).await.expect("an error is an answer").body;
        seen += &format!("{}\n", String::from_utf8_lossy(&body));
    }
    expect![[r#"
        {"results":[{"kind":"query","rows":[{"n":9007199254740993,"nothing":null,"t":"é\"\u0000","b":{"base64":"AP8="}}]},{"kind":"exec","rows_affected":1,"last_insert_id":7},{"kind":"exec","rows_affected":3}],"committed":true}
        {"results":[{"kind":"exec","rows_affected":1,"last_insert_id":7},{"kind":"query","rows":[],"error":"the database is busy; try again","code":"UNAVAILABLE"},{"kind":"query","rows":[]}],"committed":true}
        {"results":[],"committed":true}
        {"results":[],"committed":false,"failed_index":0,"error":"UNIQUE constraint failed: t.id","code":"CONSTRAINT_VIOLATION"}
        {"results":[],"committed":false,"failed_index":1,"error":"ATTACH is not allowed here","code":"SQL_NOT_ALLOWED"}
        {"results":[],"committed":false,"failed_index":1,"error":"the arguments are refused: invalid type: map, expected a sequence at line 1 column 0","code":"INVALID_ARGUMENT"}
        {"results":[],"committed":false,"failed_index":1,"error":"`kind` must be `exec` or `query`","code":"INVALID_ARGUMENT"}
        {"results":[],"committed":false,"failed_index":0,"error":"`sql` is missing","code":"INVALID_ARGUMENT"}
        {"results":[],"committed":false,"failed_index":-1,"error":"`ops` is missing: {\"ops\":[…]}","code":"INVALID_ARGUMENT"}
        {"results":[],"committed":false,"failed_index":-1,"error":"`ops` is missing: {\"ops\":[…]}","code":"INVALID_ARGUMENT"}
        {"results":[],"committed":false,"failed_index":-1,"error":"the operations are refused: invalid length 0, expected an object with `ops` at line 1 column 2","code":"INVALID_ARGUMENT"}
        {"results":[],"committed":false,"failed_index":-1,"error":"the operations are refused: EOF while parsing a value at line 1 column 0","code":"INVALID_ARGUMENT"}
        {"results":[],"committed":false,"failed_index":-1,"error":"the operations are refused: duplicate field `ops` at line 1 column 15","code":"INVALID_ARGUMENT"}
    "#]].assert_eq(&seen);
}

#[tokio::test]
async fn a_result_that_is_too_large_undoes_nothing() {
    let ops =
        br#"{"ops":[{"kind":"exec","sql":"INSERT"},{"kind":"query","sql":"HUGE"},{"kind":"query","sql":"NOTHING"}]}"#;
    show(
        ask(&bench(), "db_transaction", &[ops]).await,
        expect![[r#"
        {"results":[{"kind":"exec","rows_affected":1,"last_insert_id":7},{"kind":"query","rows":[],"error":"the result does not fit into the memory of the function","code":"PAYLOAD_TOO_LARGE"},{"kind":"query","rows":[]}],"committed":true}
    "#]],
    );
}

#[tokio::test]
async fn a_hundred_operations_are_enough() {
    let bench = bench();
    let ops = |count: usize| {
        let ops = vec![r#"{"kind":"query","sql":"NOTHING"}"#; count].join(",");
        format!("{{\"ops\":[{ops}]}}").into_bytes()
    };
    for name in ["db_transaction", "db_query_batch"] {
        let done = ask(&bench, name, &[&ops(100)]).await.expect("success").body;
        assert!(done.starts_with(b"{\"results\":[{"), "{done:?}");
        let asked = bench.databases.asked().len();
        let refused = ask(&bench, name, &[&ops(101)]).await.expect("an error is an answer").body;
        let refused: serde_json::Value = serde_json::from_slice(&refused).expect("JSON");
        assert_eq!((&refused["code"], &refused["failed_index"]), (&"TOO_MANY_STATEMENTS".into(), &(-1).into()));
        assert_eq!(bench.databases.asked().len(), asked);
    }
}

#[tokio::test]
async fn db_query_batch() {
    let bench = bench();
    let mut seen = String::new();
    for ops in [
        r#"{"ops":[{"sql":"VALUES"},{"sql":"LOST"},{"sql":"NOTHING","args":[]}]}"#,
        r#"{"ops":[],"consistency":"weak"}"#,
        r#"{"ops":[{"sql":"NOTHING"}],"consistency":"none","freshness":"2s","freshness_strict":true}"#,
        r#"{"ops":[{"sql":"NOTHING"}],"consistency":"strong"}"#,
        r#"{"ops":[{"sql":"NOTHING"}],"consistency":"weak","freshness":"2s"}"#,
        r#"{"ops":[{"sql":"NOTHING"}],"consistency":"none","freshness":"25h"}"#,
        r#"{"ops":[{"sql":"NOTHING"},{"sql":"NOTHING","args":[[]]}]}"#,
        "nonsense",
    ] {
        let body = ask(&bench, "db_query_batch", &[ops.as_bytes()]).await.expect("an error is an answer").body;
        seen += &format!("{}\n", String::from_utf8_lossy(&body));
    }
    expect![[r#"
        {"results":[{"kind":"query","rows":[{"n":9007199254740993,"nothing":null,"t":"é\"\u0000","b":{"base64":"AP8="}}]},{"kind":"query","rows":[],"error":"the database is unavailable","code":"UNAVAILABLE"},{"kind":"query","rows":[]}]}
        {"results":[]}
        {"results":[{"kind":"query","rows":[]}]}
        {"results":[],"failed_index":-1,"error":"`consistency` is `strong`; it must be `weak` or `none`","code":"INVALID_ARGUMENT"}
        {"results":[],"failed_index":-1,"error":"`freshness` has a meaning only with `consistency` `none`","code":"INVALID_ARGUMENT"}
        {"results":[],"failed_index":-1,"error":"`freshness` is `25h`; it must be a duration from `1ms` to `24h`, such as `2s`","code":"INVALID_ARGUMENT"}
        {"results":[],"failed_index":1,"error":"the arguments are refused: argument 1: invalid type: sequence, expected null, a boolean, a number, a text or `{\"base64\": \"…\"}` at line 1 column 2","code":"INVALID_ARGUMENT"}
        {"results":[],"failed_index":-1,"error":"the operations are refused: expected ident at line 1 column 2","code":"INVALID_ARGUMENT"}
    "#]].assert_eq(&seen);
}

#[tokio::test]
async fn allocator_queries() {
    let bench = bench();
    bench.databases.answer("ROWS 1", SqlRows::default());
    assert_eq!(call(&bench, "allocator_queries", "", b"").await.expect("success").body, "8");
    assert_eq!(bench.databases.asked().len(), 9, "the last one found no allocator left");
}

#[tokio::test]
async fn an_error_of_a_service_is_no_failure_of_the_function_and_hides_its_cause() {
    let bench = bench();
    let reply = ask(&bench, "db_query", &[b"LOST", b""]).await.expect("no failure");
    assert!(reply.ended.logs[0].message.contains("unavailable") && !reply.ended.logs[0].message.contains("operator"));
}
