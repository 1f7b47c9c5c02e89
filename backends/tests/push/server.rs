//! A server with TLS that keeps what it was asked and answers what a test says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use url::Url;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible"))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// What stands behind the scheme in `Authorization`.
    pub(crate) fn credential(&self, scheme: &str) -> &str {
        let value = self.header("authorization");
        value.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(' ')).unwrap_or_else(|| panic!("{value}"))
    }
}

/// What a server answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Whole(u16, Vec<(&'static str, String)>, String),
    /// Never answers.
    Nothing,
    /// Never ends.
    Endless(u16),
}

impl Answer {
    pub(crate) fn of(status: u16, body: impl Into<String>) -> Self {
        Self::Whole(status, Vec::new(), body.into())
    }

    pub(crate) fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Whole(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Whole(status, headers, body)
            }
            other => other,
        }
    }
}

/// The authority that every server of one program has its certificate from.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

fn authority() -> &'static Authority {
    static AUTHORITY: std::sync::OnceLock<Authority> = std::sync::OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let mut parameters = CertificateParams::new([]).expect("parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority { issuer: CertifiedIssuer::self_signed(parameters, key).expect("an authority") }
    })
}

pub(crate) fn authority_certificate() -> CertificateDer<'static> {
    authority().issuer.der().clone()
}

type AnswerFn = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// A server on a port of its own; it stops when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<Semaphore>,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    /// Speaks HTTP/1.1.
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::speaking(b"http/1.1", answer).await
    }

    /// Speaks HTTP/2 and nothing else.
    pub(crate) async fn start_http2(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::speaking(b"h2", answer).await
    }

    async fn speaking(protocol: &[u8], answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (asked, connections) = (Arc::new(Mutex::default()), Arc::new(Semaphore::new(0)));
        let acceptor = acceptor(protocol);
        let serving = tokio::spawn({
            let (asked, connections, answer) = (asked.clone(), connections.clone(), Arc::new(answer) as AnswerFn);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.add_permits(1);
                    tokio::spawn(serve(stream, acceptor.clone(), asked.clone(), answer.clone()));
                }
            }
        });
        Self { address, asked, connections, serving }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("https://{}{path}", self.address)).expect("a URL")
    }

    /// The requests so far, oldest first.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no holder panics").clone()
    }

    /// The one request so far.
    pub(crate) fn only_asked(&self) -> Asked {
        let asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.available_permits()
    }
}

fn acceptor(protocol: &[u8]) -> TlsAcceptor {
    let key = KeyPair::generate().expect("a key");
    let names = ["127.0.0.1", "push.example", "inside.example"].map(str::to_owned);
    let certificate = CertificateParams::new(names).expect("parameters");
    let certificate = certificate.signed_by(&key, &authority().issuer).expect("a certificate");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config =
        config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).expect("a pair");
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, asked: Arc<Mutex<Vec<Asked>>>, answer: AnswerFn) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| respond(request, asked.clone(), answer.clone()));
    // A client that breaks off is what some tests are about.
    let _ = match http2 {
        true => {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await
        }
        false => hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await,
    };
}

async fn respond(
    request: Request<Incoming>,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: AnswerFn,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let (method, version, headers) = (parts.method, parts.version, parts.headers);
    let seen = Asked { method, path, version, headers, body };
    let answer = answer(&seen);
    asked.lock().expect("no holder panics").push(seen);
    let response = match answer {
        Answer::Nothing => std::future::pending().await,
        Answer::Endless(status) => Response::builder().status(status).body(Endless.boxed()),
        Answer::Whole(status, headers, body) => {
            let response = headers
                .into_iter()
                .fold(Response::builder().status(status), |response, (name, value)| response.header(name, value));
            response.body(Full::new(Bytes::from(body)).boxed())
        }
    };
    Ok(response.expect("a valid response"))
}

/// A body without end.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 16 << 10])))))
    }
}
