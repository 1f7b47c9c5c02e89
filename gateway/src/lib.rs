//! Sockets into calls on the platform, outcomes into bytes.
//!
//! [`routes`] is the one table that the dispatcher, the OpenAPI document and the isolation matrix are made from;
//! `error.rs` is the one place that knows which HTTP status an error code is. [`edge`] owns the sockets and hands every
//! well-formed request to [`Gateway::handle`], which needs none. What a function is and who may call it is decided in
//! `platform`.

mod address;
mod audit;
mod body;
mod credential;
mod document;
pub mod edge;
mod error;
mod exchange;
#[doc(hidden)]
pub mod fuzzing;
mod handlers;
mod hosts;
mod ids;
mod metrics;
mod query;
mod reply;
mod routes;
mod tls;
mod websocket;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{AddressRange, Caller, Error, ErrorCode, RequestId};
use http::request::Parts;
use http::{Method, Request, header};
use platform::{Platform, RateLeft};
use tokio::sync::{Semaphore, SemaphorePermit};

use audit::Trail;
use credential::Identity;
use error::{Answer, Refusal};
use exchange::Exchange;
use ids::RequestIds;
use metrics::Metrics;
use routes::{Counted, Found, Handler};

pub use body::RequestBody;
pub use edge::{Bound, EdgeConfig, Scheme, bind, serve, serve_as};
pub use error::ErrorForm;
pub use reply::{BrokenOff, Reply, ReplyBody};
pub use routes::{Access, ROUTES, Route, Verb};
pub use tls::{HostNames, Tls, TlsConfig, TlsError};
pub use websocket::SocketConfig;

/// Which build this is, as `GET /v1/version` tells it.
#[derive(Debug, Clone)]
pub struct Build {
    pub version: String,
    pub commit: String,
    pub built_at: String,
}

impl Default for Build {
    fn default() -> Self {
        let unknown = || "unknown".to_owned();
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), commit: unknown(), built_at: unknown() }
    }
}

#[derive(Debug, Clone)]
pub struct GatewayConfig {
    pub edge: EdgeConfig,
    /// `None` where only plain HTTP is spoken.
    pub tls: Option<Arc<Tls>>,
    pub build: Build,
    /// Answer a function's timeout with 429 `RATE_LIMITED`, as the reference does, and not with 504 `TIMEOUT`.
    pub timeout_as_rate_limited: bool,
    /// The addresses of the proxies in front, whose word about the client counts.
    pub trusted_proxies: Vec<AddressRange>,
    /// Uploads held in memory at once; each may be as large as the largest module.
    pub uploads: usize,
    pub sockets: Arc<SocketConfig>,
    /// Whose pages may open a WebSocket, beside those of our own host: `https://app.example.com`, or `*` for all.
    pub allowed_origins: Vec<String>,
    /// Below this name every function has a host name of its own; empty for none.
    pub base_domain: String,
    /// Tell our request id in the replies of functions that were called by their host name, where nothing else is ours.
    pub forward_headers: bool,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            edge: EdgeConfig::default(),
            tls: None,
            build: Build::default(),
            timeout_as_rate_limited: false,
            trusted_proxies: address::this_machine(),
            uploads: 4,
            sockets: Arc::default(),
            allowed_origins: Vec::new(),
            base_domain: "localhost".to_owned(),
            forward_headers: false,
        }
    }
}

/// Inputs of calls in memory at once, in KiB.
const BODIES_KIB: usize = 256 << 10;
/// The longest wait for room among them.
const BODY_ROOM_WAIT: Duration = Duration::from_secs(10);

/// The HTTP door of one node.
pub struct Gateway {
    platform: Arc<Platform>,
    config: GatewayConfig,
    metrics: Metrics,
    connections: edge::Connections,
    request_ids: RequestIds,
    uploads: Semaphore,
    /// Room for the inputs of calls, in KiB: many connections together must not fill the memory.
    bodies: Semaphore,
    /// Room for the messages of sockets, in KiB.
    message_room: Arc<Semaphore>,
    /// Messages of topics, composed once for all their subscribers.
    envelopes: handlers::sockets::Envelopes,
    audit_budget: audit::Budget,
    anonymous: Arc<Caller>,
    openapi: Bytes,
}

/// What is known of a request by the time that it is answered.
#[derive(Default)]
struct Known {
    /// The line of the table.
    route: Option<usize>,
    errors: ErrorForm,
    /// What is left of the caller's limit, if there is one.
    left: Option<RateLeft>,
    /// The reply is that of a function on its own host name.
    forwarded: bool,
}

/// A request as it came to the door.
struct Arrival<'a> {
    /// The other end of the connection, which may be a proxy.
    peer: IpAddr,
    request_id: &'a RequestId,
}

impl Gateway {
    pub fn new(platform: Arc<Platform>, config: GatewayConfig) -> Arc<Self> {
        Arc::new(Self {
            metrics: Metrics::new(ROUTES.len()),
            connections: edge::Connections::new(&config.edge),
            request_ids: RequestIds::default(),
            uploads: Semaphore::new(config.uploads),
            bodies: Semaphore::new(BODIES_KIB),
            message_room: Arc::new(Semaphore::new((config.sockets.bytes_max >> 10).min(Semaphore::MAX_PERMITS))),
            envelopes: handlers::sockets::Envelopes::default(),
            audit_budget: audit::Budget::default(),
            anonymous: Arc::new(Caller::anonymous()),
            openapi: routes::openapi(&config.build.version),
            platform,
            config,
        })
    }

    pub fn platform(&self) -> &Arc<Platform> {
        &self.platform
    }

    /// Answers one request from `peer`. Never fails: a refusal and even a panic is a reply.
    pub async fn handle(self: &Arc<Self>, request: Request<RequestBody>, peer: IpAddr) -> Reply {
        let request_id = self.request_ids.next();
        let (parts, body) = request.into_parts();
        let head_only = parts.method == Method::HEAD;
        let mut known = Known::default();
        let arrival = Arrival { peer, request_id: &request_id };
        let answer = audit::unpanicked(self.answer(parts, body, &arrival, &mut known), &request_id).await;
        let mut reply = self.finish(answer, &request_id, &known);
        if head_only && !known.forwarded {
            reply::without_body(&mut reply);
        }
        reply
    }

    /// Waits for room for a body of the declared size, or of the largest when none is declared.
    pub(crate) async fn body_room(&self, declared: Option<u64>, limit: usize) -> Result<SemaphorePermit<'_>, Error> {
        let bytes = declared.map_or(limit, |declared| limit.min(usize::try_from(declared).unwrap_or(limit)));
        let kib = u32::try_from(bytes.div_ceil(1024).min(BODIES_KIB)).unwrap_or(u32::MAX);
        match tokio::time::timeout(BODY_ROOM_WAIT, self.bodies.acquire_many(kib)).await {
            Ok(room) => Ok(room.expect("the semaphore is never closed")),
            Err(_) => Err(Error::new(ErrorCode::RateLimited, "too many large requests at once; try again")
                .retry_after(Duration::from_secs(1))),
        }
    }

    /// The reply to a request that the edge refused before anybody looked at its route.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Reply {
        let request_id = self.request_ids.next();
        self.finish(Err(refusal), &request_id, &Known::default())
    }

    /// Gives a reply that the edge made what all of ours carry.
    pub(crate) fn adopt(&self, reply: Reply) -> Reply {
        self.finish(Ok(reply), &self.request_ids.next(), &Known::default())
    }

    fn finish(&self, answer: Answer, request_id: &RequestId, known: &Known) -> Reply {
        let mut reply = answer.unwrap_or_else(|refusal| refusal.render(known.errors, request_id, &self.config));
        if known.forwarded {
            // It is the function's, and complete.
            self.metrics.forwarded(reply.status());
            return reply;
        }
        reply::add_common_headers(&mut reply, request_id);
        if let Some(left) = &known.left {
            reply::add_rate_headers(reply.headers_mut(), left);
        }
        self.metrics.answered(known.route, reply.status());
        reply
    }

    async fn answer(
        self: &Arc<Self>,
        parts: Parts,
        body: RequestBody,
        arrival: &Arrival<'_>,
        known: &mut Known,
    ) -> Answer {
        let home = match hosts::door(self, &parts, known) {
            hosts::Door::Api(home) => home,
            // Boxed: a request to the API shall not carry the size of what it does not do.
            hosts::Door::Function(target) => {
                return Box::pin(hosts::answer(self, (parts, body), arrival, target, known)).await;
            }
        };
        if parts.method == Method::OPTIONS && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return Ok(reply::preflight());
        }
        let (index, route, captures) = match routes::find(&parts.method, parts.uri.path()) {
            Found::Route { index, route, captures } => (index, route, captures),
            Found::OtherMethods { .. } | Found::Nothing if parts.method == Method::OPTIONS => {
                return Ok(reply::preflight());
            }
            Found::OtherMethods { allowed, errors } => {
                known.errors = errors;
                return Err(Refusal::method_not_allowed(&parts.method, &allowed));
            }
            Found::Nothing => return Err(routes::unknown_path(parts.uri.path())),
        };
        (known.route, known.errors) = (Some(index), route.errors);
        let identity = hosts::at_home(self, credential::resolve(self, &parts), home.as_ref());
        let Arrival { peer, request_id } = *arrival;
        let client = address::of_client(&self.config.trusted_proxies, &parts.headers, peer);
        let admitted = self.admit(route, &identity, client, known);
        let from = (peer, client);
        let mut exchange =
            Exchange::new(parts, body, (route, captures), identity, request_id.clone(), from, &self.config.edge);
        exchange.home = home;
        if let Err(refusal) = admitted {
            return self.refused(route, &exchange, refusal).await;
        }
        match (&route.handler, route.audit) {
            (Handler::Invoke(form), _) => handlers::invoke::invoke(self, exchange, *form, &mut known.left).await,
            (Handler::Plain(handler), None) => handler(self.clone(), exchange).await,
            (Handler::Plain(handler), Some(action)) => audit::audited(self.clone(), exchange, action, *handler).await,
        }
    }

    /// Counts the request, then turns away whoever cannot pass in any namespace. In this order, because guessing keys shall
    /// cost, too.
    fn admit(
        &self,
        route: &routes::Route,
        identity: &Identity,
        client: IpAddr,
        known: &mut Known,
    ) -> Result<(), Refusal> {
        if route.counted != Counted::Never {
            let left = self.platform.count_request(identity.caller(), client);
            known.left = left.map_err(Refusal::over_the_limit)?;
        }
        if route.counted == Counted::AsSignIn {
            self.platform.count_sign_in(client).map_err(Refusal::over_the_limit)?;
        }
        route.access.admit(identity)
    }

    /// Writes down a request that was refused before its handler saw it, where its kind is written down.
    async fn refused(&self, route: &routes::Route, exchange: &Exchange, refusal: Refusal) -> Answer {
        if let Some(action) = route.audit {
            Trail::begin(self, exchange, action).end(self, Some(refusal.code())).await;
        }
        Err(refusal)
    }
}
