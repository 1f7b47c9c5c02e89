//! How many sockets with an instance of their own there may be. They have a pool of their own: calls take nothing from it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Error, ErrorCode, Namespace};

use crate::NodeLimits;

/// The places of the node.
pub(crate) struct SocketPlaces {
    node_max: usize,
    namespace_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_namespace: HashMap<Namespace, usize>,
}

/// The right to one socket with an instance; dropping it gives it back.
pub(super) struct SocketPlace {
    places: Arc<SocketPlaces>,
    namespace: Namespace,
}

impl SocketPlaces {
    pub(crate) fn new(limits: &NodeLimits) -> Arc<Self> {
        let (node_max, namespace_max) = (limits.node_sockets, limits.namespace_sockets);
        Arc::new(Self { node_max, namespace_max, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Every change is whole before anything can panic.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, at once or not at all: a client that waits for its socket would only come again.
    pub(super) fn take(self: &Arc<Self>, namespace: &Namespace) -> Result<SocketPlace, Error> {
        let mut taken = self.taken();
        let there = taken.by_namespace.get(namespace).copied().unwrap_or(0);
        if taken.all >= self.node_max {
            return Err(full("the node", self.node_max));
        }
        if there >= self.namespace_max {
            return Err(full("the namespace", self.namespace_max));
        }
        taken.all += 1;
        taken.by_namespace.insert(namespace.clone(), there + 1);
        Ok(SocketPlace { places: self.clone(), namespace: namespace.clone() })
    }

    pub(crate) fn count(&self) -> usize {
        self.taken().all
    }
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(count) = taken.by_namespace.get_mut(&self.namespace) {
            *count -= 1;
            if *count == 0 {
                taken.by_namespace.remove(&self.namespace);
            }
        }
    }
}

fn full(whose: &str, most: usize) -> Error {
    let message = format!("{whose} has {most} WebSockets with an instance of their own, and may have no more");
    Error::new(ErrorCode::ServiceUnavailable, message).retry_after(Duration::from_secs(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_for_the_node_and_for_each_namespace() {
        let limits = NodeLimits { node_sockets: 3, namespace_sockets: 2, ..NodeLimits::default() };
        let places = SocketPlaces::new(&limits);
        let (home, other) = (Namespace::default_namespace(), Namespace::parse("other").expect("a name"));
        let held = [places.take(&home), places.take(&home)];
        assert!(held.iter().all(Result::is_ok) && places.take(&home).is_err());
        let third = places.take(&other);
        assert!(third.is_ok() && places.take(&other).is_err(), "the node is full");
        drop(held);
        assert_eq!(places.count(), 1);
        assert!(places.take(&home).is_ok());
    }
}
