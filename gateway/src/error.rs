//! The one table from error codes to HTTP statuses, and the two forms in which clients read an error.

use std::time::Duration;

use bytes::Bytes;
use domain::{Error, ErrorCode, FailureKind, RequestId};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;

use crate::GatewayConfig;
use crate::reply::{self, Reply};

/// What a handler answers.
pub(crate) type Answer = Result<Reply, Refusal>;

/// How the body of an error looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorForm {
    /// `error` is an object: what functions and our own routes answer.
    #[default]
    Envelope,
    /// `error` is the text: the published client library prints it as it is.
    Flat,
    /// The message alone, as plain text: for who calls code by its hash.
    Text,
}

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Refused>);

#[derive(Debug)]
struct Refused {
    error: Error,
    status: StatusCode,
    /// What a status demands: `Allow` for 405, `Content-Range` for 416.
    header: Option<(HeaderName, HeaderValue)>,
    /// Told beside the error, for a limit on requests.
    limited: bool,
    /// Nothing more can be read from this connection.
    close: bool,
    /// Set when a function ran.
    ran: Option<(RequestId, Duration)>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = status_of(error.code);
        Self::with_status(status, error)
    }
}

impl Refusal {
    pub(crate) fn with_status(status: StatusCode, error: Error) -> Self {
        Self(Box::new(Refused { error, status, header: None, limited: false, close: false, ran: None }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::invalid(message).into()
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::from(Error::new(ErrorCode::PayloadTooLarge, message)).close()
    }

    pub(crate) fn method_not_allowed(method: &Method, allowed: &[Method]) -> Self {
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        let allow = names.join(", ");
        let message = format!("{method} is not allowed here; use {allow}");
        let mut refusal = Self::with_status(StatusCode::METHOD_NOT_ALLOWED, Error::invalid(message));
        refusal.0.header =
            HeaderValue::from_str(&format!("{allow}, OPTIONS")).ok().map(|methods| (header::ALLOW, methods));
        refusal
    }

    /// None of the bytes that were asked for is there.
    pub(crate) fn no_such_range(size: u64) -> Self {
        let error = Error::invalid(format!("the range is not within the content, which has {size} bytes"));
        let mut refusal = Self::with_status(StatusCode::RANGE_NOT_SATISFIABLE, error);
        refusal.0.header = Some((header::CONTENT_RANGE, reply::text_value(&format!("bytes */{size}"))));
        refusal
    }

    /// The caller has made too many requests.
    pub(crate) fn over_the_limit(error: Error) -> Self {
        let mut refusal = Self::from(error);
        refusal.0.limited = true;
        refusal
    }

    pub(crate) fn code(&self) -> ErrorCode {
        self.0.error.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What a user may read of it.
    pub(crate) fn error(&self) -> &Error {
        &self.0.error
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.error.message
    }

    /// Also ends the connection, because the rest of what the client sends cannot be trusted or is not wanted.
    pub(crate) fn close(mut self) -> Self {
        self.0.close = true;
        self
    }

    /// The refusal is the outcome of a function that ran.
    pub(crate) fn of_call(mut self, request_id: RequestId, duration: Duration) -> Self {
        self.0.ran = Some((request_id, duration));
        self
    }

    pub(crate) fn render(self, form: ErrorForm, request_id: &RequestId, config: &GatewayConfig) -> Reply {
        let Refused { mut error, mut status, header: demanded, limited, close, ran } = *self.0;
        if config.timeout_as_rate_limited && status == StatusCode::GATEWAY_TIMEOUT {
            (error.code, status) = (ErrorCode::RateLimited, StatusCode::TOO_MANY_REQUESTS);
        }
        let request_id = ran.as_ref().map_or(request_id, |(id, _)| id);
        let mut reply = match form {
            ErrorForm::Envelope => reply::json(status, &Envelope::of(&error, request_id)),
            ErrorForm::Flat => reply::json(status, &Flat::of(&error, request_id)),
            ErrorForm::Text => reply::of(status, reply::TEXT, Bytes::from(error.message.clone())),
        };
        let headers = reply.headers_mut();
        if let Some(wait) = error.retry_after {
            headers.insert(header::RETRY_AFTER, reply::text_value(&format!("{:.1}", wait.as_secs_f64())));
            if limited {
                reply::add_exhausted_headers(headers, wait);
            }
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"orama\""));
        }
        if status == StatusCode::UPGRADE_REQUIRED {
            // Also which version we speak, as RFC 6455 demands.
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if let Some((name, value)) = demanded {
            headers.insert(name, value);
        }
        if close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some((id, duration)) = &ran {
            reply::add_call_headers(&mut reply, id, *duration);
        }
        reply
    }
}

/// Which HTTP status a code is. Nothing else in the house knows statuses.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::ValidationFailed | ErrorCode::CompileLimit => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden | ErrorCode::SqlNotAllowed => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict | ErrorCode::SchemaMismatch => StatusCode::CONFLICT,
        ErrorCode::PayloadTooLarge | ErrorCode::ResultTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::StorageQuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Internal
        | ErrorCode::FunctionExecutionFailed
        | ErrorCode::FunctionDeployFailed
        | ErrorCode::Corrupt => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::ServiceUnavailable | ErrorCode::FunctionUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// `code` and `message` stand twice: older clients read the top level.
#[derive(Serialize)]
struct Envelope<'a> {
    ok: bool,
    code: ErrorCode,
    message: &'a str,
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: ErrorCode,
    message: &'a str,
    retryable: bool,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<FailureKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    fn of(error: &'a Error, request_id: &'a RequestId) -> Self {
        let detail = Detail {
            code: error.code,
            message: &error.message,
            retryable: error.code.retryable() || error.retry_after.is_some(),
            request_id: request_id.as_str(),
            retry_after: error.retry_after.map(|wait| wait.as_secs_f64()),
            kind: error.kind,
            hint: error.hint.as_deref(),
        };
        Self { ok: false, code: error.code, message: &error.message, error: detail }
    }
}

#[derive(Serialize)]
struct Flat<'a> {
    ok: bool,
    error: &'a str,
    code: ErrorCode,
    message: &'a str,
    retryable: bool,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> Flat<'a> {
    fn of(error: &'a Error, request_id: &'a RequestId) -> Self {
        Self {
            ok: false,
            error: &error.message,
            code: error.code,
            message: &error.message,
            retryable: error.code.retryable() || error.retry_after.is_some(),
            request_id: request_id.as_str(),
            retry_after: error.retry_after.map(|wait| wait.as_secs_f64()),
            hint: error.hint.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use expect_test::expect;

    use super::*;

    #[test]
    fn every_code_has_its_status() {
        let mut table = String::new();
        for code in ErrorCode::ALL {
            writeln!(table, "{code} {}", status_of(*code).as_u16()).expect("writing to a string works");
        }
        expect![[r#"
            VALIDATION_FAILED 400
            UNAUTHORIZED 401
            FORBIDDEN 403
            NOT_FOUND 404
            CONFLICT 409
            PAYLOAD_TOO_LARGE 413
            RATE_LIMITED 429
            STORAGE_QUOTA_EXCEEDED 507
            INTERNAL 500
            FUNCTION_EXECUTION_FAILED 500
            FUNCTION_DEPLOY_FAILED 500
            SCHEMA_MISMATCH 409
            SERVICE_UNAVAILABLE 503
            FUNCTION_UNAVAILABLE 503
            TIMEOUT 504
            COMPILE_LIMIT 400
            SQL_NOT_ALLOWED 403
            RESULT_TOO_LARGE 413
            CORRUPT 500
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn a_pause_is_told_twice_and_a_timeout_can_look_like_the_reference() {
        let id = RequestId::new("r1");
        let busy = Error::of(ErrorCode::RateLimited).retry_after(Duration::from_millis(1500));
        let reply = Refusal::from(busy).render(ErrorForm::Envelope, &id, &GatewayConfig::default());
        assert_eq!(reply.headers()[header::RETRY_AFTER], "1.5");
        let as_reference = GatewayConfig { timeout_as_rate_limited: true, ..GatewayConfig::default() };
        let reply = Refusal::from(Error::of(ErrorCode::Timeout)).render(ErrorForm::Envelope, &id, &as_reference);
        assert_eq!(reply.status(), StatusCode::TOO_MANY_REQUESTS);
    }
}
