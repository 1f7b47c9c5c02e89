//! Outbound HTTP.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::{Error, db, host};

/// Sends requests into the world, where `egress` in function.yaml allows it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Http;

/// A request to be sent.
#[derive(Debug, Clone, Default)]
pub struct Fetch<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub status: u16,
    /// Several values of a name stay several.
    pub headers: BTreeMap<String, Vec<String>>,
    pub body: Vec<u8>,
}

impl Http {
    /// Sends a request. An error means that there is no response, not that the status is bad.
    pub fn fetch(&self, request: &Fetch<'_>) -> Result<Fetched, Error> {
        #[derive(Deserialize)]
        struct Answer {
            status: u16,
            #[serde(default)]
            headers: BTreeMap<String, Vec<String>>,
            #[serde(default)]
            body: String,
            body_base64: Option<String>,
            error: Option<String>,
        }
        let headers: BTreeMap<&str, &str> = request.headers.iter().copied().collect();
        let headers = serde_json::to_vec(&headers).map_err(Error::unreadable)?;
        let answer: Answer = db::read(&host::http_fetch(request.method, request.url, &headers, request.body))?;
        if answer.status == 0 {
            return Err(Error::coded("FETCH_FAILED", answer.error.unwrap_or_default()));
        }
        let body = match answer.body_base64 {
            Some(encoded) => STANDARD.decode(encoded).map_err(Error::unreadable)?,
            None => answer.body.into_bytes(),
        };
        Ok(Fetched { status: answer.status, headers: answer.headers, body })
    }
}
