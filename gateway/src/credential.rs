//! Credentials: every way in which one may be presented, and the caller behind it.

use std::borrow::Cow;
use std::sync::Arc;

use domain::Caller;
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;

use crate::{Gateway, query};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Where the credential stood that told us who calls. A function that sees the request does not see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    ApiKeyHeader,
    Authorization,
    Query,
}

/// Who calls, as far as the credentials of a request tell.
#[derive(Debug)]
pub(crate) enum Identity {
    /// Nothing was presented.
    Missing(Arc<Caller>),
    /// Something was presented, and nothing of it is valid.
    Invalid(Arc<Caller>),
    Known(Arc<Caller>, Source),
}

impl Identity {
    /// The caller; anonymous without a valid credential.
    pub(crate) fn caller(&self) -> &Arc<Caller> {
        match self {
            Self::Missing(caller) | Self::Invalid(caller) | Self::Known(caller, _) => caller,
        }
    }

    pub(crate) fn source(&self) -> Option<Source> {
        match self {
            Self::Known(_, source) => Some(*source),
            Self::Missing(_) | Self::Invalid(_) => None,
        }
    }
}

/// The first valid credential of a request, in the order in which clients expect them to be tried.
pub(crate) fn resolve(gateway: &Gateway, parts: &Parts) -> Identity {
    let mut presented = false;
    for (source, token) in candidates(parts) {
        presented = true;
        if let Some(caller) = caller_of(gateway, &token) {
            return Identity::Known(caller, source);
        }
    }
    let anonymous = gateway.anonymous.clone();
    if presented { Identity::Invalid(anonymous) } else { Identity::Missing(anonymous) }
}

/// Who holds this token. One with exactly two dots is to be tried as a JWT first, once there are any; API keys have no dots.
fn caller_of(gateway: &Gateway, token: &str) -> Option<Arc<Caller>> {
    gateway.platform().caller_of_key(token)
}

fn candidates(parts: &Parts) -> impl Iterator<Item = (Source, Cow<'_, str>)> {
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let api_key = text(API_KEY).map(|key| (Source::ApiKeyHeader, Cow::Borrowed(key.trim())));
    let authorization = text(AUTHORIZATION).map(|value| (Source::Authorization, Cow::Borrowed(without_scheme(value))));
    let query = ["api_key", "token"].into_iter().filter_map(|name| query::value(parts.uri.query(), name));
    let all = api_key.into_iter().chain(authorization).chain(query.map(|token| (Source::Query, token)));
    all.filter(|(_, token)| !token.is_empty())
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
