//! The form of access tokens: JWT (RFC 7519), signed with EdDSA (RFC 8037), with exactly the header and the claims that we write.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Namespace;
use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, Serialize};

use super::signing::SigningKey;

/// The longest token that is looked at, in bytes.
pub(super) const TOKEN_BYTES_MAX: usize = 8 << 10;
pub(super) const ISSUER: &str = "orama-gateway";
pub(super) const AUDIENCE: &str = "gateway";

/// Nothing else may stand in a header: not where to find a key, nor how to read the rest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    typ: String,
    kid: String,
}

/// Every claim is required, has one type and stands there once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) aud: String,
    pub(super) iat: i64,
    pub(super) nbf: i64,
    pub(super) exp: i64,
    pub(super) jti: String,
    pub(super) namespace: Namespace,
    /// When the namespace was made, in milliseconds: a later one of the same name is another.
    pub(super) namespace_since: i64,
    pub(super) custom: BTreeMap<String, String>,
    /// The family of refresh tokens, or the key, that it was made from.
    pub(super) sid: String,
}

/// The key that a token says it was signed with; `None` for what cannot be a token of ours.
pub(crate) fn key_of(token: &str) -> Option<String> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (header, rest) = token.split_once('.')?;
    let (_, signature) = rest.split_once('.').filter(|(_, signature)| !signature.contains('.'))?;
    let header: StrictHeader = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let ours = header.alg == "EdDSA" && header.typ == "JWT" && !signature.is_empty();
    ours.then_some(header.kid)
}

/// The claims of a token that `key` signed for us; the times are the caller's business, who has a clock.
pub(super) fn open(token: &str, key: &SigningKey) -> Option<Claims> {
    jsonwebtoken::decode(token, &key.verifies, &VALIDATION).ok().map(|token| token.claims)
}

static VALIDATION: LazyLock<Validation> = LazyLock::new(|| {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "sub"]);
    // By the clock of the machine, which tests cannot hold still.
    validation.validate_exp = false;
    validation
});

pub(super) fn sign(claims: &Claims, key: &SigningKey) -> Result<String, jsonwebtoken::errors::Error> {
    let header = jsonwebtoken::Header { kid: Some(key.id.clone()), ..jsonwebtoken::Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, claims, &key.signs)
}

#[cfg(test)]
mod tests;
