//! Where outbound HTTP may go, as a manifest or a namespace says it. Whether an address is private is judged by `backends`,
//! when it is known.

mod range;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use range::{AddressRange, InvalidAddressRange};

/// The hosts and addresses that are allowed. No policy means every public address; a policy allows only what it lists, and a
/// listed private address only where the operator permits it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressPolicy {
    pub allow: Vec<EgressRule>,
}

impl EgressPolicy {
    /// Does a rule allow this address, under this name?
    ///
    /// `host` is as a URL has it once it is parsed: lower case, no dot at its end; of an address, its usual text.
    pub fn allows(&self, host: &str, address: IpAddr, port: u16) -> bool {
        self.allow.iter().any(|rule| rule.allows(host, address, port))
    }

    /// Might [`EgressPolicy::allows`] be true once the address is known? If not, nobody need be asked for it.
    pub fn may_allow(&self, host: &str, port: u16) -> bool {
        self.allow.iter().any(|rule| rule.names(host, port) || rule.holds_addresses(port))
    }

    /// Does a rule allow this host by its name, whatever its address is?
    pub fn names(&self, host: &str, port: u16) -> bool {
        self.allow.iter().any(|rule| rule.names(host, port))
    }
}

/// `api.example.com`, `*.example.com`, `203.0.113.7`, `10.0.0.0/8`, each optionally with `:port`; `[2001:db8::1]:443`.
///
/// `*.example.com` means every name below `example.com`, at any depth, and not `example.com` itself. A rule without a port
/// means every port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EgressRule {
    target: Target,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Target {
    Host(String),
    /// Every name that ends in `.` and this one.
    Below(String),
    Range(AddressRange),
}

/// A rule that could not be read; the text says what one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{rule}` is no rule for outbound HTTP: {reason}")]
pub struct InvalidEgressRule {
    /// The rule, or its beginning.
    rule: String,
    reason: String,
}

const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
const FORMS: &str = "write a host, `*.host`, an address or a range, each with `:port` if need be";

impl EgressRule {
    pub fn parse(text: &str) -> Result<Self, InvalidEgressRule> {
        let refused = |reason| InvalidEgressRule { rule: text.chars().take(80).collect(), reason };
        if text.contains("://") {
            return Err(refused("leave out the scheme and the path".into()));
        }
        let (target, port) = split_port(text).map_err(refused)?;
        let target = parse_target(target).map_err(refused)?;
        let port = port.map(parse_port).transpose().map_err(refused)?;
        Ok(Self { target, port })
    }

    fn allows(&self, host: &str, address: IpAddr, port: u16) -> bool {
        match &self.target {
            Target::Range(range) => self.has_port(port) && range.contains(address),
            Target::Host(_) | Target::Below(_) => self.names(host, port),
        }
    }

    fn names(&self, host: &str, port: u16) -> bool {
        self.has_port(port)
            && match &self.target {
                Target::Host(name) => host == name,
                Target::Below(name) => {
                    host.strip_suffix(name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
                }
                Target::Range(_) => false,
            }
    }

    fn holds_addresses(&self, port: u16) -> bool {
        matches!(self.target, Target::Range(_)) && self.has_port(port)
    }

    fn has_port(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

/// The target and the port, as texts. The colons of an IPv6 address without brackets are its own.
fn split_port(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (target, rest) = rest.split_once(']').ok_or("`[` has no `]`")?;
        if !target.contains(':') {
            return Err("brackets are for IPv6".into());
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((target, Some(port))),
            None if rest.is_empty() => Ok((target, None)),
            None => Err("behind `]` stands `:port` or nothing".into()),
        };
    }
    match text.split_once(':') {
        Some((target, port)) if !port.contains(':') => Ok((target, Some(port))),
        _ => Ok((text, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    number(text).filter(|port| *port != 0).ok_or_else(|| "a port is a number, 1 to 65535".to_owned())
}

/// A number as people write it: no sign, no zero in front.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

fn parse_target(text: &str) -> Result<Target, String> {
    if let Some(name) = text.strip_prefix("*.") {
        return parse_host(name).map(Target::Below);
    }
    if text.contains(['/', ':']) || text.parse::<IpAddr>().is_ok() {
        return AddressRange::parse(text).map(Target::Range).map_err(|invalid| invalid.to_string());
    }
    parse_host(text).map(Target::Host)
}

fn parse_host(text: &str) -> Result<String, String> {
    let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if !host.is_ascii() {
        return Err("write the name as it is in DNS, beginning with `xn--`".into());
    }
    if host.len() > HOST_BYTES_MAX || !host.split('.').all(is_label) {
        return Err(FORMS.into());
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        return Err("an address is written as four numbers, 0 to 255".into());
    }
    Ok(host)
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(allowed)
}

impl fmt::Display for EgressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.target, self.port) {
            (Target::Host(name), None) => f.write_str(name),
            (Target::Host(name), Some(port)) => write!(f, "{name}:{port}"),
            (Target::Below(name), None) => write!(f, "*.{name}"),
            (Target::Below(name), Some(port)) => write!(f, "*.{name}:{port}"),
            (Target::Range(range), None) => write!(f, "{range}"),
            (Target::Range(range), Some(port)) if range.is_ipv4() => write!(f, "{range}:{port}"),
            (Target::Range(range), Some(port)) => write!(f, "[{range}]:{port}"),
        }
    }
}

impl TryFrom<String> for EgressRule {
    type Error = InvalidEgressRule;
    fn try_from(text: String) -> Result<Self, InvalidEgressRule> {
        Self::parse(&text)
    }
}

impl From<EgressRule> for String {
    fn from(rule: EgressRule) -> String {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests;
