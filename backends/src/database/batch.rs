//! Group commit: the work that waits is done in one transaction, so that it shares one flush to the disk.
//!
//! Each piece has a savepoint of its own, so that a failure undoes that piece alone. Some failures make SQLite roll back
//! everything: `OR ROLLBACK`, `RAISE(ROLLBACK)`, a full disk, a write that is stopped. Then the batch is run again without the
//! offender. Nobody hears anything before the commit, so nobody notices. A piece that takes long is taken out in the same way
//! and done after the others, on its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ports::SqlError;
use rusqlite::ErrorCode;

use super::session::Session;
use super::work::{Manner, Work};
use super::{changes, error};

/// How long one piece may take while others of its batch wait.
const SLICE: Duration = Duration::from_millis(20);
/// After this time no further piece is begun in the same transaction.
const BATCH_TIME: Duration = Duration::from_millis(20);
/// How often a batch is run again before each piece of it gets a transaction of its own.
const REPLAYS_MAX: usize = 3;

pub(super) type Piece = Box<dyn Work>;

/// Does all of `pieces` and answers them.
pub(super) fn process(session: &Session, broken: &AtomicBool, pieces: Vec<Piece>) {
    let taken = pieces.into_iter().filter(|piece| piece.begin());
    let (mut late, mut group): (Vec<Piece>, Vec<Piece>) = taken.partition(|piece| piece.manner() != Manner::Shared);
    let mut batch = Batch { session, broken, late: Vec::new() };
    let mut replays = 0;
    while group.len() > 1 && replays < REPLAYS_MAX {
        group = match batch.attempt(group) {
            Attempt::Done { rest } => rest,
            Attempt::Again { rest } => {
                replays += 1;
                rest
            }
        };
    }
    group.append(&mut batch.late);
    group.append(&mut late);
    for piece in group {
        batch.alone(piece);
    }
}

enum Attempt {
    /// What ran is committed and answered; `rest` did not get its turn.
    Done { rest: Vec<Piece> },
    /// Everything was rolled back; `rest` must run again.
    Again { rest: Vec<Piece> },
}

struct Batch<'a> {
    session: &'a Session,
    broken: &'a AtomicBool,
    /// What is done after the others, on its own.
    late: Vec<Piece>,
}

impl Batch<'_> {
    fn attempt(&mut self, mut group: Vec<Piece>) -> Attempt {
        if let Err(error) = self.session.transaction_control("BEGIN IMMEDIATE") {
            self.fail_all(group, &error);
            return Attempt::Done { rest: Vec::new() };
        }
        let started = Instant::now();
        let mut done = Vec::new();
        while !group.is_empty() && (done.is_empty() || started.elapsed() < BATCH_TIME) {
            let mut piece = group.remove(0);
            match self.turn(piece.as_mut()) {
                Turn::Good => done.push(piece),
                Turn::Slow => self.late.push(piece),
                Turn::Offender { slow } => {
                    if slow {
                        self.late.push(piece);
                    } else {
                        piece.finish();
                    }
                    done.append(&mut group);
                    return Attempt::Again { rest: done };
                }
            }
        }
        match self.session.commit() {
            Ok(()) => {
                done.into_iter().for_each(Work::finish);
                Attempt::Done { rest: group }
            }
            Err(error) => {
                self.session.roll_back();
                self.uncommitted(done, group, &error)
            }
        }
    }

    /// Deferred foreign keys are checked at the commit, which does not say whose they were: then each is on its own.
    fn uncommitted(&mut self, mut done: Vec<Piece>, mut group: Vec<Piece>, error: &rusqlite::Error) -> Attempt {
        if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
            self.late.append(&mut done);
            return Attempt::Again { rest: group };
        }
        done.append(&mut group);
        self.fail_all(done, error);
        Attempt::Done { rest: Vec::new() }
    }

    fn turn(&self, piece: &mut dyn Work) -> Turn {
        let now = Instant::now();
        if now >= piece.deadline() {
            piece.fail(SqlError::Deadline);
            return Turn::Good;
        }
        let Ok(()) = self.session.transaction_control("SAVEPOINT piece") else {
            piece.fail(SqlError::Busy);
            return Turn::Offender { slow: false };
        };
        let slice = now + SLICE;
        let deadline = slice.min(piece.deadline());
        let good = self.run(piece, deadline);
        let slow = !good && slice < piece.deadline() && Instant::now() >= slice;
        match () {
            () if self.session.ours().is_autocommit() => Turn::Offender { slow },
            () if self.end(good).is_err() => Turn::Offender { slow },
            () if slow => Turn::Slow,
            () => Turn::Good,
        }
    }

    /// On false, whatever the piece changed must be undone.
    fn run(&self, piece: &mut dyn Work, deadline: Instant) -> bool {
        if !piece.run(self.session, deadline) {
            return false;
        }
        if self.session.watch().has_noted()
            && let Err(refused) = changes::check_room(self.session)
        {
            piece.fail(refused);
            return false;
        }
        true
    }

    fn end(&self, good: bool) -> rusqlite::Result<()> {
        if !good {
            self.session.transaction_control("ROLLBACK TO piece")?;
        }
        self.session.transaction_control("RELEASE piece")
    }

    /// A transaction for one piece, with all the time that it has.
    fn alone(&self, mut piece: Piece) {
        match self.try_alone(piece.as_mut()) {
            Ok(()) => {}
            Err(error) => {
                self.session.roll_back();
                piece.fail(self.failure(&error));
            }
        }
        piece.finish();
    }

    fn try_alone(&self, piece: &mut dyn Work) -> rusqlite::Result<()> {
        if Instant::now() >= piece.deadline() {
            piece.fail(SqlError::Deadline);
            return Ok(());
        }
        if piece.manner() == Manner::Bare {
            piece.run(self.session, piece.deadline());
            self.session.roll_back();
            return Ok(());
        }
        self.session.transaction_control("BEGIN IMMEDIATE")?;
        let deadline = piece.deadline();
        if self.run(piece, deadline) {
            return self.session.commit();
        }
        self.session.roll_back();
        Ok(())
    }

    fn fail_all(&self, pieces: Vec<Piece>, error: &rusqlite::Error) {
        for mut piece in pieces {
            piece.fail(self.failure(error));
            piece.finish();
        }
    }

    fn failure(&self, error: &rusqlite::Error) -> SqlError {
        if error::breaks_connection(error) {
            self.broken.store(true, Ordering::Release);
        }
        self.session.error(error)
    }
}

enum Turn {
    /// It had its turn and has its answer, good or bad.
    Good,
    /// It was stopped because others wait; what it did is undone.
    Slow,
    /// It took the whole transaction with it.
    Offender { slow: bool },
}
