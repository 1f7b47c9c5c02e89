//! The HTTP client of ACME: the one of this program, with its own idea of how large an answer may be and how long it may take.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::Client;
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;

use crate::egress::client_tls;

/// Chains and directories are a few KiB.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const REQUEST: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct AcmeHttp(Client);

impl AcmeHttp {
    /// Trusts `authorities` beside those of the system.
    pub(super) fn new(authorities: &[CertificateDer<'static>]) -> Result<Self, ports::BoxError> {
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .https_only(true)
            .http1_only()
            .timeout(REQUEST)
            .connect_timeout(CONNECT)
            .tls_backend_preconfigured(client_tls(authorities)?);
        Ok(Self(client.build()?))
    }
}

impl HttpClient for AcmeHttp {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move { exchange(&client, request).await.map_err(Error::Other) })
    }
}

async fn exchange(
    client: &Client,
    request: http::Request<BodyWrapper<Bytes>>,
) -> Result<BytesResponse, ports::BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let request = reqwest::Request::try_from(http::Request::from_parts(parts, body))?;
    let mut answer = client.execute(request).await?;
    let mut bytes = BytesMut::new();
    while let Some(piece) = answer.chunk().await? {
        if bytes.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err("the answer is too large".into());
        }
        bytes.extend_from_slice(&piece);
    }
    let (parts, _) = http::Response::<reqwest::Body>::from(answer).into_parts();
    Ok(BytesResponse { parts, body: Box::new(bytes.freeze()) })
}
