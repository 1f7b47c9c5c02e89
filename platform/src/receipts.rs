//! Signed exchanges: the pair of headers that says so (the Oyster form), and the receipt that stays.
//!
//! The pair is made before the reply goes out. The receipt says more (RFC 9421: code, status, the receipt before it) and is made behind the
//! reply, in batches, by the one task that knows the end of every chain (`receipts/writer.rs`). The keys are in `receipts/signers.rs`;
//! `receipts/verify.rs` is the other side, which needs no node.

mod signers;
mod verify;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use domain::oyster::SignedExchange;
use domain::{
    Caller, ContentDigest, Error, FunctionName, FunctionVersion, KeyUse, Namespace, PublishedKey, PublishedKeys,
    Receipt, ReceiptFacts, RequestId, Scope, authority_text, printable_text, split_target,
};

use crate::{Platform, chain, internal};

pub(crate) use signers::Signers;
pub use verify::{ReceiptFault, checksummed_address, oyster_signer, verify_receipt};
pub(crate) use writer::ReceiptWriter;

/// More than this is hashed where it holds up nobody, in bytes.
const HASHED_AT_ONCE_MAX: usize = 256 << 10;

/// An exchange whose reply is known, and not sent yet.
#[derive(Debug, Clone)]
pub struct Exchanged {
    pub request_id: RequestId,
    pub version: Arc<FunctionVersion>,
    /// [`Platform::signing_time`], read before the function was called.
    pub timestamp: u64,
    pub method: String,
    /// Path and query as received.
    pub target: String,
    /// The value of `Host` as received.
    pub host: Bytes,
    /// The query for the receipt, which is kept, when that of the target holds a credential of ours; with the `?`.
    pub kept_query: Option<String>,
    pub request_body: Bytes,
    pub status: u16,
    pub reply_body: Bytes,
}

/// What a signed reply carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OysterPair {
    /// 130 lower-case hexadecimal digits: r, s, and 27 or 28.
    pub signature: String,
    /// Seconds since 1970.
    pub timestamp: u64,
}

impl OysterPair {
    pub const SIGNATURE: &'static str = "x-oyster-signature";
    pub const TIMESTAMP: &'static str = "x-oyster-timestamp";

    /// Names and values as they stand in the reply, where they take the place of the function's own.
    pub fn headers(&self) -> [(&'static str, String); 2] {
        [(Self::SIGNATURE, self.signature.clone()), (Self::TIMESTAMP, self.timestamp.to_string())]
    }
}

/// What an exchange comes down to, once it was hashed.
struct Hashed {
    oyster_signature: String,
    request: ContentDigest,
    reply: ContentDigest,
}

impl Platform {
    /// The moment that a signature covers, in seconds since 1970: read before the function is called.
    pub fn signing_time(&self) -> u64 {
        u64::try_from(self.clock.now().as_second()).unwrap_or(0)
    }

    /// Signs an exchange that the function answered, and sees to its receipt. Errors of ours are not signed. A namespace that was
    /// deleted meanwhile gets no receipt.
    pub async fn sign_exchange(&self, exchanged: Exchanged) -> Result<OysterPair, Error> {
        let (hashed, exchanged) = self.hashed(exchanged).await?;
        let pair = pair_of(&hashed, &exchanged);
        let namespace = exchanged.version.namespace.clone();
        let lease = self.identity.lease_of(&namespace);
        let held = lease.hold();
        if held.is_ok() || namespace == chain::namespace() {
            self.receipts.write(facts(exchanged, hashed)).await;
        }
        Ok(pair)
    }

    /// Signs a reply that is given once more. The receipt of the call is that of its first reply.
    pub async fn sign_again(&self, exchanged: Exchanged) -> Result<OysterPair, Error> {
        let (hashed, exchanged) = self.hashed(exchanged).await?;
        Ok(pair_of(&hashed, &exchanged))
    }

    async fn hashed(&self, exchanged: Exchanged) -> Result<(Hashed, Exchanged), Error> {
        let signers = self.signers.current();
        let size = exchanged.request_body.len() + exchanged.reply_body.len();
        if size <= HASHED_AT_ONCE_MAX {
            return Ok((hash(&signers, &exchanged), exchanged));
        }
        let hashing = tokio::task::spawn_blocking(move || (hash(&signers, &exchanged), exchanged));
        hashing.await.map_err(|cause| internal("sign a reply", cause))
    }

    /// Every public key that this node ever signed with, the newest last.
    pub fn published_keys(&self) -> PublishedKeys {
        self.signers.published()
    }

    /// Signs with a new key from now on. The earlier ones stay published. For operators.
    pub async fn rotate_signer(&self, caller: &Caller, purpose: KeyUse) -> Result<PublishedKey, Error> {
        self.operate(caller)?;
        let _one_at_a_time = self.management.lock().await;
        let key = self.signers.rotate(purpose, self.clock.now())?;
        tracing::info!(kid = key.kid, purpose = purpose.as_str(), "made a key");
        Ok(key)
    }

    /// The receipt of a call in the namespace; one of another namespace is not there. Every call that was answered before this
    /// has its receipt.
    pub async fn receipt(&self, caller: &Caller, namespace: &Namespace, id: &RequestId) -> Result<Receipt, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let _held = lease.hold()?;
        self.receipts.flush().await;
        let found = self.records.receipt(namespace, id).await;
        let found = found.map_err(|cause| internal("read a receipt", cause))?;
        found.ok_or_else(|| {
            Error::not_found("there is no such receipt")
                .hint("only calls of functions with `sign: true` leave one, and it is kept as long as records are")
        })
    }

    /// The receipts of a function behind a number, in the order of its chain.
    pub async fn receipts(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        function: Option<&FunctionName>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Receipt>, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let _held = lease.hold()?;
        let function = function.ok_or_else(|| Error::invalid("name the function: `?function=NAME`"))?;
        self.receipts.flush().await;
        let found = self.records.receipts(namespace, function, after, limit).await;
        found.map_err(|cause| internal("read the receipts", cause))
    }
}

fn hash(signers: &signers::Current, exchanged: &Exchanged) -> Hashed {
    let message = SignedExchange {
        timestamp: exchanged.timestamp,
        method: exchanged.method.as_bytes(),
        path_and_query: exchanged.target.as_bytes(),
        host: &exchanged.host,
        request_body: &exchanged.request_body,
        reply_body: &exchanged.reply_body,
    };
    Hashed {
        oyster_signature: signers.sign_oyster(&message.message()),
        request: ContentDigest::of(&exchanged.request_body),
        reply: ContentDigest::of(&exchanged.reply_body),
    }
}

fn pair_of(hashed: &Hashed, exchanged: &Exchanged) -> OysterPair {
    OysterPair { signature: hashed.oyster_signature.clone(), timestamp: exchanged.timestamp }
}

fn facts(exchanged: Exchanged, hashed: Hashed) -> ReceiptFacts {
    let (path, query) = split_target(&exchanged.target);
    let version = &exchanged.version;
    ReceiptFacts {
        request_id: exchanged.request_id,
        namespace: version.namespace.clone(),
        function: version.name.clone(),
        version: version.version,
        code: version.code,
        timestamp: exchanged.timestamp,
        method: printable_text(exchanged.method.as_bytes()),
        authority: authority_text(&exchanged.host),
        path,
        query: exchanged.kept_query.map_or(query, |kept| printable_text(kept.as_bytes())),
        request_digest: hashed.request,
        status: exchanged.status,
        reply_digest: hashed.reply,
        oyster_signature: hashed.oyster_signature,
    }
}

#[cfg(test)]
mod tests;
