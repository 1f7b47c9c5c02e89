//! The schema of the control plane. Times are nanoseconds since 1970.

use crate::sql::schema::Migrations;

pub(crate) const MIGRATIONS: &Migrations = &[FUNCTIONS_KEYS_REPLIES];

const FUNCTIONS_KEYS_REPLIES: &[&str] = &[
    // A deleted function keeps its row with no active version, so that its numbers are never used again.
    // The foreign key is checked at commit: whatever a transaction does, an active version exists.
    "CREATE TABLE functions (
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        last_number INTEGER NOT NULL CHECK (last_number BETWEEN 1 AND 4294967295),
        active INTEGER,
        enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (namespace, name),
        FOREIGN KEY (namespace, name, active) REFERENCES function_versions (namespace, name, number)
            DEFERRABLE INITIALLY DEFERRED
    ) STRICT",
    "CREATE TABLE function_versions (
        id TEXT PRIMARY KEY,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        number INTEGER NOT NULL CHECK (number >= 1),
        code TEXT NOT NULL,
        code_bytes INTEGER NOT NULL,
        manifest TEXT NOT NULL CHECK (json_valid(manifest)),
        created_at INTEGER NOT NULL,
        created_by TEXT NOT NULL,
        UNIQUE (namespace, name, number),
        FOREIGN KEY (namespace, name) REFERENCES functions (namespace, name)
    ) STRICT",
    "CREATE TABLE api_keys (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        namespace TEXT NOT NULL,
        scopes TEXT NOT NULL CHECK (json_valid(scopes)),
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        created_at INTEGER NOT NULL,
        revoked_at INTEGER
    ) STRICT",
    // `outcome` is null while the call runs.
    "CREATE TABLE replies (
        namespace TEXT NOT NULL,
        function TEXT NOT NULL,
        caller TEXT NOT NULL,
        key TEXT NOT NULL,
        fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
        claimed_at INTEGER NOT NULL,
        outcome TEXT CHECK (outcome IS NULL OR json_valid(outcome)),
        body BLOB,
        PRIMARY KEY (namespace, function, caller, key)
    ) STRICT",
    "CREATE INDEX replies_by_time ON replies (claimed_at)",
];
