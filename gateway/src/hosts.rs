//! Host names: a function on its own name, code on the name of its hash, and the API of one namespace.
//!
//! Asked before the table of routes. What is forwarded reaches the function as it was sent, and its reply the client as it was
//! made (`message.rs`); `label.rs` reads the names, `refusal.rs` says what those who call by hash expect to read.

mod body;
mod label;
mod message;
mod refusal;
mod switched;

use std::sync::Arc;

use bytes::Bytes;
use domain::{Caller, Error, ErrorCode, FunctionRef, Namespace};
use http::request::Parts;
use http::{Method, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use platform::{ChainCode, Forward, Forwarded, Intake, InvalidToken, SIGNED_BYTES_MAX, Signing};
use ports::Body;

use crate::body::{BodyReader, RequestBody};
use crate::credential::{self, Identity};
use crate::error::{Answer, Refusal};
use crate::reply::Reply;
use crate::{Arrival, Gateway, Known, address, ids};

use body::Fault;
pub(crate) use body::ForwardedBody;
pub(crate) use label::{Site, site_of};

/// Marks a request that came over our own TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByTls;

/// Where a request goes.
pub(crate) enum Door {
    /// To the routes; of this namespace alone, when there is one.
    Api(Option<Namespace>),
    /// To a function. The answer, if it is one of ours, looks as `hash` says.
    Function(Target),
}

pub(crate) enum Target {
    Named {
        namespace: Namespace,
        function: FunctionRef,
    },
    Hash([u8; 32]),
    /// Nothing that exists, or could.
    Refused(Refusal),
}

/// A body that is known to have no more is read before the call takes its place: who sends slowly keeps none, and the
/// function need not be woken for each piece.
const SMALL_BYTES: u64 = 64 << 10;

/// The host that the client speaks to, as it wrote it.
pub(crate) fn host_of(parts: &Parts) -> &str {
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    let header = || parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    authority.or_else(header).unwrap_or_default()
}

/// Reads the host of a request; says in `known` how errors look there.
pub(crate) fn door(gateway: &Gateway, parts: &Parts, known: &mut Known) -> Door {
    match label::site_of(host_of(parts), &gateway.config.base_domain) {
        Site::Api => match gateway.platform.function_of_domain(label::name_of(host_of(parts))) {
            Some((namespace, function)) => Door::Function(Target::Named { namespace, function }),
            None => Door::Api(None),
        },
        // One that nobody has made is as good as one that this caller may not see.
        Site::NamespaceApi(namespace) => Door::Api(gateway.platform.spoken_namespace(namespace)),
        Site::Function { namespace, function } => Door::Function(match gateway.platform.spoken(namespace, function) {
            Some((namespace, function)) => Target::Named { namespace, function },
            None => Target::Refused(nobody_here().into()),
        }),
        Site::Nothing => Door::Function(Target::Refused(nobody_here().into())),
        Site::Hash(hash) => {
            known.errors = refusal::form_for(&parts.headers);
            Door::Function(Target::Hash(hash))
        }
        Site::NoHash(why) => {
            known.errors = refusal::form_for(&parts.headers);
            Door::Function(Target::Refused(Refusal::invalid(format!("invalid tx hash encoding: {why}"))))
        }
    }
}

/// Is this name ours to give, so that nobody else can claim it?
pub(crate) fn is_ours(gateway: &Gateway, name: &str) -> bool {
    let base = &gateway.config.base_domain;
    label::name_of(name).eq_ignore_ascii_case(base) || label::site_of(name, base) != Site::Api
}

/// On the host of a namespace a credential of another one is none.
pub(crate) fn at_home(gateway: &Gateway, identity: Identity, home: Option<&Namespace>) -> Identity {
    let foreign = home.is_some() && !identity.caller().is_anonymous() && identity.caller().namespace.as_ref() != home;
    match foreign {
        true => Identity::Invalid(gateway.anonymous.clone(), InvalidToken::Refused),
        false => identity,
    }
}

/// What does not exist and what the caller may not know of look the same.
fn nobody_here() -> Error {
    Error::not_found("nothing answers on this host name").hint("check its spelling, and that the function is public")
}

/// One request for a function on its way.
struct Visit<'a> {
    gateway: &'a Arc<Gateway>,
    parts: Parts,
    body: RequestBody,
    from: &'a Arrival<'a>,
    caller: Arc<Caller>,
    /// Called by the hash of its code: such replies are signed always.
    by_hash: bool,
}

/// Forwards a request to the function that its host names.
pub(crate) async fn answer(
    gateway: &Arc<Gateway>,
    (parts, body): (Parts, RequestBody),
    from: &Arrival<'_>,
    target: Target,
    known: &mut Known,
) -> Answer {
    let caller = credential::resolve(gateway, &parts).caller().clone();
    let client = address::of_client(&gateway.config.trusted_proxies, &parts.headers, from.peer);
    gateway.platform.count_request(&caller, client).map_err(Refusal::over_the_limit)?;
    let visit = Visit { gateway, parts, body, from, caller, by_hash: matches!(target, Target::Hash(_)) };
    let answered = match target {
        Target::Refused(refusal) => return Err(refusal),
        Target::Named { namespace, function } => visit.call(namespace, function).await,
        Target::Hash(hash) => visit.call_by_hash(hash).await.map_err(refusal::by_hash),
    };
    known.forwarded = answered.is_ok();
    answered
}

/// Whom a request is forwarded to.
enum Callee {
    Function,
    Code(Arc<ChainCode>),
}

impl Visit<'_> {
    async fn call_by_hash(self, hash: [u8; 32]) -> Answer {
        let platform = &self.gateway.platform;
        if let Some((namespace, function)) = platform.published(&hash, &self.caller) {
            return self.call(namespace, function).await;
        }
        let code = platform.code_of_transaction(hash).await.map_err(refusal::of_chain)?;
        let intake = platform.intake_of_code(&code);
        let function = FunctionRef { name: intake.version.name.clone(), version: None };
        self.forward(intake, function, Callee::Code(code)).await
    }

    async fn call(self, namespace: Namespace, function: FunctionRef) -> Answer {
        let platform = &self.gateway.platform;
        let intake = platform.intake(&namespace, &function, &self.caller).map_err(hidden)?;
        platform.count_call_from_elsewhere(&self.caller, &namespace).map_err(Refusal::over_the_limit)?;
        self.forward(intake, function, Callee::Function).await
    }

    async fn forward(mut self, intake: Intake, function: FunctionRef, callee: Callee) -> Answer {
        if self.parts.method == Method::CONNECT {
            return Err(Refusal::invalid("a function is no proxy: it takes no `CONNECT`"));
        }
        let upgrade =
            message::wants_upgrade(&self.parts).then(|| self.parts.extensions.remove::<OnUpgrade>()).flatten();
        let reader = BodyReader::new(std::mem::take(&mut self.body), &self.parts.headers, &self.gateway.config.edge);
        let forward = Forward {
            request_id: self.from.request_id.clone(),
            namespace: intake.version.namespace.clone(),
            function,
            caller: self.caller.clone(),
            head: Arc::new(message::head_of(self.gateway, &self.parts, upgrade.is_some())),
            is_secure: self.is_secure(),
            body: Body::empty(),
            signing: (intake.signed || self.by_hash).then(|| self.signing()),
            client_request_id: ids::client_request_id(&self.parts.headers),
            trace_id: ids::trace_id(&self.parts.headers),
        };
        let input_bytes_max = self.gateway.platform.config().limits.input_bytes_max;
        let small = self.has_small_body(&reader).then_some(input_bytes_max);
        let forwarded = match body_bytes_max(&intake, &forward, input_bytes_max).or(small) {
            Some(limit) => self.forward_whole(forward, reader, limit, &callee).await?,
            None => {
                let fault = Fault::default();
                let forward = Forward { body: body::arriving(reader, fault.clone()), ..forward };
                let forwarded = self.hand_over(forward, &callee).await;
                forwarded.map_err(|error| fault.take().unwrap_or_else(|| error.into()))?
            }
        };
        self.reply(forwarded, upgrade).await
    }

    /// Unless the function is to decide whether it wants the body, or trailers may follow, as they may in HTTP/2 at any time.
    fn has_small_body(&self, reader: &BodyReader) -> bool {
        let declared = reader.declared().is_some_and(|bytes| bytes <= SMALL_BYTES);
        declared && self.parts.version < Version::HTTP_2 && !self.parts.headers.contains_key(header::EXPECT)
    }

    /// Over our own TLS, or that of a proxy that is trusted to say so.
    fn is_secure(&self) -> bool {
        const FORWARDED_PROTO: &str = "x-forwarded-proto";
        let told = self.parts.headers.get(FORWARDED_PROTO).is_some_and(|proto| proto.as_bytes() == b"https");
        let trusted = &self.gateway.config.trusted_proxies;
        let peer = self.from.peer.to_canonical();
        self.parts.extensions.get::<ByTls>().is_some() || told && trusted.iter().any(|range| range.contains(peer))
    }

    fn signing(&self) -> Signing {
        let target = self.parts.uri.path_and_query().map_or("", |target| target.as_str()).to_owned();
        Signing { target, host: Bytes::copy_from_slice(host_of(&self.parts).as_bytes()) }
    }

    /// Reads the body before the call takes its place.
    async fn forward_whole(
        &self,
        forward: Forward,
        mut reader: BodyReader,
        limit: usize,
        callee: &Callee,
    ) -> Result<Forwarded, Refusal> {
        let _room = self.gateway.body_room(reader.declared(), limit).await?;
        let signed = forward.signing.is_some();
        let body = Body::Whole(reader.read_all(limit).await?);
        self.hand_over(Forward { body, ..forward }, callee).await.map_err(|error| match error.code {
            // It is the function that said too much.
            ErrorCode::ResultTooLarge if signed => Refusal::with_status(StatusCode::BAD_GATEWAY, error),
            _ => error.into(),
        })
    }

    async fn hand_over(&self, forward: Forward, callee: &Callee) -> Result<Forwarded, Error> {
        match callee {
            Callee::Function => self.gateway.platform.forward(forward).await,
            Callee::Code(code) => self.gateway.platform.forward_to_code(code, forward).await,
        }
    }

    async fn reply(&self, forwarded: Forwarded, upgrade: Option<OnUpgrade>) -> Answer {
        let Forwarded { version: _, head, body, upgraded } = forwarded;
        let mut reply: Reply = message::reply_of(head, body, &self.parts.method).await;
        if self.gateway.config.forward_headers {
            reply
                .headers_mut()
                .insert(crate::reply::REQUEST_ID, crate::reply::text_value(self.from.request_id.as_str()));
        }
        match (upgraded, upgrade) {
            (None, _) => Ok(reply),
            (Some(theirs), Some(on_upgrade)) => Ok(switched::join(reply, on_upgrade, theirs)),
            (Some(_), None) => {
                let unasked = "the function switched to a protocol that nobody asked for";
                Err(Error::new(ErrorCode::FunctionExecutionFailed, unasked).into())
            }
        }
    }
}

/// The most bytes of a body that has to be whole; `None` for one that may stream.
fn body_bytes_max(intake: &Intake, forward: &Forward, input_bytes_max: usize) -> Option<usize> {
    match (intake.whole, forward.signing.is_some()) {
        (true, true) => Some(input_bytes_max.min(SIGNED_BYTES_MAX)),
        (true, false) => Some(input_bytes_max),
        (false, true) => Some(SIGNED_BYTES_MAX),
        (false, false) => None,
    }
}

/// A private function is not there for who may not call it.
fn hidden(refused: Error) -> Refusal {
    match refused.code {
        ErrorCode::Unauthorized | ErrorCode::NotFound => nobody_here().into(),
        _ => refused.into(),
    }
}
