//! Which host names exist here, for who orders certificates: those that a request could be sent to.

use std::sync::Arc;

use domain::Caller;
use platform::Platform;
use ports::NameAuthority;

use crate::hosts::{Site, site_of};

/// The names of a node whose functions live below a base domain.
pub struct HostNames {
    platform: Arc<Platform>,
    base_domain: String,
    anonymous: Caller,
}

impl HostNames {
    pub fn new(platform: Arc<Platform>, base_domain: &str) -> Self {
        Self { platform, base_domain: base_domain.to_ascii_lowercase(), anonymous: Caller::anonymous() }
    }
}

impl NameAuthority for HostNames {
    fn may_have_certificate(&self, name: &str) -> bool {
        match site_of(name, &self.base_domain) {
            Site::Api => name == self.base_domain || self.platform.function_of_domain(name).is_some(),
            Site::NamespaceApi(namespace) => {
                let spoken = self.platform.spoken_namespace(namespace);
                spoken.is_some_and(|namespace| self.platform.has_namespace(&namespace))
            }
            Site::Function { namespace, function } => self.platform.spoken(namespace, function).is_some(),
            Site::Hash(hash) => self.platform.published(&hash, &self.anonymous).is_some(),
            Site::NoHash(_) | Site::Nothing => false,
        }
    }
}
