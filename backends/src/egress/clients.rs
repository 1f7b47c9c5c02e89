//! The HTTP clients, each with connections of its own.
//!
//! Whether an address may be connected to depends on the policies and the port; so a client is made for those, within one
//! namespace, and a connection that it keeps was allowed for every request that it can serve.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::Namespace;
use reqwest::Client;
use reqwest::redirect::Policy;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::EgressConfig;
use super::guard::{Guard, Policies};
use super::resolver::{GuardedResolver, Resolver};

/// Idle connections that a client keeps to one host, and how long.
const IDLE_CONNECTIONS_MAX: usize = 8;
const IDLE_MAX: Duration = Duration::from_secs(60);
const TLS_SESSIONS_MAX: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    namespace: Namespace,
    policies: Policies,
    port: u16,
}

struct Kept {
    client: Client,
    /// The larger, the later it was used.
    used: u64,
}

#[derive(Default)]
struct Shelf {
    kept: HashMap<Key, Kept>,
    uses: u64,
}

/// The clients in use, the most recently used of them.
pub(super) struct Clients {
    shelf: Mutex<Shelf>,
    clients_max: usize,
    connect_timeout: Duration,
    resolver: Arc<dyn Resolver>,
    guard: Arc<Guard>,
    tls: ClientConfig,
}

impl Clients {
    pub(super) fn new(config: &EgressConfig, guard: Arc<Guard>) -> Result<Self, rustls::Error> {
        Ok(Self {
            shelf: Mutex::default(),
            clients_max: config.clients_max,
            connect_timeout: config.connect_timeout,
            resolver: config.resolver.clone(),
            guard,
            tls: tls(&config.authorities)?,
        })
    }

    /// The client for requests under these policies to this port.
    pub(super) fn of(&self, namespace: &Namespace, policies: &Policies, port: u16) -> Result<Client, reqwest::Error> {
        let key = Key { namespace: namespace.clone(), policies: policies.clone(), port };
        let mut shelf = self.shelf.lock().expect("no holder panics");
        shelf.uses += 1;
        let used = shelf.uses;
        if let Some(kept) = shelf.kept.get_mut(&key) {
            kept.used = used;
            return Ok(kept.client.clone());
        }
        let client = self.make(policies, port)?;
        shelf.make_room(self.clients_max);
        shelf.kept.insert(key, Kept { client: client.clone(), used });
        Ok(client)
    }

    /// Drops the clients of `namespace`, and with them their idle connections.
    pub(super) fn forget(&self, namespace: &Namespace) {
        let mut shelf = self.shelf.lock().expect("no holder panics");
        shelf.kept.retain(|key, _| key.namespace != *namespace);
    }

    fn make(&self, policies: &Policies, port: u16) -> Result<Client, reqwest::Error> {
        let resolver = GuardedResolver::new(self.resolver.clone(), self.guard.clone(), policies.clone(), port);
        let mut tls = self.tls.clone();
        // A session that is resumed tells a server that it is the same client.
        tls.resumption = Resumption::in_memory_sessions(TLS_SESSIONS_MAX);
        Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .dns_resolver(resolver)
            .tls_backend_preconfigured(tls)
            .http1_only()
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build()
    }
}

impl Clients {
    /// A client of its own, for addresses that the operator chose.
    pub(super) fn unguarded(&self, http2: bool) -> Result<Client, reqwest::Error> {
        let mut tls = self.tls.clone();
        tls.resumption = Resumption::in_memory_sessions(TLS_SESSIONS_MAX);
        let builder = Client::builder().no_proxy().redirect(Policy::none()).retry(reqwest::retry::never());
        let builder = match http2 {
            true => {
                tls.alpn_protocols = vec![b"h2".to_vec()];
                builder
                    .http2_prior_knowledge()
                    .http2_keep_alive_interval(IDLE_MAX)
                    .http2_keep_alive_timeout(IDLE_MAX / 4)
            }
            false => builder.http1_only(),
        };
        builder
            .tls_backend_preconfigured(tls)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build()
    }
}

impl Shelf {
    fn make_room(&mut self, most: usize) {
        while self.kept.len() >= most.max(1) {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone());
            self.kept.remove(&oldest.expect("the shelf is full"));
        }
    }
}

/// Trusts the authorities of the system; where it has none, as in a bare container, those that browsers trust.
pub(crate) fn tls(further: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    further.iter().try_for_each(|authority| roots.add(authority.clone()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
