//! What sockets may take, of the node and of each namespace: places for instances, and bytes that wait for clients. Neither is
//! taken from calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::Namespace;

/// So much in all, and so much of it for one namespace.
pub(crate) struct Shares {
    node_max: usize,
    namespace_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_namespace: HashMap<Namespace, usize>,
}

/// What somebody has taken; dropping it gives it back.
pub(super) struct Share {
    shares: Arc<Shares>,
    namespace: Namespace,
    amount: usize,
}

/// Whose bound it was, and how much it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    Node(usize),
    Namespace(usize),
}

impl Shares {
    pub(crate) fn new(node_max: usize, namespace_max: usize) -> Arc<Self> {
        Arc::new(Self { node_max, namespace_max, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Every change is whole before anything can panic.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At once or not at all.
    pub(super) fn take(self: &Arc<Self>, namespace: &Namespace, amount: usize) -> Result<Share, Exceeded> {
        let mut taken = self.taken();
        let there = taken.by_namespace.get(namespace).copied().unwrap_or(0);
        if taken.all.saturating_add(amount) > self.node_max {
            return Err(Exceeded::Node(self.node_max));
        }
        if there.saturating_add(amount) > self.namespace_max {
            return Err(Exceeded::Namespace(self.namespace_max));
        }
        taken.all += amount;
        taken.by_namespace.insert(namespace.clone(), there + amount);
        Ok(Share { shares: self.clone(), namespace: namespace.clone(), amount })
    }

    pub(crate) fn all_taken(&self) -> usize {
        self.taken().all
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        taken.all -= self.amount;
        if let Some(there) = taken.by_namespace.get_mut(&self.namespace) {
            *there -= self.amount;
            if *there == 0 {
                taken.by_namespace.remove(&self.namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_and_each_namespace_have_their_bound() {
        let shares = Shares::new(3, 2);
        let (home, other) = (Namespace::default_namespace(), Namespace::parse("other").expect("a name"));
        let held = [shares.take(&home, 1), shares.take(&home, 1)];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(shares.take(&home, 1).err(), Some(Exceeded::Namespace(2)));
        let third = shares.take(&other, 1);
        assert!(third.is_ok());
        assert_eq!(shares.take(&other, 1).err(), Some(Exceeded::Node(3)));
        drop(held);
        assert_eq!(shares.all_taken(), 1);
        assert!(shares.take(&home, 2).is_ok() && shares.take(&home, usize::MAX).is_err());
    }
}
