//! What the tests of push share.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backends::egress::{EgressConfig, Resolver};
use backends::push::{HttpPush, PushEndpoints};
use domain::{AddressRange, EgressPolicy, EgressRule, Namespace, PushKind, PushMessage};
use ports::memory::ManualClock;
use ports::{DeviceOutcome, InvalidPushField, PushField, PushProvider, PushProviderMap, PushProviders, PushSettings};

use crate::server::{Server, authority_certificate};

/// The names that a test knows.
struct Names(HashMap<String, IpAddr>);

#[async_trait]
impl Resolver for Names {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.0.get(name).map(|address| vec![*address]).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Providers of one namespace, in a world where each has one server.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    endpoints: PushEndpoints,
    policies: Vec<EgressPolicy>,
}

impl World {
    /// Nothing on loopback may be reached but what the operator named.
    pub(crate) fn strict() -> Self {
        Self { clock: Arc::new(ManualClock::new()), endpoints: PushEndpoints::default(), policies: Vec::new() }
    }

    /// The namespace lists loopback.
    pub(crate) fn lenient() -> Self {
        let rule = EgressRule::parse("127.0.0.1").expect("a rule");
        Self { policies: vec![EgressPolicy { allow: vec![rule] }], ..Self::strict() }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut PushEndpoints)) -> Self {
        change(&mut self.endpoints);
        self
    }

    fn push(&self) -> HttpPush {
        let names = ["push.example", "inside.example", "stranger.example"]
            .map(|name| (name.to_owned(), IpAddr::from([127, 0, 0, 1])));
        let egress = backends::egress::open(EgressConfig {
            permitted_private: vec![AddressRange::parse("127.0.0.1").expect("a range")],
            authorities: vec![authority_certificate()],
            resolver: Arc::new(Names(names.into())),
            ..EgressConfig::default()
        });
        backends::push::open(Arc::new(egress.expect("open")), self.endpoints.clone(), self.clock.clone())
    }

    pub(crate) fn try_open(&self, settings: &PushSettings) -> Result<PushProviderMap, InvalidPushField> {
        let namespace = Namespace::default_namespace();
        self.push().open(&namespace, settings, &self.policies)
    }

    /// The provider that settings make.
    pub(crate) fn provider(&self, kind: PushKind, settings: &PushSettings) -> Arc<dyn PushProvider> {
        let mut providers = self.try_open(settings).expect("the settings are good");
        providers.remove(&kind).expect("the settings are complete")
    }

    pub(crate) fn draw_vapid_key(&self) -> String {
        self.push().draw_vapid_key().expect("drawn")
    }

    pub(crate) fn vapid_public_key(&self, private: &str) -> String {
        self.push().vapid_public_key(private).expect("a key")
    }
}

pub(crate) fn settings(fields: &[(PushField, &str)]) -> PushSettings {
    let mut settings = PushSettings::default();
    fields.iter().for_each(|(field, text)| settings.set(*field, *text));
    settings
}

/// The same, chosen by the operator for every namespace.
pub(crate) fn operators(fields: &[(PushField, &str)]) -> PushSettings {
    PushSettings::default().over(&settings(fields))
}

pub(crate) fn message(json: &str) -> PushMessage {
    PushMessage::parse(json.as_bytes()).expect("a message")
}

pub(crate) fn hello() -> PushMessage {
    message(r#"{"title":"Hello","body":"you"}"#)
}

/// Far enough away to play no part.
pub(crate) fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(crate) async fn send(provider: &Arc<dyn PushProvider>, token: &str, message: &PushMessage) -> DeviceOutcome {
    let mut outcomes = provider.send(&[token], message, far()).await;
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

/// An outcome in one line, without the port of a server.
pub(crate) fn line(outcome: &DeviceOutcome, server: &Server) -> String {
    let DeviceOutcome { success, http_status, reason, message, unregistered, temporary, retry_after, receipt } =
        outcome;
    let mut line = if *success { "sent".to_owned() } else { "failed".to_owned() };
    let mut add = |text: String| line += &format!(" {text}");
    http_status.iter().for_each(|status| add(status.to_string()));
    reason.iter().for_each(|reason| add(reason.clone()));
    message.iter().for_each(|message| add(format!("\"{message}\"")));
    [(unregistered, "unregistered"), (temporary, "temporary")]
        .iter()
        .filter(|(is, _)| **is)
        .for_each(|(_, word)| add((*word).to_owned()));
    retry_after.iter().for_each(|wait| add(format!("after {wait:?}")));
    receipt.iter().for_each(|receipt| add(format!("receipt {receipt}")));
    line.replace(&server.address.port().to_string(), "<port>")
}
