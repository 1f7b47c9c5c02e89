//! The statements for functions, versions and replies.

use domain::{FunctionName, Namespace, Timestamp, VersionNumber};
use ports::{Claim, NewVersion, StoredOutcome};

use super::rows;
use crate::registry::json;
use crate::sql::{Statement, Value};

pub(super) fn load_functions() -> Statement {
    let sql = "SELECT f.namespace, f.name, f.active, f.enabled, f.updated_at,
            v.id, v.number, v.code, v.code_bytes, v.manifest, v.created_at, v.created_by
        FROM functions f JOIN function_versions v ON v.namespace = f.namespace AND v.name = f.name
        WHERE f.active IS NOT NULL
        ORDER BY f.namespace, f.name, v.number";
    Statement::new(sql, [])
}

/// Creates the function, or takes its next number; a function that was deleted comes back enabled. No row when its namespace does
/// not live.
pub(super) fn next_number(new: &NewVersion) -> Statement {
    let sql = "INSERT INTO functions (namespace, name, last_number, active, enabled, updated_at)
        SELECT ?1, ?2, 1, 1, 1, ?3 FROM namespaces WHERE name = ?1 AND ending = 0
        ON CONFLICT (namespace, name) DO UPDATE SET
            last_number = last_number + 1,
            active = last_number + 1,
            enabled = CASE WHEN active IS NULL THEN 1 ELSE enabled END,
            updated_at = excluded.updated_at
        RETURNING last_number";
    Statement::new(sql, [new.namespace.as_str().into(), new.manifest.name.as_str().into(), new.created_at.into()])
}

/// Stores the version under the number that [`next_number`] has just taken; a namespace that does not live has no functions.
pub(super) fn insert_version(new: &NewVersion) -> Statement {
    let sql = "INSERT INTO function_versions
            (id, namespace, name, number, code, code_bytes, manifest, created_at, created_by)
        SELECT ?1, namespace, name, last_number, ?4, ?5, ?6, ?7, ?8
        FROM functions WHERE namespace = ?2 AND name = ?3";
    let values = [
        new.id.as_str().into(),
        new.namespace.as_str().into(),
        new.manifest.name.as_str().into(),
        new.code.to_string().into(),
        new.code_bytes.into(),
        json(&new.manifest).into(),
        new.created_at.into(),
        new.created_by.as_str().into(),
    ];
    Statement::new(sql, values)
}

pub(super) fn activate(
    namespace: &Namespace,
    name: &FunctionName,
    version: VersionNumber,
    now: Timestamp,
) -> Statement {
    let sql = "UPDATE functions SET active = ?3, updated_at = ?4
        WHERE namespace = ?1 AND name = ?2 AND EXISTS
            (SELECT 1 FROM function_versions WHERE namespace = ?1 AND name = ?2 AND number = ?3)";
    Statement::new(sql, [namespace.as_str().into(), name.as_str().into(), version.get().into(), now.into()])
}

pub(super) fn set_enabled(namespace: &Namespace, name: &FunctionName, enabled: bool, now: Timestamp) -> Statement {
    let sql = "UPDATE functions SET enabled = ?3, updated_at = ?4
        WHERE namespace = ?1 AND name = ?2 AND active IS NOT NULL";
    Statement::new(sql, [namespace.as_str().into(), name.as_str().into(), enabled.into(), now.into()])
}

/// One row if the version exists: is it the active one of several, and must therefore stay?
pub(super) fn must_stay(namespace: &Namespace, name: &FunctionName, version: VersionNumber) -> Statement {
    let sql = "SELECT f.active = ?3 AND EXISTS
            (SELECT 1 FROM function_versions WHERE namespace = ?1 AND name = ?2 AND number <> ?3)
        FROM functions f JOIN function_versions v ON v.namespace = f.namespace AND v.name = f.name
        WHERE f.namespace = ?1 AND f.name = ?2 AND v.number = ?3";
    Statement::new(sql, [namespace.as_str().into(), name.as_str().into(), version.get().into()])
}

pub(super) fn delete_version(namespace: &Namespace, name: &FunctionName, version: VersionNumber) -> Statement {
    let sql = "DELETE FROM function_versions
        WHERE namespace = ?1 AND name = ?2 AND number = ?3
            AND (number <> (SELECT active FROM functions WHERE namespace = ?1 AND name = ?2)
                OR NOT EXISTS (SELECT 1 FROM function_versions WHERE namespace = ?1 AND name = ?2 AND number <> ?3))";
    Statement::new(sql, [namespace.as_str().into(), name.as_str().into(), version.get().into()])
}

/// Right behind [`delete_version`]: notes the change, if there was one, and lets the last version take the function along.
pub(super) fn after_delete(namespace: &Namespace, name: &FunctionName, now: Timestamp) -> Statement {
    let sql = "UPDATE functions SET
            updated_at = ?3,
            active = CASE WHEN EXISTS
                (SELECT 1 FROM function_versions WHERE namespace = ?1 AND name = ?2) THEN active END
        WHERE namespace = ?1 AND name = ?2 AND changes() > 0";
    Statement::new(sql, [namespace.as_str().into(), name.as_str().into(), now.into()])
}

pub(super) fn mark_deleted(namespace: &Namespace, name: &FunctionName, now: Timestamp) -> Statement {
    let sql = "UPDATE functions SET active = NULL, updated_at = ?3
        WHERE namespace = ?1 AND name = ?2 AND active IS NOT NULL";
    Statement::new(sql, [namespace.as_str().into(), name.as_str().into(), now.into()])
}

pub(super) fn delete_versions(namespace: &Namespace, name: &FunctionName) -> Statement {
    let sql = "DELETE FROM function_versions WHERE namespace = ?1 AND name = ?2";
    Statement::new(sql, [namespace.as_str().into(), name.as_str().into()])
}

pub(super) fn claim(claim: &Claim) -> Statement {
    let sql = "INSERT INTO replies (namespace, function, caller, key, fingerprint, claimed_at)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6 FROM namespaces WHERE name = ?1 AND ending = 0
        ON CONFLICT (namespace, function, caller, key) DO NOTHING";
    let [namespace, function, caller, key] = reply_key(claim);
    Statement::new(sql, [namespace, function, caller, key, claim.fingerprint.as_slice().into(), claim.at.into()])
}

pub(super) fn load_reply(claim: &Claim) -> Statement {
    let sql = "SELECT fingerprint, outcome, body FROM replies
        WHERE namespace = ?1 AND function = ?2 AND caller = ?3 AND key = ?4";
    Statement::new(sql, reply_key(claim))
}

pub(super) fn store_reply(claim: &Claim, outcome: &StoredOutcome) -> Statement {
    let sql = "INSERT INTO replies (namespace, function, caller, key, fingerprint, claimed_at, outcome, body)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM namespaces WHERE name = ?1 AND ending = 0
        ON CONFLICT (namespace, function, caller, key) DO UPDATE SET
            fingerprint = excluded.fingerprint,
            claimed_at = excluded.claimed_at,
            outcome = excluded.outcome,
            body = excluded.body";
    let [namespace, function, caller, key] = reply_key(claim);
    let values = [
        namespace,
        function,
        caller,
        key,
        claim.fingerprint.as_slice().into(),
        claim.at.into(),
        rows::outcome_json(outcome).into(),
        outcome.body.as_ref().into(),
    ];
    Statement::new(sql, values)
}

pub(super) fn release_reply(claim: &Claim) -> Statement {
    let sql = "DELETE FROM replies WHERE namespace = ?1 AND function = ?2 AND caller = ?3 AND key = ?4";
    Statement::new(sql, reply_key(claim))
}

pub(super) fn expire_replies(before: Timestamp) -> Statement {
    Statement::new("DELETE FROM replies WHERE claimed_at < ?1", [before.into()])
}

pub(super) fn release_unfinished() -> Statement {
    Statement::new("DELETE FROM replies WHERE outcome IS NULL", [])
}

fn reply_key(claim: &Claim) -> [Value; 4] {
    [
        claim.namespace.as_str().into(),
        claim.function.as_str().into(),
        claim.caller.as_str().into(),
        claim.key.as_str().into(),
    ]
}
