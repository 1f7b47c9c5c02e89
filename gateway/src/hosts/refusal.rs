//! What those who call code by its hash read when something fails: statuses and plain texts as the network of that name has them
//! (`docs/serverless.md`), or our envelope for who accepts JSON.

use domain::{Error, ErrorCode};
use http::{HeaderMap, StatusCode, header};
use platform::ChainError;

use crate::error::{ErrorForm, Refusal};

/// Plain text, unless the client accepts JSON and says so.
pub(super) fn form_for(headers: &HeaderMap) -> ErrorForm {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let kinds = lines.flat_map(|line| line.split(',')).map(|kind| kind.split(';').next().unwrap_or_default().trim());
    match { kinds }.any(|kind| kind.eq_ignore_ascii_case("application/json")) {
        true => ErrorForm::Envelope,
        false => ErrorForm::Text,
    }
}

/// The refusal of a call by hash.
pub(super) fn by_hash(refusal: Refusal) -> Refusal {
    let (code, message) = (refusal.code(), refusal.message());
    match code {
        ErrorCode::Timeout if refusal.status() != StatusCode::REQUEST_TIMEOUT => Refusal::with_status(
            StatusCode::REQUEST_TIMEOUT,
            Error::new(code, "worker timed out\n\nCaused by:\n    deadline has elapsed"),
        ),
        ErrorCode::FunctionExecutionFailed => {
            let text = format!("failed to get a response\n\nCaused by:\n    {message}");
            Refusal::with_status(StatusCode::INTERNAL_SERVER_ERROR, Error::new(code, text))
        }
        _ => refusal,
    }
}

/// The refusal of code that a chain does not have, or not in a form that can run.
pub(super) fn of_chain(error: ChainError) -> Refusal {
    let (status, code, cause) = match &error {
        // Without a chain, nothing but what was published here can be meant.
        ChainError::Off => return Error::not_found("no code with this hash is published here").into(),
        ChainError::Refused(refused) => {
            return Refusal::invalid(format!("syntax error in the code: {}", refused.message));
        }
        ChainError::Internal => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, None),
        ChainError::Busy => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited, Some(error.to_string())),
        ChainError::Unavailable => (StatusCode::BAD_REQUEST, ErrorCode::ServiceUnavailable, Some(error.to_string())),
        ChainError::NotFound
        | ChainError::Malformed(_)
        | ChainError::WrongContract { .. }
        | ChainError::Calldata(_)
        | ChainError::TooLarge { .. } => {
            (StatusCode::BAD_REQUEST, ErrorCode::ValidationFailed, Some(error.to_string()))
        }
    };
    let cause = cause.map_or(String::new(), |cause| format!("\n\nCaused by:\n    {cause}"));
    Refusal::with_status(status, Error::new(code, format!("failed to create code file{cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_who_asks_for_it() {
        let form = |accept: &str| form_for(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().expect("a value"))]));
        for json in ["application/json", "text/html, Application/JSON;q=0.5"] {
            assert_eq!(form(json), ErrorForm::Envelope, "{json}");
        }
        for text in ["*/*", "text/plain", "application/jsonp", ""] {
            assert_eq!(form(text), ErrorForm::Text, "{text}");
        }
        assert_eq!(form_for(&HeaderMap::new()), ErrorForm::Text);
    }
}
