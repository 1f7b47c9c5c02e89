use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{EgressPolicy, Namespace};

use crate::{Egress, EgressError, FetchReply, FetchRequest};

/// A request as [`MemoryEgress`] was asked to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedFetch {
    pub namespace: Namespace,
    pub policies: Vec<EgressPolicy>,
    pub request: FetchRequest,
    pub deadline: Instant,
}

/// A world in which each URL answers what a test planned, and is asked without a network.
#[derive(Debug, Default)]
pub struct MemoryEgress {
    replies: Mutex<HashMap<String, FetchReply>>,
    asked: Mutex<Vec<AskedFetch>>,
    forgotten: Mutex<Vec<Namespace>>,
}

impl MemoryEgress {
    /// `url` answers `reply` from now on; a URL without a plan cannot be reached.
    pub fn plan(&self, url: &str, reply: FetchReply) {
        self.replies.lock().expect("no holder panics").insert(url.to_owned(), reply);
    }

    /// `url` answers 200 with this body.
    pub fn plan_body(&self, url: &str, body: impl Into<Bytes>) {
        self.plan(url, FetchReply { status: 200, headers: Vec::new(), body: body.into() });
    }

    /// What was asked, oldest first.
    pub fn asked(&self) -> Vec<AskedFetch> {
        self.asked.lock().expect("no holder panics").clone()
    }

    /// The namespaces whose connections were to be closed.
    pub fn forgotten(&self) -> Vec<Namespace> {
        self.forgotten.lock().expect("no holder panics").clone()
    }
}

#[async_trait]
impl Egress for MemoryEgress {
    async fn fetch(
        &self,
        namespace: &Namespace,
        policies: &[&EgressPolicy],
        request: FetchRequest,
        deadline: Instant,
    ) -> Result<FetchReply, EgressError> {
        let planned = self.replies.lock().expect("no holder panics").get(&request.url).cloned();
        let unreached = format!("`{}` cannot be reached", request.url);
        let policies = policies.iter().map(|policy| (*policy).clone()).collect();
        let asked = AskedFetch { namespace: namespace.clone(), policies, request, deadline };
        self.asked.lock().expect("no holder panics").push(asked);
        if deadline <= Instant::now() {
            return Err(EgressError::Deadline);
        }
        planned.ok_or(EgressError::Failed(unreached))
    }

    fn forget(&self, namespace: &Namespace) {
        self.forgotten.lock().expect("no holder panics").push(namespace.clone());
    }
}
