//! Outbound HTTP, to addresses that were allowed when the connection was made.
//!
//! Functions are strangers inside of the operator's network: what they ask for is judged by its address, not by its text. A
//! URL is parsed once; an address in it is checked before each hop, and the addresses of a name by the resolver that the
//! connector uses, so that nothing can change between the check and the connection. Redirects are followed here, each checked
//! like the first URL. Proxy variables of the environment are ignored.
//!
//! [`address`] knows the ranges, [`guard`] the rules, [`clients`] the connections.

mod address;
mod clients;
mod guard;
mod lend;
mod reply;
mod request;
mod resolver;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::{AddressRange, EgressPolicy, Namespace};
use ports::{Egress, EgressError, FetchReply, FetchRequest};
use reqwest::header::HeaderValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use lend::{Connection, NotReached};
pub use resolver::{Resolver, SystemResolver};
pub use rustls::pki_types::CertificateDer;

use clients::Clients;
pub(crate) use clients::tls as client_tls;
use guard::{Guard, Policies};
use request::Hop;

/// Ports of protocols that could mistake a request for one of their own, or whose servers trust whoever reaches them.
pub const DENIED_PORTS: &[u16] = &[
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 138, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513, 514, 515, 526, 530,
    531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 873, 989, 990, 993, 995, 1433, 1521, 1719, 1720, 1723, 2049,
    2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4001, 4045, 5060, 5061, 5432, 5900, 6000, 6379, 6566, 6665, 6666,
    6667, 6668, 6669, 6697, 9042, 10080, 10250, 11211, 27017,
];

/// What holds for every namespace of a node; each value has a default.
#[derive(Clone)]
pub struct EgressConfig {
    /// Ranges that are not public, which a policy may list. The metadata addresses of providers need a range of their own.
    pub permitted_private: Vec<AddressRange>,
    /// Where this node listens: never reached, whatever permits it.
    pub own_addresses: Vec<SocketAddr>,
    /// See [`DENIED_PORTS`].
    pub denied_ports: Vec<u16>,
    pub request_bytes_max: usize,
    /// The largest body of a reply, decompressed.
    pub reply_bytes_max: usize,
    pub reply_header_bytes_max: usize,
    pub redirects_max: usize,
    /// The time of an exchange, redirects and all.
    pub timeout: Duration,
    pub connect_timeout: Duration,
    /// Exchanges at once; more wait.
    pub exchanges_max: usize,
    /// Exchanges at once in one namespace; more wait.
    pub namespace_exchanges_max: usize,
    /// Clients kept, with their connections: one for each namespace, port and set of policies.
    pub clients_max: usize,
    pub user_agent: HeaderValue,
    /// Authorities that are trusted beside those of the system.
    pub authorities: Vec<CertificateDer<'static>>,
    pub resolver: Arc<dyn Resolver>,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            permitted_private: Vec::new(),
            own_addresses: Vec::new(),
            denied_ports: DENIED_PORTS.to_vec(),
            request_bytes_max: 10 << 20,
            reply_bytes_max: 10 << 20,
            reply_header_bytes_max: 256 << 10,
            redirects_max: 10,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            exchanges_max: 512,
            namespace_exchanges_max: 128,
            clients_max: 512,
            user_agent: HeaderValue::from_static(concat!("orama/", env!("CARGO_PKG_VERSION"))),
            authorities: Vec::new(),
            resolver: Arc::new(SystemResolver::default()),
        }
    }
}

/// Why outbound HTTP cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("prepare TLS for outbound HTTP")]
pub struct EgressOpenError(#[source] rustls::Error);

/// Sends requests over connections of its own.
pub struct HttpEgress {
    config: EgressConfig,
    guard: Arc<Guard>,
    clients: Clients,
    exchanges: Arc<Semaphore>,
    /// Only those of namespaces that have an exchange now.
    namespace_exchanges: Mutex<HashMap<Namespace, Weak<Semaphore>>>,
}

impl fmt::Debug for HttpEgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpEgress").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// Makes ready to send. Nothing is sent or looked up yet.
pub fn open(config: EgressConfig) -> Result<HttpEgress, EgressOpenError> {
    let guard = Arc::new(Guard {
        permitted_private: config.permitted_private.clone(),
        denied_ports: config.denied_ports.clone(),
        own_addresses: RwLock::new(config.own_addresses.clone()),
    });
    let clients = Clients::new(&config, guard.clone()).map_err(EgressOpenError)?;
    let exchanges = Arc::new(Semaphore::new(config.exchanges_max));
    Ok(HttpEgress { config, guard, clients, exchanges, namespace_exchanges: Mutex::default() })
}

impl HttpEgress {
    /// Says where this node listens, once it is known. Call it before the first request is served.
    pub fn set_own_addresses(&self, addresses: Vec<SocketAddr>) {
        *self.guard.own_addresses.write().expect("no holder panics") = addresses;
    }

    async fn exchange(
        &self,
        namespace: &Namespace,
        policies: Policies,
        request: FetchRequest,
    ) -> Result<FetchReply, EgressError> {
        let mut hop = Hop::first(request, &self.config)?;
        // Before the turn: what is refused anyway need not wait.
        self.guard.check_url(&policies, &hop.url, hop.written)?;
        let _turn = self.turn(namespace).await;
        for _ in 0..=self.config.redirects_max {
            let target = self.guard.check_url(&policies, &hop.url, hop.written)?;
            let client = self.clients.of(namespace, &policies, target.port);
            let client = client.map_err(|error| reply::failure(&error, &target))?;
            let response = client.execute(hop.to_request()).await.map_err(|error| reply::failure(&error, &target))?;
            match hop.redirected(response.status(), response.headers())? {
                Some(next) => hop = next,
                None => return reply::read(response, &hop.method, &target, &self.config).await,
            }
        }
        Err(EgressError::Failed(format!("there are more than {} redirects", self.config.redirects_max)))
    }

    /// A place among the exchanges of the namespace, then one among all: a namespace that has many waits for itself.
    async fn turn(&self, namespace: &Namespace) -> (OwnedSemaphorePermit, OwnedSemaphorePermit) {
        let open = "the semaphores are never closed";
        let own = self.exchanges_of(namespace).acquire_owned().await.expect(open);
        (own, self.exchanges.clone().acquire_owned().await.expect(open))
    }

    fn exchanges_of(&self, namespace: &Namespace) -> Arc<Semaphore> {
        let mut all = self.namespace_exchanges.lock().expect("no holder panics");
        if let Some(exchanges) = all.get(namespace).and_then(Weak::upgrade) {
            return exchanges;
        }
        all.retain(|_, exchanges| exchanges.strong_count() > 0);
        let exchanges = Arc::new(Semaphore::new(self.config.namespace_exchanges_max));
        all.insert(namespace.clone(), Arc::downgrade(&exchanges));
        exchanges
    }
}

#[async_trait]
impl Egress for HttpEgress {
    async fn fetch(
        &self,
        namespace: &Namespace,
        policies: &[&EgressPolicy],
        request: FetchRequest,
        deadline: Instant,
    ) -> Result<FetchReply, EgressError> {
        let policies = policies.iter().map(|policy| (*policy).clone()).collect();
        let deadline = deadline.min(Instant::now() + self.config.timeout);
        let exchange = self.exchange(namespace, policies, request);
        tokio::time::timeout_at(deadline.into(), exchange).await.unwrap_or(Err(EgressError::Deadline))
    }

    fn forget(&self, namespace: &Namespace) {
        self.clients.forget(namespace);
    }
}
