//! The statements for deliveries. `died_at IS NULL AND running = 0` is what waits.

use domain::{FunctionName, Namespace, Timestamp};
use ports::{Asked, Death, Delivery, DeliveryEnd};

use crate::registry::triggers::Slot;
use crate::registry::{json, limit};
use crate::sql::{Statement, Value};

/// The columns of a [`Delivery`] in the order in which they are read; the input lies with the event.
macro_rules! columns {
    () => {
        "seq, id, event, namespace, function, version, kind, trigger_id, (SELECT input FROM events WHERE events.id = event),
            bytes, depth, batch_max, in_turn, due_at, created_at, begun, failed, put_off, died_at, why"
    };
}

/// Every event once, and the deliveries of each; those of one event stand together. With a slot they are written only while it is
/// unclaimed.
pub(crate) fn enqueue(deliveries: &[Delivery], slot: Option<Slot<'_>>) -> Vec<Statement> {
    let mut batch = Vec::with_capacity(deliveries.len() * 3);
    for of_event in deliveries.chunk_by(|one, next| one.event == next.event) {
        let event = &of_event[0];
        let insert = "INSERT INTO events (id, input) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
        batch.push(Statement::new(insert, [event.event.as_str().into(), event.input.as_ref().into()]));
        batch.extend(of_event.iter().map(|delivery| insert_delivery(delivery, slot)));
        // When all of them were left out.
        let tidy = "DELETE FROM events WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = ?1)";
        batch.push(Statement::new(tidy, [event.event.as_str().into()]));
    }
    batch
}

/// Which of the statements of [`enqueue`] insert which delivery.
pub(super) fn places(deliveries: &[Delivery]) -> impl Iterator<Item = usize> {
    let mut place = 0;
    let mut event: Option<&str> = None;
    deliveries.iter().map(move |delivery| {
        place += match event {
            None => 1,
            Some(same) if same == delivery.event => 1,
            Some(_) => 3,
        };
        event = Some(&delivery.event);
        place
    })
}

fn insert_delivery(delivery: &Delivery, slot: Option<Slot<'_>>) -> Statement {
    let sql =
        "INSERT INTO deliveries (id, event, namespace, function, version, kind, trigger_id, bytes, depth, batch_max,
            in_turn, due_at, created_at, begun, failed, put_off, running)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0, 0, 0, 0
        FROM functions WHERE namespace = ?3 AND name = ?4 AND active IS NOT NULL
            AND (?14 IS NULL OR EXISTS (SELECT 1 FROM triggers
                WHERE namespace = ?3 AND id = ?14 AND enabled = 1 AND next_run_at = ?15))
        ON CONFLICT (id) DO NOTHING";
    let (trigger, slot) = slot.map_or((Value::Null, Value::Null), |slot| (slot.trigger.into(), slot.at.into()));
    let values = [
        delivery.id.as_str().into(),
        delivery.event.as_str().into(),
        delivery.namespace.as_str().into(),
        delivery.function.name.as_str().into(),
        delivery.function.version.map_or(Value::Null, |version| version.get().into()),
        delivery.kind.as_str().into(),
        delivery.trigger.as_deref().map_or(Value::Null, Value::from),
        delivery.bytes.into(),
        u32::from(delivery.depth).into(),
        delivery.batch_max.into(),
        delivery.in_turn.into(),
        delivery.due_at.into(),
        delivery.created_at.into(),
        trigger,
        slot,
    ];
    Statement::new(sql, values)
}

pub(super) fn end(id: &str, end: &DeliveryEnd) -> Statement {
    match end {
        DeliveryEnd::Done => Statement::new("DELETE FROM deliveries WHERE id = ?1", [id.into()]),
        DeliveryEnd::Later(at) => {
            let sql = "UPDATE deliveries SET running = 0, begun = 0, due_at = ?2, put_off = put_off + 1
                WHERE id = ?1 AND died_at IS NULL";
            Statement::new(sql, [id.into(), (*at).into()])
        }
        DeliveryEnd::Retry(at) => {
            let sql = "UPDATE deliveries SET running = 0, begun = 0, due_at = ?2, failed = failed + 1, put_off = 0
                WHERE id = ?1 AND died_at IS NULL";
            Statement::new(sql, [id.into(), (*at).into()])
        }
        DeliveryEnd::Dead(Death { at, why }) => {
            let sql = "UPDATE deliveries SET running = 0, begun = 0, died_at = ?2, why = ?3
                WHERE id = ?1 AND died_at IS NULL";
            Statement::new(sql, [id.into(), (*at).into(), why.as_str().into()])
        }
    }
}

pub(super) fn begin(asked: &Asked, now: Timestamp) -> Statement {
    let sql = concat!(
        "UPDATE deliveries SET running = 1, begun = begun + 1 WHERE seq IN
            (SELECT seq FROM deliveries d
            WHERE namespace = ?1 AND function = ?2 AND died_at IS NULL AND running = 0 AND due_at <= ?3
                AND (in_turn = 0 OR NOT EXISTS (SELECT 1 FROM deliveries other
                    WHERE other.trigger_id = d.trigger_id AND other.namespace = d.namespace AND other.died_at IS NULL
                        AND other.seq <> d.seq AND (other.running = 1 OR other.seq < d.seq)))
            ORDER BY due_at, seq LIMIT ?4)
        RETURNING ",
        columns!()
    );
    let Asked { namespace, function, limit: most } = asked;
    Statement::new(sql, [namespace.as_str().into(), function.as_str().into(), now.into(), limit(*most)])
}

pub(super) fn next_due(asked: &Asked) -> Statement {
    let sql = "SELECT min(due_at) FROM deliveries
        WHERE namespace = ?1 AND function = ?2 AND died_at IS NULL AND running = 0";
    Statement::new(sql, [asked.namespace.as_str().into(), asked.function.as_str().into()])
}

pub(super) fn begin_companions(namespace: &Namespace, trigger: &str, most: usize) -> Statement {
    let sql = concat!(
        "UPDATE deliveries SET running = 1, begun = begun + 1 WHERE seq IN
            (SELECT seq FROM deliveries
            WHERE namespace = ?1 AND trigger_id = ?2 AND died_at IS NULL AND running = 0 AND batch_max > 0
            ORDER BY due_at, seq LIMIT ?3)
        RETURNING ",
        columns!()
    );
    Statement::new(sql, [namespace.as_str().into(), trigger.into(), limit(most)])
}

pub(super) fn release() -> Statement {
    Statement::new("UPDATE deliveries SET running = 0 WHERE running = 1 AND died_at IS NULL", [])
}

pub(super) fn hasten(now: Timestamp, latest: Timestamp) -> Statement {
    let sql = "UPDATE deliveries SET due_at = iif(failed + put_off = 0, ?1, ?2)
        WHERE due_at > iif(failed + put_off = 0, ?1, ?2) AND died_at IS NULL AND running = 0
            AND kind <> 'timer'";
    Statement::new(sql, [now.into(), latest.into()])
}

pub(super) fn lanes(namespace: Option<&Namespace>) -> Statement {
    match namespace {
        None => {
            let sql = "SELECT namespace, function, min(CASE running WHEN 0 THEN due_at END), count(*), sum(bytes)
                FROM deliveries WHERE died_at IS NULL GROUP BY namespace, function";
            Statement::new(sql, [])
        }
        Some(namespace) => {
            let sql = "SELECT namespace, function, min(CASE running WHEN 0 THEN due_at END), count(*), sum(bytes)
                FROM deliveries WHERE died_at IS NULL AND namespace = ?1 GROUP BY namespace, function";
            Statement::new(sql, [namespace.as_str().into()])
        }
    }
}

pub(super) fn owed_by(namespace: &Namespace, trigger: &str) -> Statement {
    let sql = "SELECT count(*) FROM deliveries WHERE namespace = ?1 AND trigger_id = ?2 AND died_at IS NULL";
    Statement::new(sql, [namespace.as_str().into(), trigger.into()])
}

pub(super) fn withdraw(namespace: &Namespace, id: &str) -> Statement {
    let sql = "DELETE FROM deliveries WHERE namespace = ?1 AND id = ?2 AND died_at IS NULL AND running = 0";
    Statement::new(sql, [namespace.as_str().into(), id.into()])
}

/// Behind a delivery that is not dead, or of another function, there is nothing.
pub(super) fn dead(namespace: &Namespace, function: &FunctionName, after: Option<&str>, most: usize) -> Statement {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM deliveries WHERE namespace = ?1 AND function = ?2 AND died_at > 0
            AND (?3 IS NULL OR (died_at, id) < (SELECT died_at, id FROM deliveries
                WHERE id = ?3 AND namespace = ?1 AND function = ?2))
        ORDER BY died_at DESC, id DESC LIMIT ?4"
    );
    let after = after.map_or(Value::Null, Value::from);
    Statement::new(sql, [namespace.as_str().into(), function.as_str().into(), after, limit(most)])
}

pub(super) fn redrive(
    namespace: &Namespace,
    function: &FunctionName,
    ids: Option<&[String]>,
    now: Timestamp,
) -> Statement {
    let sql = "UPDATE deliveries
        SET died_at = NULL, why = NULL, running = 0, begun = 0, failed = 0, put_off = 0, due_at = ?4
        WHERE namespace = ?1 AND function = ?2 AND died_at > 0
            AND (?3 IS NULL OR id IN (SELECT value FROM json_each(?3)))";
    Statement::new(sql, [namespace.as_str().into(), function.as_str().into(), list(ids), now.into()])
}

pub(super) fn delete_dead(namespace: &Namespace, function: &FunctionName, ids: Option<&[String]>) -> Statement {
    let sql = "DELETE FROM deliveries
        WHERE namespace = ?1 AND function = ?2 AND died_at > 0
            AND (?3 IS NULL OR id IN (SELECT value FROM json_each(?3)))";
    Statement::new(sql, [namespace.as_str().into(), function.as_str().into(), list(ids)])
}

pub(super) fn expire_dead(before: Timestamp, count_max: u64, bytes_max: u64) -> Statement {
    let sql = "DELETE FROM deliveries WHERE seq IN
        (SELECT seq FROM
            (SELECT seq, died_at, count(*) OVER newest AS place, sum(bytes) OVER newest AS used
            FROM deliveries WHERE died_at IS NOT NULL
            WINDOW newest AS (PARTITION BY namespace ORDER BY died_at DESC, id DESC ROWS UNBOUNDED PRECEDING))
        WHERE died_at < ?1 OR place > ?2 OR used > ?3)";
    Statement::new(sql, [before.into(), count_max.into(), bytes_max.into()])
}

fn list(ids: Option<&[String]>) -> Value {
    ids.map_or(Value::Null, |ids| json(&ids).into())
}
