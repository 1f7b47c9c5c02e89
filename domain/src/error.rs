//! The closed set of error codes, and the one error that a user may read.
//!
//! A variant here is a decision of the *client*: repair the request, come back later, give up. Which HTTP status a code
//! becomes is known only to the gateway; what the operator reads is the source chain in the log.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($variant:ident = $text:literal, $retryable:literal, $message:literal;)*) => {
        /// Why a request failed, as clients see it. The set is closed: adding one is a change of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($variant),* }

        impl ErrorCode {
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant),*];

            /// The stable code, as it stands in every envelope.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Would the same request perhaps succeed later?
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable),* }
            }

            /// What the envelope says when nobody had anything more exact to say; never empty.
            pub fn default_message(self) -> &'static str {
                match self { $(Self::$variant => $message),* }
            }
        }
    };
}

codes! {
    ValidationFailed = "VALIDATION_FAILED", false, "the request is not valid";
    Unauthorized = "UNAUTHORIZED", false, "a valid credential is required";
    Forbidden = "FORBIDDEN", false, "the credential does not allow this";
    NotFound = "NOT_FOUND", false, "not found";
    Conflict = "CONFLICT", false, "the request conflicts with the present state";
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", false, "the body is too large";
    RateLimited = "RATE_LIMITED", true, "too many requests";
    StorageQuotaExceeded = "STORAGE_QUOTA_EXCEEDED", false, "the storage quota is used up";
    Internal = "INTERNAL", false, "something went wrong on our side";
    FunctionExecutionFailed = "FUNCTION_EXECUTION_FAILED", false, "the function failed";
    FunctionDeployFailed = "FUNCTION_DEPLOY_FAILED", false, "the function could not be deployed";
    SchemaMismatch = "SCHEMA_MISMATCH", false, "the schema does not match";
    ServiceUnavailable = "SERVICE_UNAVAILABLE", true, "the service is not available";
    FunctionUnavailable = "FUNCTION_UNAVAILABLE", true, "the function is not available";
    Timeout = "TIMEOUT", true, "the function did not finish in time";
    CompileLimit = "COMPILE_LIMIT", false, "the module is too expensive to compile";
    SqlNotAllowed = "SQL_NOT_ALLOWED", false, "the statement is not allowed";
    ResultTooLarge = "RESULT_TOO_LARGE", false, "the result is too large";
    Corrupt = "CORRUPT", false, "stored data is damaged";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = Self::ALL.iter().copied().find(|code| code.as_str() == text);
        found.ok_or_else(|| serde::de::Error::custom(format!("unknown error code `{text}`")))
    }
}

/// How a function failed, the `error.kind` of `FUNCTION_EXECUTION_FAILED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The guest executed `unreachable`, divided by zero, left its memory, or the like.
    Trap,
    /// `_start` ended with a code other than 0.
    Exit,
    /// The memory limit of the manifest was reached.
    Memory,
    /// The guest recursed too deep.
    StackOverflow,
    /// The reply grew past the cap.
    OutputLimit,
    /// The guest broke the calling convention (a result outside its memory, a missing export).
    Abi,
}

/// An error as a user may read it: a code, a sentence that says what to do, and nothing of our insides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub code: ErrorCode,
    pub message: String,
    pub kind: Option<FailureKind>,
    pub retry_after: Option<Duration>,
    pub hint: Option<String>,
}

impl Error {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = match message.into() {
            empty if empty.is_empty() => code.default_message().to_owned(),
            message => message,
        };
        Self { code, message, kind: None, retry_after: None, hint: None }
    }

    pub fn of(code: ErrorCode) -> Self {
        Self::new(code, "")
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ValidationFailed, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    pub fn kind(mut self, kind: FailureKind) -> Self {
        self.kind = Some(kind);
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_message_and_reads_back() {
        for code in ErrorCode::ALL {
            assert!(!code.default_message().is_empty());
            let text = serde_json::to_string(code).expect("a code serializes");
            assert_eq!(serde_json::from_str::<ErrorCode>(&text).expect("and reads back"), *code);
        }
    }

    #[test]
    fn an_empty_message_becomes_the_default() {
        assert_eq!(Error::of(ErrorCode::Timeout).to_string(), "the function did not finish in time");
    }
}
