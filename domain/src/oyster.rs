//! The Oyster form: the bytes that a signed reply stands for, the host label of a hash, and code in calldata.
//!
//! The layouts are those of the Oyster serverless documents; only bytes here, the curve and the hash function are known to
//! `platform`. Nothing in the signed bytes has a length before it, so that two different exchanges can have the same bytes; receipts
//! ([`crate::Receipt`]) are there for who needs more.

mod calldata;
mod label;

pub use calldata::{CODE_SELECTOR, CODE_WITH_METADATA_SELECTOR, InvalidCalldata, calldata_of_code, code_of_calldata};
pub use label::{InvalidLabel, LABEL_CHARS, hash_of_label, label_of_hash};

/// One exchange, as its signature covers it.
#[derive(Debug, Clone, Copy)]
pub struct SignedExchange<'a> {
    /// Seconds since 1970, read before the function is called.
    pub timestamp: u64,
    pub method: &'a [u8],
    /// The path with `?` and the query, exactly as received.
    pub path_and_query: &'a [u8],
    /// The value of `Host`, exactly as received.
    pub host: &'a [u8],
    pub request_body: &'a [u8],
    pub reply_body: &'a [u8],
}

impl SignedExchange<'_> {
    /// The bytes whose Keccak-256 is signed.
    pub fn message(&self) -> Vec<u8> {
        [
            b"|oyster-serverless-hasher|".as_slice(),
            b"|timestamp|",
            &self.timestamp.to_be_bytes(),
            b"|request|",
            b"|method|",
            self.method,
            b"|pathandquery|",
            self.path_and_query,
            b"|host|",
            self.host,
            b"|body|",
            self.request_body,
            b"|response|",
            b"|body|",
            self.reply_body,
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests;
