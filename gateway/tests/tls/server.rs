//! A gateway that listens with TLS and without, and its clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway::{EdgeConfig, GatewayConfig, Scheme, Tls, TlsConfig, bind, serve_as};
use platform::certificates::{CertificatePlan, CertificatePorts, Certifier};
use ports::memory::{MemoryCertificates, Script};
use ports::{Certificate, NameAuthority, SystemClock};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::certificate::Authority;
use crate::support::House;

/// Short enough to wait for, long enough for everything else.
pub const SHORT: Duration = Duration::from_millis(300);
/// Nothing here may take this long.
pub const GUARD: Duration = Duration::from_secs(60);
/// The name of the certificate that servers here begin with.
pub const HOME: &str = "home.example";

/// Names under `here.example` exist.
struct Here;

impl NameAuthority for Here {
    fn may_have_certificate(&self, name: &str) -> bool {
        name.ends_with(".here.example")
    }
}

/// What a server is started with.
pub struct Wish {
    pub edge: EdgeConfig,
    pub tls: TlsConfig,
    /// Names of the certificates of files, one certificate each.
    pub files: Vec<Vec<&'static str>>,
    pub per_hour: usize,
}

impl Default for Wish {
    fn default() -> Self {
        let (edge, tls) = (EdgeConfig::default(), TlsConfig::default());
        Self { edge, tls, files: vec![vec![HOME]], per_hour: 10 }
    }
}

pub struct Server {
    pub house: House,
    pub authority: Arc<Authority>,
    pub certifier: Arc<Certifier>,
    pub plain: SocketAddr,
    pub secure: SocketAddr,
    pub stop: CancellationToken,
    pub serving: Vec<JoinHandle<()>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_as(Wish::default()).await
    }

    pub async fn start_as(wish: Wish) -> Self {
        let Wish { edge, mut tls, files, per_hour } = wish;
        let authority = Arc::new(Authority::new());
        let ports = CertificatePorts {
            store: Arc::new(MemoryCertificates::default()),
            authority: Some(authority.clone()),
            names: Arc::new(Here),
            clock: Arc::new(SystemClock),
        };
        let plan = CertificatePlan { on_demand: true, on_demand_per_hour: per_hour, ..CertificatePlan::default() };
        let files = files.iter().map(|names| authority.issue(names)).collect();
        let certifier = Certifier::open(ports, plan, files).await.expect("memory opens");
        let ordering = certifier.clone();
        tokio::spawn(async move { ordering.run().await });
        let (plain, secure) = (listener(), listener());
        let addresses = [&plain, &secure].map(|listener| listener.local_addr().expect("it is bound"));
        tls.redirect_to = tls.redirect_to.map(|_| addresses[1].port());
        let tls = Tls::new(certifier.clone(), tls).expect("TLS is prepared");
        let house = House::open_with(GatewayConfig { edge, tls: Some(tls), ..GatewayConfig::default() }).await;
        house.deploy("echo", &Script::Echo.code(), &[("is_public", "true")]).await;
        house.deploy("block", &Script::Block.code(), &[("is_public", "true")]).await;
        let stop = CancellationToken::new();
        let serve = |listener, scheme| tokio::spawn(serve_as(listener, scheme, house.gateway.clone(), stop.clone()));
        let serving = vec![serve(plain, Scheme::Http), serve(secure, Scheme::Https)];
        Self { house, authority, certifier, plain: addresses[0], secure: addresses[1], stop, serving }
    }

    /// A client of today: TLS 1.2 and 1.3, HTTP/1.1.
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::new(self.authority.client(&[b"http/1.1"], rustls::ALL_VERSIONS))
    }

    pub async fn connect(&self, name: &str) -> std::io::Result<Client<TlsStream<TcpStream>>> {
        self.connect_with(self.client(), name).await
    }

    pub async fn connect_with(
        &self,
        config: Arc<ClientConfig>,
        name: &str,
    ) -> std::io::Result<Client<TlsStream<TcpStream>>> {
        let tcp = TcpStream::connect(self.secure).await.expect("the server accepts");
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let shaking = TlsConnector::from(config).connect(name, tcp);
        Ok(Client(tokio::time::timeout(GUARD, shaking).await.expect("it ends")?))
    }

    /// A client without TLS, at the listener of TLS.
    pub async fn connect_raw(&self) -> Client<TcpStream> {
        Client(TcpStream::connect(self.secure).await.expect("the server accepts"))
    }

    /// What plain HTTP says to `request`.
    pub async fn says_plain(&self, request: &str) -> String {
        let mut client = Client(TcpStream::connect(self.plain).await.expect("the server accepts"));
        client.send(request).await;
        client.rest().await
    }

    /// What TLS says to `request`.
    pub async fn says(&self, request: &str) -> String {
        let mut client = self.connect(HOME).await.expect("a handshake");
        client.send(request).await;
        client.rest().await
    }

    pub fn replace_files(&self, files: &[&[&str]]) {
        let files: Vec<Certificate> = files.iter().map(|names| self.authority.issue(names)).collect();
        self.certifier.replace_files(files);
    }

    /// The value of a line of `/metrics`.
    pub async fn metric(&self, line: &str) -> u64 {
        let text = self.house.operator(http::Method::GET, "/metrics", "").await.body;
        let text = String::from_utf8_lossy(&text).into_owned();
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {line} in {text}")).parse().expect("a number")
    }
}

fn listener() -> TcpListener {
    let mut bound = bind("127.0.0.1:0".parse().expect("an address"), 1).expect("a free port");
    TcpListener::from_std(bound.listeners.pop().expect("one shard")).expect("it is not blocking")
}

pub struct Client<S>(pub S);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("the server reads");
        self.0.flush().await.expect("the server reads");
    }

    /// Everything up to the end of the connection, however it ends.
    pub async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = async { while self.0.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {} };
        tokio::time::timeout(GUARD, read).await.expect("the server closes");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// One reply, by its `content-length`.
    pub async fn reply(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = async {
            loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    let length: usize = length.and_then(|length| length.parse().ok()).expect("a length");
                    if body.len() >= length {
                        return text;
                    }
                }
                assert!(self.0.read_buf(&mut bytes).await.expect("a reply") > 0, "closed after {text:?}");
            }
        };
        tokio::time::timeout(GUARD, read).await.expect("the server answers")
    }
}

impl Client<TlsStream<TcpStream>> {
    /// The certificate that the server showed.
    pub fn shown(&self) -> Vec<u8> {
        let (_, session) = self.0.get_ref();
        session.peer_certificates().and_then(|chain| chain.first()).expect("a certificate").to_vec()
    }

    pub fn protocol(&self) -> Option<&[u8]> {
        self.0.get_ref().1.alpn_protocol()
    }
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {HOME}\r\n\r\n")
}

/// The same, and then the connection is closed.
pub fn get_last(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {HOME}\r\nconnection: close\r\n\r\n")
}
