//! Credentials: every way in which one may be presented, and the caller behind it.

use std::borrow::Cow;
use std::sync::Arc;

use domain::Caller;
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;

use crate::{Gateway, query};

pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who calls, as far as the credentials of a request tell.
#[derive(Debug)]
pub(crate) enum Identity {
    /// Nothing was presented.
    Missing(Arc<Caller>),
    /// Something was presented, and nothing of it is valid.
    Invalid(Arc<Caller>),
    Known(Arc<Caller>),
}

impl Identity {
    /// The caller; anonymous without a valid credential.
    pub(crate) fn caller(&self) -> &Arc<Caller> {
        match self {
            Self::Missing(caller) | Self::Invalid(caller) | Self::Known(caller) => caller,
        }
    }
}

/// The first valid credential of a request, in the order in which clients expect them to be tried.
pub(crate) fn resolve(gateway: &Gateway, parts: &Parts) -> Identity {
    let mut presented = false;
    for token in candidates(parts) {
        presented = true;
        if let Some(caller) = caller_of(gateway, &token) {
            return Identity::Known(caller);
        }
    }
    let anonymous = gateway.anonymous.clone();
    if presented { Identity::Invalid(anonymous) } else { Identity::Missing(anonymous) }
}

/// Is this the value of a header or parameter that opens something here? A function must never see one, wherever it stands:
/// many clients send the same key twice.
pub(crate) fn is_ours(gateway: &Gateway, value: &str) -> bool {
    caller_of(gateway, without_scheme(value)).is_some()
}

/// Who holds this token. One with exactly two dots is to be tried as a JWT first, once there are any; API keys have no dots.
fn caller_of(gateway: &Gateway, token: &str) -> Option<Arc<Caller>> {
    gateway.platform().caller_of_key(token)
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
