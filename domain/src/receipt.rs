//! Receipts: what the node signs about one exchange, and how that is written.
//!
//! A receipt is an HTTP message signature (RFC 9421) of the reply, over its status and digest (RFC 9530), over the request that it answers,
//! over the code that made it, and over the receipt of the same function before it. The fields `orama-…` stand for headers of the reply
//! that exist only in the receipt. The signature itself is made and checked in `platform`; here is the text that it is about.

mod digest;
mod keys;
mod text;

use serde::{Deserialize, Serialize};

use crate::{Cid, FunctionName, Namespace, RequestId, VersionNumber};

pub use digest::{ContentDigest, InvalidDigest};
pub use keys::{KeyUse, PublishedKey, PublishedKeys};
pub use text::{authority_text, printable_text, split_target};

/// The name of the signature in `Signature` and `Signature-Input`.
pub const RECEIPT_LABEL: &str = "orama";
/// The name of Ed25519 among the algorithms of HTTP message signatures.
pub const RECEIPT_ALGORITHM: &str = "ed25519";
/// The longest receipt as text, in bytes: what is longer was not made by a node.
const TEXT_BYTES_MAX: usize = 512 << 10;

/// What happened in one exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptFacts {
    pub request_id: RequestId,
    pub namespace: Namespace,
    pub function: FunctionName,
    pub version: VersionNumber,
    /// The identifier of the code that ran.
    pub code: Cid,
    /// Seconds since 1970, read before the function was called; that of `X-Oyster-Timestamp`.
    pub timestamp: u64,
    pub method: String,
    /// See [`authority_text`].
    pub authority: String,
    pub path: String,
    /// With the `?`, which stands alone when there is none (RFC 9421, 2.2.7).
    pub query: String,
    pub request_digest: ContentDigest,
    pub status: u16,
    pub reply_digest: ContentDigest,
    /// The `X-Oyster-Signature` of the reply.
    pub oyster_signature: String,
}

/// The place of a receipt among those of its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptLink {
    /// From 1, without gaps.
    pub sequence: u64,
    /// The digest of the receipt before ([`Receipt::digest`]); `None` for the first.
    pub previous: Option<ContentDigest>,
}

/// A signed receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    #[serde(flatten)]
    pub facts: ReceiptFacts,
    #[serde(flatten)]
    pub link: ReceiptLink,
    /// The name of the key that signed it.
    pub kid: String,
    /// The 64 bytes of Ed25519 in base64; empty until it is signed.
    pub signature: String,
}

/// A text that is no receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a receipt: {0}")]
pub struct InvalidReceipt(String);

impl Receipt {
    /// Reads the JSON form. Every text of an accepted receipt is a line of printable ASCII.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidReceipt> {
        if json.len() > TEXT_BYTES_MAX {
            return Err(InvalidReceipt(format!("it is longer than {TEXT_BYTES_MAX} bytes")));
        }
        let receipt: Self = serde_json::from_slice(json).map_err(|error| InvalidReceipt(error.to_string()))?;
        match receipt.unprintable() {
            None => Ok(receipt),
            Some(field) => Err(InvalidReceipt(format!("`{field}` is not plain text"))),
        }
    }

    /// The JSON form.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a receipt has text keys, and serializes")
    }

    /// The first text that could not stand in a line of its own.
    fn unprintable(&self) -> Option<&'static str> {
        let facts = &self.facts;
        let texts = [
            ("request_id", facts.request_id.as_str()),
            ("method", &facts.method),
            ("authority", &facts.authority),
            ("path", &facts.path),
            ("query", &facts.query),
            ("oyster_signature", &facts.oyster_signature),
            ("signature", &self.signature),
        ];
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let kid = self.kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let wrong = texts.into_iter().find(|(_, text)| !plain(text)).map(|(field, _)| field);
        wrong.or_else(|| (!kid).then_some("kid"))
    }

    /// The fields `orama-…` that a reply would carry, in the order in which they are signed.
    pub fn fields(&self) -> [(&'static str, String); 5] {
        let facts = &self.facts;
        let previous = self.link.previous.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
        [
            ("orama-code", facts.code.to_string()),
            ("orama-function", format!("{}/{}@{}", facts.namespace, facts.function, facts.version)),
            ("orama-request-id", facts.request_id.to_string()),
            ("orama-sequence", self.link.sequence.to_string()),
            ("orama-previous", previous),
        ]
    }

    /// What is signed: the components in order, each with its identifier.
    fn components(&self) -> Vec<(String, String)> {
        let facts = &self.facts;
        let own = |name: &str, value: String| (format!("\"{name}\""), value);
        let asked = |name: &str, value: String| (format!("\"{name}\";req"), value);
        let mut components = vec![
            own("@status", facts.status.to_string()),
            own("content-digest", facts.reply_digest.to_string()),
            own("x-oyster-signature", facts.oyster_signature.clone()),
            own("x-oyster-timestamp", facts.timestamp.to_string()),
        ];
        components.extend(self.fields().map(|(name, value)| own(name, value)));
        components.extend([
            asked("@method", facts.method.clone()),
            asked("@authority", facts.authority.clone()),
            asked("@path", facts.path.clone()),
            asked("@query", facts.query.clone()),
            asked("content-digest", facts.request_digest.to_string()),
        ]);
        components
    }

    /// The parameters of the signature, which are the value of `Signature-Input` behind its label (RFC 9421, 2.3).
    pub fn signature_parameters(&self) -> String {
        let covered: Vec<String> = self.components().into_iter().map(|(identifier, _)| identifier).collect();
        let (covered, created, kid) = (covered.join(" "), self.facts.timestamp, &self.kid);
        format!("({covered});created={created};keyid=\"{kid}\";alg=\"{RECEIPT_ALGORITHM}\";tag=\"orama-receipt\"")
    }

    /// The bytes that are signed (RFC 9421, 2.5).
    pub fn signature_base(&self) -> String {
        let mut base = String::new();
        for (identifier, value) in self.components() {
            base += &format!("{identifier}: {value}\n");
        }
        base + "\"@signature-params\": " + &self.signature_parameters()
    }

    /// What the next receipt of the function names: the digest of what this one signs.
    pub fn digest(&self) -> ContentDigest {
        ContentDigest::of(self.signature_base().as_bytes())
    }
}

#[cfg(test)]
mod tests;
