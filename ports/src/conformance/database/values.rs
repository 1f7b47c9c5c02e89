use domain::SqlValue;

use super::{Subject, text};
use crate::SqlError;

pub(super) async fn check(subject: &Subject) {
    come_back_as_they_went(subject).await;
    arguments_fit_the_parameters(subject).await;
    columns_have_names(subject).await;
    texts_that_are_not_utf8(subject).await;
    functions_of_ours_behave(subject).await;
}

async fn come_back_as_they_went(subject: &Subject) {
    let values = [
        SqlValue::Null,
        SqlValue::Integer(0),
        SqlValue::Integer(i64::MAX),
        SqlValue::Integer(i64::MIN),
        SqlValue::Integer(9_007_199_254_740_993),
        SqlValue::Real(0.1 + 0.2),
        SqlValue::Real(f64::MAX),
        SqlValue::Real(f64::MIN_POSITIVE),
        SqlValue::Real(f64::INFINITY),
        SqlValue::Real(f64::NEG_INFINITY),
        text(""),
        text("it's ; -- \"quoted\" \u{1f600}"),
        text("a\0b"),
        SqlValue::Blob(Vec::new()),
        SqlValue::Blob((0..=255).collect()),
        text(&"x".repeat(300_000)),
    ];
    subject.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, v)").await;
    for (id, value) in values.iter().enumerate() {
        let found = subject.query("SELECT ?", std::slice::from_ref(value)).await;
        assert_eq!(found, [[value.clone()]], "through a query");
        let arguments = [SqlValue::Integer(id as i64), value.clone()];
        subject.try_execute("INSERT INTO kept VALUES (?, ?)", &arguments).await.expect("insert");
        let found = subject.query("SELECT v FROM kept WHERE id = ?", &arguments[..1]).await;
        assert_eq!(found, [[value.clone()]], "through a table");
    }
    let found = subject.query("SELECT ?", &[SqlValue::Real(f64::NAN)]).await;
    assert_eq!(found, [[SqlValue::Null]], "what is no number is null");
}

async fn arguments_fit_the_parameters(subject: &Subject) {
    let one = [SqlValue::Integer(1)];
    for (sql, arguments) in [("SELECT ?, ?", &one[..]), ("SELECT 1", &one), ("SELECT ?", &[]), ("SELECT ?3", &one)] {
        let refused = subject.try_query(sql, arguments).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "`{sql}` with {arguments:?}: {refused:?}");
        let refused = subject.try_execute(sql, arguments).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "`{sql}` executed with {arguments:?}: {refused:?}");
    }
    assert_eq!(subject.query("SELECT ?1 + ?1", &one).await, [[SqlValue::Integer(2)]]);
    assert_eq!(subject.query("SELECT :a", &one).await, [[SqlValue::Integer(1)]], "named parameters go by position");

    subject.execute("CREATE TABLE strict (n INTEGER NOT NULL) STRICT").await;
    let refused = subject.try_execute("INSERT INTO strict VALUES (?)", &[text("no number")]).await;
    assert!(matches!(refused, Err(SqlError::Constraint(_))), "a text as a number: {refused:?}");
    let refused = subject.try_execute("INSERT INTO kept VALUES (?, 1)", &[text("no number")]).await;
    assert!(matches!(refused, Err(SqlError::Invalid(_))), "a text as a row id: {refused:?}");
}

async fn columns_have_names(subject: &Subject) {
    let found = subject.try_query("SELECT 1 AS a, 2 AS \"b c\", 3 AS a", &[]).await.expect("query");
    assert_eq!(*found.columns, ["a", "b c", "a"].map(str::to_owned));
    let found = subject.try_query("SELECT id, v FROM kept WHERE 0", &[]).await.expect("query");
    assert_eq!((&*found.columns, found.rows.len()), (&["id".to_owned(), "v".to_owned()][..], 0));

    subject.execute("CREATE TABLE grows (a)").await;
    subject.execute("INSERT INTO grows VALUES (1)").await;
    assert_eq!(subject.query("SELECT * FROM grows", &[]).await, [[SqlValue::Integer(1)]]);
    subject.execute("ALTER TABLE grows ADD COLUMN b DEFAULT 2").await;
    let found = subject.try_query("SELECT * FROM grows", &[]).await.expect("query");
    assert_eq!(*found.columns, ["a", "b"].map(str::to_owned), "columns follow the schema");
    assert_eq!(found.rows, [[SqlValue::Integer(1), SqlValue::Integer(2)]]);
}

async fn texts_that_are_not_utf8(subject: &Subject) {
    let found = subject.query("SELECT CAST(x'ff41' AS TEXT)", &[]).await;
    assert_eq!(found, [[SqlValue::Blob(vec![0xff, 0x41])]]);
}

const GROUPED: &str = r#"[1,2.5,null,"a\"b",[3],{"c":4}]"#;
const OBJECT: &str = r#"{"a":1.5,"3":0.1}"#;

/// Some functions of SQLite can take minutes in one call; what stands in their place must answer the same.
async fn functions_of_ours_behave(subject: &Subject) {
    for (sql, want) in [
        ("instr('aéaéb', 'éb')", SqlValue::Integer(4)),
        ("instr(x'c3a9c3a9', x'a9')", SqlValue::Integer(2)),
        ("instr('abc', '')", SqlValue::Integer(1)),
        ("instr('abc', 'd')", SqlValue::Integer(0)),
        ("instr(1.5, '.')", SqlValue::Integer(2)),
        ("instr(NULL, 'd')", SqlValue::Null),
        ("replace('aXbXX', 'X', '--')", text("a--b----")),
        ("replace('abc', '', 'x')", text("abc")),
        ("replace(1.5, '.', ',')", text("1,5")),
        ("replace('a', NULL, 'x')", SqlValue::Null),
        ("trim('xyaxy', 'yx')", text("a")),
        ("ltrim('éaé', 'é')", text("aé")),
        ("rtrim('éaé', 'é')", text("éa")),
        ("trim('  a ')", text("a")),
        ("printf('%05.1f|%-4d|%s|%%|%,d', 2.5, 7, 'é', 1234567)", text("002.5|7   |é|%|1,234,567")),
        ("format('%d%%', 5)", text("5%")),
        ("printf()", SqlValue::Null),
        ("(SELECT json_group_array(value) FROM json_each('[1,2.5,null,\"a\\\"b\",[3],{\"c\":4}]'))", text(GROUPED)),
        ("(SELECT json_group_array(json(value)) FROM json_each('[[3],{\"c\":4}]'))", text("[[3],{\"c\":4}]")),
        ("(SELECT json_group_array(1) WHERE 0)", text("[]")),
        ("(SELECT json_group_object(column1, column2) FROM (VALUES ('a', 1.5), (NULL, 2), (3, 0.1)))", text(OBJECT)),
        ("(SELECT json(jsonb_group_object('a', 1)))", text("{\"a\":1}")),
        ("json_array(json_group_array(1))", text("[[1]]")),
    ] {
        assert_eq!(subject.query(&format!("SELECT {sql}"), &[]).await, [[want]], "{sql}");
    }
}
