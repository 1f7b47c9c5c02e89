//! An exchange whose reply is signed: both bodies are whole, and the two headers of the signature are ours alone.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Error, ErrorCode, FunctionVersion, ReplyHead};
use ports::Body;

use super::{SIGNED_BYTES_MAX, Signing};
use crate::Platform;
use crate::api::Invoke;
use crate::receipts::{Exchanged, OysterPair};

/// What of a request is signed, kept until its reply is there.
pub(super) struct Seal {
    signing: Signing,
    timestamp: u64,
    method: String,
    kept_query: Option<String>,
    request_id: domain::RequestId,
    request_body: Bytes,
}

impl Seal {
    pub(super) fn before(platform: &Platform, invoke: &Invoke, signing: Signing, body: &Body) -> Self {
        let head = invoke.http.as_deref();
        let seen = head.map(|head| head.target.as_str()).unwrap_or_default();
        // What the function was not shown is a credential, which no receipt keeps.
        let query = || seen.find('?').map_or(String::new(), |at| seen[at..].to_owned());
        Self {
            timestamp: platform.signing_time(),
            method: head.map(|head| head.method.clone()).unwrap_or_default(),
            kept_query: (seen != signing.target).then(query),
            request_id: invoke.request_id.clone(),
            request_body: match body {
                Body::Whole(bytes) => bytes.clone(),
                Body::Stream(_) => Bytes::new(),
            },
            signing,
        }
    }

    /// Signs, and puts the signature into the head, where it takes the place of what the function wrote there itself.
    pub(super) async fn put_on(
        self,
        platform: &Platform,
        version: &Arc<FunctionVersion>,
        head: &mut ReplyHead,
        reply_body: &Bytes,
    ) -> Result<(), Error> {
        let Self { signing: Signing { target, host }, timestamp, method, kept_query, request_id, request_body } = self;
        let exchanged = Exchanged {
            request_id,
            version: version.clone(),
            timestamp,
            method,
            target,
            host,
            kept_query,
            request_body,
            status: head.status,
            reply_body: reply_body.clone(),
        };
        let pair = platform.sign_exchange(exchanged).await?;
        let is_ours = |name: &[u8]| {
            [OysterPair::SIGNATURE, OysterPair::TIMESTAMP].iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
        };
        head.headers.retain(|(name, _)| !is_ours(name));
        head.headers.extend(pair.headers().map(|(name, value)| (Bytes::from_static(name.as_bytes()), value.into())));
        Ok(())
    }
}

/// The body of a reply that is to be signed.
pub(super) async fn read_reply(body: Body, switched: bool) -> Result<Bytes, Error> {
    if switched {
        let message = "the replies of this function are signed, and a connection that goes on cannot be";
        return Err(Error::new(ErrorCode::FunctionExecutionFailed, message));
    }
    body.read_whole(SIGNED_BYTES_MAX).await.map_err(|error| match error.code {
        ErrorCode::PayloadTooLarge => {
            let message =
                format!("the reply is larger than {SIGNED_BYTES_MAX} bytes, which is the most that is signed");
            Error::new(ErrorCode::ResultTooLarge, message)
        }
        ErrorCode::ValidationFailed => Error::new(ErrorCode::FunctionExecutionFailed, "the reply broke off"),
        _ => error,
    })
}
