//! What went wrong, as the port says it: one variant for each thing that a caller can do about it.

use std::sync::atomic::Ordering;

use ports::SqlError;
use rusqlite::{Error, ErrorCode};

use super::guard::Stopped;
use super::session::{Session, VALUE_BYTES_MAX};

/// There is more than one statement where one is wanted.
pub(super) const SEVERAL: &str = "more than one statement; send one at a time, or several as a transaction";

const SPILLED: &str =
    "the statement sorts or keeps more on its way than it has room for; let it look at fewer rows at a time";

/// The error of a statement that ran on `session`.
pub(super) fn of_statement(session: &Session, error: &Error) -> SqlError {
    match error {
        Error::SqlInputError { msg, .. } => of_message(session, msg),
        Error::MultipleStatement => SqlError::Invalid(SEVERAL.to_owned()),
        Error::SqliteFailure(failure, message) => {
            let message = message.clone().unwrap_or_else(|| failure.to_string());
            of_code(session, failure.code, message)
        }
        error => unavailable(error),
    }
}

fn of_code(session: &Session, code: ErrorCode, message: String) -> SqlError {
    match code {
        ErrorCode::Unknown => of_message(session, &message),
        ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly => {
            SqlError::NotAllowed(session.watch().refusal().unwrap_or(message))
        }
        ErrorCode::ConstraintViolation => SqlError::Constraint(message),
        ErrorCode::OperationInterrupted => of_stop(session.watch().stopped().unwrap_or(Stopped::Deadline)),
        ErrorCode::TooBig => {
            SqlError::Invalid(format!("{message}; a value, and a row as a whole, may have {VALUE_BYTES_MAX} bytes"))
        }
        ErrorCode::TypeMismatch | ErrorCode::ParameterOutOfRange => SqlError::Invalid(message),
        ErrorCode::DiskFull => SqlError::Full { limit: limit_of(session) },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => SqlError::Corrupt(message.into()),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SchemaChanged => SqlError::Busy,
        _ => unavailable(message),
    }
}

/// The error of a statement that was stopped.
pub(super) fn of_stop(stopped: Stopped) -> SqlError {
    match stopped {
        Stopped::Closing => unavailable("the database is being closed"),
        Stopped::Deadline => SqlError::Deadline,
        Stopped::Spilled => SqlError::Invalid(SPILLED.to_owned()),
    }
}

/// Without a limit of its own, a database is as large as the disk lets it be.
fn limit_of(session: &Session) -> u64 {
    match session.limit().load(Ordering::Relaxed) {
        u64::MAX => session.bytes().unwrap_or_default(),
        limit => limit,
    }
}

/// SQLite has one code for all that is wrong with a statement, for functions that the authorizer refuses, for writing its
/// own tables, and for virtual tables in views.
fn of_message(session: &Session, message: &str) -> SqlError {
    if let Some(refusal) = session.watch().refusal() {
        return SqlError::NotAllowed(refusal);
    }
    let refuses = |text: &str| text.ends_with("may not be modified") || text.ends_with("may not be dropped");
    if refuses(message) || message.starts_with("unsafe use of ") {
        return SqlError::NotAllowed(message.to_owned());
    }
    SqlError::Invalid(message.to_owned())
}

/// The error of opening a file.
pub(super) fn of_opening(error: &Error) -> SqlError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => SqlError::Corrupt(error.to_string().into()),
        Some(ErrorCode::DiskFull) => SqlError::Full { limit: 0 },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => SqlError::Busy,
        _ => unavailable(error),
    }
}

pub(super) fn unavailable(cause: impl ToString) -> SqlError {
    SqlError::Unavailable(cause.to_string().into())
}

/// After a failure like this nobody knows what the connection still holds; it must be opened anew.
pub(super) fn breaks_connection(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt))
}
