//! What the tests of outbound HTTP share.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backends::egress::{EgressConfig, HttpEgress, Resolver, open};
use domain::{AddressRange, EgressPolicy, EgressRule, Namespace};
use ports::{Egress, EgressError, FetchReply, FetchRequest};

/// Answers each name with the next of its planned answers; the last one stays.
#[derive(Default)]
pub(crate) struct PlannedNames {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl PlannedNames {
    pub(crate) fn new<const N: usize>(plan: [(&str, &[&[&str]]); N]) -> Arc<Self> {
        let addresses = |answer: &&[&str]| answer.iter().map(|text| text.parse().expect("an address")).collect();
        let plan = plan.into_iter().map(|(name, answers)| (name.to_owned(), answers.iter().map(addresses).collect()));
        Arc::new(Self { answers: Mutex::new(plan.collect()), asked: Mutex::default() })
    }

    /// The names that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no holder panics").clone()
    }
}

#[async_trait]
impl Resolver for PlannedNames {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().expect("no holder panics").push(name.to_owned());
        let mut answers = self.answers.lock().expect("no holder panics");
        let planned = answers.get_mut(name.trim_end_matches('.')).ok_or(io::ErrorKind::NotFound)?;
        Ok(if planned.len() > 1 { planned.remove(0) } else { planned[0].clone() })
    }
}

/// As a node has it, with a resolver that knows no name.
pub(crate) fn strict() -> EgressConfig {
    EgressConfig { resolver: PlannedNames::new([]), ..EgressConfig::default() }
}

/// Lets 127.0.0.1 in, and nothing else that is private.
pub(crate) fn lenient() -> EgressConfig {
    EgressConfig { permitted_private: ranges(&["127.0.0.1"]), ..strict() }
}

pub(crate) fn ranges(texts: &[&str]) -> Vec<AddressRange> {
    texts.iter().map(|text| AddressRange::parse(text).expect("a range")).collect()
}

pub(crate) fn policy(rules: &[&str]) -> EgressPolicy {
    EgressPolicy { allow: rules.iter().map(|rule| EgressRule::parse(rule).expect("a rule")).collect() }
}

/// Lists every address.
pub(crate) fn everything() -> EgressPolicy {
    policy(&["0.0.0.0/0", "::/0"])
}

pub(crate) fn namespace(text: &str) -> Namespace {
    Namespace::parse(text).expect("a namespace")
}

pub(crate) fn get(url: &str) -> FetchRequest {
    FetchRequest { method: "GET".into(), url: url.into(), ..FetchRequest::default() }
}

pub(crate) fn post(url: &str, body: &'static str) -> FetchRequest {
    FetchRequest { method: "POST".into(), url: url.into(), body: body.into(), ..FetchRequest::default() }
}

pub(crate) fn with_headers<const N: usize>(request: FetchRequest, headers: [(&str, &str); N]) -> FetchRequest {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    FetchRequest { headers: headers.map(owned).to_vec(), ..request }
}

/// Far enough away to play no part.
pub(crate) fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(crate) async fn send(egress: &HttpEgress, request: FetchRequest) -> Result<FetchReply, EgressError> {
    egress.fetch(&namespace("one"), &[&everything()], request, far()).await
}

/// The reply of a new client that may reach 127.0.0.1.
pub(crate) async fn fetch(request: FetchRequest) -> Result<FetchReply, EgressError> {
    send(&open(lenient()).expect("open"), request).await
}

/// Like [`fetch`], with little time for the exchange.
pub(crate) async fn fetch_within(timeout: Duration, request: FetchRequest) -> Result<FetchReply, EgressError> {
    send(&open(EgressConfig { timeout, ..lenient() }).expect("open"), request).await
}

pub(crate) fn text(reply: &FetchReply) -> &str {
    std::str::from_utf8(&reply.body).expect("text")
}

/// The outcome in one line, without the port of a server.
pub(crate) fn line(outcome: &Result<FetchReply, EgressError>, port: u16) -> String {
    let line = match outcome {
        Ok(reply) => format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body)),
        Err(error) => {
            let kind = format!("{error:?}");
            let kind = kind.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            format!("{kind}: {error}")
        }
    };
    line.replace(&port.to_string(), "<port>")
}
