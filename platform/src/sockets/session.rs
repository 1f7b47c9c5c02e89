//! Sockets of functions with `ws_persistent: true`: one instance each, asked one thing at a time.
//!
//! The beginning, every frame and the end are calls like others: with the function's time limit, a record, and their place in
//! what a stop waits for. What they do not take is a place among calls: sockets have a pool of their own (`shares.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Caller, Error, ErrorCode, FunctionRef, Namespace, RequestId, TriggerKind, VersionNumber};
use ports::{CallContext, Ended, Failed, Flow, Observed, Reply, Session, SocketCall, SocketOpening};
use serde::Serialize;
use tokio::sync::OwnedRwLockReadGuard;

use super::shares::{Exceeded, Share};
use crate::Platform;
use crate::api::{Cause, Invoke};
use crate::invoke::Pending;
use crate::registry::Live;

/// How the sockets of a function behave, as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketRules {
    pub persistent: bool,
    pub version: VersionNumber,
    /// How long a client may say nothing.
    pub idle_timeout: Option<Duration>,
    pub frame_bytes_max: usize,
    /// Frames that may wait while one is being answered.
    pub inflight_max: usize,
}

/// Why a socket ends, as `ws_close` is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketEnd {
    ClientDisconnect,
    ServerShutdown,
    IdleTimeout,
    HandlerError,
    RejectedByOpen,
}

impl SocketEnd {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientDisconnect => "client_disconnect",
            Self::ServerShutdown => "server_shutdown",
            Self::IdleTimeout => "idle_timeout",
            Self::HandlerError => "handler_error",
            Self::RejectedByOpen => "rejected_by_open",
        }
    }
}

/// A socket that may begin: who asks may call the function, and there is a place if it needs one.
pub struct AdmittedSocket {
    pub rules: SocketRules,
    platform: Arc<Platform>,
    function: FunctionRef,
    live: Arc<Live>,
    place: Option<Share>,
}

/// What `ws_open` is told.
#[derive(Serialize)]
struct Opening<'a> {
    client_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    wallet: &'a str,
    namespace: &'a Namespace,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: &'a BTreeMap<String, String>,
}

/// A socket with its instance.
pub struct Conversation {
    platform: Arc<Platform>,
    function: FunctionRef,
    live: Arc<Live>,
    client: Arc<str>,
    /// `None` once it has failed.
    session: Option<Box<dyn Session>>,
    _place: Option<Share>,
    /// A stop waits for the last word of every socket.
    _under_way: OwnedRwLockReadGuard<()>,
}

impl Platform {
    /// May this caller open a socket of the function, and is there a place for it?
    pub fn admit_socket(
        self: &Arc<Self>,
        namespace: &Namespace,
        function: &FunctionRef,
        caller: &Caller,
    ) -> Result<AdmittedSocket, Error> {
        let live = self.find_callable(namespace, function, caller).map(|found| found.live);
        let live = live.inspect_err(|_| self.metrics.refused())?;
        let manifest = &live.version.manifest.websocket;
        let rules = SocketRules {
            persistent: manifest.persistent,
            version: live.version.version,
            idle_timeout: Some(manifest.idle_timeout).filter(|timeout| !timeout.is_zero()),
            frame_bytes_max: manifest.frame_bytes_max as usize,
            inflight_max: manifest.inflight_max as usize,
        };
        let place = rules.persistent.then(|| self.socket_places.take(namespace, 1).map_err(full)).transpose()?;
        Ok(AdmittedSocket { rules, platform: self.clone(), function: function.clone(), live, place })
    }
}

/// A client that waited for its socket would only come again.
fn full(exceeded: Exceeded) -> Error {
    let (whose, most) = match exceeded {
        Exceeded::Node(most) => ("the node", most),
        Exceeded::Namespace(most) => ("the namespace", most),
    };
    let message = format!("{whose} has {most} WebSockets with an instance of their own, and may have no more");
    Error::new(ErrorCode::ServiceUnavailable, message).retry_after(Duration::from_secs(5))
}

impl AdmittedSocket {
    /// Makes the instance and calls its `ws_open`. [`Flow::Close`] says that the function refused the socket.
    pub async fn open(
        self,
        client: Arc<str>,
        caller: Arc<Caller>,
        headers: &BTreeMap<String, String>,
    ) -> Result<(Conversation, Flow), Error> {
        let Self { rules: _, platform, function, live, place } = self;
        let stopping = |_| Error::new(ErrorCode::ServiceUnavailable, "the server is shutting down");
        let _under_way = platform.under_way.clone().try_read_owned().map_err(stopping)?;
        let caller = as_seen_by(&platform, &live, caller);
        let namespace = &live.version.namespace;
        let info = Opening { client_id: &client, wallet: caller.wallet(), namespace, headers };
        let info: Bytes = serde_json::to_vec(&info).expect("texts serialize").into();
        let mut conversation =
            Conversation { platform, function, live, client, session: None, _place: place, _under_way };
        let flow = conversation.begin(caller, info).await?;
        Ok((conversation, flow))
    }
}

/// Whoever comes from another namespace is nobody in this one.
fn as_seen_by(platform: &Platform, live: &Live, caller: Arc<Caller>) -> Arc<Caller> {
    if caller.is_foreign_to(&live.version.namespace) { platform.nobody.clone() } else { caller }
}

impl Conversation {
    async fn begin(&mut self, caller: Arc<Caller>, info: Bytes) -> Result<Flow, Error> {
        let (engine, services, session) = (&self.platform.engine, self.live.services.clone(), &mut self.session);
        let invoke = invoke_of(&self.live, &self.function, &self.client, caller, info.clone());
        let open = async |context, observed| {
            let opening = SocketOpening { info, context, observed };
            let (opened, flow, ended) = engine.open_socket(opening, services).await?;
            *session = Some(opened);
            Ok((flow, ended))
        };
        run(&self.platform, &self.live, &invoke, open).await
    }

    /// Hands a frame of the client to the instance. After an error there is no instance any more.
    pub async fn frame(&mut self, caller: Arc<Caller>, data: Bytes) -> Result<Flow, Error> {
        let Some(session) = &mut self.session else { return Err(ended()) };
        let caller = as_seen_by(&self.platform, &self.live, caller);
        let invoke = invoke_of(&self.live, &self.function, &self.client, caller, data.clone());
        let hand = async |context, observed| session.frame(SocketCall { context, data, observed }).await;
        let flow = run(&self.platform, &self.live, &invoke, hand).await;
        if flow.is_err() {
            self.session = None;
        }
        flow
    }

    /// Says goodbye to the instance, if it still lives. How that went is in its record.
    pub async fn close(mut self, caller: Arc<Caller>, why: SocketEnd) {
        let Some(mut session) = self.session.take() else { return };
        let caller = as_seen_by(&self.platform, &self.live, caller);
        let data = Bytes::from_static(why.as_str().as_bytes());
        let invoke = invoke_of(&self.live, &self.function, &self.client, caller, data.clone());
        let say = async |context, observed| {
            let ended = session.close(SocketCall { context, data, observed }).await?;
            Ok((Flow::Close, ended))
        };
        run(&self.platform, &self.live, &invoke, say).await.ok();
    }
}

fn ended() -> Error {
    Error::new(ErrorCode::FunctionExecutionFailed, "the instance of the WebSocket has ended")
}

fn invoke_of(live: &Live, function: &FunctionRef, client: &Arc<str>, caller: Arc<Caller>, input: Bytes) -> Invoke {
    Invoke {
        request_id: RequestId::new(uuid::Uuid::now_v7().to_string()),
        namespace: live.version.namespace.clone(),
        function: function.clone(),
        caller,
        trigger: TriggerKind::Websocket,
        cause: Cause { socket: Some(client.clone()), ..Cause::default() },
        http: None,
        input,
        client_request_id: None,
        trace_id: None,
        idempotency_key: None,
    }
}

/// One thing that the instance is asked, with its deadline and its record.
async fn run(
    platform: &Platform,
    live: &Live,
    invoke: &Invoke,
    ask: impl AsyncFnOnce(CallContext, Observed) -> Result<(Flow, Ended), Failed>,
) -> Result<Flow, Error> {
    // Until the record is handed over: whoever deletes the namespace waits for it.
    let _held = live.lease.hold()?;
    let started = platform.clock.instant();
    let mut pending = Pending::new(platform, invoke, live, started);
    let context = CallContext {
        request_id: invoke.request_id.clone(),
        caller: invoke.caller.clone(),
        trigger: invoke.trigger,
        depth: 0,
        trigger_depth: 0,
        socket: invoke.cause.socket.clone(),
        job: None,
        deadline: started + live.version.manifest.timeout,
    };
    let asked = live.lease.unless_ended(ask(context, pending.observed.clone())).await;
    let (flow, outcome) = match asked.unwrap_or_else(|deleted| Err(pending.cut(deleted))) {
        Ok((flow, ended)) => (flow, Ok(Reply { head: None, body: Bytes::new(), ended })),
        Err(failed) => (Flow::Close, Err(failed)),
    };
    pending.finish(outcome).await.map(|_| flow)
}
