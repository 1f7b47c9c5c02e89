//! What other clients of the house borrow from outbound HTTP: its rules, its connections, and its words for what went wrong.

use std::sync::Arc;

use domain::{EgressPolicy, Namespace};
use ports::EgressError;
use reqwest::{Client, Request, Response};
use url::Url;

use super::guard::{Policies, Target};
use super::{HttpEgress, reply};

/// How requests reach places of one kind.
#[derive(Clone)]
pub(crate) enum Connection {
    /// The operator chose the place.
    Trusted(Client),
    /// Somebody else did: every request is judged by the rules of outbound HTTP, with the policies of a namespace.
    Guarded { egress: Arc<HttpEgress>, namespace: Namespace, policies: Policies },
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum NotReached {
    /// The address must not be reached.
    Refused,
    /// It could not be reached, or broke off; the text may be told.
    Failed(String),
}

impl Connection {
    pub(crate) fn trusted(egress: &HttpEgress, http2: bool) -> Result<Self, reqwest::Error> {
        egress.clients.unguarded(http2).map(Self::Trusted)
    }

    pub(crate) fn guarded(egress: &Arc<HttpEgress>, namespace: &Namespace, policies: &[EgressPolicy]) -> Self {
        Self::Guarded { egress: egress.clone(), namespace: namespace.clone(), policies: policies.into() }
    }

    /// As far as the URL alone tells: may it be reached?
    pub(crate) fn check(&self, url: &Url) -> Result<(), NotReached> {
        match self {
            Self::Trusted(_) => Ok(()),
            Self::Guarded { egress, policies, .. } => {
                egress.guard.check_url(policies, url, true).map(drop).map_err(|_| NotReached::Refused)
            }
        }
    }

    /// Sends a request. Redirects are not followed.
    pub(crate) async fn execute(&self, request: Request) -> Result<Response, NotReached> {
        self.check(request.url())?;
        let target = Target::of(request.url(), true).map_err(|_| NotReached::Refused)?;
        let failed = |error: reqwest::Error| match reply::failure(&error, &target) {
            EgressError::Refused(_) => NotReached::Refused,
            failed => NotReached::Failed(failed.to_string()),
        };
        let client = match self {
            Self::Trusted(client) => client.clone(),
            Self::Guarded { egress, namespace, policies } => {
                egress.clients.of(namespace, policies, target.port).map_err(failed)?
            }
        };
        client.execute(request).await.map_err(failed)
    }
}
