//! One request on its way through a handler.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use domain::{Caller, Cid, Error, ErrorCode, FunctionName, FunctionRef, InvalidName, Namespace, RequestId};
use http::header;
use http::request::Parts;
use tokio::sync::SemaphorePermit;

use crate::audit::Note;
use crate::body::{BodyReader, RequestBody};
use crate::credential::{self, Identity};
use crate::edge::EdgeConfig;
use crate::error::Refusal;
use crate::routes::Access;
use crate::routes::{Captures, Route};
use crate::{Gateway, hosts, query};

pub(crate) struct Exchange {
    pub(crate) parts: Parts,
    pub(crate) body: BodyReader,
    pub(crate) caller: Arc<Caller>,
    pub(crate) request_id: RequestId,
    /// Where the request comes from; see `address.rs`.
    pub(crate) client: IpAddr,
    /// Set on the routes whose requests are written down.
    pub(crate) note: Option<Arc<Note>>,
    /// Set on the host of a namespace, where there is no other.
    pub(crate) home: Option<Namespace>,
    route: &'static Route,
    captures: Captures,
    peer: IpAddr,
}

/// A body in memory, with its place among the bodies.
pub(crate) struct Received<'g> {
    bytes: Bytes,
    _room: SemaphorePermit<'g>,
}

impl std::ops::Deref for Received<'_> {
    type Target = Bytes;
    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

impl Exchange {
    pub(crate) fn new(
        parts: Parts,
        body: RequestBody,
        (route, captures): (&'static Route, Captures),
        identity: Identity,
        request_id: RequestId,
        (peer, client): (IpAddr, IpAddr),
        edge: &EdgeConfig,
    ) -> Self {
        let body = BodyReader::new(body, &parts.headers, edge);
        let note = route.audit.map(|_| Arc::default());
        Self {
            parts,
            body,
            caller: identity.caller().clone(),
            request_id,
            client,
            note,
            home: None,
            route,
            captures,
            peer,
        }
    }

    /// The whole body, once there is room for it.
    pub(crate) async fn receive<'g>(&mut self, gateway: &'g Gateway, limit: usize) -> Result<Received<'g>, Refusal> {
        let room = gateway.body_room(self.body.declared(), limit).await?;
        let bytes = self.body.read_all(limit).await?;
        self.admit_again(gateway)?;
        Ok(Received { bytes, _room: room })
    }

    /// A body may take its time: meanwhile the credential may have been revoked, or its namespace may have become another's.
    fn admit_again(&mut self, gateway: &Gateway) -> Result<(), Refusal> {
        if self.caller.is_anonymous() {
            return Ok(());
        }
        let identity = hosts::at_home(gateway, credential::resolve(gateway, &self.parts), self.home.as_ref());
        Access::Credential.admit(&identity)?;
        self.caller = identity.caller().clone();
        Ok(())
    }

    /// Names what the request is about, for the audit log.
    pub(crate) fn concerns(&self, resource: &str) {
        if let Some(note) = &self.note {
            note.concerns(resource);
        }
    }

    /// The `index`th variable part of the path, still encoded.
    pub(crate) fn raw_capture(&self, index: usize) -> &str {
        self.captures.get(self.parts.uri.path(), index)
    }

    /// The `index`th variable part of the path, decoded: what it may be is checked after this, never before.
    pub(crate) fn capture(&self, index: usize) -> Result<Cow<'_, str>, Refusal> {
        let raw = self.raw_capture(index);
        query::segment(raw).ok_or_else(|| Refusal::invalid("the path has an escape that is not UTF-8 text"))
    }

    /// The variable parts of the path with their names; a part that cannot be decoded is left as it was sent.
    pub(crate) fn named_captures(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.route.variables().enumerate().map(|(index, name)| {
            let raw = self.raw_capture(index);
            (name, query::segment(raw).unwrap_or(Cow::Borrowed(raw)).into_owned())
        })
    }

    /// Content that the path names. A text that can be no identifier names nothing that exists.
    pub(crate) fn cid(&self, index: usize) -> Result<Cid, Refusal> {
        parse_cid(&self.capture(index)?)
    }

    /// The host that the client speaks to, as it wrote it.
    pub(crate) fn host(&self) -> &str {
        hosts::host_of(&self.parts)
    }

    /// A namespace that the request names; on the host of one, every other is unknown.
    pub(crate) fn at_home(&self, named: Namespace) -> Result<Namespace, Refusal> {
        match &self.home {
            Some(home) if *home != named => Err(Error::not_found(format!("namespace `{named}` not found")).into()),
            _ => Ok(named),
        }
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        query::value(self.parts.uri.query(), name)
    }

    pub(crate) fn switch(&self, name: &str) -> bool {
        query::switch(self.parts.uri.query(), name)
    }

    /// `?after=`: the id of the last one that was seen.
    pub(crate) fn after_id(&self) -> Result<Option<Cow<'_, str>>, Refusal> {
        let Some(after) = self.query("after").filter(|after| !after.is_empty()) else { return Ok(None) };
        match uuid::Uuid::parse_str(&after) {
            Ok(_) => Ok(Some(after)),
            Err(_) => Err(Refusal::invalid("`after` is no id; leave it out, or give the `next` of the page before")),
        }
    }

    /// `?limit=`, a whole number from 1; more than `most` means `most`.
    pub(crate) fn limit(&self, default: usize, most: usize) -> Result<usize, Refusal> {
        let Some(text) = self.query("limit") else { return Ok(default) };
        let limit = text.parse().ok().filter(|limit: &usize| *limit > 0).map(|limit| limit.min(most));
        limit.ok_or_else(|| Refusal::invalid(format!("`limit` must be a whole number from 1 to {most}")))
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
        self.at_home(parse_namespace(&self.capture(index)?)?)
    }

    /// The namespace to manage: that of the credential, unless the request names one, which the platform then checks.
    pub(crate) fn managed_namespace(&self) -> Result<Namespace, Refusal> {
        match self.query("namespace").filter(|named| !named.is_empty()) {
            Some(named) => self.at_home(parse_namespace(&named)?),
            None => self.own_namespace(),
        }
    }

    /// The namespace that the request is about, whether the caller may look there or not.
    pub(crate) fn concerned_namespace(&self) -> Option<Namespace> {
        let in_path = self.named_captures().find(|(name, _)| *name == "namespace").map(|(_, value)| value);
        let named = in_path.or_else(|| self.query("namespace").map(Cow::into_owned))?;
        Namespace::parse(&named).ok()
    }

    pub(crate) fn own_namespace(&self) -> Result<Namespace, Refusal> {
        let missing = || Error::new(ErrorCode::Forbidden, "the credential belongs to no namespace").into();
        self.caller.namespace.clone().ok_or_else(missing)
    }

    /// The other end of the connection, which may be a proxy.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
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

pub(crate) fn parse_cid(text: &str) -> Result<Cid, Refusal> {
    Cid::parse(text).map_err(|invalid| Error::not_found(invalid.to_string()).into())
}

pub(crate) fn parse_namespace(text: &str) -> Result<Namespace, Refusal> {
    Namespace::parse(text).map_err(|invalid| Refusal::invalid(format!("the namespace is refused: {invalid}")))
}
