-- The control plane as schema 1 was released. It never changes: files of that schema must always open.
CREATE TABLE functions (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    last_number INTEGER NOT NULL CHECK (last_number BETWEEN 1 AND 4294967295),
    active INTEGER,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, name),
    FOREIGN KEY (namespace, name, active) REFERENCES function_versions (namespace, name, number)
        DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE TABLE function_versions (
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
) STRICT;
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    namespace TEXT NOT NULL,
    scopes TEXT NOT NULL CHECK (json_valid(scopes)),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE TABLE replies (
    namespace TEXT NOT NULL,
    function TEXT NOT NULL,
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    claimed_at INTEGER NOT NULL,
    outcome TEXT CHECK (outcome IS NULL OR json_valid(outcome)),
    body BLOB,
    PRIMARY KEY (namespace, function, caller, key)
) STRICT;
CREATE INDEX replies_by_time ON replies (claimed_at);
CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT;
INSERT INTO schema_migrations VALUES (1, 0);
PRAGMA application_id = 1332896083;

-- A function, a deleted function, a key and a running call, in namespaces that nobody ever made.
BEGIN;
INSERT INTO functions VALUES ('shop', 'hello', 2, 2, 1, 5000000000), ('gone', 'hello', 7, NULL, 1, 6000000000);
INSERT INTO function_versions VALUES ('v2', 'shop', 'hello', 2,
    'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku', 0,
    '{"name":"hello","public":false,"internal":false,"engine":"wasm","language":null,"build":[],"memory_mb":64,
      "timeout":{"secs":30,"nanos":0},"retry":{"count":0,"delay":{"secs":5,"nanos":0}},"dlq_topic":null,"env":{},
      "concurrency":100,"http":false,"reactor":false,"raw_http_response":false,
      "websocket":{"persistent":false,"idle_timeout":{"secs":0,"nanos":0},"frame_bytes_max":262144,"inflight_max":64,"auth":""},
      "triggers":[]}',
    4000000000, 'shop');
INSERT INTO api_keys VALUES ('k1', 'laptop', 'desk', '["admin"]', zeroblob(32), 3000000000, NULL);
INSERT INTO replies VALUES ('shop', 'hello', 'a', 'k', zeroblob(32), 1, NULL, NULL);
COMMIT;
