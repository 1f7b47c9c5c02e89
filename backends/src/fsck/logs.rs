//! The log of calls: it is whole, and what each namespace is said to use is what it uses.

use rusqlite::Connection;

use super::sqlite::{Opened, Wanted, failed, open};
use super::{ProblemKind, Report};
use crate::folder::DataFolder;
use crate::records::{KIND, migrations::MIGRATIONS};

pub(super) fn check(folder: &DataFolder, report: &mut Report) {
    let path = folder.logs_db();
    let wanted = Wanted { path: &path, kind: KIND, newest: MIGRATIONS.len() as i64 };
    if let Opened::Usable(connection) = open(&wanted, report)
        && let Err(error) = check_usage(&connection, report)
    {
        failed(&path, &error, report);
    }
}

fn check_usage(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let records: i64 = connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0))?;
    report.counts.records = records.unsigned_abs();
    let sql = "SELECT DISTINCT namespace FROM (
            SELECT namespace, records, bytes FROM usage
            UNION ALL SELECT namespace, count(*), sum(text_bytes) FROM records GROUP BY namespace)
        GROUP BY namespace, records, bytes HAVING count(*) <> 2";
    let mut statement = connection.prepare(sql)?;
    for namespace in statement.query_map([], |row| row.get::<_, String>(0))? {
        let message = format!("the size of the log of namespace `{}` is counted wrong", namespace?);
        report.add(ProblemKind::UsageWrong, message);
    }
    Ok(())
}
