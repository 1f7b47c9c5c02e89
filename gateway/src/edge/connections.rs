//! How many connections there are, in all and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::EdgeConfig;

/// Shared by the shards of a server.
pub(crate) struct Connections(Arc<Counts>);

struct Counts {
    max: usize,
    per_address_max: usize,
    accepted: AtomicU64,
    refused: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The right to one connection; dropping it gives it back.
pub(crate) struct Place {
    counts: Arc<Counts>,
    /// What is counted: all of an IPv6 customer's addresses are one.
    counted_as: IpAddr,
    pub(crate) peer: IpAddr,
}

impl Connections {
    pub(crate) fn new(config: &EdgeConfig) -> Self {
        Self(Arc::new(Counts {
            max: config.connections_max,
            per_address_max: config.connections_per_address_max,
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            open: Mutex::default(),
        }))
    }

    /// A place for a connection from `peer`; `None` when a limit is reached.
    pub(crate) fn admit(&self, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        let counted_as = network_of(peer);
        let mut open = self.0.open.lock().expect("no holder panics");
        let from_there = open.by_address.get(&counted_as).copied().unwrap_or(0);
        if open.all >= self.0.max || from_there >= self.0.per_address_max {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        open.all += 1;
        open.by_address.insert(counted_as, from_there + 1);
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        Some(Place { counts: self.0.clone(), counted_as, peer })
    }

    pub(crate) fn open(&self) -> usize {
        self.0.open.lock().expect("no holder panics").all
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.counts.open.lock().expect("no holder panics");
        open.all -= 1;
        if let Some(count) = open.by_address.get_mut(&self.counted_as) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.counted_as);
            }
        }
    }
}

/// The address itself, or the /64 of an IPv6 address.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let mask = u128::MAX << 64;
            std::net::Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_network_and_given_back() {
        let config = EdgeConfig { connections_max: 3, connections_per_address_max: 2, ..EdgeConfig::default() };
        let connections = Connections::new(&config);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let first = connections.admit(address("2001:db8::1"));
        let second = connections.admit(address("2001:db8::2"));
        assert!(first.is_some() && second.is_some());
        assert!(connections.admit(address("2001:db8::3")).is_none());
        let third = connections.admit(address("192.0.2.1"));
        assert!(third.is_some());
        assert!(connections.admit(address("192.0.2.2")).is_none());
        drop((first, second, third));
        assert_eq!((connections.open(), connections.accepted(), connections.refused()), (0, 3, 2));
    }
}
