//! Wallets: one canonical form an account, and signatures.
//!
//! Whoever holds a [`Wallet`] holds an account that could sign: the text was checked, and there is one text an account.

mod ethereum;
mod solana;

use std::fmt;

/// The longest text that is looked at: no address is longer.
const TEXT_BYTES_MAX: usize = 64;

/// The kinds of wallets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Chain {
    /// secp256k1; `0x` and 40 lower-case hexadecimal digits.
    Ethereum,
    /// Ed25519; base58 of 32 bytes.
    Solana,
}

impl Chain {
    /// Reads `ETH` or `SOL`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            _ if text.eq_ignore_ascii_case("eth") => Some(Self::Ethereum),
            _ if text.eq_ignore_ascii_case("sol") => Some(Self::Solana),
            _ => None,
        }
    }
}

/// An address in its one canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wallet {
    chain: Chain,
    text: String,
}

/// A text that is no address; the text says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidWallet(pub String);

impl Wallet {
    /// Reads an address. Without a chain its form tells: 40 hexadecimal digits are Ethereum's, all else is Solana's.
    pub fn parse(text: &str, chain: Option<Chain>) -> Result<Self, InvalidWallet> {
        if text.is_empty() {
            return Err(InvalidWallet("wallet is required".to_owned()));
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(InvalidWallet("the wallet is too long for an address".to_owned()));
        }
        let chain = chain.unwrap_or_else(|| if ethereum::looks_like(text) { Chain::Ethereum } else { Chain::Solana });
        let canonical = match chain {
            Chain::Ethereum => ethereum::canonical(text),
            Chain::Solana => solana::canonical(text),
        };
        Ok(Self { chain, text: canonical.map_err(|reason| InvalidWallet(reason.to_owned()))? })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// The address as wallets show it to people: with the checksum of EIP-55 for Ethereum.
    pub fn shown(&self) -> String {
        match self.chain {
            Chain::Ethereum => ethereum::with_checksum(&self.text),
            Chain::Solana => self.text.clone(),
        }
    }

    /// Did this wallet sign `message`? By EIP-191 for Ethereum, over the bytes themselves for Solana.
    pub(crate) fn signed(&self, message: &[u8], signature: &str) -> bool {
        match self.chain {
            Chain::Ethereum => ethereum::signer_of(message, signature).as_deref() == Some(&*self.text),
            Chain::Solana => solana::signed(&self.text, message, signature),
        }
    }
}

impl fmt::Display for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
