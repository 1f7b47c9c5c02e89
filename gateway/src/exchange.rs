//! One request on its way through a handler.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use domain::{Caller, Error, ErrorCode, FunctionName, FunctionRef, InvalidName, Namespace, RequestId};
use http::request::Parts;

use crate::body::{BodyReader, RequestBody};
use crate::credential::Identity;
use crate::edge::EdgeConfig;
use crate::error::Refusal;
use crate::query;
use crate::routes::Captures;

pub(crate) struct Exchange {
    pub(crate) parts: Parts,
    pub(crate) body: BodyReader,
    pub(crate) caller: Arc<Caller>,
    pub(crate) request_id: RequestId,
    captures: Captures,
    peer: IpAddr,
}

impl Exchange {
    pub(crate) fn new(
        parts: Parts,
        body: RequestBody,
        captures: Captures,
        identity: Identity,
        request_id: RequestId,
        peer: IpAddr,
        edge: &EdgeConfig,
    ) -> Self {
        let body = BodyReader::new(body, &parts.headers, edge);
        Self { parts, body, caller: identity.caller().clone(), request_id, captures, peer }
    }

    /// The `index`th variable part of the path, still encoded.
    pub(crate) fn raw_capture(&self, index: usize) -> &str {
        self.captures.get(self.parts.uri.path(), index)
    }

    /// The `index`th variable part of the path, decoded: what it may be is checked after this, never before.
    fn capture(&self, index: usize) -> Result<Cow<'_, str>, Refusal> {
        let raw = self.raw_capture(index);
        query::segment(raw).ok_or_else(|| Refusal::invalid("the path has an escape that is not UTF-8 text"))
    }

    pub(crate) fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        query::value(self.parts.uri.query(), name)
    }

    pub(crate) fn switch(&self, name: &str) -> bool {
        query::switch(self.parts.uri.query(), name)
    }

    /// `name` or `name@N`.
    pub(crate) fn function(&self, index: usize) -> Result<FunctionRef, Refusal> {
        FunctionRef::parse(&self.capture(index)?).map_err(bad_name)
    }

    /// `name` alone, for what concerns all versions of a function.
    pub(crate) fn function_name(&self, index: usize) -> Result<FunctionName, Refusal> {
        FunctionName::parse(&self.capture(index)?).map_err(bad_name)
    }

    pub(crate) fn namespace_capture(&self, index: usize) -> Result<Namespace, Refusal> {
        parse_namespace(&self.capture(index)?)
    }

    /// The namespace to manage: that of the credential, unless the request names one, which the platform then checks.
    pub(crate) fn managed_namespace(&self) -> Result<Namespace, Refusal> {
        match self.query("namespace").filter(|named| !named.is_empty()) {
            Some(named) => parse_namespace(&named),
            None => self.own_namespace(),
        }
    }

    pub(crate) fn own_namespace(&self) -> Result<Namespace, Refusal> {
        let missing = || Error::new(ErrorCode::Forbidden, "the credential belongs to no namespace").into();
        self.caller.namespace.clone().ok_or_else(missing)
    }

    /// Did a program of this machine send it, and not a proxy on behalf of somebody? A header can only take this away.
    pub(crate) fn is_from_this_machine(&self) -> bool {
        let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip"];
        self.peer.to_canonical().is_loopback() && !forwarded.iter().any(|name| self.parts.headers.contains_key(*name))
    }
}

fn bad_name(invalid: InvalidName) -> Refusal {
    match invalid {
        InvalidName::Empty => Refusal::invalid("Function name required"),
        // Nothing of a reserved name can exist, so that there is nothing to find.
        InvalidName::Reserved(_) => Error::not_found(invalid.to_string()).into(),
        other => Refusal::invalid(other.to_string()),
    }
}

pub(crate) fn parse_namespace(text: &str) -> Result<Namespace, Refusal> {
    Namespace::parse(text).map_err(|invalid| Refusal::invalid(format!("the namespace is refused: {invalid}")))
}
