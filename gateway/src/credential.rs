//! Credentials: every way in which one may be presented, and the caller behind it.

use std::borrow::Cow;
use std::sync::Arc;

use domain::Caller;
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use platform::{InvalidToken, TokenFacts};

use crate::{Gateway, query};

pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who calls, as far as the credentials of a request tell.
#[derive(Debug)]
pub(crate) enum Identity {
    /// Nothing was presented.
    Missing(Arc<Caller>),
    /// Something was presented, and nothing of it is valid; why tells most about it.
    Invalid(Arc<Caller>, InvalidToken),
    Known(Arc<Caller>),
}

impl Identity {
    /// The caller; anonymous without a valid credential.
    pub(crate) fn caller(&self) -> &Arc<Caller> {
        match self {
            Self::Missing(caller) | Self::Invalid(caller, _) | Self::Known(caller) => caller,
        }
    }
}

/// The first valid credential of a request, in the order in which clients expect them to be tried.
pub(crate) fn resolve(gateway: &Gateway, parts: &Parts) -> Identity {
    let mut refused: Option<InvalidToken> = None;
    for token in candidates(parts) {
        match caller_of(gateway, &token) {
            Ok(caller) => return Identity::Known(caller),
            // The first credential that was valid once says more than one that never was.
            Err(why) => refused = Some(refused.filter(|known| *known != InvalidToken::Refused).unwrap_or(why)),
        }
    }
    let anonymous = gateway.anonymous.clone();
    match refused {
        Some(why) => Identity::Invalid(anonymous, why),
        None => Identity::Missing(anonymous),
    }
}

/// What the token of a request says of itself; `None` when the caller came with a key.
pub(crate) fn token_facts(gateway: &Gateway, parts: &Parts) -> Option<TokenFacts> {
    candidates(parts).filter(|token| is_like_a_token(token)).find_map(|token| gateway.platform.token_facts(&token).ok())
}

/// Is this the value of a header or parameter that opens something here, or a token that did? A function must never see one,
/// wherever it stands: many clients send the same credential twice.
pub(crate) fn is_ours(gateway: &Gateway, value: &str) -> bool {
    !matches!(caller_of(gateway, without_scheme(value)), Err(InvalidToken::Refused))
}

/// The credential that [`resolve`] takes, for who must look at it again later.
pub(crate) fn valid_one(gateway: &Gateway, parts: &Parts) -> Option<String> {
    candidates(parts).find(|token| caller_of(gateway, token).is_ok()).map(Cow::into_owned)
}

/// Who holds this token: one that looks like a JWT is tried as one, and then as an API key like all others.
pub(crate) fn caller_of(gateway: &Gateway, token: &str) -> Result<Arc<Caller>, InvalidToken> {
    let why = match is_like_a_token(token).then(|| gateway.platform.caller_of_token(token)) {
        Some(Ok(caller)) => return Ok(caller),
        Some(Err(why)) => why,
        None => InvalidToken::Refused,
    };
    gateway.platform.caller_of_key(token).ok_or(why)
}

/// A JWT has exactly two dots.
fn is_like_a_token(token: &str) -> bool {
    memchr::memchr_iter(b'.', token.as_bytes()).count() == 2
}

fn candidates(parts: &Parts) -> impl Iterator<Item = Cow<'_, str>> {
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let api_key = text(API_KEY).map(|key| Cow::Borrowed(key.trim()));
    let authorization = text(AUTHORIZATION).map(|value| Cow::Borrowed(without_scheme(value)));
    let query = ["api_key", "token"].into_iter().filter_map(|name| query::value(parts.uri.query(), name));
    api_key.into_iter().chain(authorization).chain(query).filter(|token| !token.is_empty())
}

/// `Bearer x`, `ApiKey x` and `x` all mean `x`; a scheme with nothing behind it means nothing.
fn without_scheme(value: &str) -> &str {
    let value = value.trim();
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("apikey");
    if known { rest.trim() } else { value }
}

#[cfg(test)]
mod tests {
    use super::without_scheme;

    #[test]
    fn every_scheme_means_the_same_token() {
        for value in ["Bearer k", "bearer  k ", "ApiKey k", "k"] {
            assert_eq!(without_scheme(value), "k", "{value}");
        }
        for nothing in ["Bearer ", "Bearer", "ApiKey", ""] {
            assert_eq!(without_scheme(nothing), "", "{nothing}");
        }
    }
}
