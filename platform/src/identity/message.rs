//! The text that a wallet shows before it signs: EIP-4361 for Ethereum, and the same with another name for Solana.
//!
//! Written and read by one type, field for field, so that what is read can only be what would be written.

use std::fmt;

use domain::Timestamp;

use super::wallet::Chain;

/// The longest text that is read, in bytes.
const MESSAGE_BYTES_MAX: usize = 4096;
const RESOURCE: &str = "urn:orama:namespace:";

/// A sign-in message, in its own words: nothing is checked but that the words are where they belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) scheme: Option<&'a str>,
    pub(crate) domain: &'a str,
    pub(crate) chain: Chain,
    pub(crate) address: &'a str,
    pub(crate) statement: Option<&'a str>,
    pub(crate) uri: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) issued_at: &'a str,
    pub(crate) expires_at: Option<&'a str>,
    pub(crate) not_before: Option<&'a str>,
    pub(crate) request_id: Option<&'a str>,
    /// `None` when there is no list, which is something else than an empty one.
    pub(crate) resources: Option<Vec<&'a str>>,
}

/// The resource by which a message names a namespace.
pub(super) fn resource_of(namespace: &str) -> String {
    format!("{RESOURCE}{namespace}")
}

/// When a message holds.
pub(super) struct Times {
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
}

impl<'a> Message<'a> {
    /// Reads a message; the error says what is wrong with it.
    pub(crate) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.len() > MESSAGE_BYTES_MAX {
            return Err("the message is longer than 4096 bytes");
        }
        if !text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)) {
            return Err("the message holds characters that EIP-4361 does not allow");
        }
        let mut lines = Lines(text.split('\n').peekable());
        let (scheme, domain, chain) = greeting(lines.next()?)?;
        let address = lines.next()?;
        lines.empty()?;
        let statement = match lines.next()? {
            "" => None,
            statement => {
                lines.empty()?;
                Some(statement)
            }
        };
        let message = Self {
            scheme,
            domain,
            chain,
            address,
            statement,
            uri: lines.field("URI: ")?,
            nonce: {
                lines.exactly("Version: ", "1")?;
                lines.exactly("Chain ID: ", chain_id(chain))?;
                lines.field("Nonce: ")?
            },
            issued_at: lines.field("Issued At: ")?,
            expires_at: lines.optional("Expiration Time: "),
            not_before: lines.optional("Not Before: "),
            request_id: lines.optional("Request ID: "),
            resources: lines.resources()?,
        };
        lines.end()?;
        message.check()?;
        Ok(message)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.scheme.is_some_and(|scheme| !is_scheme(scheme)) || !is_authority(self.domain) {
            return Err("the message does not begin with a host name");
        }
        if self.statement.is_some_and(|statement| !is_statement(statement)) {
            return Err("the statement of the message holds characters that EIP-4361 does not allow");
        }
        if !is_uri(self.uri) || self.resources.iter().flatten().any(|resource| !is_uri(resource)) {
            return Err("the message holds a URI that is none");
        }
        if self.nonce.len() < 8 || !self.nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err("the nonce of the message is not made of letters and digits");
        }
        self.times().map(drop).ok_or("the message holds a time that is none")
    }

    /// The times, read; `None` when one of them is none.
    pub(super) fn times(&self) -> Option<Times> {
        let optional = |text: Option<&str>| text.map_or(Some(None), |text| time(text).map(Some));
        Some(Times {
            issued_at: time(self.issued_at)?,
            expires_at: optional(self.expires_at)?,
            not_before: optional(self.not_before)?,
        })
    }

    /// The namespace that the message is for: the one thing that it may name, or else it grants more than a sign-in.
    pub(super) fn namespace(&self) -> Option<&'a str> {
        match self.resources.as_deref() {
            Some([resource]) => resource.strip_prefix(RESOURCE),
            _ => None,
        }
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{scheme}://")?;
        }
        writeln!(f, "{}{}\n{}\n", self.domain, asks(self.chain), self.address)?;
        if let Some(statement) = self.statement {
            writeln!(f, "{statement}")?;
        }
        write!(f, "\nURI: {}\nVersion: 1\nChain ID: {}\n", self.uri, chain_id(self.chain))?;
        write!(f, "Nonce: {}\nIssued At: {}", self.nonce, self.issued_at)?;
        let optional =
            [("Expiration Time", self.expires_at), ("Not Before", self.not_before), ("Request ID", self.request_id)];
        for (name, value) in optional {
            if let Some(value) = value {
                write!(f, "\n{name}: {value}")?;
            }
        }
        let Some(resources) = &self.resources else { return Ok(()) };
        f.write_str("\nResources:")?;
        resources.iter().try_for_each(|resource| write!(f, "\n- {resource}"))
    }
}

/// The lines that are left.
struct Lines<'a>(std::iter::Peekable<std::str::Split<'a, char>>);

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a str, &'static str> {
        self.0.next().ok_or("the message ends too early")
    }

    fn empty(&mut self) -> Result<(), &'static str> {
        if self.next()?.is_empty() { Ok(()) } else { Err("the message lacks an empty line") }
    }

    fn field(&mut self, name: &str) -> Result<&'a str, &'static str> {
        self.next()?.strip_prefix(name).ok_or("the message lacks a field, or has it in another place")
    }

    fn exactly(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let wrong = "the message is for another version or chain";
        if self.field(name)? == value { Ok(()) } else { Err(wrong) }
    }

    fn optional(&mut self, name: &str) -> Option<&'a str> {
        let value = self.0.peek()?.strip_prefix(name)?;
        self.0.next();
        Some(value)
    }

    fn resources(&mut self) -> Result<Option<Vec<&'a str>>, &'static str> {
        if self.0.next_if_eq(&"Resources:").is_none() {
            return Ok(None);
        }
        let entry = |line: &'a str| line.strip_prefix("- ").ok_or("a resource of the message does not begin with `- `");
        self.0.by_ref().map(entry).collect::<Result<_, _>>().map(Some)
    }

    fn end(&mut self) -> Result<(), &'static str> {
        if self.0.next().is_none() { Ok(()) } else { Err("the message goes on where it should end") }
    }
}

fn asks(chain: Chain) -> &'static str {
    match chain {
        Chain::Ethereum => " wants you to sign in with your Ethereum account:",
        Chain::Solana => " wants you to sign in with your Solana account:",
    }
}

fn chain_id(chain: Chain) -> &'static str {
    match chain {
        Chain::Ethereum => "1",
        Chain::Solana => "mainnet",
    }
}

/// The first line: an optional scheme, the domain, the kind of account.
fn greeting(line: &str) -> Result<(Option<&str>, &str, Chain), &'static str> {
    let asked = [Chain::Ethereum, Chain::Solana].map(|chain| (line.strip_suffix(asks(chain)), chain));
    let found = asked.into_iter().find_map(|(origin, chain)| Some((origin?, chain)));
    let (origin, chain) = found.ok_or("the message does not ask to sign in")?;
    match origin.split_once("://") {
        Some((scheme, domain)) => Ok((Some(scheme), domain, chain)),
        None => Ok((None, origin, chain)),
    }
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// A host with an optional port; no user information, which is there to deceive.
pub(super) fn is_authority(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(allowed)
}

/// The characters of a statement (EIP-4361): those of a URI, and spaces. It may not be empty.
pub(super) fn is_statement(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b' ' || is_uri_character(byte))
}

fn is_uri_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte)
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut pieces = rest.split('%');
    let plain = |piece: &str| piece.bytes().all(is_uri_character);
    let escaped = |piece: &str| piece.len() >= 2 && piece.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    is_scheme(scheme) && pieces.next().is_some_and(plain) && pieces.all(|piece| escaped(piece) && plain(piece))
}

/// A time of RFC 3339; the parser beneath reads more than that.
fn time(text: &str) -> Option<Timestamp> {
    let shape = |(index, byte): (usize, u8)| match index {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        0..19 => byte.is_ascii_digit(),
        _ => byte.is_ascii_digit() || b".Z+-:".contains(&byte),
    };
    let whole = (20..=40).contains(&text.len()) && text.bytes().enumerate().all(shape);
    whole.then(|| text.parse().ok()).flatten()
}
