//! Challenges, and what a wallet gets for signing one.

use std::sync::Arc;
use std::time::Duration;

use domain::{Error, ErrorCode, Namespace, Timestamp};
use ports::App;

use super::directory::Home;
use super::message::{Message, is_authority, is_statement, resource_of};
use super::nonce::Nonce;
use super::not_changed;
use super::tokens::{ACCESS_LIFETIME, LEEWAY};
use super::wallet::{Chain, Wallet};
use crate::{Platform, internal};

/// How long a challenge may be answered.
const CHALLENGE_LIFETIME: Duration = Duration::from_secs(5 * 60);
const PURPOSE_BYTES_MAX: usize = 64;
const APP_NAME_CHARACTERS_MAX: usize = 100;

/// What a nonce is for. A nonce whose challenge named `api-key` or `register` works there alone; every other purpose is a sign-in, which
/// works everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    SignIn,
    ApiKey,
    Register,
}

impl Purpose {
    /// The purpose that a client's word stands for.
    pub(super) fn of(text: &str) -> Self {
        match text {
            "api-key" | "api_key" => Self::ApiKey,
            "register" => Self::Register,
            _ => Self::SignIn,
        }
    }

    /// As it stands in nonces.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::SignIn => 0,
            Self::ApiKey => 1,
            Self::Register => 2,
        }
    }
}

#[derive(Debug, Clone)]
pub struct ChallengeRequest {
    pub wallet: String,
    pub namespace: Namespace,
    /// As the client wrote it, at most 64 characters; empty means a sign-in.
    pub purpose: String,
    /// The host that the client speaks to: the `domain` of the EIP-4361 message.
    pub domain: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    pub wallet: String,
    pub namespace: Namespace,
    /// 32 bytes in base64url; single-use.
    pub nonce: String,
    pub purpose: String,
    /// The EIP-4361 message, for wallets that show it.
    pub message: String,
    pub expires_at: Timestamp,
}

/// A signed challenge: either a nonce that was signed itself, or a message that holds it.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    pub wallet: Option<String>,
    pub nonce: Option<String>,
    pub message: Option<String>,
    pub signature: String,
    pub namespace: Option<String>,
    /// `ETH` or `SOL`, in any case; `None` when the wallet tells it.
    pub chain: Option<String>,
    /// The purpose of the challenge, when the client repeats it: it must be the same.
    pub purpose: Option<String>,
    /// The host that the client speaks to.
    pub domain: String,
}

#[derive(Clone)]
pub struct SignedIn {
    pub access_token: String,
    pub expires_in_seconds: u64,
    pub refresh_token: String,
    pub subject: String,
    pub namespace: Namespace,
    /// The wallet's key: the same each time until it is revoked. `None` for a wallet that has no scope here.
    pub api_key: Option<String>,
    pub nonce: String,
}

#[derive(Clone)]
pub struct WalletKey {
    pub api_key: String,
    pub namespace: Namespace,
    pub wallet: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredApp {
    pub id: String,
    pub name: String,
    pub namespace: Namespace,
    pub wallet: String,
}

/// What a proof says, read and not yet believed.
struct Said<'a> {
    wallet: Wallet,
    namespace: Namespace,
    nonce: &'a str,
    signed: &'a str,
}

/// A wallet that proved to be who it says.
struct Proven {
    wallet: Wallet,
    home: Arc<Home>,
    nonce: String,
}

impl Platform {
    /// A challenge for a wallet. Keeps no state: the nonce carries a seal over everything that it is bound to.
    ///
    /// A namespace that does not exist gets one like any other, so that nobody learns from it which exist.
    pub fn challenge(&self, request: ChallengeRequest) -> Result<Challenge, Error> {
        let ChallengeRequest { wallet, namespace, purpose, domain } = request;
        let wallet = parse_wallet(&wallet, None)?;
        check_purpose(&purpose)?;
        if !is_authority(&domain) {
            return Err(Error::invalid("the request names no host; send a `Host` header"));
        }
        let issued_at = whole_seconds(self.clock.now())?;
        let expires_at = issued_at + CHALLENGE_LIFETIME;
        let drawn = self.identity.nonces.draw(&wallet, &namespace, &purpose, expires_at);
        let nonce = drawn.map_err(|cause| internal("draw a nonce", cause))?;
        let message = Message {
            scheme: None,
            domain: &domain,
            chain: wallet.chain(),
            address: &wallet.shown(),
            statement: Some(&statement(&namespace, &purpose)),
            uri: &format!("https://{domain}"),
            nonce: &nonce,
            issued_at: &issued_at.to_string(),
            expires_at: Some(&expires_at.to_string()),
            not_before: None,
            request_id: None,
            resources: Some(vec![&resource_of(namespace.as_str())]),
        }
        .to_string();
        Ok(Challenge { wallet: wallet.to_string(), namespace, nonce, purpose, message, expires_at })
    }

    /// Signs in: checks the proof, spends the nonce, starts a family of refresh tokens.
    pub async fn verify(&self, proof: Proof) -> Result<SignedIn, Error> {
        let Proven { wallet, home, nonce } = self.prove(&proof, Purpose::SignIn).await?;
        let _held = home.lease.hold()?;
        let api_key = self.key_of_wallet(&home, &wallet).await?;
        let (access_token, refresh_token) = self.start_session(&home, &wallet).await?;
        Ok(SignedIn {
            access_token,
            expires_in_seconds: ACCESS_LIFETIME.as_secs(),
            refresh_token,
            subject: wallet.to_string(),
            namespace: home.stored.name.clone(),
            api_key,
            nonce,
        })
    }

    /// The key of a wallet that owns something in the namespace.
    pub async fn wallet_key(&self, proof: Proof) -> Result<WalletKey, Error> {
        let Proven { wallet, home, .. } = self.prove(&proof, Purpose::ApiKey).await?;
        let _held = home.lease.hold()?;
        let key = self.key_of_wallet(&home, &wallet).await?;
        let api_key = key.ok_or_else(|| owns_nothing(&home))?;
        Ok(WalletKey { api_key, namespace: home.stored.name.clone(), wallet: wallet.to_string() })
    }

    /// Registers a client application for a wallet that owns something in the namespace.
    pub async fn register_app(&self, proof: Proof, name: &str) -> Result<RegisteredApp, Error> {
        let length = name.chars().count();
        if !(1..=APP_NAME_CHARACTERS_MAX).contains(&length) || name.chars().any(char::is_control) {
            return Err(Error::invalid("the name is not 1 to 100 characters long, or holds control characters"));
        }
        let Proven { wallet, home, .. } = self.prove(&proof, Purpose::Register).await?;
        let _held = home.lease.hold()?;
        home.scopes_of(wallet.as_str()).ok_or_else(|| owns_nothing(&home))?;
        let app = App {
            id: uuid::Uuid::now_v7().to_string(),
            namespace: home.stored.name.clone(),
            name: name.to_owned(),
            wallet: wallet.to_string(),
            created_at: self.clock.now(),
        };
        let created = self.registry.create_app(app.clone()).await;
        created.map_err(|error| not_changed("register an application", error))?;
        Ok(RegisteredApp { id: app.id, name: app.name, namespace: app.namespace, wallet: app.wallet })
    }

    /// Believes a proof, and spends its nonce: last, so that nobody can spend the nonce of another.
    async fn prove(&self, proof: &Proof, purpose: Purpose) -> Result<Proven, Error> {
        let now = self.clock.now();
        let Said { wallet, namespace, nonce, signed } = read(proof, now)?;
        let opened = self.identity.nonces.open(nonce, &wallet, &namespace).ok_or_else(refused)?;
        check_nonce(&opened, proof, purpose, now)?;
        if !wallet.signed(signed.as_bytes(), &proof.signature) {
            return Err(refused());
        }
        if !self.config.registration_open {
            self.home(&namespace)?;
        }
        // Remembered longer than it could be used, so that a clock that is set back brings nothing back.
        let spent = self.registry.consume_nonce(opened.hash, opened.expires_at + CHALLENGE_LIFETIME).await;
        if !spent.map_err(|cause| internal("spend a nonce", cause))? {
            return Err(refused().hint("the challenge was answered before; ask for a new one"));
        }
        let home = self.home_or_found(&namespace, &wallet).await?;
        Ok(Proven { wallet, home, nonce: nonce.to_owned() })
    }

    /// The namespace; if there is none, the wallet makes it. Only where registration is open does anybody come so far.
    async fn home_or_found(&self, namespace: &Namespace, wallet: &Wallet) -> Result<Arc<Home>, Error> {
        if let Ok(home) = self.home(namespace) {
            return Ok(home);
        }
        match self.found(namespace, format!("wallet:{wallet}"), Some(wallet)).await {
            // Somebody else was faster: it is theirs, and this one signs in to it.
            Err(refused) if refused.code == ErrorCode::Conflict => self.home(namespace).map_err(|_| refused),
            founded => founded,
        }
    }
}

fn read(proof: &Proof, now: Timestamp) -> Result<Said<'_>, Error> {
    if proof.signature.is_empty() {
        return Err(Error::invalid("signature is required"));
    }
    match &proof.message {
        Some(message) => read_message(proof, message, now),
        None => read_nonce(proof),
    }
}

fn read_nonce(proof: &Proof) -> Result<Said<'_>, Error> {
    let required = |what: &str| Error::invalid(format!("{what} is required"));
    let wallet = proof.wallet.as_deref().ok_or_else(|| required("wallet"))?;
    let nonce = proof.nonce.as_deref().filter(|nonce| !nonce.is_empty()).ok_or_else(|| required("nonce"))?;
    let wallet = parse_wallet(wallet, chain_of(proof)?)?;
    let namespace = named(proof)?.unwrap_or_else(Namespace::default_namespace);
    Ok(Said { wallet, namespace, nonce, signed: nonce })
}

/// What a message says counts; what the request says beside it must be the same.
fn read_message<'a>(proof: &'a Proof, text: &'a str, now: Timestamp) -> Result<Said<'a>, Error> {
    let message = Message::parse(text).map_err(Error::invalid)?;
    let wallet = parse_wallet(message.address, Some(message.chain))?;
    if wallet.shown() != message.address {
        return Err(Error::invalid("the address in the message is not written with its checksum (EIP-55)"));
    }
    let resource = message.namespace().and_then(|name| Namespace::parse(name).ok());
    let namespace = resource.ok_or_else(|| Error::invalid("the message does not name exactly one namespace"))?;
    let same = named(proof)?.is_none_or(|named| named == namespace)
        && proof.nonce.as_deref().is_none_or(|nonce| nonce == message.nonce)
        && chain_of(proof)?.is_none_or(|chain| chain == message.chain)
        && match &proof.wallet {
            Some(other) => parse_wallet(other, Some(message.chain))? == wallet,
            None => true,
        };
    if !same {
        return Err(refused().hint("the message and the rest of the request name different things"));
    }
    if !message.domain.eq_ignore_ascii_case(&proof.domain) {
        return Err(refused().hint("the message was made for another host"));
    }
    check_times(&message, now)?;
    Ok(Said { wallet, namespace, nonce: message.nonce, signed: text })
}

fn check_times(message: &Message<'_>, now: Timestamp) -> Result<(), Error> {
    let times = message.times().ok_or_else(|| Error::invalid("the message holds a time that is none"))?;
    let soon = now.checked_add(LEEWAY).unwrap_or(now);
    if times.issued_at > soon || times.not_before.is_some_and(|start| start > soon) {
        return Err(refused().hint("the message is not valid yet"));
    }
    if times.expires_at.is_some_and(|end| end <= now) {
        return Err(refused().hint("the message has expired; ask for a new challenge"));
    }
    Ok(())
}

fn check_nonce(nonce: &Nonce, proof: &Proof, purpose: Purpose, now: Timestamp) -> Result<(), Error> {
    if nonce.expires_at <= now {
        return Err(refused().hint("the challenge has expired; ask for a new one"));
    }
    let repeated = proof.purpose.as_deref().is_none_or(|text| nonce.names(text));
    if !nonce.is_for(purpose) || !repeated {
        return Err(refused().hint("the challenge was for another purpose; ask for a new one"));
    }
    Ok(())
}

fn parse_wallet(text: &str, chain: Option<Chain>) -> Result<Wallet, Error> {
    Wallet::parse(text, chain).map_err(|invalid| Error::invalid(invalid.to_string()))
}

fn chain_of(proof: &Proof) -> Result<Option<Chain>, Error> {
    let unknown = || Error::invalid("the chain is neither `ETH` nor `SOL`");
    proof.chain.as_deref().map(|text| Chain::parse(text).ok_or_else(unknown)).transpose()
}

fn named(proof: &Proof) -> Result<Option<Namespace>, Error> {
    let parse = |text: &str| Namespace::parse(text).map_err(|invalid| Error::invalid(invalid.to_string()));
    proof.namespace.as_deref().map(parse).transpose()
}

/// It stands in the statement of the message, which has characters of its own.
fn check_purpose(purpose: &str) -> Result<(), Error> {
    match purpose.is_empty() || (purpose.len() <= PURPOSE_BYTES_MAX && is_statement(purpose)) {
        true => Ok(()),
        false => Err(Error::invalid("the purpose is longer than 64 characters, or holds some that are not allowed")),
    }
}

fn statement(namespace: &Namespace, purpose: &str) -> String {
    let purpose = if purpose.is_empty() { "sign-in" } else { purpose };
    format!("Sign in to the Orama namespace {namespace}. Purpose: {purpose}")
}

fn whole_seconds(time: Timestamp) -> Result<Timestamp, Error> {
    Timestamp::from_second(time.as_second()).map_err(|cause| internal("read the clock", cause))
}

fn owns_nothing(home: &Home) -> Error {
    let namespace = &home.stored.name;
    Error::new(ErrorCode::Forbidden, format!("the wallet owns nothing in namespace `{namespace}`"))
        .hint("ask an admin of the namespace to add it as an owner")
}

/// One text for every reason: who guesses learns nothing from it.
fn refused() -> Error {
    Error::new(ErrorCode::Unauthorized, "signature verification failed")
}
