//! Which addresses are public. What is not known to be is private.
//!
//! Some IPv6 addresses carry an IPv4 address that a translator or a tunnel would go to; such an address is judged by the one
//! that it carries, and only where the operator permits its range at all.

use std::net::IpAddr;
use std::sync::LazyLock;

use domain::AddressRange;

/// What is not public. Of IPv6, only `2000::/3` can be; ranges outside of it stand here for the name that an error gives them.
/// Where one range holds another, the smaller is first.
const PRIVATE: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    // The wire server of Azure, which hands out certificates and configuration.
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    // Protocol assignments: Teredo, benchmarking and ORCHID among them.
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// Where providers keep the credentials of a machine. No wider range permits them: who permits `100.64.0.0/10` means neighbours.
const METADATA: &[&str] = &[
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "192.0.0.192",
    "fd00:ec2::23",
    "fd00:ec2::254",
    "fd20:ce::254",
];

/// Names that mean the machine itself or its provider, whoever answers for them.
const PRIVATE_NAMES: &[&str] = &["localhost", "localhost.localdomain", "metadata", "metadata.google.internal"];

static PRIVATE_RANGES: LazyLock<Vec<AddressRange>> = LazyLock::new(|| table(PRIVATE));
static METADATA_ADDRESSES: LazyLock<Vec<AddressRange>> = LazyLock::new(|| table(METADATA));

fn table(texts: &[&str]) -> Vec<AddressRange> {
    texts.iter().map(|text| AddressRange::parse(text).expect("the tables hold ranges")).collect()
}

pub(super) fn is_public(address: IpAddr) -> bool {
    let routed = match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.segments()[0] & 0xe000 == 0x2000,
    };
    routed && private_range(address).is_none()
}

pub(super) fn is_metadata(address: IpAddr) -> bool {
    METADATA_ADDRESSES.iter().any(|range| range.contains(address))
}

/// `name` is in lower case, without a dot at its end.
pub(super) fn is_private_name(name: &str) -> bool {
    PRIVATE_NAMES.contains(&name) || name.ends_with(".localhost")
}

/// The IPv4 address that this one leads to, if it is of a kind that carries one.
pub(super) fn carried(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    let octets = address.octets();
    let at = |first: usize| IpAddr::from([octets[first], octets[first + 1], octets[first + 2], octets[first + 3]]);
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(at(12)),
        [0x2002, ..] => Some(at(2)),
        _ => None,
    }
}

/// What an operator would permit to let `address` in, as a list in the configuration has it.
pub(super) fn ranges_to_permit(address: IpAddr) -> String {
    let private = [Some(address), carried(address)].into_iter().flatten().filter(|address| !is_public(*address));
    private.map(|address| range_to_permit(address).to_string()).collect::<Vec<_>>().join(", ")
}

fn range_to_permit(address: IpAddr) -> AddressRange {
    let range = private_range(address).filter(|_| !is_metadata(address));
    range.unwrap_or_else(|| AddressRange::single(address))
}

fn private_range(address: IpAddr) -> Option<AddressRange> {
    PRIVATE_RANGES.iter().copied().find(|range| range.contains(address))
}

#[cfg(test)]
mod tests;
