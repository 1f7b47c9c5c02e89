use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;

use crate::{
    Certificate, CertificateAuthority, CertificateSource, Certificates, CertificatesError, ChallengeBoard, Clock,
    OrderError,
};

/// Certificates by their first name.
#[derive(Debug, Default)]
pub struct MemoryCertificates(Mutex<BTreeMap<String, Certificate>>);

#[async_trait]
impl Certificates for MemoryCertificates {
    async fn list(&self) -> Result<(Vec<Certificate>, Vec<CertificatesError>), CertificatesError> {
        Ok((self.0.lock().expect("no holder panics").values().cloned().collect(), Vec::new()))
    }

    async fn store(&self, certificate: &Certificate) -> Result<(), CertificatesError> {
        let name = certificate.names.first().cloned().unwrap_or_default();
        self.0.lock().expect("no holder panics").insert(name, certificate.clone());
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<(), CertificatesError> {
        self.0.lock().expect("no holder panics").remove(name);
        Ok(())
    }
}

/// An authority that writes down what it is asked for, and answers as it is told to; without an order, it issues.
///
/// What it issues is no certificate that could be shown: its key is a text.
pub struct ScriptedAuthority {
    clock: Arc<dyn Clock>,
    life: Duration,
    asked: Mutex<Vec<(Timestamp, String)>>,
    answers: Mutex<VecDeque<OrderError>>,
    /// Orders wait here while it is closed.
    gate: tokio::sync::Semaphore,
}

impl ScriptedAuthority {
    /// Issues certificates that are valid for `life`.
    pub fn new(clock: Arc<dyn Clock>, life: Duration) -> Self {
        let gate = tokio::sync::Semaphore::new(tokio::sync::Semaphore::MAX_PERMITS);
        Self { clock, life, asked: Mutex::default(), answers: Mutex::default(), gate }
    }

    /// The next order fails like this.
    pub fn fail_next(&self, error: OrderError) {
        self.answers.lock().expect("no holder panics").push_back(error);
    }

    /// From here on orders are made, and wait.
    pub fn hold(&self) {
        self.gate.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    }

    /// Lets those that wait go on.
    pub fn release(&self) {
        self.gate.add_permits(1000);
    }

    /// The names that were ordered, and when.
    pub fn asked(&self) -> Vec<(Timestamp, String)> {
        self.asked.lock().expect("no holder panics").clone()
    }

    /// A certificate of this authority that is valid from now on.
    pub fn issue(&self, name: &str) -> Certificate {
        let not_before = self.clock.now();
        Certificate {
            names: vec![name.to_owned()],
            issuer: "scripted".to_owned(),
            not_before,
            not_after: not_before + self.life,
            source: CertificateSource::Acme,
            chain_pem: format!("chain of {name}"),
            key_pem: format!("key of {name}").into(),
        }
    }
}

#[async_trait]
impl CertificateAuthority for ScriptedAuthority {
    async fn order(&self, name: &str, _board: &Arc<ChallengeBoard>) -> Result<Certificate, OrderError> {
        self.asked.lock().expect("no holder panics").push((self.clock.now(), name.to_owned()));
        let _passed = self.gate.acquire().await.expect("the gate is never closed for good");
        match self.answers.lock().expect("no holder panics").pop_front() {
            Some(error) => Err(error),
            None => Ok(self.issue(name)),
        }
    }
}
