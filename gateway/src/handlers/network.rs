//! The network of nodes, as far as one node alone has one; and the anonymity proxy, which it has not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use domain::{Error, ErrorCode, Scope};
use serde_json::json;
use url::{Host, Url};

use super::{DATA_BODY_BYTES_MAX, SMALL_BODY_BYTES_MAX};
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;

/// What a node is called that has no others.
pub(super) const NODE_ID: &str = "local";

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

pub(crate) async fn status(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    Ok(reply::ok(&json!({
        "node_id": NODE_ID,
        "peer_id": NODE_ID,
        "connected": true,
        "peer_count": 0,
        "database_size": database_bytes(&gateway, &exchange).await,
        "uptime": super::node::uptime(&gateway),
    })))
}

/// The size of the caller's own database; 0 for who has none.
async fn database_bytes(gateway: &Gateway, exchange: &Exchange) -> u64 {
    let caller = &exchange.caller;
    let own = caller.namespace.as_ref().filter(|namespace| caller.may(Scope::Data, namespace));
    let Some(Ok(database)) = own.map(|namespace| gateway.platform.database(caller, namespace)) else { return 0 };
    database.bytes().await.unwrap_or(0)
}

pub(crate) async fn peers(_gateway: Arc<Gateway>, _exchange: Exchange) -> Answer {
    Ok(reply::ok(&json!({ "peers": [] })))
}

pub(crate) async fn connect(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    // The client library says `peer_addr`.
    let address = document.text("multiaddr")?.or(document.text("peer_addr")?).filter(|address| !address.is_empty());
    match address {
        None => Err(Refusal::invalid("multiaddr is required")),
        Some(_) => {
            Err(Error::new(ErrorCode::ServiceUnavailable, "this node runs alone and connects to no peers").into())
        }
    }
}

pub(crate) async fn disconnect(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    Document::parse(&body)?.needed_text("peer_id")?;
    Err(Error::not_found("peer not found: this node runs alone").into())
}

/// Without a proxy nothing is sent; what could never be sent is refused as such, so that a client learns of its mistake.
pub(crate) async fn anonymous_fetch(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    // Who may not use the namespace's data may not use its way out either.
    gateway.platform.cache(&exchange.caller, &exchange.managed_namespace()?)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    check(&document.needed_text("url")?, &document.text_or_empty("method")?)?;
    Err(Error::new(ErrorCode::ServiceUnavailable, "no anonymity proxy is configured on this server").into())
}

fn check(url: &str, method: &str) -> Result<(), Refusal> {
    let url = Url::parse(url).map_err(|_| Refusal::invalid("`url` is not a URL"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(Refusal::invalid("`url` must begin with http:// or https://"));
    }
    if !method.is_empty() && !METHODS.iter().any(|known| method.eq_ignore_ascii_case(known)) {
        return Err(Refusal::invalid(format!("`method` must be one of {}", METHODS.join(", "))));
    }
    match url.host() {
        Some(host) if !is_private(&host) => Ok(()),
        _ => Err(Error::new(ErrorCode::Forbidden, "private and local hosts are not reached through the proxy").into()),
    }
}

fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let is = |suffix: &str| name == suffix || name.ends_with(&format!(".{suffix}"));
            ["localhost", "local", "internal"].iter().any(|suffix| is(suffix))
        }
        Host::Ipv4(address) => is_private_v4(*address),
        Host::Ipv6(address) => is_private_v6(*address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let reserved =
        matches!((first, second, third), (0 | 240.., _, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _));
    reserved || address.is_loopback() || address.is_private() || address.is_link_local() || address.is_multicast()
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    let wrapped = match segments {
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0, 0, 0, 0, 0, _, high, low] if !address.is_loopback() => Some(v4(high, low)),
        _ => match IpAddr::V6(address).to_canonical() {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        },
    };
    let own = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    own || address.is_unique_local() || address.is_unicast_link_local() || wrapped.is_some_and(is_private_v4)
}

#[cfg(test)]
mod tests {
    use domain::ErrorCode;

    use super::*;

    fn code(url: &str, method: &str) -> Option<ErrorCode> {
        check(url, method).err().map(|refusal| refusal.code())
    }

    #[test]
    fn what_could_never_be_sent_is_refused() {
        assert_eq!(code("https://example.com/", "get"), None);
        assert_eq!(code("http://8.8.8.8/", ""), None);
        for wrong in ["", "example.com", "ftp://example.com/", "file:///etc/passwd", "data:,x"] {
            assert_eq!(code(wrong, "GET"), Some(ErrorCode::ValidationFailed), "{wrong}");
        }
        assert_eq!(code("https://example.com/", "CONNECT"), Some(ErrorCode::ValidationFailed));
        for private in [
            "127.0.0.1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "localhost",
            "a.localhost.",
            "10.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[ff02::1]",
            "metadata.google.internal",
            "①②⑦.⓪.⓪.①",
        ] {
            assert_eq!(code(&format!("http://{private}/"), "GET"), Some(ErrorCode::Forbidden), "{private}");
        }
    }
}
