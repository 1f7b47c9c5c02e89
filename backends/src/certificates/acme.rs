//! Ordering certificates by ACME (RFC 8555): an account, an order a name, the proof that the name is ours, the certificate.
//!
//! The protocol is `instant-acme`'s; here are its HTTP client, the account's file, and what an error means for who asked.

mod http;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, Problem, RetryPolicy,
};
use ports::{BoxError, Certificate, CertificateAuthority, CertificateSource, ChallengeBoard, OrderError, Posting};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::parse;
use crate::durable;
use http::AcmeHttp;

/// All of an order. Authorities look at what we posted from several places, one after the other.
const ORDER: Duration = Duration::from_secs(300);
/// The wait for one step of it.
const STEP: Duration = Duration::from_secs(120);
const POLL: RetryPolicy = RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(STEP);
/// An account that the authority does not know any more (RFC 8555, section 6.7).
const NO_SUCH_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// How the authority sees that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// It fetches a file at port 80 (RFC 8555, section 8.3).
    Http01,
    /// It looks at a certificate at port 443 (RFC 8737).
    TlsAlpn01,
}

#[derive(Debug, Clone)]
pub struct AcmeConfig {
    /// The URL that everything else is found at.
    pub directory: String,
    /// Where the authority reaches the operator, as `mailto:` URLs; may be empty.
    pub contacts: Vec<String>,
    /// An authority that the directory's own certificate may be of, as a file of PEM, beside those of the system.
    pub ca_file: Option<PathBuf>,
    pub challenge: AcmeChallenge,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum AcmeOpenError {
    #[error("the authorities in `{}` cannot be used: {reason}", path.display())]
    Authorities { path: PathBuf, reason: String },
    #[error("start the HTTP client of ACME")]
    Client(#[source] BoxError),
}

/// An ACME server, and our account there.
pub struct AcmeAuthority {
    config: AcmeConfig,
    http: AcmeHttp,
    account_file: PathBuf,
    account: Mutex<Option<Account>>,
}

impl AcmeAuthority {
    /// A client whose account is kept in `folder`; it is made with the first order. The operator has agreed to the terms.
    pub fn open(config: AcmeConfig, folder: &Path) -> Result<Self, AcmeOpenError> {
        let authorities = config.ca_file.as_deref().map(authorities).transpose()?.unwrap_or_default();
        let http = AcmeHttp::new(&authorities).map_err(AcmeOpenError::Client)?;
        let digest = blake3::hash(config.directory.as_bytes()).to_hex();
        let account_file = folder.join(format!("account-{}.json", &digest[..16]));
        Ok(Self { config, http, account_file, account: Mutex::default() })
    }

    /// The account, from memory, from its file, or a new one. One at a time, so that there is one.
    async fn account(&self) -> Result<Account, OrderError> {
        let mut known = self.account.lock().await;
        if let Some(account) = &*known {
            return Ok(account.clone());
        }
        let account = match read_account(&self.account_file).map_err(unavailable)? {
            Some(credentials) => self.builder().from_credentials(credentials).await.map_err(verdict)?,
            None => self.register().await?,
        };
        Ok(known.insert(account).clone())
    }

    async fn register(&self) -> Result<Account, OrderError> {
        let contact: Vec<&str> = self.config.contacts.iter().map(String::as_str).collect();
        let wish = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let made = self.builder().create(&wish, self.config.directory.clone(), None).await;
        let (account, credentials) = made.map_err(verdict)?;
        let text = Zeroizing::new(serde_json::to_vec(&credentials).map_err(unavailable)?);
        durable::write_private(&self.account_file, &text).map_err(unavailable)?;
        Ok(account)
    }

    fn builder(&self) -> instant_acme::AccountBuilder {
        Account::builder_with_http(Box::new(self.http.clone()))
    }

    /// Begins an order; an account that the authority has forgotten is made anew, once.
    async fn begin(&self, name: &str) -> Result<Order, OrderError> {
        let identifiers = [Identifier::Dns(name.to_owned())];
        let wish = NewOrder::new(&identifiers);
        match self.account().await?.new_order(&wish).await {
            Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(NO_SUCH_ACCOUNT) => {
                *self.account.lock().await = None;
                remove(&self.account_file).map_err(unavailable)?;
                self.account().await?.new_order(&wish).await.map_err(verdict)
            }
            begun => begun.map_err(verdict),
        }
    }

    async fn order_of(&self, name: &str, board: &Arc<ChallengeBoard>) -> Result<Certificate, OrderError> {
        let mut order = self.begin(name).await?;
        // What is posted stays until the authority has made up its mind.
        let posted = self.prove(name, &mut order, board).await?;
        let status = order.poll_ready(&POLL).await;
        drop(posted);
        match status {
            Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
            Ok(_) => return Err(OrderError::Refused(why_invalid(&mut order).await)),
            Err(error) => return Err(verdict(error)),
        }
        let key = KeyPair::generate().map_err(unavailable)?;
        let mut wish = CertificateParams::new([name.to_owned()]).map_err(unavailable)?;
        wish.distinguished_name = DistinguishedName::new();
        let request = wish.serialize_request(&key).map_err(unavailable)?;
        order.finalize_csr(request.der()).await.map_err(verdict)?;
        let chain = order.poll_certificate(&POLL).await.map_err(verdict)?;
        issued(name, chain, Zeroizing::new(key.serialize_pem()))
    }

    /// Posts a proof for each thing that the order is about, and says that it is there.
    async fn prove(
        &self,
        name: &str,
        order: &mut Order,
        board: &Arc<ChallengeBoard>,
    ) -> Result<Vec<Posting>, OrderError> {
        let mut posted = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(verdict)?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let kind = match self.config.challenge {
                AcmeChallenge::Http01 => ChallengeType::Http01,
                AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            };
            let absent = || OrderError::Refused("it does not offer the challenge that is configured".to_owned());
            let mut challenge = authorization.challenge(kind).ok_or_else(absent)?;
            let answer = challenge.key_authorization();
            posted.push(match self.config.challenge {
                AcmeChallenge::Http01 => board.post_http(&challenge.token, answer.as_str()),
                AcmeChallenge::TlsAlpn01 => board.post_tls(name, proof(name, answer.digest().as_ref())?),
            });
            challenge.set_ready().await.map_err(verdict)?;
        }
        Ok(posted)
    }
}

#[async_trait]
impl CertificateAuthority for AcmeAuthority {
    async fn order(&self, name: &str, board: &Arc<ChallengeBoard>) -> Result<Certificate, OrderError> {
        match tokio::time::timeout(ORDER, self.order_of(name, board)).await {
            Ok(ended) => ended,
            Err(_) => Err(unavailable(io::Error::new(io::ErrorKind::TimedOut, "the order took too long"))),
        }
    }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, AcmeOpenError> {
    let wrong = |reason: String| AcmeOpenError::Authorities { path: path.to_owned(), reason };
    let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let authorities: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    match authorities.is_empty() {
        true => Err(wrong("there is no `BEGIN CERTIFICATE` in it".to_owned())),
        false => Ok(authorities),
    }
}

fn read_account(path: &Path) -> Result<Option<AccountCredentials>, BoxError> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&Zeroizing::new(text))?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A certificate that we sign ourselves, with the answer to the challenge inside (RFC 8737, section 3).
fn proof(name: &str, digest: &[u8]) -> Result<Certificate, OrderError> {
    let key = KeyPair::generate().map_err(unavailable)?;
    let mut wish = CertificateParams::new([name.to_owned()]).map_err(unavailable)?;
    wish.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let signed = wish.self_signed(&key).map_err(unavailable)?;
    Ok(Certificate {
        names: vec![name.to_owned()],
        issuer: "this node, for a challenge".to_owned(),
        not_before: Timestamp::MIN,
        not_after: Timestamp::MAX,
        source: CertificateSource::Acme,
        chain_pem: signed.pem(),
        key_pem: Zeroizing::new(key.serialize_pem()),
    })
}

/// What the authority sent must be what we asked for.
fn issued(name: &str, chain: String, key: Zeroizing<String>) -> Result<Certificate, OrderError> {
    let wrong = |reason: String| unavailable(io::Error::other(format!("the certificate that was issued {reason}")));
    let mut certificate = parse(chain, key, CertificateSource::Acme).map_err(wrong)?;
    if !certificate.is_for(name) {
        return Err(wrong(format!("is not for `{name}`")));
    }
    // It is kept under its first name.
    certificate.names.sort_by_key(|found| found != name);
    Ok(certificate)
}

/// The authority's own words about the challenge that failed.
async fn why_invalid(order: &mut Order) -> String {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return words(problem);
        }
    }
    "it found the order invalid".to_owned()
}

/// Cut and without control characters: it goes into logs, and comes from elsewhere.
fn words(problem: &Problem) -> String {
    let text = problem.detail.clone().or_else(|| problem.r#type.clone()).unwrap_or_default();
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).take(500).collect()
}

/// Is it worth asking again soon?
fn verdict(error: Error) -> OrderError {
    match error {
        Error::Api(problem) if is_trouble(&problem) => unavailable(problem),
        Error::Api(problem) => OrderError::Refused(words(&problem)),
        Error::Unsupported(what) => OrderError::Refused(format!("it does not support {what}")),
        error => unavailable(error),
    }
}

fn is_trouble(problem: &Problem) -> bool {
    problem.status.is_some_and(|status| status >= 500)
        || problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:serverInternal")
}

fn unavailable(cause: impl Into<BoxError>) -> OrderError {
    OrderError::Unavailable(cause.into())
}
