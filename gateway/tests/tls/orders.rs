//! Certificates that are ordered when somebody asks, and the questions of authorities.

use std::sync::Arc;
use std::time::Duration;

use gateway::TlsConfig;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use crate::server::{SHORT, Server, Wish, get_last};

fn nothing_but_orders() -> Wish {
    Wish { files: vec![], ..Wish::default() }
}

#[tokio::test]
async fn the_first_who_asks_for_a_name_that_exists_waits_for_its_certificate() {
    let server = Server::start_as(nothing_but_orders()).await;
    let mut client = server.connect("a.here.example").await.expect("a handshake");
    client.send(get_last("/health")).await;
    assert!(client.rest().await.contains(" 200 "));
    server.connect("a.here.example").await.expect("a handshake");
    assert_eq!(server.authority.asked(), ["a.here.example"]);
}

#[tokio::test]
async fn handshakes_at_once_make_one_order() {
    let server = Server::start_as(nothing_but_orders()).await;
    let all = (0..50).map(|_| server.connect("slow.here.example"));
    let release = async {
        while server.authority.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        server.authority.gate.notify_one();
    };
    let (all, ()) = tokio::join!(futures_util::future::join_all(all), release);
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(server.authority.asked().len(), 1);
}

#[tokio::test]
async fn other_names_are_ordered_for_nobody() {
    let server = Server::start_as(nothing_but_orders()).await;
    for name in ["elsewhere.example", "here.example", "127.0.0.1"] {
        assert!(server.connect(name).await.is_err(), "{name}");
    }
    assert!(server.authority.asked().is_empty());
    assert_eq!(server.metric(r#"orama_tls_handshakes_total{how="no_certificate"}"#).await, 3);
}

#[tokio::test]
async fn so_many_an_hour_and_no_more() {
    let server = Server::start_as(Wish { per_hour: 2, ..nothing_but_orders() }).await;
    for (name, good) in [("a", true), ("b", true), ("c", false), ("a", true)] {
        assert_eq!(server.connect(&format!("{name}.here.example")).await.is_ok(), good, "{name}");
    }
    assert_eq!(server.authority.asked().len(), 2);
}

#[tokio::test]
async fn an_order_that_is_refused_ends_the_handshake_and_is_not_made_for_every_client() {
    let server = Server::start_as(nothing_but_orders()).await;
    for _ in 0..5 {
        assert!(server.connect("refused.here.example").await.is_err());
    }
    assert_eq!(server.authority.asked().len(), 1);
}

#[tokio::test]
async fn a_handshake_does_not_wait_for_ever() {
    let tls = TlsConfig { order_wait: SHORT, ..TlsConfig::default() };
    let server = Server::start_as(Wish { tls, ..nothing_but_orders() }).await;
    assert!(server.connect("slow.here.example").await.is_err());
    // The order goes on without it.
    server.authority.gate.notify_one();
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    while server.certifier.book().find("slow.here.example").is_none() {
        pace.tick().await;
    }
    server.connect("slow.here.example").await.expect("a handshake");
}

/// An authority does not ask who signed what it is shown (RFC 8737, section 3).
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn an_authority_that_asks_by_tls_is_shown_what_was_posted() {
    let server = Server::start().await;
    let mut asking = server.authority.client(&[b"acme-tls/1"], rustls::ALL_VERSIONS);
    asking.dangerous().set_certificate_verifier(Arc::new(AnyCertificate));
    let asking = Arc::new(asking);
    assert!(server.connect_with(asking.clone(), "a.here.example").await.is_err(), "nothing is posted");

    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["a.here.example".to_owned()]).expect("a name");
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&[7; 32])];
    let signed = params.self_signed(&key).expect("signed");
    let posted = ports::Certificate {
        chain_pem: signed.pem(),
        key_pem: key.serialize_pem().into(),
        ..server.authority.issue(&["a.here.example"])
    };
    let _posting = server.certifier.board().post_tls("a.here.example", posted);
    let mut client = server.connect_with(asking, "a.here.example").await.expect("a handshake");
    assert_eq!(client.shown(), signed.der().to_vec());
    assert_eq!(client.protocol(), Some(&b"acme-tls/1"[..]));
    assert_eq!(client.rest().await, "", "there is nothing else to be had");
    // Everybody else gets what they always got.
    assert!(server.connect("home.example").await.is_ok());
    assert!(server.authority.asked().is_empty());
}
