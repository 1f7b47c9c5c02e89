//! A reply, read up to its limits; and what a function may know of one that did not come.

use std::error::Error as StdError;

use bytes::{Bytes, BytesMut};
use ports::{EgressError, FetchReply};
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};

use super::EgressConfig;
use super::guard::Target;
use super::resolver::Unresolved;

/// Reads the whole reply. The limit is on the decompressed body, and what is beyond it is not even read.
pub(super) async fn read(
    mut response: Response,
    method: &Method,
    target: &Target,
    config: &EgressConfig,
) -> Result<FetchReply, EgressError> {
    let status = response.status().as_u16();
    let headers = headers_of(response.headers(), config.reply_header_bytes_max)?;
    // The reply to a HEAD may name an encoding of the body that it does not have.
    let bodiless = *method == Method::HEAD || matches!(status, 101 | 204 | 304);
    let body = if bodiless { Bytes::new() } else { body_of(&mut response, target, config.reply_bytes_max).await? };
    Ok(FetchReply { status, headers, body })
}

fn headers_of(headers: &HeaderMap, limit: usize) -> Result<Vec<(String, Bytes)>, EgressError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > limit {
        return Err(EgressError::TooLarge { limit });
    }
    let owned = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes()))
    };
    Ok(headers.iter().map(owned).collect())
}

async fn body_of(response: &mut Response, target: &Target, limit: usize) -> Result<Bytes, EgressError> {
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(EgressError::TooLarge { limit });
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error, target))? {
        if body.len() + chunk.len() > limit {
            return Err(EgressError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// What went wrong, in our words: those of the libraries name the addresses that were tried.
pub(super) fn failure(error: &reqwest::Error, target: &Target) -> EgressError {
    match cause::<Unresolved>(error) {
        Some(Unresolved::Refused(refused)) => return refused.clone().into(),
        Some(Unresolved::Unknown(_)) => {
            return EgressError::Failed(format!("the name `{}` cannot be resolved", target.host));
        }
        None => {}
    }
    let place = target.public_place();
    if error.is_builder() {
        return EgressError::Invalid("the URL cannot be used in a request".into());
    }
    EgressError::Failed(match cause::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(_)) => format!("the certificate of {place} is not trusted"),
        Some(_) => format!("{place} does not speak TLS as it should"),
        None if error.is_timeout() => format!("{place} did not answer in time"),
        None if error.is_connect() => format!("no connection to {place}"),
        None if error.is_decode() => format!("the body of the reply of {place} is broken or cut short"),
        None => format!("{place} broke off, or answered something else than HTTP"),
    })
}

/// The first error of type `E` among the causes. An `io::Error` does not name the error that it wraps as its source.
fn cause<E: StdError + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}
