//! HTTPS: certificates are checked against the name that the caller wrote.

use std::sync::Arc;

use backends::egress::{CertificateDer, EgressConfig, open};
use expect_test::expect;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::server::read_request;
use crate::support::{PlannedNames, get, lenient, line, send};

/// A server for `api.example.com` and the authority that vouches for it.
async fn secure_server() -> (u16, CertificateDer<'static>) {
    let mut authority = CertificateParams::new([]).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(["api.example.com".to_owned()]).expect("parameters");
    let server = server.signed_by(&key, &authority).expect("a certificate");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = config.with_no_client_auth().with_single_cert(vec![server.der().clone()], key).expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            if read_request(&mut stream).await.is_some() {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
                    .await
                    .expect("the client reads");
            }
        }
    });
    (port, authority.der().clone())
}

#[tokio::test]
async fn a_certificate_is_checked_against_its_authority_and_name() {
    let (port, authority) = secure_server().await;
    let names = PlannedNames::new([("api.example.com", &[&["127.0.0.1"]]), ("other.example", &[&["127.0.0.1"]])]);
    let config = EgressConfig { resolver: names, ..lenient() };
    let trusting = open(EgressConfig { authorities: vec![authority], ..config.clone() }).expect("open");
    let distrusting = open(config).expect("open");
    let mut seen = String::new();
    for (egress, host) in [
        (&trusting, "api.example.com"),
        (&trusting, "other.example"),
        (&trusting, "127.0.0.1"),
        (&distrusting, "api.example.com"),
    ] {
        let outcome = send(egress, get(&format!("https://{host}:{port}/"))).await;
        seen += &(line(&outcome, port) + "\n");
    }
    expect![[r#"
        200 secret
        Failed: the certificate of `other.example:<port>` is not trusted
        Failed: the certificate of `127.0.0.1:<port>` is not trusted
        Failed: the certificate of `api.example.com:<port>` is not trusted
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn a_server_without_tls_is_no_https_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("the client reads");
        }
    });
    let outcome = send(&open(lenient()).expect("open"), get(&format!("https://127.0.0.1:{port}/"))).await;
    expect!["Failed: `127.0.0.1:<port>` does not speak TLS as it should"].assert_eq(&line(&outcome, port));
}
