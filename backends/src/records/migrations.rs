//! The schema of the log. Times are nanoseconds since 1970.

use crate::sql::schema::Migrations;

pub(crate) const MIGRATIONS: &Migrations = &[RECORDS_GAPS_USAGE, RECEIPTS];

const RECEIPTS: &[&str] = &[
    // The receipt itself is its JSON form: what was signed comes out as it went in.
    "CREATE TABLE receipts (
        position INTEGER PRIMARY KEY,
        namespace TEXT NOT NULL,
        function TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        request_id TEXT NOT NULL,
        at_second INTEGER NOT NULL,
        json TEXT NOT NULL,
        UNIQUE (namespace, function, sequence)
    ) STRICT",
    "CREATE INDEX receipts_by_request ON receipts (request_id)",
    "CREATE INDEX receipts_by_time ON receipts (namespace, at_second)",
    // The end of each chain outlives its receipts.
    "CREATE TABLE receipt_tails (
        namespace TEXT NOT NULL,
        function TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (namespace, function)
    ) STRICT, WITHOUT ROWID",
];

const RECORDS_GAPS_USAGE: &[&str] = &[
    // `position` is never reused, so that whoever follows the log misses nothing after everything was pruned.
    // `level` is the highest of the record's lines, -1 without lines.
    "CREATE TABLE records (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        namespace TEXT NOT NULL,
        function TEXT NOT NULL,
        version INTEGER NOT NULL,
        request_id TEXT NOT NULL,
        client_request_id TEXT,
        trace_id TEXT,
        trigger TEXT NOT NULL,
        caller_wallet TEXT,
        input_bytes INTEGER NOT NULL,
        output_bytes INTEGER NOT NULL,
        started_at INTEGER NOT NULL,
        duration_us INTEGER NOT NULL,
        cpu_us INTEGER NOT NULL,
        memory_peak_bytes INTEGER NOT NULL,
        status TEXT NOT NULL,
        error_code TEXT,
        error_message TEXT,
        attempts TEXT,
        logs TEXT,
        level INTEGER NOT NULL,
        text_bytes INTEGER NOT NULL
    ) STRICT",
    // Each index ends with the position, so a query by function reads its newest records in order.
    "CREATE INDEX records_by_namespace ON records (namespace)",
    "CREATE INDEX records_by_function ON records (namespace, function)",
    "CREATE INDEX records_by_time ON records (namespace, started_at)",
    "CREATE INDEX records_by_request ON records (request_id)",
    "CREATE TABLE gaps (
        id INTEGER PRIMARY KEY,
        namespace TEXT NOT NULL,
        from_at INTEGER NOT NULL,
        until_at INTEGER NOT NULL,
        calls INTEGER NOT NULL
    ) STRICT",
    "CREATE INDEX gaps_by_namespace ON gaps (namespace)",
    // What each namespace has in `records`, kept up to date by whoever inserts or deletes there.
    "CREATE TABLE usage (
        namespace TEXT PRIMARY KEY,
        records INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
];
