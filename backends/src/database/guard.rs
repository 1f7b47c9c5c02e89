//! What the SQL of a tenant may do: asked by SQLite while it prepares a statement, and again and again while it runs.
//!
//! Two hooks share a [`Watch`] with the code that runs statements. The authorizer sees every table, function and pragma that
//! a statement touches, in whatever quoting and through whatever view or trigger, and refuses with a text of its own. The
//! progress handler is asked every few steps whether the statement may go on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::{Action, AuthAction, AuthContext, Authorization};

use super::spill::{self, Meter};
use super::text::Verb;
use super::turns::Place;
use super::{changes, functions};

/// Our own tables begin with this, in any case; tenants may not touch them, nor make such names.
const RESERVED_PREFIX: &str = "_orama";
/// The one table of ours that tenants may read.
pub(super) const MIGRATIONS_TABLE: &str = "_orama_migrations";

/// Pragmas that only read, and only the schema.
const PRAGMAS: [&str; 11] = [
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
    "collation_list",
];

/// Virtual tables that exist without being created, and show more than the rows of the tenant.
const HIDDEN_TABLES: [&str; 7] =
    ["bytecode", "dbstat", "fts3tokenize", "fts5vocab", "sqlite_dbpage", "sqlite_stmt", "tables_used"];

/// Steps between two questions of the progress handler.
const FULL_STEPS: i32 = 250;
const FAST_STEPS: i32 = 16;
/// How far a statement may go on the thread of its caller: steps and time.
const FAST_STEPS_MAX: i32 = 2_000;
const FAST_TIME: Duration = Duration::from_micros(500);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Short reads on the thread of the caller: whatever could take long in one step is refused, to be run elsewhere.
    Fast,
    /// Everything that is allowed at all.
    Full,
}

/// Whose statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Our own: nothing is refused and nothing stops it.
    Ours,
    Tenant,
    /// A script of the tenant, which may also set the counters of `AUTOINCREMENT`, as a dump does.
    Script,
}

/// Why a statement was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    Deadline,
    /// The database is being closed for good.
    Closing,
    /// It has written too much to temporary files.
    Spilled,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    verb: Verb,
    deadline: Instant,
    meter: Meter,
    /// Steps that a fast statement has left.
    steps: i32,
    stopped: Option<Stopped>,
    refusal: Option<String>,
}

/// What the hooks of a connection and the code that runs its statements tell each other; all on one thread at a time.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
    /// Has the statement inserted a row into a table with row ids?
    inserted: AtomicBool,
    /// Has a trigger of ours noted a change, since it was last asked?
    noted: AtomicBool,
    closing: Arc<AtomicBool>,
    /// The largest size of the database, in bytes.
    limit: Arc<AtomicU64>,
    /// Set if statements on this connection take turns with those of others.
    place: OnceLock<Place>,
}

impl Watch {
    /// Watches `connection` from now on.
    pub(super) fn install(
        connection: &mut Connection,
        kind: Kind,
        closing: Arc<AtomicBool>,
        limit: Arc<AtomicU64>,
    ) -> rusqlite::Result<Arc<Self>> {
        let state = State {
            mode: Mode::Ours,
            verb: Verb::Nothing,
            deadline: Instant::now(),
            meter: Meter::begin(),
            steps: 0,
            stopped: None,
            refusal: None,
        };
        let (state, inserted, noted) = (Mutex::new(state), AtomicBool::new(false), AtomicBool::new(false));
        let watch = Arc::new(Self { state, inserted, noted, closing, limit, place: OnceLock::new() });
        let authorizer = watch.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| authorizer.authorize(kind, &context)))?;
        let progress = watch.clone();
        let steps = if kind == Kind::Fast { FAST_STEPS } else { FULL_STEPS };
        connection.progress_handler(steps, Some(move || progress.must_stop(kind)))?;
        let update = watch.clone();
        connection.update_hook(Some(move |action: Action, _: &str, table: &str, _: i64| {
            if action == Action::SQLITE_INSERT {
                let flag = if table == changes::OUTBOX_TABLE { &update.noted } else { &update.inserted };
                flag.store(true, Ordering::Relaxed);
            }
        }))?;
        Ok(watch)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// From now until the answer is dropped, a statement of somebody else runs.
    pub(super) fn enter(&self, mode: Mode, verb: Verb, deadline: Instant) -> Entered<'_> {
        self.inserted.store(false, Ordering::Relaxed);
        let meter = Meter::begin();
        *self.state() = State { mode, verb, deadline, meter, steps: FAST_STEPS_MAX, stopped: None, refusal: None };
        Entered(self)
    }

    /// The same on the thread of the caller.
    pub(super) fn enter_fast(&self, verb: Verb, deadline: Instant) -> Entered<'_> {
        self.enter(Mode::Tenant, verb, deadline.min(Instant::now() + FAST_TIME))
    }

    /// From now on statements of tenants take turns, once [`Self::await_turn`] has been asked.
    pub(super) fn take_turns(&self, place: Place) {
        // A connection is given its place when it is made, once.
        let _ = self.place.set(place);
    }

    /// Waits until the statement that was entered may begin.
    pub(super) fn await_turn(&self) -> Result<(), Stopped> {
        let deadline = self.state().deadline;
        self.place.get().map_or(Ok(()), |place| place.take(deadline))
    }

    pub(super) fn inserted(&self) -> bool {
        self.inserted.load(Ordering::Relaxed)
    }

    pub(super) fn has_noted(&self) -> bool {
        self.noted.load(Ordering::Relaxed)
    }

    /// Forgets that a change was noted.
    pub(super) fn take_noted(&self) -> bool {
        self.noted.swap(false, Ordering::Relaxed)
    }

    pub(super) fn stopped(&self) -> Option<Stopped> {
        self.state().stopped
    }

    /// Why the authorizer refused, in words.
    pub(super) fn refusal(&self) -> Option<String> {
        self.state().refusal.take()
    }

    fn authorize(&self, kind: Kind, context: &AuthContext<'_>) -> Authorization {
        let mut state = self.state();
        match judge(state.mode, state.verb, context) {
            Verdict::Allow => Authorization::Allow,
            Verdict::Costly if kind == Kind::Full => Authorization::Allow,
            Verdict::Costly => Authorization::Deny,
            Verdict::Deny(refusal) => {
                // SQLite may go on and meet the next refusal; the first is the one to name.
                state.refusal.get_or_insert(refusal);
                Authorization::Deny
            }
        }
    }

    fn must_stop(&self, kind: Kind) -> bool {
        let (stopped, deadline) = {
            let mut state = self.state();
            if state.mode == Mode::Ours {
                return false;
            }
            (self.verdict(kind, &mut state), state.deadline)
        };
        let stopped = stopped.or_else(|| self.place.get()?.pass_on(deadline).err());
        self.state().stopped = stopped;
        stopped.is_some()
    }

    /// Only those that read have a place.
    fn spill_bytes_max(&self) -> u64 {
        match self.place.get() {
            Some(_) => spill::SPILL_BYTES_MAX,
            None => spill::of_writer(self.limit.load(Ordering::Relaxed)),
        }
    }

    fn verdict(&self, kind: Kind, state: &mut State) -> Option<Stopped> {
        state.steps = state.steps.saturating_sub(FAST_STEPS);
        let now = Instant::now();
        match () {
            () if self.closing.load(Ordering::Relaxed) => Some(Stopped::Closing),
            () if kind == Kind::Fast && state.steps < 0 => Some(Stopped::Deadline),
            () if now >= state.deadline => Some(Stopped::Deadline),
            () if state.meter.is_over(now, self.spill_bytes_max()) => Some(Stopped::Spilled),
            () => None,
        }
    }
}

/// While this lives, the rules for tenants hold; then everything is ours again.
pub(super) struct Entered<'a>(&'a Watch);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.state().mode = Mode::Ours;
        if let Some(place) = self.0.place.get() {
            place.give_back();
        }
    }
}

enum Verdict {
    Allow,
    /// Allowed, but one step of it can take long.
    Costly,
    Deny(String),
}

fn deny(what: impl Into<String>) -> Verdict {
    Verdict::Deny(what.into())
}

fn judge(mode: Mode, verb: Verb, context: &AuthContext<'_>) -> Verdict {
    use AuthAction as A;
    if mode == Mode::Ours {
        return Verdict::Allow;
    }
    if context.database_name == Some("temp") && !matches!(context.action, A::Read { .. } | A::Update { .. }) {
        // `CREATE TABLE temp.t` says nothing of temporary tables. SQLite reads and updates this schema when it renames.
        return deny(TEMPORARY_REFUSAL);
    }
    match context.action {
        A::Select | A::Recursive | A::Reindex { .. } | A::Analyze { .. } => Verdict::Allow,
        A::Read { table_name, .. } => judge_read(table_name),
        A::Insert { table_name: changes::OUTBOX_TABLE } if is_ours(context.accessor) => Verdict::Allow,
        A::Insert { table_name } | A::Delete { table_name } | A::Update { table_name, .. } => {
            judge_write(mode, verb, context.accessor, table_name)
        }
        A::CreateTable { table_name: name } | A::DropTable { table_name: name } if is_system(name) => {
            if verb.is_schema() { Verdict::Allow } else { deny(format!("`{name}` is a table of SQLite itself")) }
        }
        A::CreateTable { table_name: a } | A::DropTable { table_name: a } | A::AlterTable { table_name: a, .. } => {
            judge_names(a, a)
        }
        A::CreateIndex { index_name: a, table_name: b } | A::DropIndex { index_name: a, table_name: b } => {
            judge_names(a, b)
        }
        A::CreateTrigger { trigger_name: a, table_name: b } | A::DropTrigger { trigger_name: a, table_name: b } => {
            judge_names(a, b)
        }
        A::CreateView { view_name: a } | A::DropView { view_name: a } => judge_names(a, a),
        A::Function { function_name: changes::DEPTH_FUNCTION | changes::PART_FUNCTION | changes::ROW_FUNCTION }
            if is_ours(context.accessor) =>
        {
            Verdict::Allow
        }
        A::Function { function_name } => judge_function(verb, function_name),
        A::Pragma { pragma_name, .. } => judge_pragma(pragma_name),
        A::Transaction { .. } | A::Savepoint { .. } => deny(TRANSACTION_REFUSAL),
        A::Attach { .. } | A::Detach { .. } => deny(ATTACH_REFUSAL),
        A::CreateVtable { module_name, .. } | A::DropVtable { module_name, .. } => {
            deny(format!("virtual tables are not offered (`{module_name}`)"))
        }
        A::CreateTempIndex { .. } | A::CreateTempTable { .. } | A::CreateTempTrigger { .. } => deny(TEMPORARY_REFUSAL),
        A::CreateTempView { .. } | A::DropTempIndex { .. } | A::DropTempTable { .. } => deny(TEMPORARY_REFUSAL),
        A::DropTempTrigger { .. } | A::DropTempView { .. } => deny(TEMPORARY_REFUSAL),
        // Whatever a later SQLite may do is refused until somebody has thought about it.
        _ => deny("this kind of statement is not allowed"),
    }
}

/// Is it a trigger of ours that does this? A tenant can give this name to no trigger and no view, but to a common table
/// expression: what may be done under it must be harmless in a query.
fn is_ours(accessor: Option<&str>) -> bool {
    accessor.is_some_and(is_reserved)
}

pub(super) const TRANSACTION_REFUSAL: &str =
    "`BEGIN`, `COMMIT`, `ROLLBACK` and `SAVEPOINT` are not allowed; send the statements together as one transaction";
pub(super) const ATTACH_REFUSAL: &str = "`ATTACH` and `DETACH` are not allowed; a namespace has one database";
pub(super) const VACUUM_REFUSAL: &str = "`VACUUM` is not allowed; free space is used again without it";
const TEMPORARY_REFUSAL: &str =
    "temporary tables, views, indexes and triggers are not allowed; statements do not share a connection";

fn judge_read(table: &str) -> Verdict {
    let lower = table.to_ascii_lowercase();
    match lower.as_str() {
        "json_each" | "json_tree" | "jsonb_each" | "jsonb_tree" => Verdict::Costly,
        MIGRATIONS_TABLE => Verdict::Allow,
        _ if lower.starts_with(RESERVED_PREFIX) => deny(format!("`{table}` is kept for the platform")),
        _ if HIDDEN_TABLES.contains(&lower.as_str()) => deny(format!("reading `{table}` is not allowed")),
        _ => match lower.strip_prefix("pragma_") {
            Some(pragma) => judge_pragma(pragma),
            None => Verdict::Allow,
        },
    }
}

/// SQLite itself writes its tables for statements about the schema, and refuses to for all others but a few tables.
fn judge_write(mode: Mode, verb: Verb, accessor: Option<&str>, table: &str) -> Verdict {
    let is_sequence = table.eq_ignore_ascii_case("sqlite_sequence");
    match () {
        () if is_reserved(table) => deny(format!("`{table}` is kept for the platform")),
        () if !is_system(table) => Verdict::Allow,
        () if verb.is_schema() && accessor.is_none() => Verdict::Allow,
        () if mode == Mode::Script && is_sequence && accessor.is_none() => Verdict::Allow,
        () => deny(format!("`{table}` is a table of SQLite itself and cannot be written")),
    }
}

fn judge_names(name: &str, table: &str) -> Verdict {
    match [name, table].into_iter().find(|name| is_reserved(name)) {
        Some(name) => {
            deny(format!("names that begin with `{RESERVED_PREFIX}`, such as `{name}`, are kept for the platform"))
        }
        None => Verdict::Allow,
    }
}

fn judge_function(verb: Verb, function: &str) -> Verdict {
    // SQLite names most functions as they were defined, and `CURRENT_TIMESTAMP` as it was written.
    let known = function.to_ascii_lowercase();
    match () {
        () if functions::is_cheap(&known) => Verdict::Allow,
        () if functions::is_offered(&known) => Verdict::Costly,
        // SQLite rewrites the schema with functions of its own, which only its own statements can call.
        () if verb == Verb::Alter && function.starts_with("sqlite_") => Verdict::Allow,
        () => deny(format!("the function `{function}` is not offered")),
    }
}

fn judge_pragma(pragma: &str) -> Verdict {
    if PRAGMAS.iter().any(|known| pragma.eq_ignore_ascii_case(known)) {
        return Verdict::Costly;
    }
    deny(format!("`PRAGMA {pragma}` is not allowed; allowed are those that read the schema, such as `table_info`"))
}

pub(super) fn is_reserved(name: &str) -> bool {
    starts_with(name, RESERVED_PREFIX)
}

pub(super) fn is_system(name: &str) -> bool {
    starts_with(name, "sqlite_")
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}
