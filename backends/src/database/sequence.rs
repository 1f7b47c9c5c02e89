//! The numbers of the namespace's messages: a counter of ours, of which a transaction takes the next together with what else it does.

use ports::SqlError;

use super::session::Session;

const TABLE: &str = "_orama_publish_seq";

/// Takes the next number, from 1. If the open transaction is undone, nobody took it.
pub(super) fn next(session: &Session) -> Result<i64, SqlError> {
    take(session).map_err(|error| session.error(&error))
}

fn take(session: &Session) -> rusqlite::Result<i64> {
    let connection = session.ours();
    if !connection.table_exists(Some("main"), TABLE)? {
        session.note_schema_change();
        let sql =
            format!("CREATE TABLE {TABLE} (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT");
        connection.execute_batch(&sql)?;
    }
    let sql = format!("INSERT INTO {TABLE} VALUES (1, 1) ON CONFLICT DO UPDATE SET seq = seq + 1 RETURNING seq");
    connection.query_row(&sql, [], |row| row.get(0))
}
