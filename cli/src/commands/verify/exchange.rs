//! A request and its reply, as they were saved: who signed them, and which receipt is about them.

use domain::oyster::SignedExchange;
use domain::{ContentDigest, KeyUse, PublishedKeys, Receipt, Timestamp, authority_text, printable_text, split_target};
use reqwest::Url;

use super::{Findings, Request};
use crate::failure::{Failure, Outcome};
use crate::saved::{InvalidMessage, Saved};

pub(super) struct Exchange<'a> {
    method: String,
    target: String,
    host: String,
    request_body: Vec<u8>,
    status: u16,
    reply_body: &'a [u8],
    signature: &'a str,
    timestamp: u64,
}

impl<'a> Exchange<'a> {
    pub(super) fn read(reply: &'a [u8], request: &Request) -> Outcome<Self> {
        let (status, message) = Saved::reply(reply).map_err(wrong("the reply"))?;
        let field = |name: &str| {
            message.field(name).map_err(wrong("the reply"))?.ok_or_else(|| {
                Failure::failed(format!("the reply has no `{name}`: nobody signed it"))
                    .hint("only replies of functions with `sign: true`, and of code called by its hash, are signed")
            })
        };
        let (signature, timestamp) = (field("x-oyster-signature")?, field("x-oyster-timestamp")?);
        let decimal = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let timestamp = timestamp.parse().ok().filter(|_| decimal);
        let timestamp = timestamp.ok_or_else(|| Failure::failed("`x-oyster-timestamp` is no number of seconds"))?;
        let Asked { method, target, host, body } = Asked::of(request)?;
        Ok(Self { method, target, host, request_body: body, status, reply_body: message.body, signature, timestamp })
    }

    /// Fails unless the reply was signed by the key that was asked for.
    pub(super) fn check_signer(
        &self,
        address: Option<&str>,
        keys: Option<&PublishedKeys>,
        findings: &mut Findings,
    ) -> Outcome {
        let signer = platform::oyster_signer(&self.signed(), self.signature)
            .ok_or_else(|| Failure::failed("`x-oyster-signature` is no signature of any key"))?;
        match (address, keys) {
            (None, None) => {
                let message =
                    format!("the signer is {signer}, or something was changed: nothing says who it should be");
                return Err(Failure::failed(message).hint("add `--address 0x…`, or the node's keys with `--keys FILE`"));
            }
            (Some(address), _) => check_address(address, &signer)?,
            (None, Some(keys)) => self.check_published(keys, &signer)?,
        }
        findings.add("signer", signer);
        findings.add("time", moment(self.timestamp));
        Ok(())
    }

    fn check_published(&self, keys: &PublishedKeys, signer: &str) -> Outcome {
        let published = keys.keys.iter().filter(|key| key.purpose == KeyUse::Oyster);
        let mut theirs = published.filter(|key| key.ethereum_address.as_deref() == Some(signer)).peekable();
        if theirs.peek().is_none() {
            return Err(not_signed_by("any key of the node", signer));
        }
        let at = i64::try_from(self.timestamp).unwrap_or(i64::MAX);
        // A call that began under the key before ends under this one.
        let in_use = |after: i64, before: Option<i64>| at >= after - 3600 && before.is_none_or(|end| at <= end);
        let any = theirs.any(|key| in_use(key.not_before.as_second(), key.not_after.map(|end| end.as_second())));
        any.then_some(()).ok_or_else(|| Failure::failed(format!("the key of {signer} was not in use at that time")))
    }

    fn signed(&self) -> SignedExchange<'_> {
        SignedExchange {
            timestamp: self.timestamp,
            method: self.method.as_bytes(),
            path_and_query: self.target.as_bytes(),
            host: self.host.as_bytes(),
            request_body: &self.request_body,
            reply_body: self.reply_body,
        }
    }

    /// The receipt that is about this exchange, and says the same about it.
    pub(super) fn receipt_in<'r>(&self, receipts: &'r [Receipt]) -> Outcome<&'r Receipt> {
        let receipt = receipts.iter().find(|receipt| receipt.facts.oyster_signature == self.signature);
        let receipt = receipt.ok_or_else(|| Failure::failed("no receipt is about this reply"))?;
        match self.difference(receipt) {
            None => Ok(receipt),
            Some(part) => Err(Failure::failed(format!("the receipt says something else about the {part}"))),
        }
    }

    /// The first part of which the receipt says something else.
    fn difference(&self, receipt: &Receipt) -> Option<&'static str> {
        let facts = &receipt.facts;
        let (path, query) = split_target(&self.target);
        let same = [
            ("time", facts.timestamp == self.timestamp),
            ("method", facts.method == printable_text(self.method.as_bytes())),
            ("host", facts.authority == authority_text(self.host.as_bytes())),
            ("path", facts.path == path),
            ("query", facts.query == query),
            ("body of the request", facts.request_digest == ContentDigest::of(&self.request_body)),
            ("status", facts.status == self.status),
            ("body of the reply", facts.reply_digest == ContentDigest::of(self.reply_body)),
        ];
        same.into_iter().find(|(_, same)| !same).map(|(part, _)| part)
    }
}

/// What was asked.
struct Asked {
    method: String,
    target: String,
    host: String,
    body: Vec<u8>,
}

impl Asked {
    fn of(request: &Request) -> Outcome<Self> {
        match (&request.file, &request.url) {
            (Some(file), _) => Self::of_file(file, request.host.as_deref()),
            (None, Some(url)) => Self::of_url(url, request),
            (None, None) => Err(Failure::usage("the request is missing")),
        }
    }

    fn of_file(file: &[u8], host: Option<&str>) -> Outcome<Self> {
        let message = Saved::parse(file).map_err(wrong("the request"))?;
        let (method, target) = message.request_line().map_err(wrong("the request"))?;
        let named = message.field("host").map_err(wrong("the request"))?;
        let host =
            host.or(named).ok_or_else(|| Failure::usage("the request has no `Host`").hint("add `--host HOST`"))?;
        Ok(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            host: host.to_owned(),
            body: message.body.to_vec(),
        })
    }

    /// The host and the target stay as they were typed: a signature covers each letter of them.
    fn of_url(url: &str, request: &Request) -> Outcome<Self> {
        let refused = || Failure::usage(format!("`{url}` is no address of a request"));
        let parsed = Url::parse(url).map_err(|_| refused())?;
        let rest = url.split_once("://").map(|(_, rest)| rest).ok_or_else(refused)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
        let target = target.split('#').next().unwrap_or_default();
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        if !parsed.has_host() || !matches!(parsed.scheme(), "http" | "https") {
            return Err(refused());
        }
        let default = if request.body.is_some() { "POST" } else { "GET" };
        Ok(Self {
            method: request.method.clone().unwrap_or_else(|| default.to_owned()),
            target,
            host: request.host.clone().unwrap_or_else(|| authority.to_owned()),
            body: request.body.clone().unwrap_or_default(),
        })
    }
}

fn check_address(address: &str, signer: &str) -> Outcome {
    let wanted = platform::checksummed_address(address).ok_or_else(|| {
        Failure::usage(format!("`{address}` is no address of Ethereum")).hint("write `0x` and 40 hexadecimal digits")
    })?;
    match wanted == signer {
        true => Ok(()),
        false => Err(not_signed_by(&wanted, signer)),
    }
}

fn not_signed_by(whom: &str, signer: &str) -> Failure {
    Failure::failed(format!(
        "this was not signed by {whom}: the signature is that of {signer}, or something was changed"
    ))
    .hint("method, host, path, query, both bodies and the time must be those of the exchange, letter by letter")
}

fn moment(second: u64) -> String {
    let at = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
    at.map_or_else(|| second.to_string(), |at| at.to_string())
}

fn wrong(what: &'static str) -> impl FnOnce(InvalidMessage) -> Failure {
    move |invalid| Failure::usage(format!("{what} {invalid}"))
}
