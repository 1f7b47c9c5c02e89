//! Names as users type them. Parsing is the check: whoever holds a `FunctionName` never checks it again.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Words that would be ambiguous in a route, and are therefore never names of functions.
pub const RESERVED_NAMES: [&str; 7] = ["secrets", "v1", "health", "status", "invoke", "sonr", "metrics"];

/// The longest function or namespace name, in bytes (a DNS label).
const NAME_BYTES_MAX: usize = 63;

/// Why a name, a namespace or a `name@version` was refused; the text says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("the name is empty; use 1 to 63 letters, digits, `-` or `_`")]
    Empty,
    #[error("the name is {0} characters long; use 1 to 63 letters, digits, `-` or `_`")]
    TooLong(usize),
    #[error("the name contains {0:?}; use only letters, digits, `-` and `_`")]
    Character(char),
    #[error("the name starts with `-`; start with a letter, a digit or `_`")]
    LeadingHyphen,
    #[error("`{0}` is a reserved word; choose another name")]
    Reserved(String),
    #[error("the version {0:?} is not a whole number from 1; write `name@2`, or `name` for the active version")]
    Version(String),
}

fn check_label(text: &str) -> Result<(), InvalidName> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match text {
        "" => Err(InvalidName::Empty),
        _ if text.len() > NAME_BYTES_MAX => Err(InvalidName::TooLong(text.chars().count())),
        _ if text.starts_with('-') => Err(InvalidName::LeadingHyphen),
        _ => match text.chars().find(|c| !allowed(*c)) {
            Some(c) => Err(InvalidName::Character(c)),
            None => Ok(()),
        },
    }
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

label! {
    /// The name of a function inside its namespace.
    FunctionName
}
label! {
    /// A tenant. Contains no `:` and no `/`, so that keys made by joining can never collide.
    Namespace
}

impl FunctionName {
    /// Reads a name: 1 to 63 of `[A-Za-z0-9_-]`, not starting with `-`, not a reserved word.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        check_label(text)?;
        if RESERVED_NAMES.contains(&text) {
            return Err(InvalidName::Reserved(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl Namespace {
    /// Reads a namespace: the same characters as a function name, with no reserved words.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        check_label(text)?;
        Ok(Self(text.into()))
    }

    /// The namespace of a node that nobody has divided into tenants yet.
    pub fn default_namespace() -> Self {
        Self("default".into())
    }
}

/// The number of a version: counted from 1 for each function, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionNumber(NonZeroU32);

impl VersionNumber {
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// Reads the part behind `@`: ASCII digits only, from 1, without sign or leading zero.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        digits
            .then(|| text.parse().ok().and_then(Self::new))
            .flatten()
            .ok_or_else(|| InvalidName::Version(text.chars().take(20).collect()))
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `name` (the active version) or `name@N` (that version).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRef {
    pub name: FunctionName,
    pub version: Option<VersionNumber>,
}

impl FunctionRef {
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        match text.split_once('@') {
            None => Ok(Self { name: FunctionName::parse(text)?, version: None }),
            Some((name, version)) => {
                Ok(Self { name: FunctionName::parse(name)?, version: Some(VersionNumber::parse(version)?) })
            }
        }
    }
}

impl fmt::Display for FunctionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            None => write!(f, "{}", self.name),
            Some(version) => write!(f, "{}@{version}", self.name),
        }
    }
}

#[cfg(test)]
mod tests;
