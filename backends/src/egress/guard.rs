//! What may be reached: the operator's rules and the policies of a request, asked before each hop and for each address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, RwLock};

use domain::{AddressRange, EgressPolicy};
use ports::EgressError;
use url::{Host, Url};

use super::address;

/// The rules of the operator.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) permitted_private: Vec<AddressRange>,
    pub(super) denied_ports: Vec<u16>,
    /// The listeners of this node: reached from here, a request would seem to come from the node itself.
    pub(super) own_addresses: RwLock<Vec<SocketAddr>>,
}

/// Where a hop goes: a host as people write it, and a port.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// Set when the URL names an address: nobody will be asked for it.
    literal: Option<IpAddr>,
    /// The caller wrote this host; a redirect names others, and their addresses are not told.
    written: bool,
}

/// A request that must not be made; the text says what would allow it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(String);

impl From<Refused> for EgressError {
    fn from(refused: Refused) -> Self {
        EgressError::Refused(refused.0)
    }
}

#[derive(Debug, Clone, Copy)]
enum Objection {
    /// A policy does not list it.
    Unlisted,
    /// It is private, and the operator does not permit it, or no policy lists it.
    Private,
    /// It is a listener of this node.
    Own,
}

/// The policies of a request; every one of them must allow what is reached.
pub(super) type Policies = Arc<[EgressPolicy]>;

impl Guard {
    /// Checks a hop as far as its URL tells. An address in it is judged here; the addresses of a name when they are known, by
    /// [`Guard::check_address`].
    pub(super) fn check_url(&self, policies: &Policies, url: &Url, written: bool) -> Result<Target, Refused> {
        let target = Target::of(url, written)?;
        self.check_port(target.port)?;
        match target.literal {
            Some(address) => self.check_address(policies, &target, address)?,
            None => check_name(policies, &target)?,
        }
        Ok(target)
    }

    fn check_port(&self, port: u16) -> Result<(), Refused> {
        if port == 0 {
            return Err(Refused("port 0 cannot be reached".into()));
        }
        if self.denied_ports.contains(&port) {
            return Err(Refused(format!(
                "port {port} is kept for another protocol than HTTP; serve HTTP on another port"
            )));
        }
        Ok(())
    }

    /// May this request connect to `address` under the name of `target`?
    pub(super) fn check_address(&self, policies: &Policies, target: &Target, address: IpAddr) -> Result<(), Refused> {
        self.judge(policies, target, address).map_err(|objection| target.refuse(objection, address))
    }

    fn judge(&self, policies: &Policies, target: &Target, address: IpAddr) -> Result<(), Objection> {
        let carried = address::carried(address);
        let reached = carried.unwrap_or(address);
        let open = carried.is_none() || self.permits(address);
        let allows = |policy: &EgressPolicy| {
            [address, reached].into_iter().any(|address| policy.allows(&target.host, address, target.port))
        };
        let listed = policies.iter().all(allows);
        if open && address::is_public(reached) {
            if !listed {
                return Err(Objection::Unlisted);
            }
        } else if !(open && self.permits(reached) && listed && !policies.is_empty()) {
            return Err(Objection::Private);
        }
        if self.is_own(SocketAddr::new(reached, target.port)) { Err(Objection::Own) } else { Ok(()) }
    }

    fn permits(&self, address: IpAddr) -> bool {
        let sensitive = address::is_metadata(address);
        self.permitted_private.iter().any(|range| range.contains(address) && (range.is_single() || !sensitive))
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        let own = self.own_addresses.read().expect("no holder panics");
        own.iter().filter(|own| own.port() == address.port()).any(|own| {
            let own = own.ip().to_canonical();
            own == address.ip() || address.ip().is_unspecified() || (own.is_unspecified() && is_local(address.ip()))
        })
    }
}

/// Is this an address of this machine? Only such an address can be bound.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// Refuses a name whose address need not be known. Nobody is asked for the name then, so that no question leaves the node
/// either.
fn check_name(policies: &Policies, target: &Target) -> Result<(), Refused> {
    let listed = policies.iter().all(|policy| policy.names(&target.host, target.port));
    if address::is_private_name(&target.host) && (policies.is_empty() || !listed) {
        return Err(target.refuse(Objection::Private, Ipv4Addr::LOCALHOST.into()));
    }
    if policies.iter().all(|policy| policy.may_allow(&target.host, target.port)) {
        return Ok(());
    }
    Err(target.refuse(Objection::Unlisted, Ipv4Addr::UNSPECIFIED.into()))
}

impl Target {
    pub(super) fn of(url: &Url, written: bool) -> Result<Self, Refused> {
        let scheme = url.scheme();
        if !matches!(scheme, "http" | "https") {
            return Err(Refused(format!("`{scheme}` is not allowed; use `http` or `https`")));
        }
        let port = url.port_or_known_default().expect("http and https have a default port");
        let (host, literal) = match url.host() {
            Some(Host::Domain(name)) => (normal_name(name), None),
            Some(Host::Ipv4(address)) => (address.to_string(), Some(address.into())),
            Some(Host::Ipv6(address)) => (address.to_string(), Some(address.into())),
            None => return Err(Refused("the URL has no host".into())),
        };
        Ok(Self { host, port, literal, written })
    }

    fn refuse(&self, objection: Objection, address: IpAddr) -> Refused {
        let Self { host, .. } = self;
        let place = self.place();
        Refused(match objection {
            Objection::Unlisted => format!(
                "`{place}` is not allowed; list `{host}` under `egress.allow` in function.yaml, and in the `egress` of the \
                 namespace where that narrows it"
            ),
            Objection::Own => format!("`{place}` is this node itself; call a function by `function_invoke`"),
            Objection::Private if self.literal.is_none() => format!(
                "`{place}` leads to a private address; the operator must permit its range with `egress.private` and \
                 function.yaml must list `{host}` under `egress.allow`"
            ),
            Objection::Private if !self.written => {
                "a redirect leads to a private address; the operator must permit its range \
                 with `egress.private` and function.yaml must list the address under `egress.allow`"
                    .into()
            }
            Objection::Private => format!(
                "`{place}` is a private address; the operator must permit it with `egress.private: [{}]` and function.yaml must \
                 list it under `egress.allow`",
                address::ranges_to_permit(address)
            ),
        })
    }

    /// Host and port, as an error names them.
    pub(super) fn place(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Like [`Target::place`], for errors behind which an address may stand that the caller did not write.
    pub(super) fn public_place(&self) -> String {
        if self.literal.is_some() && !self.written {
            "the address of the redirect".into()
        } else {
            format!("`{}`", self.place())
        }
    }

    /// The name under this port, as a resolver is asked for it.
    pub(super) fn named(name: &str, port: u16) -> Self {
        Self { host: normal_name(name), port, literal: None, written: true }
    }
}

/// A name in the form in which rules are compared with it.
fn normal_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
