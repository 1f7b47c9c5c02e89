//! Push messages, to the providers that bring them to devices.
//!
//! Each provider's protocol is a file, by hand: [`ntfy`], [`expo`], [`web_push`] (RFC 8030, 8291, 8292), [`apns`], [`fcm`]. The
//! signatures and the encryption that they need stand beside them ([`jose`], `web_push/ece.rs`) and not in `platform`, because they are
//! parts of those protocols and of nothing else.
//!
//! The hosts of Expo, Apple and Google are the operator's choice. What a namespace or a device names (the server of ntfy, the
//! endpoint of a browser, the place where a service account gets its tokens) is reached under the rules of [`crate::egress`].

mod apns;
mod client;
mod expo;
mod fcm;
mod jose;
mod ntfy;
mod web_push;

use std::fmt;
use std::sync::Arc;

use domain::{EgressPolicy, Namespace, PushKind};
use ports::{BoxError, Clock, InvalidPushField, PushField, PushProvider, PushProviderMap, PushProviders, PushSettings};
use url::Url;

use crate::egress::{Connection, HttpEgress};
use apns::{Apns, ApnsAccount};
use expo::Expo;
use fcm::Fcm;
use ntfy::Ntfy;
use web_push::{Vapid, WebPush};

/// Where the providers are that have one place for everybody.
#[derive(Clone, PartialEq, Eq)]
pub struct PushEndpoints {
    pub expo: Url,
    pub apns: Url,
    pub apns_sandbox: Url,
    pub fcm: Url,
    /// Where service accounts get their tokens; `None` means where they say themselves.
    pub fcm_token: Option<Url>,
}

impl Default for PushEndpoints {
    fn default() -> Self {
        let url = |text: &str| Url::parse(text).expect("our own URLs are valid");
        Self {
            expo: url("https://exp.host/"),
            apns: url("https://api.push.apple.com/"),
            apns_sandbox: url("https://api.sandbox.push.apple.com/"),
            fcm: url("https://fcm.googleapis.com/"),
            fcm_token: None,
        }
    }
}

impl fmt::Debug for PushEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expo, apns, apns_sandbox, fcm, fcm_token } = self;
        let named = [("expo", expo), ("apns", apns), ("apns_sandbox", apns_sandbox), ("fcm", fcm)];
        let named = named.into_iter().chain(fcm_token.iter().map(|url| ("fcm_token", url)));
        f.debug_map().entries(named.map(|(name, url)| (name, url.as_str()))).finish()
    }
}

/// Providers over HTTP.
pub struct HttpPush {
    egress: Arc<HttpEgress>,
    endpoints: PushEndpoints,
    clock: Arc<dyn Clock>,
}

/// Nothing is sent or looked up yet.
pub fn open(egress: Arc<HttpEgress>, endpoints: PushEndpoints, clock: Arc<dyn Clock>) -> HttpPush {
    HttpPush { egress, endpoints, clock }
}

/// The providers of one namespace, while they are made.
struct Making<'a> {
    push: &'a HttpPush,
    namespace: &'a Namespace,
    settings: &'a PushSettings,
    policies: &'a [EgressPolicy],
}

type Made = Result<Vec<(PushKind, Arc<dyn PushProvider>)>, InvalidPushField>;

impl PushProviders for HttpPush {
    fn open(
        &self,
        namespace: &Namespace,
        settings: &PushSettings,
        policies: &[EgressPolicy],
    ) -> Result<PushProviderMap, InvalidPushField> {
        let making = Making { push: self, namespace, settings, policies };
        let made = [making.ntfy()?, making.expo()?, making.apns()?, making.web_push()?, making.fcm()?];
        Ok(made.into_iter().flatten().collect())
    }

    fn draw_vapid_key(&self) -> Result<String, BoxError> {
        Vapid::draw().map_err(Into::into)
    }

    fn vapid_public_key(&self, private: &str) -> Result<String, InvalidPushField> {
        Vapid::parse_key(private).map(|key| key.public_text()).map_err(invalid(PushField::VapidPrivateKey))
    }
}

impl Making<'_> {
    fn get(&self, field: PushField) -> Option<&str> {
        self.settings.get(field)
    }

    fn has_all(&self, kind: PushKind) -> bool {
        self.settings.missing_for(kind).is_empty()
    }

    fn trusted(&self, field: PushField, http2: bool) -> Result<Connection, InvalidPushField> {
        Connection::trusted(&self.push.egress, http2).map_err(|_| invalid(field)("cannot be used: TLS does not start"))
    }

    fn guarded(&self) -> Connection {
        Connection::guarded(&self.push.egress, self.namespace, self.policies)
    }

    fn ntfy(&self) -> Made {
        let field = PushField::NtfyBaseUrl;
        let token = self.get(PushField::NtfyAuthToken);
        ntfy::check_token(token).map_err(invalid(PushField::NtfyAuthToken))?;
        let Some(base) = self.get(field) else { return Ok(Vec::new()) };
        let base = ntfy::parse_base(base).map_err(invalid(field))?;
        let connection = match self.settings.is_by_operator(field) {
            true => self.trusted(field, false)?,
            false => self.guarded(),
        };
        connection.check(&base).map_err(|_| invalid(field)(REFUSED_URL))?;
        Ok(vec![(PushKind::Ntfy, Arc::new(Ntfy::new(connection, base, token)))])
    }

    fn expo(&self) -> Made {
        let field = PushField::ExpoAccessToken;
        let Some(token) = self.get(field) else { return Ok(Vec::new()) };
        let expo = Expo::new(self.trusted(field, false)?, &self.push.endpoints.expo, token).map_err(invalid(field))?;
        Ok(vec![(PushKind::Expo, Arc::new(expo))])
    }

    fn apns(&self) -> Made {
        let key = self.get(PushField::ApnsKeyPem).map(apns::parse_key).transpose();
        let key = key.map_err(invalid(PushField::ApnsKeyPem))?;
        for (field, check) in apns::CHECKS {
            self.get(*field).map_or(Ok(()), check).map_err(invalid(*field))?;
        }
        let sandbox = self.get(PushField::ApnsSandbox) == Some("true");
        let (Some(key), true) = (key, self.has_all(PushKind::Apns)) else { return Ok(Vec::new()) };
        let text = |field| self.get(field).unwrap_or_default().to_owned();
        let endpoints = &self.push.endpoints;
        let account = Arc::new(ApnsAccount::new(
            self.trusted(PushField::ApnsKeyPem, true)?,
            if sandbox { &endpoints.apns_sandbox } else { &endpoints.apns },
            key,
            [text(PushField::ApnsKeyId), text(PushField::ApnsTeamId), text(PushField::ApnsTopic)],
            self.push.clock.clone(),
        ));
        let channel = |voip| -> Arc<dyn PushProvider> { Arc::new(Apns::new(account.clone(), voip)) };
        Ok(vec![(PushKind::Apns, channel(false)), (PushKind::ApnsVoip, channel(true))])
    }

    fn web_push(&self) -> Made {
        let (key_field, subject_field) = (PushField::VapidPrivateKey, PushField::VapidSubject);
        let key = self.get(key_field).map(Vapid::parse_key).transpose().map_err(invalid(key_field))?;
        let subject = self.get(subject_field);
        subject.map_or(Ok(()), web_push::check_subject).map_err(invalid(subject_field))?;
        let (Some(key), Some(subject)) = (key, subject) else { return Ok(Vec::new()) };
        let vapid = Vapid::new(key, subject, self.push.clock.clone());
        Ok(vec![(PushKind::Webpush, Arc::new(WebPush::new(self.guarded(), vapid)))])
    }

    fn fcm(&self) -> Made {
        let field = PushField::FcmServiceAccount;
        let Some(account) = self.get(field) else { return Ok(Vec::new()) };
        let account = fcm::ServiceAccount::parse(account).map_err(invalid(field))?;
        let (tokens, token_url) = match &self.push.endpoints.fcm_token {
            Some(url) => (self.trusted(field, false)?, url.clone()),
            None if self.settings.is_by_operator(field) => (self.trusted(field, false)?, account.token_uri.clone()),
            None => (self.guarded(), account.token_uri.clone()),
        };
        tokens.check(&token_url).map_err(|_| invalid(field)("has a `token_uri` that must not be reached"))?;
        let fcm = Fcm::new(
            self.trusted(field, false)?,
            &self.push.endpoints.fcm,
            (tokens, token_url),
            account,
            self.push.clock.clone(),
        );
        Ok(vec![(PushKind::Fcm, Arc::new(fcm))])
    }
}

const REFUSED_URL: &str = "must not be reached: only public addresses may, unless the operator permits others with `egress.private` \
     and the namespace lists them in its `egress`";

fn invalid<R: Into<String>>(field: PushField) -> impl Fn(R) -> InvalidPushField {
    move |reason| InvalidPushField { field, reason: reason.into() }
}
