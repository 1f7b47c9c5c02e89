//! The documents of the gateway's API, as far as people are shown them. `--json` prints them whole instead.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub struct Function {
    pub name: String,
    pub version: u64,
    #[serde(default)]
    pub wasm_cid: String,
    #[serde(default)]
    pub size_bytes: u64,
    #[serde(default)]
    pub memory_limit_mb: u64,
    #[serde(default)]
    pub timeout_seconds: u64,
    #[serde(default)]
    pub is_public: bool,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub active: bool,
    #[serde(default)]
    pub namespace: String,
    #[serde(default)]
    pub created_at: String,
    #[serde(default)]
    pub updated_at: String,
}

#[derive(Debug, Deserialize)]
pub struct Functions {
    pub functions: Vec<Function>,
}

#[derive(Debug, Deserialize)]
pub struct Versions {
    pub versions: Vec<Function>,
}

#[derive(Debug, Deserialize)]
pub struct Logs {
    pub invocations: Vec<Invocation>,
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// The position behind what was shown; for following.
    #[serde(default)]
    pub next: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Invocation {
    pub request_id: String,
    #[serde(default)]
    pub input_size: u64,
    #[serde(default)]
    pub output_size: u64,
    pub started_at: String,
    #[serde(default)]
    pub duration_ms: f64,
    pub status: String,
    #[serde(default)]
    pub error_message: Option<String>,
    #[serde(default)]
    pub wasm_logs: Vec<Line>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    pub level: String,
    pub message: String,
}

/// Calls of which no record could be written.
#[derive(Debug, Clone, Deserialize)]
pub struct Gap {
    pub from: String,
    pub until: String,
    pub calls: u64,
}

/// The error document: an envelope, or only the text of older endpoints.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    pub code: Option<String>,
    pub message: Option<String>,
    pub hint: Option<String>,
    pub request_id: Option<String>,
}

impl ErrorBody {
    pub fn parse(body: &[u8]) -> Self {
        let Ok(document) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let error = &document["error"];
        let find = |key: &str| {
            let value = [&error[key], &document[key]].into_iter().find_map(Value::as_str);
            value.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let flat = || error.as_str().map(str::to_owned);
        Self {
            code: find("code"),
            message: find("message").or_else(flat),
            hint: find("hint"),
            request_id: find("request_id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_an_error_are_read() {
        let envelope = br#"{"ok":false,"code":"TIMEOUT","error":{"code":"TIMEOUT","message":"too slow","request_id":"r1","hint":"h"}}"#;
        let want = ErrorBody {
            code: Some("TIMEOUT".into()),
            message: Some("too slow".into()),
            hint: Some("h".into()),
            request_id: Some("r1".into()),
        };
        assert_eq!(ErrorBody::parse(envelope), want);
        let flat = ErrorBody::parse(br#"{"error":"missing API key"}"#);
        assert_eq!(flat, ErrorBody { message: Some("missing API key".into()), ..Default::default() });
    }

    #[test]
    fn what_is_no_error_document_says_nothing() {
        for body in [&b""[..], b"<html>", b"[]", b"{\"error\":5}", b"null"] {
            assert_eq!(ErrorBody::parse(body), ErrorBody::default());
        }
    }
}
