//! Certificates and the clients that trust them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::Timestamp;
use ports::{Certificate, CertificateAuthority, CertificateSource, ChallengeBoard, OrderError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Notify;

/// An authority of this test alone.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    asked: Mutex<Vec<String>>,
    /// Names that it does not issue for.
    pub refuses: Vec<&'static str>,
    /// Orders of names that begin with `slow.` wait here.
    pub gate: Notify,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of the test");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signed");
        Self { issuer, asked: Mutex::default(), refuses: vec!["refused.here.example"], gate: Notify::new() }
    }

    /// A certificate for these names, as one of a file.
    pub fn issue(&self, names: &[&str]) -> Certificate {
        self.issue_as(names, CertificateSource::File)
    }

    fn issue_as(&self, names: &[&str], source: CertificateSource) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names.clone()).expect("host names");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        Certificate {
            names,
            issuer: "authority of the test".to_owned(),
            not_before: Timestamp::now(),
            not_after: Timestamp::now() + std::time::Duration::from_secs(90 * 86_400),
            source,
            chain_pem: signed.pem(),
            key_pem: key.serialize_pem().into(),
        }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no holder panics").clone()
    }

    /// A client that trusts this authority and offers these protocols above TLS.
    pub fn client(&self, protocols: &[&[u8]], versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.issuer.der().to_vec())).expect("a certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_protocol_versions(versions).expect("versions of this library");
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }
}

#[async_trait]
impl CertificateAuthority for Authority {
    async fn order(&self, name: &str, _board: &Arc<ChallengeBoard>) -> Result<Certificate, OrderError> {
        self.asked.lock().expect("no holder panics").push(name.to_owned());
        if name.starts_with("slow.") {
            self.gate.notified().await;
        }
        match self.refuses.contains(&name) {
            true => Err(OrderError::Refused("not that one".to_owned())),
            false => Ok(self.issue_as(&[name], CertificateSource::Acme)),
        }
    }
}
