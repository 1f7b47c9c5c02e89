mod rows;
mod schema;

use std::sync::{Arc, Mutex};

use domain::{Namespace, SqlChanged, SqlStatement, SqlValue};

use super::{Subject, bounds, namespace, read_all, statement};
use crate::{Change, Changes, Databases, RowOperation, SqlBounds, SqlError, SqlStep, TableWatch, WATCHES_MAX};

const ALL: &[RowOperation] = &RowOperation::ALL;

pub(super) async fn check(databases: &dyn Databases) {
    every_change_stands_once(&Watched::of(databases, "feed")).await;
    what_is_undone_is_not_told(&Watched::of(databases, "feed-undone")).await;
    depth_is_that_of_the_call(&Watched::of(databases, "feed-depth")).await;
    watches_are_exact(&Watched::of(databases, "feed-watches")).await;
    tenants_keep_out(&Watched::of(databases, "feed-tenants")).await;
    nothing_else_changes(databases).await;
    whoever_listens_is_told(databases).await;
    rows::check(&Watched::of(databases, "feed-rows")).await;
    schema::check(&Watched::of(databases, "feed-schema")).await;
}

/// A database and its changes.
struct Watched {
    subject: Subject,
    changes: Arc<dyn Changes>,
}

impl Watched {
    fn of(databases: &dyn Databases, name: &str) -> Self {
        Self { subject: Subject::of(databases, name), changes: databases.changes(&namespace(name)) }
    }

    async fn watch(&self, tables: &[&str]) {
        let watches = tables.iter().map(|table| TableWatch::new(*table, ALL)).collect();
        self.changes.watch(watches).await.expect("watch");
    }

    async fn execute(&self, sql: &str) -> SqlChanged {
        self.subject.execute(sql).await
    }

    /// What has changed since this was asked last.
    async fn take(&self) -> Vec<Change> {
        let found = self.changes.changes(0, 1_000).await.expect("changes");
        self.changes.forget_changes(found.last().map_or(0, |change| change.seq)).await.expect("forget");
        found
    }

    /// The same in short: `insert t {…}`, and for what was before, ` was {…}`.
    async fn told(&self) -> Vec<String> {
        self.take().await.iter().map(told).collect()
    }
}

fn told(change: &Change) -> String {
    let Change { table, operation, row, old_row, .. } = change;
    let was = match (operation, old_row) {
        (RowOperation::Update, Some(old)) => format!(" was {old}"),
        (RowOperation::Delete, Some(old)) if old == row => String::new(),
        (RowOperation::Insert, None) => String::new(),
        other => panic!("a row before the change fits the operation: {other:?}"),
    };
    format!("{} {table} {row}{was}", operation.as_str())
}

async fn every_change_stands_once(watched: &Watched) {
    assert_eq!(watched.changes.changes(0, 10).await.expect("changes"), []);
    watched.changes.forget_changes(7).await.expect("nothing to forget");
    watched.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)").await;
    watched.watch(&["t"]).await;
    watched.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')").await;
    watched.execute("UPDATE t SET a = a || '!' WHERE id = 1").await;
    watched.execute("DELETE FROM t").await;

    let found = watched.changes.changes(0, 100).await.expect("changes");
    let want = [
        "insert t {\"id\":1,\"a\":\"x\"}",
        "insert t {\"id\":2,\"a\":\"y\"}",
        "update t {\"id\":1,\"a\":\"x!\"} was {\"id\":1,\"a\":\"x\"}",
        "delete t {\"id\":1,\"a\":\"x!\"}",
        "delete t {\"id\":2,\"a\":\"y\"}",
    ];
    assert_eq!(found.iter().map(told).collect::<Vec<_>>(), want);
    assert_eq!(found.iter().map(|change| change.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(found.iter().all(|change| change.at_ms > 1_600_000_000_000), "{found:?}");

    assert_eq!(watched.changes.changes(0, 2).await.expect("changes"), found[..2]);
    assert_eq!(watched.changes.changes(3, 100).await.expect("changes"), found[3..]);
    assert_eq!(watched.changes.changes(5, 100).await.expect("changes"), []);
    watched.changes.forget_changes(3).await.expect("forget");
    assert_eq!(watched.changes.changes(0, 100).await.expect("changes"), found[3..]);
    for _ in 0..2 {
        watched.changes.forget_changes(i64::MAX).await.expect("forget");
        assert_eq!(watched.changes.changes(0, 100).await.expect("changes"), []);
    }
    watched.execute("INSERT INTO t VALUES (3, NULL)").await;
    let found = watched.changes.changes(0, 100).await.expect("changes");
    assert_eq!(found.iter().map(|change| change.seq).collect::<Vec<_>>(), [6], "no number comes twice");
}

async fn what_is_undone_is_not_told(watched: &Watched) {
    watched.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    watched.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)").await;
    watched.execute("CREATE TABLE child (p REFERENCES parent DEFERRABLE INITIALLY DEFERRED)").await;
    watched.watch(&["t", "child"]).await;
    watched.execute("INSERT INTO t VALUES (9)").await;
    for bad in [
        "INSERT INTO t VALUES (1), (9)",
        "INSERT OR FAIL INTO t VALUES (1), (9)",
        "INSERT OR ROLLBACK INTO t VALUES (1), (9)",
        "INSERT INTO child VALUES (1)",
    ] {
        assert!(watched.subject.try_execute(bad, &[]).await.is_err(), "`{bad}`");
        let script = format!("INSERT INTO t VALUES (2);\n{bad};");
        assert!(watched.subject.database.script(script, bounds()).await.is_err(), "`{bad}` in a script");
        let steps = ["INSERT INTO t VALUES (3)", bad].map(|sql| SqlStep::Execute(statement(sql)));
        assert!(
            watched.subject.database.transaction(steps.into(), bounds()).await.is_err(),
            "`{bad}` in a transaction"
        );
    }
    let migration = crate::Migration { name: "0001_a".to_owned(), sql: "INSERT INTO t VALUES (4);".to_owned() };
    watched.subject.database.migrate(vec![migration.clone()], true, bounds()).await.expect("a rehearsal");
    assert_eq!(watched.told().await, ["insert t {\"id\":9}"]);

    watched.subject.database.migrate(vec![migration], false, bounds()).await.expect("migrate");
    watched
        .subject
        .database
        .script("INSERT INTO t VALUES (5); DELETE FROM t;".to_owned(), bounds())
        .await
        .expect("run");
    watched.subject.query("INSERT INTO t VALUES (6) RETURNING id", &[]).await;
    let found = watched.take().await;
    let want = ["insert 4", "insert 5", "delete 4", "delete 5", "delete 9", "insert 6"];
    let short = |change: &Change| format!("{} {}", change.operation.as_str(), &change.row[6..7]);
    assert_eq!(found.iter().map(short).collect::<Vec<_>>(), want);
    assert_eq!(found.iter().map(|change| change.seq).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7], "there is no gap");
}

async fn depth_is_that_of_the_call(watched: &Watched) {
    watched.execute("CREATE TABLE t (a)").await;
    watched.watch(&["t"]).await;
    let insert = "INSERT INTO t VALUES (1)";
    for depth in [0, 3, 0] {
        let deep = SqlBounds { depth, ..bounds() };
        watched.subject.database.execute(statement(insert), deep).await.expect("insert");
        let steps = vec![SqlStep::Execute(statement(insert)), SqlStep::Execute(statement("DELETE FROM t"))];
        watched.subject.database.transaction(steps, deep).await.expect("change");
        watched.subject.database.query(statement(&format!("{insert} RETURNING a")), deep).await.expect("insert");
        assert!(watched.take().await.iter().all(|change| change.depth == depth), "depth {depth}");
        watched.subject.database.script(format!("{insert}; DELETE FROM t;"), deep).await.expect("a script");
        assert!(watched.take().await.iter().all(|change| change.depth == 0), "nothing sets a script off");
    }
}

async fn watches_are_exact(watched: &Watched) {
    use RowOperation::{Delete, Insert, Update};
    for sql in ["CREATE TABLE a (n)", "CREATE TABLE b (n)", "CREATE TABLE \"C\" (n)", "CREATE VIEW v AS SELECT 1"] {
        watched.execute(sql).await;
    }
    let run = async || {
        for table in ["a", "b", "c"] {
            for sql in [format!("INSERT INTO {table} VALUES (1)"), format!("UPDATE {table} SET n = 2")] {
                watched.execute(&sql).await;
            }
            watched.execute(&format!("DELETE FROM {table}")).await;
        }
        let found = watched.take().await;
        found.iter().map(|change| format!("{} {}", change.operation.as_str(), change.table)).collect::<Vec<_>>()
    };
    assert_eq!(run().await, [""; 0], "nothing is watched");
    let first =
        || vec![TableWatch::new("A", &[Insert]), TableWatch::new("c", &[Delete]), TableWatch::new("a", &[Update])];
    watched.changes.watch(first()).await.expect("watch");
    let want = ["insert a", "update a", "delete C"];
    assert_eq!(run().await, want, "watches of one table add up; names are told as they are written");
    watched.changes.watch(first()).await.expect("watch again");
    assert_eq!(run().await, want);

    let too_many = (0..=WATCHES_MAX).map(|number| TableWatch::new(format!("t{number}"), ALL)).collect();
    let refused = watched.changes.watch(too_many).await;
    assert!(matches!(refused, Err(SqlError::Invalid(_))), "{refused:?}");
    for bad in ["v", "V", "", "a\0b"] {
        let refused = watched.changes.watch(vec![TableWatch::new("b", ALL), TableWatch::new(bad, ALL)]).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "{bad:?}: {refused:?}");
    }
    for bad in ["sqlite_schema", "SQLITE_sequence", "_orama_outbox", "_Orama_migrations", "_orama_x"] {
        let refused = watched.changes.watch(vec![TableWatch::new("b", ALL), TableWatch::new(bad, ALL)]).await;
        assert!(matches!(refused, Err(SqlError::NotAllowed(_))), "{bad:?}: {refused:?}");
    }
    assert_eq!(run().await, want, "what is refused is refused as a whole");

    watched.changes.watch(vec![TableWatch::new("b", &[Update]), TableWatch::new("a", &[])]).await.expect("watch");
    assert_eq!(run().await, ["update b"]);
    watched.changes.watch(Vec::new()).await.expect("watch nothing");
    assert_eq!(run().await, [""; 0]);
}

/// Each is refused; none can be prepared even under a name that looks like ours.
const KEPT_OUT: &[&str] = &[
    "SELECT * FROM _orama_outbox",
    "SELECT count(*) FROM \"_ORAMA_OUTBOX\"",
    "SELECT new_row FROM main.[_orama_outbox]",
    "SELECT * FROM _orama_watches",
    "WITH _orama_insert_t AS (SELECT * FROM _orama_outbox) SELECT * FROM _orama_insert_t",
    "SELECT * FROM (SELECT * FROM _orama_outbox) AS _orama_insert_t",
    "INSERT INTO _orama_outbox (table_name, operation, at_ms) VALUES ('t', 'insert', 0)",
    "WITH _orama_insert_t AS (SELECT 1) INSERT INTO _orama_outbox SELECT 1, 't', 'insert', '', '', 0 FROM _orama_insert_t",
    "REPLACE INTO \"_Orama_outbox\" VALUES (1, 't', 'insert', '', '', 0)",
    "UPDATE _orama_outbox SET new_row = ''",
    "DELETE FROM _orama_outbox",
    "DELETE FROM _orama_watches",
    "INSERT INTO _orama_watches VALUES ('x', 1, 1, 1)",
    "DROP TABLE _orama_outbox",
    "DROP TABLE IF EXISTS \"_orama_watches\"",
    "ALTER TABLE _orama_outbox RENAME TO mine",
    "ALTER TABLE _orama_outbox ADD COLUMN mine",
    "CREATE INDEX mine ON _orama_outbox (at_ms)",
    "CREATE TRIGGER mine AFTER INSERT ON _orama_outbox BEGIN SELECT 1; END",
    "CREATE TRIGGER _orama_insert_u AFTER INSERT ON t BEGIN SELECT 1; END",
    "DROP TRIGGER _orama_insert_t",
    "DROP TRIGGER IF EXISTS main.\"_ORAMA_INSERT_T\"",
    "INSERT INTO into_outbox VALUES (1)",
    "INSERT INTO from_outbox VALUES (1)",
    "SELECT * FROM seen",
    "SELECT _orama_part('a', 1)",
    "SELECT _orama_row('a', 'b')",
    "SELECT _orama_depth()",
];

async fn tenants_keep_out(watched: &Watched) {
    for sql in [
        "CREATE TABLE t (a)",
        "CREATE TABLE into_outbox (a)",
        "CREATE TABLE from_outbox (a)",
        "CREATE TABLE copied (row)",
        "CREATE TRIGGER i AFTER INSERT ON into_outbox BEGIN INSERT INTO _orama_outbox (seq) VALUES (1); END",
        "CREATE TRIGGER f AFTER INSERT ON from_outbox BEGIN INSERT INTO copied SELECT new_row FROM _orama_outbox; END",
        "CREATE VIEW seen AS SELECT * FROM _orama_outbox",
    ] {
        watched.execute(sql).await;
    }
    watched.watch(&["t"]).await;
    watched.execute("INSERT INTO t VALUES (1)").await;
    let mut wrong = Vec::new();
    for sql in KEPT_OUT.iter().chain(KEPT_OUT) {
        for (way, error) in super::refusals::every_way(&watched.subject, sql).await {
            if !matches!(error, Some(SqlError::NotAllowed(_))) {
                wrong.push(format!("{way} `{sql}` is to be refused: {error:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    watched.execute("INSERT INTO t VALUES (2)").await;
    assert_eq!(watched.told().await, ["insert t {\"a\":1}", "insert t {\"a\":2}"]);
}

/// Answers, copies and the schema are those of a database that nobody watches.
async fn nothing_else_changes(databases: &dyn Databases) {
    let (plain, watched) = (Subject::of(databases, "feed-plain"), Watched::of(databases, "feed-copied"));
    watched.watch(&["t", "k", "later"]).await;
    for sql in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a UNIQUE)",
        "CREATE TABLE k (a PRIMARY KEY, b) WITHOUT ROWID",
        "INSERT INTO t (a) VALUES ('x'), ('y')",
        "INSERT INTO k VALUES ('x', 1)",
        "INSERT INTO t (a) VALUES ('x') ON CONFLICT (a) DO UPDATE SET a = 'z'",
        "REPLACE INTO t VALUES (9, 'z')",
        "INSERT OR IGNORE INTO t VALUES (9, 'w')",
        "UPDATE t SET a = a || '!'",
        "DELETE FROM k",
        "CREATE INDEX i ON t (a)",
        "ALTER TABLE t ADD COLUMN b",
    ] {
        assert_eq!(watched.execute(sql).await, plain.execute(sql).await, "`{sql}`");
    }
    let (ours, theirs) = (&watched.subject.database, &plain.database);
    assert_eq!(ours.schema().await.expect("schema"), theirs.schema().await.expect("schema"));
    let dump = read_all(&*ours.dump().await.expect("dump")).await;
    assert_eq!(dump, read_all(&*theirs.dump().await.expect("dump")).await, "a dump is the same");
    let snapshot = read_all(&*ours.snapshot().await.expect("snapshot")).await;
    assert!(snapshot.starts_with(b"SQLite format 3\0"));

    watched.take().await;
    let copy = Watched::of(databases, "feed-imported");
    copy.watch(&["t"]).await;
    copy.subject.database.script(String::from_utf8(dump).expect("SQL is text"), bounds()).await.expect("import");
    assert_eq!(copy.take().await.len(), 2, "what is imported is inserted");
    assert_eq!(watched.told().await, [""; 0]);
}

async fn whoever_listens_is_told(databases: &dyn Databases) {
    let told: Arc<Mutex<Vec<Namespace>>> = Arc::default();
    let listener = told.clone();
    databases.on_change(Arc::new(move |namespace| listener.lock().expect("no holder panics").push(namespace.clone())));
    let (one, two) = (Watched::of(databases, "feed-one"), Watched::of(databases, "feed-two"));
    for watched in [&one, &two] {
        watched.execute("CREATE TABLE t (a)").await;
        watched.execute("CREATE TABLE quiet (a)").await;
        watched.watch(&["t"]).await;
        watched.execute("INSERT INTO quiet VALUES (1)").await;
    }
    let heard = || std::mem::take(&mut *told.lock().expect("no holder panics"));
    assert_eq!(heard(), [], "nothing of a watched table has changed");
    two.execute("INSERT INTO t VALUES (1)").await;
    assert_eq!(heard(), [namespace("feed-two")], "told before the answer");
    let insert = SqlStatement::new("INSERT INTO t VALUES (?), (2)", vec![SqlValue::Integer(1)]);
    one.subject.database.transaction(vec![SqlStep::Execute(insert)], bounds()).await.expect("insert");
    assert_eq!(heard(), [namespace("feed-one")], "a commit is told once");
    assert_eq!(one.take().await.len(), 2);
    assert_eq!(heard(), [], "reading and forgetting is no change");
    databases.on_change(Arc::new(|_| {}));
}
