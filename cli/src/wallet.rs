//! Wallets whose key is in a file: made, named, asked to sign. Nothing else here knows a private key.
//!
//! Ethereum: 32 bytes in hexadecimal; the signature is that of EIP-191 (`personal_sign`). Solana: a JSON list of 64 numbers, as its
//! own tools write it, or the same bytes in base58; the signature is over the bytes themselves.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Signer;
use sha3::{Digest, Keccak256};
use zeroize::Zeroizing;

use crate::failure::{Failure, Outcome};

/// No key is longer as text.
const TEXT_BYTES_MAX: u64 = 4096;

/// The kinds of wallets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Chain {
    /// Ethereum (secp256k1)
    Eth,
    /// Solana (Ed25519)
    Sol,
}

/// A private key. It forgets itself when it is dropped, and does not print.
pub enum Wallet {
    Ethereum(Box<k256::ecdsa::SigningKey>),
    Solana(Box<ed25519_dalek::SigningKey>),
}

impl Wallet {
    /// Draws a new key.
    pub fn draw(chain: Chain) -> Outcome<Self> {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *bytes).map_err(|error| Failure::failed(format!("failed to draw a key: {error}")))?;
            match chain {
                Chain::Sol => return Ok(Self::Solana(Box::new(ed25519_dalek::SigningKey::from_bytes(&bytes)))),
                // Not every number is a key of this curve; the next one is.
                Chain::Eth => match k256::ecdsa::SigningKey::from_slice(&*bytes) {
                    Ok(key) => return Ok(Self::Ethereum(Box::new(key))),
                    Err(_) => continue,
                },
            }
        }
    }

    /// Reads the key in a file that nobody else may read.
    pub fn read(path: &Path, chain: Option<Chain>) -> Outcome<Self> {
        let file = File::open(path).map_err(Failure::file("read", path))?;
        check_mode(&file, path)?;
        let mut text = Zeroizing::new(String::new());
        let read = (&file).take(TEXT_BYTES_MAX).read_to_string(&mut text);
        read.map_err(Failure::file("read", path))?;
        let wallet = Self::parse(text.trim()).ok_or_else(|| {
            Failure::usage(format!("`{}` holds no key of a wallet", path.display()))
                .hint("Ethereum: 64 hexadecimal digits; Solana: a JSON list of 64 numbers, or base58 of them")
        })?;
        match chain.is_none_or(|chain| chain == wallet.chain()) {
            true => Ok(wallet),
            false => Err(Failure::usage(format!("`{}` holds the key of the other chain", path.display()))),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(bytes) = hex_bytes(text.strip_prefix("0x").unwrap_or(text)) {
            return Some(Self::Ethereum(Box::new(k256::ecdsa::SigningKey::from_slice(&*bytes).ok()?)));
        }
        let pair = match text.starts_with('[') {
            true => Zeroizing::new(serde_json::from_str::<Vec<u8>>(text).ok()?),
            false => Zeroizing::new(bs58::decode(text).into_vec().ok()?),
        };
        // Refused when the public half belongs to another key.
        let key = ed25519_dalek::SigningKey::from_keypair_bytes(pair.as_slice().try_into().ok()?).ok()?;
        Some(Self::Solana(Box::new(key)))
    }

    /// Writes the key to a file that is not there yet.
    pub fn write_new(&self, path: &Path) -> Outcome {
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = opened.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Failure::usage(format!("`{}` exists, and may hold a key", path.display()))
                .hint("choose another name, or remove it"),
            _ => Failure::file("create", path)(error),
        })?;
        let text = self.text();
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(Failure::file("write", path))
    }

    fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Ethereum(key) => hex(&Zeroizing::new(<[u8; 32]>::from(key.to_bytes()))[..]) + "\n",
            Self::Solana(key) => serde_json::to_string(&key.to_keypair_bytes()[..]).expect("numbers serialize") + "\n",
        })
    }

    pub fn chain(&self) -> Chain {
        match self {
            Self::Ethereum(_) => Chain::Eth,
            Self::Solana(_) => Chain::Sol,
        }
    }

    /// The address as people see it: with its checksum (EIP-55), or base58.
    pub fn address(&self) -> String {
        match self {
            Self::Ethereum(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                checksummed(&Keccak256::digest(&point.as_bytes()[1..])[12..])
            }
            Self::Solana(key) => bs58::encode(key.verifying_key().to_bytes()).into_string(),
        }
    }

    /// The signature as `POST /v1/auth/verify` takes it: hexadecimal for Ethereum, base64 for Solana.
    pub fn sign(&self, message: &[u8]) -> String {
        match self {
            Self::Solana(key) => BASE64.encode(key.sign(message).to_bytes()),
            Self::Ethereum(key) => {
                let prefix = format!("\x19Ethereum Signed Message:\n{}", message.len());
                let hash = Keccak256::new().chain_update(prefix).chain_update(message).finalize();
                let (signature, recovery) = key.sign_prehash_recoverable(&hash);
                let mut bytes = signature.to_bytes().to_vec();
                bytes.push(27 + recovery.to_byte());
                format!("0x{}", hex(&bytes))
            }
        }
    }
}

fn check_mode(file: &File, path: &Path) -> Outcome {
    let mode = file.metadata().map_err(Failure::file("inspect", path))?.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(Failure::usage(format!(
            "others may read `{}` (mode {mode:03o}), so its key is not used",
            path.display()
        ))
        .hint(format!("run `chmod 600 {}`", path.display()))),
    }
}

/// A digit is upper case where the hash of the lower-case digits has a nibble from 8 (EIP-55).
fn checksummed(address: &[u8]) -> String {
    let digits = hex(address);
    let hash = Keccak256::digest(digits.as_bytes());
    let nibble = |index: usize| (hash[index / 2] >> (4 * (1 - index % 2))) & 0xf;
    let digit = |(index, c): (usize, char)| if nibble(index) >= 8 { c.to_ascii_uppercase() } else { c };
    "0x".chars().chain(digits.chars().enumerate().map(digit)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len() + 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

fn hex_bytes(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Wallet {
        Wallet::parse(text).unwrap_or_else(|| panic!("{text} is a key"))
    }

    #[test]
    fn a_key_has_the_address_that_other_wallets_show() {
        // The vector of the EIP-155 document, and the first test key of RFC 8032.
        let ethereum = parse("0x4646464646464646464646464646464646464646464646464646464646464646");
        assert_eq!(ethereum.address(), "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F");
        let seed = hex_bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").expect("a seed");
        let solana = Wallet::Solana(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed)));
        assert_eq!(solana.address(), "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z");
    }

    #[test]
    fn a_key_is_read_in_each_of_its_forms() {
        let drawn = Wallet::draw(Chain::Sol).expect("drawn");
        let numbers = drawn.text();
        let pair: Vec<u8> = serde_json::from_str(numbers.trim()).expect("numbers");
        for text in [numbers.trim().to_owned(), bs58::encode(&pair).into_string()] {
            assert_eq!(parse(&text).address(), drawn.address());
        }
        let drawn = Wallet::draw(Chain::Eth).expect("drawn");
        let digits = drawn.text().trim().to_owned();
        for text in [digits.clone(), format!("0x{digits}"), digits.to_ascii_uppercase()] {
            assert_eq!(parse(&text).address(), drawn.address());
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let mut swapped = vec![7_u8; 64];
        swapped[40] ^= 1;
        let swapped = serde_json::to_string(&swapped).expect("numbers");
        let zero = "0".repeat(64);
        for text in
            ["", "0x", "zz", &"g".repeat(64), &zero, "[1,2,3]", "[256]", &swapped, &"+f".repeat(32), &"é".repeat(32)]
        {
            assert!(Wallet::parse(text).is_none(), "{text} is refused");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        Wallet::draw(Chain::Eth).and_then(|wallet| wallet.write_new(&path)).expect("written");
        assert!(Wallet::read(&path, Some(Chain::Eth)).is_ok());
        assert!(Wallet::read(&path, Some(Chain::Sol)).is_err(), "it is of the other chain");
        assert!(Wallet::draw(Chain::Eth).and_then(|wallet| wallet.write_new(&path)).is_err(), "a key is not replaced");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("changed");
        let refused = Wallet::read(&path, None).err().expect("refused");
        assert_eq!(refused.hint, Some(format!("run `chmod 600 {}`", path.display())));
    }
}
