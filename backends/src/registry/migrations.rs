//! The schema of the control plane. Times are nanoseconds since 1970.

use crate::sql::schema::Migrations;

pub(crate) const MIGRATIONS: &Migrations = &[
    FUNCTIONS_KEYS_REPLIES,
    NAMESPACES_IDENTITIES_SECRETS_CONTENTS,
    DEVICES_INBOX,
    TRIGGERS_DELIVERIES,
    JOBS,
    CHAIN_CODES,
    DOMAINS,
];

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

const NAMESPACES_IDENTITIES_SECRETS_CONTENTS: &[&str] = &[
    // `owned_bytes` is the sum over `contents`, kept by the triggers below, so that a quota costs the same however much is owned.
    "CREATE TABLE namespaces (
        name TEXT PRIMARY KEY,
        created_at INTEGER NOT NULL,
        created_by TEXT NOT NULL,
        settings TEXT NOT NULL CHECK (json_valid(settings)),
        ending INTEGER NOT NULL CHECK (ending IN (0, 1)),
        owned_bytes INTEGER NOT NULL DEFAULT 0 CHECK (owned_bytes >= 0)
    ) STRICT",
    // Whatever was there before namespaces were kept goes on living in one; `default` is always there.
    "INSERT INTO namespaces (name, created_at, created_by, settings, ending)
        SELECT name, coalesce(min(since), unixepoch() * 1000000000), 'node', '{}', 0 FROM (
            SELECT 'default' AS name, NULL AS since
            UNION ALL SELECT namespace, updated_at FROM functions
            UNION ALL SELECT namespace, created_at FROM function_versions
            UNION ALL SELECT namespace, created_at FROM api_keys)
        GROUP BY name",
    "CREATE TABLE owners (
        namespace TEXT NOT NULL REFERENCES namespaces (name),
        wallet TEXT NOT NULL,
        scopes TEXT NOT NULL CHECK (json_valid(scopes)),
        added_at INTEGER NOT NULL,
        PRIMARY KEY (namespace, wallet)
    ) STRICT, WITHOUT ROWID",
    "ALTER TABLE api_keys ADD COLUMN expires_at INTEGER",
    "ALTER TABLE api_keys ADD COLUMN last_used_at INTEGER",
    "ALTER TABLE api_keys ADD COLUMN wallet TEXT",
    "ALTER TABLE api_keys ADD COLUMN generation INTEGER
        CHECK ((generation IS NULL) = (wallet IS NULL) AND generation >= 0)",
    "CREATE INDEX api_keys_by_namespace ON api_keys (namespace)",
    "CREATE UNIQUE INDEX api_keys_by_wallet ON api_keys (namespace, wallet, generation) WHERE wallet IS NOT NULL",
    "CREATE TABLE nonces (
        hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
        expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX nonces_by_time ON nonces (expires_at)",
    // One row for each sign-in.
    "CREATE TABLE refresh_families (
        id TEXT PRIMARY KEY,
        namespace TEXT NOT NULL REFERENCES namespaces (name),
        subject TEXT NOT NULL,
        revoked_at INTEGER
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX refresh_families_by_subject ON refresh_families (namespace, subject)",
    "CREATE INDEX refresh_families_revoked ON refresh_families (revoked_at) WHERE revoked_at IS NOT NULL",
    // A token that was used stays until it expires: whoever presents it again has stolen it, or was stolen from. The foreign key
    // is checked at commit, so that families can be forgotten while it is still known which of their tokens expired.
    "CREATE TABLE refresh_tokens (
        hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
        family TEXT NOT NULL REFERENCES refresh_families (id) DEFERRABLE INITIALLY DEFERRED,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        used INTEGER NOT NULL CHECK (used IN (0, 1))
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family)",
    "CREATE INDEX refresh_tokens_by_time ON refresh_tokens (expires_at)",
    "CREATE VIEW unrevoked_tokens AS
        SELECT t.hash, t.family, f.namespace, f.subject, t.created_at, t.expires_at, t.used
        FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family
        WHERE f.revoked_at IS NULL",
    "CREATE TABLE claims (
        namespace TEXT NOT NULL REFERENCES namespaces (name),
        wallet TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (namespace, wallet, key)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE signing_keys (
        id TEXT PRIMARY KEY,
        master TEXT NOT NULL,
        sealed BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        retired_at INTEGER
    ) STRICT",
    "CREATE TABLE apps (
        id TEXT PRIMARY KEY,
        namespace TEXT NOT NULL REFERENCES namespaces (name),
        name TEXT NOT NULL,
        wallet TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT",
    "CREATE INDEX apps_by_namespace ON apps (namespace)",
    "CREATE TABLE data_keys (
        id TEXT PRIMARY KEY,
        namespace TEXT NOT NULL REFERENCES namespaces (name),
        master TEXT NOT NULL,
        sealed BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        UNIQUE (namespace, id)
    ) STRICT",
    // A secret is sealed with a key of its own namespace.
    "CREATE TABLE secrets (
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        data_key TEXT NOT NULL,
        sealed BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (namespace, name),
        FOREIGN KEY (namespace, data_key) REFERENCES data_keys (namespace, id)
    ) STRICT",
    "CREATE INDEX secrets_by_data_key ON secrets (namespace, data_key)",
    "CREATE TABLE contents (
        namespace TEXT NOT NULL REFERENCES namespaces (name),
        cid TEXT NOT NULL,
        name TEXT NOT NULL,
        bytes INTEGER NOT NULL CHECK (bytes >= 0),
        pinned INTEGER NOT NULL CHECK (pinned IN (0, 1)),
        created_at INTEGER NOT NULL,
        PRIMARY KEY (namespace, cid)
    ) STRICT",
    "CREATE INDEX contents_by_time ON contents (namespace, created_at, cid)",
    "CREATE INDEX contents_unpinned ON contents (created_at) WHERE pinned = 0",
    "CREATE INDEX contents_by_cid ON contents (cid)",
    "CREATE TRIGGER contents_owned AFTER INSERT ON contents BEGIN
        UPDATE namespaces SET owned_bytes = owned_bytes + NEW.bytes WHERE name = NEW.namespace;
    END",
    "CREATE TRIGGER contents_disowned AFTER DELETE ON contents BEGIN
        UPDATE namespaces SET owned_bytes = owned_bytes - OLD.bytes WHERE name = OLD.namespace;
    END",
    // No foreign key: events outlive their namespace. A null namespace is the node.
    "CREATE TABLE audit (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        namespace TEXT,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        resource TEXT NOT NULL,
        ip TEXT NOT NULL,
        request_id TEXT NOT NULL,
        outcome TEXT NOT NULL
    ) STRICT",
    "CREATE INDEX audit_by_time ON audit (at)",
    "CREATE INDEX audit_by_namespace ON audit (namespace, at)",
];

const DEVICES_INBOX: &[&str] = &[
    "CREATE TABLE push_devices (
        namespace TEXT NOT NULL REFERENCES namespaces (name),
        id TEXT NOT NULL,
        owner TEXT NOT NULL,
        device_id TEXT NOT NULL,
        provider TEXT NOT NULL,
        token TEXT NOT NULL,
        platform TEXT,
        app_version TEXT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (namespace, id),
        UNIQUE (namespace, owner, device_id, provider)
    ) STRICT",
    "CREATE INDEX push_devices_by_token ON push_devices (namespace, provider, token)",
    "CREATE TABLE inbox (
        namespace TEXT NOT NULL REFERENCES namespaces (name),
        id TEXT NOT NULL,
        owner TEXT NOT NULL,
        message TEXT NOT NULL CHECK (json_valid(message)),
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (namespace, id)
    ) STRICT",
    "CREATE INDEX inbox_by_owner ON inbox (namespace, owner, id)",
    "CREATE INDEX inbox_by_time ON inbox (expires_at)",
];

const TRIGGERS_DELIVERIES: &[&str] = &[
    "CREATE TABLE triggers (
        id TEXT PRIMARY KEY,
        namespace TEXT NOT NULL,
        function TEXT NOT NULL,
        spec TEXT NOT NULL CHECK (json_valid(spec)),
        from_manifest INTEGER NOT NULL CHECK (from_manifest IN (0, 1)),
        enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
        created_at INTEGER NOT NULL,
        next_run_at INTEGER,
        last_run_at INTEGER,
        FOREIGN KEY (namespace, function) REFERENCES functions (namespace, name)
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX triggers_by_function ON triggers (namespace, function)",
    // What was deployed before triggers took effect has those of its active manifest. The ids are UUIDs, version 4.
    "INSERT INTO triggers (id, namespace, function, spec, from_manifest, enabled, created_at)
        SELECT printf('%s-%s-4%s-8%s-%s', lower(hex(randomblob(4))), lower(hex(randomblob(2))),
                substr(lower(hex(randomblob(2))), 2), substr(lower(hex(randomblob(2))), 2), lower(hex(randomblob(6)))),
            v.namespace, v.name, spec.value, 1, 1, f.updated_at
        FROM functions f
        JOIN function_versions v ON v.namespace = f.namespace AND v.name = f.name AND v.number = f.active
        JOIN json_each(v.manifest, '$.triggers') spec
        GROUP BY v.namespace, v.name, spec.value",
    // What calls are given; one row for all deliveries of an event.
    "CREATE TABLE events (
        id TEXT PRIMARY KEY,
        input BLOB NOT NULL
    ) STRICT",
    "CREATE TABLE deliveries (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        event TEXT NOT NULL REFERENCES events (id),
        namespace TEXT NOT NULL,
        function TEXT NOT NULL,
        version INTEGER,
        kind TEXT NOT NULL,
        trigger_id TEXT,
        bytes INTEGER NOT NULL,
        depth INTEGER NOT NULL,
        batch_max INTEGER NOT NULL,
        in_turn INTEGER NOT NULL CHECK (in_turn IN (0, 1)),
        due_at INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        begun INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        put_off INTEGER NOT NULL,
        running INTEGER NOT NULL CHECK (running IN (0, 1)),
        died_at INTEGER,
        why TEXT,
        FOREIGN KEY (namespace, function) REFERENCES functions (namespace, name)
    ) STRICT",
    "CREATE INDEX deliveries_by_lane ON deliveries (namespace, function, died_at, running, due_at, bytes)",
    "CREATE INDEX deliveries_by_trigger ON deliveries (trigger_id, seq) WHERE trigger_id IS NOT NULL",
    "CREATE INDEX deliveries_by_event ON deliveries (event)",
    "CREATE TRIGGER deliveries_gone AFTER DELETE ON deliveries BEGIN
        DELETE FROM events WHERE id = OLD.event AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = OLD.event);
    END",
];

const JOBS: &[&str] = &[
    // Without `completed_at` a job has not ended. The result stands last: lists do not read that far.
    "CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        namespace TEXT NOT NULL,
        function TEXT NOT NULL,
        version INTEGER,
        status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
        progress INTEGER NOT NULL CHECK (progress BETWEEN 0 AND 100),
        run_at INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        started_at INTEGER,
        completed_at INTEGER CHECK ((completed_at IS NULL) = (status IN ('pending', 'running'))),
        error TEXT,
        result_bytes INTEGER NOT NULL DEFAULT 0,
        result BLOB,
        FOREIGN KEY (namespace, function) REFERENCES functions (namespace, name)
    ) STRICT",
    "CREATE INDEX jobs_by_time ON jobs (namespace, created_at, id)",
    "CREATE INDEX jobs_by_function ON jobs (namespace, function, created_at, id)",
    "CREATE INDEX jobs_waiting ON jobs (namespace, status) WHERE completed_at IS NULL",
    "CREATE INDEX jobs_ended ON jobs (namespace, completed_at, id, result_bytes) WHERE completed_at IS NOT NULL",
];

const CHAIN_CODES: &[&str] = &[
    // Code that stood in a transaction. It belongs to nobody, and stays.
    "CREATE TABLE chain_codes (
        tx BLOB PRIMARY KEY CHECK (length(tx) = 32),
        code TEXT NOT NULL,
        code_bytes INTEGER NOT NULL,
        added_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
];

const DOMAINS: &[&str] = &[
    // Claims; at most one of a domain was proved, which removes the others.
    "CREATE TABLE domains (
        domain TEXT NOT NULL,
        namespace TEXT NOT NULL,
        function TEXT NOT NULL,
        token TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        verified_at INTEGER,
        PRIMARY KEY (domain, namespace)
    ) STRICT, WITHOUT ROWID",
];
