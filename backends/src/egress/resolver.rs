//! From names to addresses, of which only the allowed ones reach the connector: what is connected to is what was checked.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::guard::{Guard, Policies, Refused, Target};

/// Lookups at once. Each has a thread of its own until it ends, wanted or not.
const LOOKUPS_MAX: usize = 64;
/// Lookups at once of one client, so that names that nobody answers for do not hold up the others.
const CLIENT_LOOKUPS_MAX: usize = 8;

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolver: Send + Sync {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
pub struct SystemResolver {
    threads: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { threads: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let name = name.to_owned();
        let permit = self.threads.clone().acquire_owned().await.expect("the semaphore is never closed");
        let asking = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let found = (name.as_str(), 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        });
        asking.await.map_err(io::Error::other)?
    }
}

/// Why there is nothing to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unresolved {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the name is not known")]
    Unknown(#[source] io::Error),
}

/// Resolves for one client: for one set of policies and one port.
pub(super) struct GuardedResolver {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) guard: Arc<Guard>,
    pub(super) policies: Policies,
    pub(super) port: u16,
    pub(super) lookups: Arc<Semaphore>,
}

impl GuardedResolver {
    pub(super) fn new(resolver: Arc<dyn Resolver>, guard: Arc<Guard>, policies: Policies, port: u16) -> Self {
        Self { resolver, guard, policies, port, lookups: Arc::new(Semaphore::new(CLIENT_LOOKUPS_MAX)) }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { resolver, guard, policies, port, lookups } = self;
        let (resolver, guard, policies, port) = (resolver.clone(), guard.clone(), policies.clone(), *port);
        let lookups = lookups.clone();
        Box::pin(async move {
            let target = Target::named(name.as_str(), port);
            let _turn = lookups.acquire().await.expect("the semaphore is never closed");
            let found = resolver.lookup(name.as_str()).await.map_err(Unresolved::Unknown)?;
            Ok(allowed(&guard, &policies, &target, found)?)
        })
    }
}

/// The addresses that may be connected to. If none may, why the first must not.
fn allowed(guard: &Guard, policies: &Policies, target: &Target, found: Vec<IpAddr>) -> Result<Addrs, Unresolved> {
    let mut allowed = Vec::new();
    let mut refused = None;
    for address in found {
        match guard.check_address(policies, target, address) {
            Ok(()) => allowed.push(SocketAddr::new(address, target.port)),
            Err(objection) => drop(refused.get_or_insert(objection)),
        }
    }
    match refused {
        Some(refused) if allowed.is_empty() => Err(refused.into()),
        None if allowed.is_empty() => Err(Unresolved::Unknown(io::Error::other("no address"))),
        _ => Ok(Box::new(allowed.into_iter())),
    }
}
