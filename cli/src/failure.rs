//! How a verb fails: an exit code that scripts can use, a sentence, and what to do about it.

use std::path::Path;

/// The exit codes of the program, beside 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The call failed.
    Failed,
    /// The command line, a manifest or a configuration is wrong.
    Usage,
    /// The server is not reachable.
    Unreachable,
    /// The server knows us and refuses, or does not know us.
    NotAllowed,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::NotAllowed => 4,
        }
    }

    /// The exit code for an answer that is not a success.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Exit::NotAllowed,
            _ => Exit::Failed,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    pub hint: Option<String>,
}

/// How a verb ends.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A file that could not be read or written: `Failure::file("read", path)(error)`.
    pub fn file<'a>(verb: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |error| Self::failed(format!("failed to {verb} `{}`: {error}", path.display()))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_exit_code() {
        let codes = [400, 401, 403, 404, 409, 413, 429, 500, 503, 504].map(|status| Exit::of_status(status).code());
        assert_eq!(codes, [1, 4, 4, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(Exit::Usage.code(), 2);
        assert_eq!(Exit::Unreachable.code(), 3);
    }

    #[test]
    fn the_chain_of_an_error_is_one_sentence() {
        let error = anyhow::anyhow!("disk is full").context("open database");
        assert_eq!(Failure::from(error).message, "open database: disk is full");
    }
}
