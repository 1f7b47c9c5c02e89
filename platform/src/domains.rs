//! Domains of others that lead to functions: claimed by a namespace, proved by DNS, and given up by whoever proves them later.
//!
//! The proof is a text at `_orama-challenge.` before the domain. Each claim has a token of its own: what an earlier owner left in
//! the DNS proves nothing for anybody else. A proof is asked for once; who has lost a domain is replaced by the next proof.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::{Caller, Error, ErrorCode, FunctionName, FunctionRef, Namespace, Scope};
use ports::{Names, Registry, StoredDomain};
use tokio::sync::Semaphore;

use crate::identity::not_changed;
use crate::lease::Lease;
use crate::{Identity, OpenError, Platform, cannot_read, internal};

/// The most claims of a namespace.
pub const DOMAINS_MAX: usize = 100;
/// Where the proof of a domain stands: this before it.
const CHALLENGE: &str = "_orama-challenge";
const TOKEN_BYTES: usize = 20;
/// Proofs that are looked for at once, and how long each may take.
const LOOKING_MAX: usize = 16;
const LOOKING: Duration = Duration::from_secs(10);
/// The longest name of DNS (RFC 1035, 2.3.4), and the longest of its labels.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A domain that was proved, and where it leads.
struct Proved {
    namespace: Namespace,
    function: FunctionName,
    /// A later namespace of the same name proved nothing.
    lease: Arc<Lease>,
}

/// The domains that lead somewhere.
pub(crate) struct CustomDomains {
    names: Arc<dyn Names>,
    proved: ArcSwap<HashMap<String, Arc<Proved>>>,
    looking: Semaphore,
}

/// A claim as its namespace sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainView {
    pub claim: StoredDomain,
    /// Where the proof must stand.
    pub record: String,
}

impl DomainView {
    fn of(claim: StoredDomain) -> Self {
        Self { record: format!("{CHALLENGE}.{}", claim.domain), claim }
    }
}

impl CustomDomains {
    pub(crate) async fn load(
        names: Arc<dyn Names>,
        registry: &dyn Registry,
        identity: &Identity,
    ) -> Result<Self, OpenError> {
        let claims = registry.load_domains().await.map_err(cannot_read("domains"))?;
        let proved = claims.into_iter().filter(|claim| claim.verified_at.is_some());
        let proved = proved.map(|claim| {
            let lease = identity.lease_of(&claim.namespace);
            (claim.domain.clone(), Arc::new(Proved { namespace: claim.namespace, function: claim.function, lease }))
        });
        Ok(Self { names, proved: ArcSwap::from_pointee(proved.collect()), looking: Semaphore::new(LOOKING_MAX) })
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, Arc<Proved>>)) {
        let mut next = HashMap::clone(&self.proved.load());
        change(&mut next);
        self.proved.store(Arc::new(next));
    }
}

impl Platform {
    /// The function that a whole host name leads to, in any case; `None` for a name that nobody has proved.
    pub fn function_of_domain(&self, name: &str) -> Option<(Namespace, FunctionRef)> {
        let proved = self.domains.proved.load();
        // Most nodes have none: nothing is made then.
        let found = if proved.is_empty() { None } else { proved.get(&name.to_ascii_lowercase()) }?;
        found.lease.check().ok()?;
        Some((found.namespace.clone(), FunctionRef { name: found.function.clone(), version: None }))
    }

    /// Claims a domain for a function, or leads one that is claimed already to another function.
    pub async fn add_domain(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        domain: &str,
        function: &FunctionName,
    ) -> Result<DomainView, Error> {
        let lease = self.manage(caller, Scope::Admin, namespace)?;
        let domain = parse(domain)?;
        let _one_at_a_time = self.management.lock().await;
        let _held = lease.hold()?;
        let own = self.claims_of(namespace).await?;
        let known = own.iter().find(|claim| claim.domain == domain).cloned();
        if known.is_none() && own.len() >= DOMAINS_MAX {
            return Err(Error::new(ErrorCode::Conflict, format!("a namespace has at most {DOMAINS_MAX} domains")));
        }
        let claim = match known {
            Some(known) => StoredDomain { function: function.clone(), ..known },
            None => self.new_claim(namespace, domain, function)?,
        };
        let put = self.registry.put_domain(claim.clone()).await;
        put.map_err(|error| not_changed("claim a domain", error))?;
        if claim.verified_at.is_some() {
            self.lead(&claim, &lease);
        }
        tracing::info!(%namespace, domain = claim.domain, %function, "domain claimed");
        Ok(DomainView::of(claim))
    }

    fn new_claim(&self, namespace: &Namespace, domain: String, function: &FunctionName) -> Result<StoredDomain, Error> {
        let mut random = [0; TOKEN_BYTES];
        getrandom::fill(&mut random).map_err(|cause| internal("draw a token", cause))?;
        Ok(StoredDomain {
            domain,
            namespace: namespace.clone(),
            function: function.clone(),
            token: random.iter().map(|byte| format!("{byte:02x}")).collect(),
            created_at: self.clock.now(),
            verified_at: None,
        })
    }

    /// Looks for the proof. Found, the domain leads here, and no longer to whoever had it before.
    pub async fn verify_domain(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        domain: &str,
    ) -> Result<DomainView, Error> {
        let lease = self.manage(caller, Scope::Admin, namespace)?;
        let domain = parse(domain)?;
        let claim = self.own_domain(namespace, &domain).await?;
        self.look_for(&claim).await?;
        let _one_at_a_time = self.management.lock().await;
        let _held = lease.hold()?;
        let now = self.clock.now();
        // Not found when the claim was given up meanwhile, or is another one.
        let verified = self.registry.verify_domain(namespace, &domain, &claim.token, now).await;
        verified.map_err(|error| not_changed("note the proof of a domain", error))?;
        // As it stands now: it may lead to another function since.
        let claim = self.own_domain(namespace, &domain).await?;
        self.lead(&claim, &lease);
        tracing::info!(%namespace, domain, "domain proved");
        Ok(DomainView::of(claim))
    }

    async fn look_for(&self, claim: &StoredDomain) -> Result<(), Error> {
        let busy = |_| Error::new(ErrorCode::RateLimited, "too many domains are being proved; try again");
        let _looking = self.domains.looking.try_acquire().map_err(busy)?;
        let record = format!("{CHALLENGE}.{}", claim.domain);
        let silent = || Error::new(ErrorCode::ServiceUnavailable, "the name servers do not answer; try again");
        let texts = match tokio::time::timeout(LOOKING, self.domains.names.texts(&record)).await {
            Ok(Ok(texts)) => texts,
            Ok(Err(cause)) => {
                tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to look for the proof of a domain");
                return Err(silent());
            }
            Err(_elapsed) => return Err(silent()),
        };
        match texts.iter().any(|text| text.trim_ascii() == claim.token.as_bytes()) {
            true => Ok(()),
            false => {
                let message = format!("`{record}` has no text record with the token of this claim");
                let hint = format!("set a TXT record `{record}` to `{}`, and give it time to spread", claim.token);
                Err(Error::new(ErrorCode::Conflict, message).hint(hint))
            }
        }
    }

    /// The claims of a namespace, by domain.
    pub async fn domains(&self, caller: &Caller, namespace: &Namespace) -> Result<Vec<DomainView>, Error> {
        let lease = self.manage(caller, Scope::Admin, namespace)?;
        let _held = lease.hold()?;
        Ok(self.claims_of(namespace).await?.into_iter().map(DomainView::of).collect())
    }

    /// Gives a domain up: it leads nowhere, and a new claim needs a new proof.
    pub async fn remove_domain(&self, caller: &Caller, namespace: &Namespace, domain: &str) -> Result<(), Error> {
        let lease = self.manage(caller, Scope::Admin, namespace)?;
        let domain = parse(domain)?;
        let _one_at_a_time = self.management.lock().await;
        let _held = lease.hold()?;
        self.own_domain(namespace, &domain).await?;
        let deleted = self.registry.delete_domain(namespace, &domain).await;
        deleted.map_err(|error| not_changed("give a domain up", error))?;
        self.domains.change(|proved| {
            // Another namespace may have proved it since this one claimed it.
            if proved.get(&domain).is_some_and(|proved| proved.namespace == *namespace) {
                proved.remove(&domain);
            }
        });
        tracing::info!(%namespace, domain, "domain given up");
        Ok(())
    }

    fn lead(&self, claim: &StoredDomain, lease: &Arc<Lease>) {
        let (namespace, function) = (claim.namespace.clone(), claim.function.clone());
        let proved = Arc::new(Proved { namespace, function, lease: lease.clone() });
        self.domains.change(|domains| drop(domains.insert(claim.domain.clone(), proved)));
    }

    async fn claims_of(&self, namespace: &Namespace) -> Result<Vec<StoredDomain>, Error> {
        let all = self.registry.load_domains().await.map_err(|cause| internal("read the domains", cause))?;
        Ok(all.into_iter().filter(|claim| claim.namespace == *namespace).collect())
    }

    async fn own_domain(&self, namespace: &Namespace, domain: &str) -> Result<StoredDomain, Error> {
        let own = self.claims_of(namespace).await?;
        let unknown = || Error::not_found(format!("domain `{domain}` is not claimed in namespace `{namespace}`"));
        own.into_iter().find(|claim| claim.domain == domain).ok_or_else(unknown)
    }
}

/// A domain in its one spelling: at least two labels of letters, digits and `-`, in lower case, and no address.
fn parse(text: &str) -> Result<String, Error> {
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        let allowed = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        allowed && (1..=LABEL_BYTES_MAX).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last_is_a_number = domain.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    let valid = domain.len() + CHALLENGE.len() < NAME_BYTES_MAX && domain.contains('.') && !last_is_a_number;
    match valid && domain.split('.').all(is_label) {
        true => Ok(domain),
        false => {
            Err(Error::invalid("a domain is two or more names with dots between them, such as `shop.example.com`")
                .hint("write a name with other letters in its `xn--` form"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_domain_has_one_spelling() {
        for spelled in ["Shop.Example.COM", "shop.example.com", "shop.example.com."] {
            assert_eq!(parse(spelled).expect("a domain"), "shop.example.com");
        }
        let long = format!("{}.example.com", "a".repeat(64));
        let deep = "a.".repeat(130) + "com";
        for wrong in [
            "",
            "com",
            ".",
            "a..b",
            "-a.b",
            "a-.b",
            "127.0.0.1",
            "[::1]",
            "a b.c",
            "a.b:1",
            "ä.com",
            "*.b.c",
            &long,
            &deep,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
