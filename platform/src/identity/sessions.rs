//! Sign-ins: a family of refresh tokens each (30 days, rotated, with reuse detection), renewed and ended.

use std::collections::HashMap;
use std::sync::RwLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Caller, Credential, Error, ErrorCode, Namespace, Timestamp};
use ports::{RefreshToken, RevokedFamily, Rotated};

use super::directory::Home;
use super::tokens::{ACCESS_LIFETIME, LEEWAY};
use super::wallet::Wallet;
use crate::{Platform, internal};

/// How long a refresh token is valid; each use gives the next one its own 30 days.
const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
const PREFIX: &str = "rt_";
const CHANCE_BYTES: usize = 32;
/// A revoked family is remembered until no access token of it can be alive.
pub(super) const REVOKED_LIFETIME: Duration = Duration::from_secs(20 * 60);
const _: () = assert!(REVOKED_LIFETIME.as_secs() > ACCESS_LIFETIME.as_secs() + LEEWAY.as_secs());

#[derive(Clone)]
pub struct Refreshed {
    pub access_token: String,
    pub expires_in_seconds: u64,
    pub refresh_token: String,
    pub subject: String,
    pub namespace: Namespace,
}

/// The families that were revoked a short time ago.
#[derive(Default)]
pub(super) struct Revoked(RwLock<HashMap<String, Timestamp>>);

impl Revoked {
    pub(super) fn of(families: Vec<RevokedFamily>) -> Self {
        let revoked = Self::default();
        revoked.add(families);
        revoked
    }

    pub(super) fn contains(&self, family: &str) -> bool {
        self.0.read().expect("no holder panics").contains_key(family)
    }

    fn add(&self, families: impl IntoIterator<Item = RevokedFamily>) {
        let families = families.into_iter().map(|revoked| (revoked.family, revoked.at));
        self.0.write().expect("no holder panics").extend(families);
    }

    pub(super) fn forget(&self, before: Timestamp) {
        self.0.write().expect("no holder panics").retain(|_, at| *at >= before);
    }
}

/// Hashes refresh tokens, as they are kept.
pub(super) struct RefreshHash([u8; 32]);

impl RefreshHash {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self(blake3::derive_key("orama 2026-11 refresh tokens", secret))
    }

    fn of(&self, token: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, token.as_bytes()).as_bytes()
    }
}

fn draw() -> Result<String, Error> {
    let mut chance = [0; CHANCE_BYTES];
    getrandom::fill(&mut chance).map_err(|cause| internal("draw a refresh token", cause))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(chance)))
}

impl Platform {
    /// Starts a sign-in: a refresh token of a new family, and the access token beside it.
    pub(super) async fn start_session(&self, home: &Home, wallet: &Wallet) -> Result<(String, String), Error> {
        let (refresh_token, family) = (draw()?, uuid::Uuid::now_v7().to_string());
        let now = self.clock.now();
        let stored = RefreshToken {
            hash: self.identity.refresh_hash.of(&refresh_token),
            family: family.clone(),
            namespace: home.stored.name.clone(),
            subject: wallet.to_string(),
            created_at: now,
            expires_at: self.refresh_expiry(now)?,
        };
        self.registry.create_refresh(stored).await.map_err(|cause| internal("store a refresh token", cause))?;
        let access_token = self.issue_for(home, wallet.as_str(), family).await?;
        Ok((access_token, refresh_token))
    }

    /// A new access token and the next refresh token. Using one twice revokes all that came from the same sign-in.
    pub async fn refresh(&self, refresh_token: &str, namespace: Option<&Namespace>) -> Result<Refreshed, Error> {
        if refresh_token.is_empty() {
            return Err(Error::invalid("refresh_token is required"));
        }
        let (presented, next, now) = (self.identity.refresh_hash.of(refresh_token), draw()?, self.clock.now());
        let next_hash = self.identity.refresh_hash.of(&next);
        let expires_at = self.refresh_expiry(now)?;
        // From before the token is used up: what is made later under the name of its namespace is none of its business.
        let directory = self.identity.directory.load_full();
        let rotated = self.registry.rotate_refresh(presented, namespace, next_hash, now, expires_at).await;
        let used = match rotated.map_err(|cause| internal("rotate a refresh token", cause))? {
            Rotated::Done(used) => used,
            Rotated::Refused => return Err(refused()),
            Rotated::Reused(used) => {
                let RefreshToken { family, namespace, subject, .. } = used;
                tracing::warn!(%namespace, subject, family, "a refresh token was used twice: its sign-in is revoked");
                self.identity.revoked.add([RevokedFamily { family, at: now }]);
                return Err(refused());
            }
        };
        let home = directory.home(&used.namespace).ok_or_else(refused)?;
        let _held = home.lease.hold().map_err(|_| refused())?;
        Ok(Refreshed {
            access_token: self.issue_for(home, &used.subject, used.family).await?,
            expires_in_seconds: ACCESS_LIFETIME.as_secs(),
            refresh_token: next,
            subject: used.subject,
            namespace: used.namespace,
        })
    }

    /// Ends a sign-in: that of `refresh_token`, else that of the caller's own token; with `all`, every sign-in of the caller's wallet.
    pub async fn logout(&self, caller: &Caller, refresh_token: Option<&str>, all: bool) -> Result<(), Error> {
        let now = self.clock.now();
        if all {
            self.revoke_every_session(caller, now).await?;
        }
        match (refresh_token.filter(|token| !token.is_empty()), &caller.credential) {
            (Some(token), _) => {
                let revoked = self.registry.revoke_refresh(self.identity.refresh_hash.of(token), now).await;
                self.identity.revoked.add(revoked.map_err(|cause| internal("revoke a refresh token", cause))?);
            }
            (None, Credential::Token { session }) if !all => {
                let revoked = self.registry.revoke_family(session, now).await;
                revoked.map_err(|cause| internal("revoke a sign-in", cause))?;
                self.revoke_session_in_memory(caller, session, now);
            }
            _ => {}
        }
        Ok(())
    }

    async fn revoke_every_session(&self, caller: &Caller, now: Timestamp) -> Result<(), Error> {
        let (Credential::Token { .. }, Some(subject), Some(namespace)) =
            (&caller.credential, &caller.subject, &caller.namespace)
        else {
            return Err(Error::new(ErrorCode::Unauthorized, "`all` needs an access token")
                .hint("send the access token of the wallet as `Authorization: Bearer`"));
        };
        let revoked = self.registry.revoke_subject(namespace, subject, now).await;
        self.identity.revoked.add(revoked.map_err(|cause| internal("revoke every sign-in", cause))?);
        Ok(())
    }

    /// A token that was made from a key has no family: it lives as long as its key, or its quarter of an hour.
    fn revoke_session_in_memory(&self, caller: &Caller, session: &str, now: Timestamp) {
        if caller.subject.as_deref() != Some(session) {
            self.identity.revoked.add([RevokedFamily { family: session.to_owned(), at: now }]);
        }
    }

    /// An access token for a wallet, with its claims of this moment.
    async fn issue_for(&self, home: &Home, wallet: &str, family: String) -> Result<String, Error> {
        let custom = self.registry.claims(&home.stored.name, wallet).await;
        let custom = custom.map_err(|cause| internal("read the claims of a wallet", cause))?;
        self.issue(home, wallet.to_owned(), family, custom)
    }

    fn refresh_expiry(&self, now: Timestamp) -> Result<Timestamp, Error> {
        now.checked_add(REFRESH_LIFETIME).map_err(|cause| internal("count thirty days", cause))
    }
}

/// One answer for what was never ours, has expired, was revoked and was used before.
fn refused() -> Error {
    Error::new(ErrorCode::Unauthorized, "the refresh token is not valid").hint("sign in again")
}
