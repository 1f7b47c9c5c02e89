//! The live WebSockets of functions: which there are, whose they are, and what is sent to them.
//!
//! The gateway holds the connections: it attaches each one ([`Platform::attach_socket`]), sends what comes out of
//! [`Attached::next`], and drops it when the connection is gone. Nothing here knows frames, pings or close codes. Functions reach
//! sockets through `house.rs`, always those of their own namespace; `session.rs` has the instances of persistent ones.
//! The sockets of `/v1/pubsub/ws` are subscriptions and nothing more, and are not here.

mod client;
mod house;
mod outbox;
mod session;
mod shares;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{Caller, Error, ErrorCode, FunctionName, Namespace, Scope, Timestamp, Topic, VersionNumber};

use crate::Platform;
use client::Client;
use outbox::{Parcel, Unsent};

pub use client::{Attached, NewSocket};
pub use outbox::{Delivery, Farewell, SocketFrame};
pub use session::{AdmittedSocket, Conversation, SocketEnd, SocketRules};
pub(crate) use shares::Shares;

/// Topics that one socket may be bridged to.
const BRIDGES_MAX: usize = 1000;

/// What may wait for the clients of all sockets, in bytes: each socket has its own bound, but there may be thousands.
const WAITING_BYTES_MAX: usize = 512 << 20;
/// The same in one namespace.
const NAMESPACE_WAITING_BYTES_MAX: usize = 128 << 20;

/// All live sockets of functions, by namespace and id.
pub(crate) struct LiveSockets {
    tenants: Mutex<HashMap<Namespace, Tenant>>,
    /// The bytes that wait for clients.
    waiting: Arc<Shares>,
}

impl Default for LiveSockets {
    fn default() -> Self {
        Self { tenants: Mutex::default(), waiting: Shares::new(WAITING_BYTES_MAX, NAMESPACE_WAITING_BYTES_MAX) }
    }
}

#[derive(Default)]
struct Tenant {
    clients: HashMap<Arc<str>, Arc<Client>>,
    /// Who is bridged to a topic.
    bridged: HashMap<Topic, HashMap<Arc<str>, Arc<Client>>>,
}

/// A live socket, for those who manage its namespace.
#[derive(Debug, Clone)]
pub struct SocketView {
    pub client_id: Arc<str>,
    pub function: FunctionName,
    /// That of its instance; `None` when every message is a call of its own.
    pub version: Option<VersionNumber>,
    /// Empty for nobody.
    pub wallet: String,
    pub address: IpAddr,
    pub connected_at: Timestamp,
    pub bridges: usize,
    pub frames_in: u64,
    pub bytes_in: u64,
    pub frames_out: u64,
    pub bytes_out: u64,
}

impl SocketView {
    fn of(client: &Client) -> Self {
        let counts = &client.counts;
        Self {
            client_id: client.id.clone(),
            function: client.function.clone(),
            version: client.version,
            wallet: client.caller.load().wallet().to_owned(),
            address: client.address,
            connected_at: client.connected_at,
            bridges: client.bridge_count(),
            frames_in: counts.frames_in.load(Ordering::Relaxed),
            bytes_in: counts.bytes_in.load(Ordering::Relaxed),
            frames_out: counts.frames_out.load(Ordering::Relaxed),
            bytes_out: counts.bytes_out.load(Ordering::Relaxed),
        }
    }
}

impl LiveSockets {
    fn tenants(&self) -> MutexGuard<'_, HashMap<Namespace, Tenant>> {
        // Every change is whole before anything can panic.
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A frame with its place among all that wait.
    fn parcel(&self, namespace: &Namespace, frame: SocketFrame) -> Result<Parcel, Error> {
        let crowded = |_| {
            let message = "too much waits for the clients of WebSockets; send less, or less often";
            Error::new(ErrorCode::RateLimited, message)
        };
        let share = self.waiting.take(namespace, frame.data.len()).map_err(crowded)?;
        Ok(Parcel { frame, _share: Some(Arc::new(share)) })
    }

    fn insert(&self, client: &Arc<Client>) {
        let mut tenants = self.tenants();
        tenants.entry(client.namespace.clone()).or_default().clients.insert(client.id.clone(), client.clone());
    }

    fn remove(&self, client: &Client, bridged: &[Topic]) {
        let mut tenants = self.tenants();
        let Some(tenant) = tenants.get_mut(&client.namespace) else { return };
        tenant.clients.remove(&client.id);
        for topic in bridged {
            tenant.forget_bridge(topic, &client.id);
        }
        if tenant.clients.is_empty() {
            tenants.remove(&client.namespace);
        }
    }

    fn find(&self, namespace: &Namespace, id: &str) -> Result<Arc<Client>, Error> {
        let found = self.tenants().get(namespace).and_then(|tenant| tenant.clients.get(id).cloned());
        found.ok_or_else(unknown_socket)
    }

    /// Those of a namespace that `wanted` picks, the oldest first.
    fn of_namespace(&self, namespace: &Namespace, wanted: impl Fn(&Client) -> bool) -> Vec<Arc<Client>> {
        let tenants = self.tenants();
        let clients = tenants.get(namespace).into_iter().flat_map(|tenant| tenant.clients.values());
        let mut found: Vec<_> = clients.filter(|client| wanted(client)).cloned().collect();
        drop(tenants);
        found.sort_by(|a, b| (a.connected_at, &a.id).cmp(&(b.connected_at, &b.id)));
        found
    }

    fn bridged_to(&self, namespace: &Namespace, topic: &Topic) -> Vec<Arc<Client>> {
        let tenants = self.tenants();
        let bridged = tenants.get(namespace).and_then(|tenant| tenant.bridged.get(topic));
        bridged.into_iter().flat_map(|clients| clients.values().cloned()).collect()
    }

    /// Notes a bridge, unless the socket has gone meanwhile.
    fn note_bridge(&self, client: &Arc<Client>, topic: &Topic) {
        let mut tenants = self.tenants();
        let tenant = tenants.get_mut(&client.namespace).filter(|tenant| tenant.clients.contains_key(&client.id));
        if let Some(tenant) = tenant {
            tenant.bridged.entry(topic.clone()).or_default().insert(client.id.clone(), client.clone());
        }
    }

    fn forget_bridge(&self, client: &Client, topic: &Topic) {
        if let Some(tenant) = self.tenants().get_mut(&client.namespace) {
            tenant.forget_bridge(topic, &client.id);
        }
    }

    /// Ends the sockets of a function, or of one version of it: it was deleted or switched off.
    pub(crate) fn end_function(&self, namespace: &Namespace, function: &FunctionName, version: Option<VersionNumber>) {
        let concerned =
            |client: &Client| client.function == *function && (version.is_none() || client.version == version);
        for client in self.of_namespace(namespace, concerned) {
            client.outbox.end(Farewell::FunctionGone);
        }
    }

    /// Ends every socket of a namespace: it is deleted. None of them is reachable any more.
    pub(crate) fn end_namespace(&self, namespace: &Namespace) {
        let gone = self.tenants().remove(namespace);
        for client in gone.iter().flat_map(|tenant| tenant.clients.values()) {
            client.outbox.end(Farewell::NamespaceGone);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.tenants().values().map(|tenant| tenant.clients.len()).sum()
    }
}

impl Tenant {
    fn forget_bridge(&mut self, topic: &Topic, id: &str) {
        if let Some(clients) = self.bridged.get_mut(topic) {
            clients.remove(id);
            if clients.is_empty() {
                self.bridged.remove(topic);
            }
        }
    }
}

impl Platform {
    /// A connection became a socket of a function. It is reachable until what comes back is dropped.
    pub fn attach_socket(self: &Arc<Self>, new: NewSocket) -> Attached {
        let id: Arc<str> = uuid::Uuid::now_v7().to_string().into();
        let client = Arc::new(Client::new(id, new, self.clock.now()));
        self.sockets.insert(&client);
        self.ephemeral.connected(&client.namespace, &client.id);
        Attached::new(Arc::downgrade(self), client)
    }

    /// The live sockets of a namespace's functions, the oldest first.
    pub fn sockets(&self, caller: &Caller, namespace: &Namespace) -> Result<Vec<SocketView>, Error> {
        self.manage(caller, Scope::Deploy, namespace)?;
        let all = self.sockets.of_namespace(namespace, |_| true);
        Ok(all.iter().map(|client| SocketView::of(client)).collect())
    }

    pub fn socket(&self, caller: &Caller, namespace: &Namespace, id: &str) -> Result<SocketView, Error> {
        self.manage(caller, Scope::Deploy, namespace)?;
        self.sockets.find(namespace, id).map(|client| SocketView::of(&client))
    }

    /// Ends a socket, behind what already waits for it.
    pub fn close_socket(&self, caller: &Caller, namespace: &Namespace, id: &str) -> Result<(), Error> {
        self.manage(caller, Scope::Deploy, namespace)?;
        self.sockets.find(namespace, id)?.outbox.end(Farewell::ClosedByOwner);
        Ok(())
    }

    /// Sends a frame over every live socket of a user of the namespace; to how many. A user is whom the caller of the socket
    /// says that it is: its claim `account_id`, or else the subject of its token.
    pub(crate) fn send_to_user(&self, namespace: &Namespace, user: &str, frame: &SocketFrame) -> usize {
        let theirs = |client: &Client| client.caller.load().user() == Some(user);
        let clients = self.sockets.of_namespace(namespace, theirs);
        let Ok(parcel) = self.sockets.parcel(namespace, frame.clone()) else { return 0 };
        clients.iter().filter(|client| client.outbox.send_now(parcel.clone()).is_ok()).count()
    }
}

fn unknown_socket() -> Error {
    Error::not_found("no such WebSocket; it may have been closed")
}

/// The error of a frame that was not taken.
fn unsent(why: Unsent) -> Error {
    match why {
        Unsent::Gone => unknown_socket(),
        Unsent::TooSlow => Error::new(
            ErrorCode::RateLimited,
            "the WebSocket takes frames too slowly and is closed; its client may come back",
        ),
    }
}
