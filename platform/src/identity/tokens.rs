//! Access tokens: made, verified, and turned into callers with the scopes of this moment. `jwt.rs` has their form.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{Caller, Credential, Error, ErrorCode, Namespace, Scopes, Timestamp};

use super::directory::{Directory, Home, KnownKey};
use super::jwt::{self, AUDIENCE, Claims, ISSUER, TOKEN_BYTES_MAX};
use crate::{Platform, internal};

/// How long an access token is valid.
pub(super) const ACCESS_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How far the clock of another node may be off.
pub(super) const LEEWAY: Duration = Duration::from_secs(60);
/// The subject and the session of a token that was made from a key: never the key itself. No wallet has a `:`.
const KEY_PREFIX: &str = "key:";

/// An access token from an API key.
#[derive(Clone)]
pub struct AccessToken {
    pub token: String,
    pub expires_in_seconds: u64,
    pub namespace: Namespace,
}

/// A verification key, for JWKS (RFC 7517, RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub id: String,
    /// The 32 bytes of the Ed25519 key.
    pub bytes: [u8; 32],
}

/// What a valid token says, for whoami.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    pub subject: String,
    pub issuer: String,
    pub audience: String,
    pub issued_at: Timestamp,
    pub not_before: Timestamp,
    pub expires_at: Timestamp,
    pub namespace: Namespace,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidToken {
    /// Not a token of ours, or not any more.
    Refused,
    Expired,
    Revoked,
}

impl Platform {
    /// The caller behind an access token, with the scopes that its wallet or key has now.
    pub fn caller_of_token(&self, token: &str) -> Result<Arc<Caller>, InvalidToken> {
        let (claims, scopes) = self.valid_token(token)?;
        Ok(Arc::new(Caller {
            credential: Credential::Token { session: claims.sid.clone() },
            namespace: Some(claims.namespace.clone()),
            scopes,
            subject: Some(claims.sub.clone()),
            claims: claims.custom.clone(),
        }))
    }

    /// What a valid token says of itself.
    pub fn token_facts(&self, token: &str) -> Result<TokenFacts, InvalidToken> {
        let (claims, _) = self.valid_token(token)?;
        let time = |seconds| Timestamp::from_second(seconds).map_err(|_| InvalidToken::Refused);
        Ok(TokenFacts {
            subject: claims.sub.clone(),
            issuer: claims.iss.clone(),
            audience: claims.aud.clone(),
            issued_at: time(claims.iat)?,
            not_before: time(claims.nbf)?,
            expires_at: time(claims.exp)?,
            namespace: claims.namespace.clone(),
        })
    }

    /// An access token for the holder of an API key.
    pub async fn exchange_key(&self, caller: &Caller) -> Result<AccessToken, Error> {
        let refused = || Error::new(ErrorCode::Unauthorized, "an API key is required").hint("send it as `X-API-Key`");
        let (Credential::Key { id }, Some(namespace)) = (&caller.credential, &caller.namespace) else {
            return Err(refused());
        };
        let directory = self.identity.directory.load();
        let home = directory.home(namespace).ok_or_else(refused)?;
        directory.key(namespace, id).filter(|key| key.valid(self.clock.now())).ok_or_else(refused)?;
        let subject = format!("{KEY_PREFIX}{id}");
        let token = self.issue(home, subject.clone(), subject, BTreeMap::new())?;
        Ok(AccessToken { token, expires_in_seconds: ACCESS_LIFETIME.as_secs(), namespace: namespace.clone() })
    }

    /// The keys with which tokens can be verified now.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.identity.signing.public(self.clock.now())
    }

    /// Makes a new signing key; the old one verifies until the last token that it signed has expired. Only an operator may.
    pub async fn rotate_signing_key(&self, caller: &Caller) -> Result<PublicKey, Error> {
        self.operate(caller)?;
        let _one_at_a_time = self.management.lock().await;
        self.identity.signing.rotate(&*self.registry, self.clock.now()).await
    }

    pub(super) fn issue(
        &self,
        home: &Home,
        subject: String,
        session: String,
        custom: BTreeMap<String, String>,
    ) -> Result<String, Error> {
        let now = self.clock.now().as_second();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: subject,
            aud: AUDIENCE.to_owned(),
            iat: now,
            nbf: now,
            exp: now + ACCESS_LIFETIME.as_secs() as i64,
            jti: uuid::Uuid::now_v7().to_string(),
            namespace: home.stored.name.clone(),
            namespace_since: home.since(),
            custom,
            sid: session,
        };
        let token = jwt::sign(&claims, &self.identity.signing.current());
        token.map_err(|cause| internal("sign an access token", cause))
    }

    /// What a token says, and what its bearer may do at this moment.
    fn valid_token(&self, token: &str) -> Result<(Arc<Claims>, Scopes), InvalidToken> {
        let claims = self.signed_claims(token).ok_or(InvalidToken::Refused)?;
        let now = self.clock.now();
        check_times(&claims, now.as_second())?;
        if self.identity.revoked.contains(&claims.sid) {
            return Err(InvalidToken::Revoked);
        }
        let scopes = scopes_now(&self.identity.directory.load(), &claims, now)?;
        Ok((claims, scopes))
    }

    /// The claims of a token that one of our keys signed. Remembered, because a signature costs far more than all else here.
    fn signed_claims(&self, token: &str) -> Option<Arc<Claims>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let hash = *blake3::hash(token.as_bytes()).as_bytes();
        if let Some(known) = self.identity.verified.get(&hash) {
            return Some(known);
        }
        let key = self.identity.signing.find(&jwt::key_of(token)?)?;
        let claims = Arc::new(jwt::open(token, &key)?);
        self.identity.verified.insert(hash, claims.clone());
        Some(claims)
    }
}

fn check_times(claims: &Claims, now: i64) -> Result<(), InvalidToken> {
    let leeway = LEEWAY.as_secs() as i64;
    match claims {
        _ if claims.exp.saturating_add(leeway) <= now => Err(InvalidToken::Expired),
        _ if claims.nbf.max(claims.iat) > now + leeway => Err(InvalidToken::Refused),
        _ => Ok(()),
    }
}

/// A token says who came in; what that one may do, the directory says.
fn scopes_now(directory: &Directory, claims: &Claims, now: Timestamp) -> Result<Scopes, InvalidToken> {
    let home = directory.home(&claims.namespace).ok_or(InvalidToken::Refused)?;
    if home.since() != claims.namespace_since {
        return Err(InvalidToken::Refused);
    }
    let Some(id) = claims.sub.strip_prefix(KEY_PREFIX) else {
        return Ok(home.scopes_of(&claims.sub).cloned().unwrap_or_default());
    };
    let key: &Arc<KnownKey> = directory.key(&claims.namespace, id).ok_or(InvalidToken::Revoked)?;
    if key.expired(now) {
        return Err(InvalidToken::Expired);
    }
    let caller = directory.caller_of(key).filter(|_| key.valid(now)).ok_or(InvalidToken::Revoked)?;
    Ok(caller.scopes.clone())
}
