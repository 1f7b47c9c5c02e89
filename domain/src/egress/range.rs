//! A range of addresses in CIDR form.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `10.0.0.0/8`, `2001:db8::/32`, or one address. IPv4 and IPv6 are apart: `::/0` holds no IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange {
    first: IpAddr,
    prefix: u8,
}

/// Text that is no range; the text of the error says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddressRange {
    #[error("write an address such as `203.0.113.7`, or a range such as `10.0.0.0/8`")]
    Form,
    #[error("the number behind `/` is 0 to {0}")]
    Prefix(u8),
    #[error("the range that holds this address is `{0}`")]
    Inside(AddressRange),
}

impl AddressRange {
    /// Reads an address, or an address and the length of a prefix. The address must be the first of its range.
    pub fn parse(text: &str) -> Result<Self, InvalidAddressRange> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidAddressRange::Form)?;
        let prefix = match prefix {
            Some(prefix) => parse_prefix(prefix, bits(address))?,
            None => bits(address),
        };
        let range = Self { first: masked(address, prefix), prefix };
        if range.first == address { Ok(range) } else { Err(InvalidAddressRange::Inside(range)) }
    }

    /// The range of one address.
    pub fn single(address: IpAddr) -> Self {
        Self { first: address, prefix: bits(address) }
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && masked(address, self.prefix) == self.first
    }

    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// Is this one address?
    pub fn is_single(&self) -> bool {
        self.prefix == bits(self.first)
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn parse_prefix(text: &str, most: u8) -> Result<u8, InvalidAddressRange> {
    super::number(text).filter(|prefix| *prefix <= most).ok_or(InvalidAddressRange::Prefix(most))
}

/// The address with every bit behind the prefix cleared.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { write!(f, "{}", self.first) } else { write!(f, "{}/{}", self.first, self.prefix) }
    }
}
