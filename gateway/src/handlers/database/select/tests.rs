use expect_test::{Expect, expect};

use super::*;

fn shown(query: Result<Query, Refusal>) -> String {
    match query {
        Ok(query) => {
            let SqlStatement { sql, arguments } = query.statement();
            format!("{sql} {arguments:?}")
        }
        Err(refusal) => format!("refused: {}", refusal.code()),
    }
}

#[track_caller]
fn criteria(body: &str, want: Expect) {
    let document = Document::parse(body.as_bytes()).expect("an object");
    want.assert_eq(&shown(Query::of_criteria(&document)));
}

#[track_caller]
fn parts(body: &str, want: Expect) {
    let document = Document::parse(body.as_bytes()).expect("an object");
    want.assert_eq(&shown(Query::of_parts(&document)));
}

#[test]
fn criteria_are_equalities_of_quoted_columns() {
    criteria(r#"{"table":"users"}"#, expect![[r#"SELECT * FROM "users" []"#]]);
    criteria(
        r#"{"table":"users","criteria":{"name":"a","age":3,"gone":null,"p.id":9007199254740993},"options":{"limit":2,"order_by":["age DESC"]}}"#,
        expect![[
            r#"SELECT * FROM "users" WHERE "users"."age" = ? AND "users"."gone" IS NULL AND "users"."name" = ? AND "p"."id" = ? ORDER BY age DESC LIMIT ? OFFSET ? [Integer(3), Text("a"), Integer(9007199254740993), Integer(2), Integer(0)]"#
        ]],
    );
    criteria(
        r#"{"table":"main.users","select":["id"],"group_by":["id"],"offset":5,"joins":[{"table":"posts p","on":"p.user = users.id"}]}"#,
        expect![[
            r#"SELECT id FROM "main"."users" INNER JOIN "posts" AS "p" ON p.user = users.id GROUP BY id LIMIT ? OFFSET ? [Integer(-1), Integer(5)]"#
        ]],
    );
}

#[test]
fn parts_are_put_together_in_order() {
    parts(
        r#"{"table":"users","alias":"u","select":["u.id","COUNT(*) AS n"],"joins":[{"kind":"left","table":"posts","on":"posts.u = u.id"}],
            "where":[{"conj":"OR","expr":"u.id = ?","args":[1]},{"conj":"or","expr":"u.id IN (?, ?)","args":[2,"x"]}],
            "group_by":["u.id"],"order_by":["n"],"limit":10,"offset":20}"#,
        expect![[
            r#"SELECT u.id, COUNT(*) AS n FROM "users" AS "u" LEFT JOIN "posts" ON posts.u = u.id WHERE (u.id = ?) OR (u.id IN (?, ?)) GROUP BY u.id ORDER BY n LIMIT ? OFFSET ? [Integer(1), Integer(2), Text("x"), Integer(10), Integer(20)]"#
        ]],
    );
}

#[test]
fn names_that_are_none_are_refused() {
    for table in ["", "a b c", "a;b", "a\"b", "1a", "a--", "a.b.c", "(SELECT 1)", "a\u{0}b"] {
        let body = serde_json::json!({ "table": table }).to_string();
        assert_eq!(
            shown(Query::of_criteria(&Document::parse(body.as_bytes()).expect("an object"))),
            "refused: VALIDATION_FAILED",
            "{table:?}"
        );
    }
    for column in ["", "a b", "a\" OR 1=1 --", "x'", "a.b.c"] {
        let body = serde_json::json!({ "table": "t", "criteria": { column: 1 } }).to_string();
        assert_eq!(
            shown(Query::of_criteria(&Document::parse(body.as_bytes()).expect("an object"))),
            "refused: VALIDATION_FAILED",
            "{column:?}"
        );
    }
    parts(r#"{"table":"t","joins":[{"kind":"CROSS","table":"u","on":"1"}]}"#, expect!["refused: VALIDATION_FAILED"]);
    parts(r#"{"table":"t","where":[{"conj":"; DROP","expr":"1"}]}"#, expect!["refused: VALIDATION_FAILED"]);
    parts(r#"{"table":"t","limit":-1}"#, expect!["refused: VALIDATION_FAILED"]);
}

#[test]
fn a_create_table_statement_is_known_by_its_words() {
    let table = |sql: &str| created_table(sql);
    assert_eq!(table("CREATE TABLE users(id)").as_deref(), Some("users"));
    assert_eq!(table("-- a\n /* b */ create /**/ temp table if not exists \"u\" (id)").as_deref(), Some("u"));
    for other in [
        "",
        "CREATE",
        "CREATE INDEX a ON b(c)",
        "DROP TABLE a",
        "CREATE TABLEX a(b)",
        "/*",
        "CREATE VIEW v AS SELECT 1",
    ] {
        assert_eq!(table(other), None, "{other}");
    }
}
