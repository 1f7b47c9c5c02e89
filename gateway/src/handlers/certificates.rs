//! The certificates that the node shows, for operators.

use std::sync::Arc;

use domain::{Error, ErrorCode, Scope};
use ports::Certificate;
use serde_json::{Value, json};

use crate::Gateway;
use crate::error::Answer;
use crate::exchange::Exchange;
use crate::reply;

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    if !exchange.caller.scopes.allow(Scope::Operator) {
        return Err(Error::new(
            ErrorCode::Forbidden,
            "certificates belong to the node: this needs the scope `operator`",
        )
        .into());
    }
    let book = gateway.config.tls.as_ref().map(|tls| tls.certifier().book());
    let certificates = book.as_ref().map_or(&[][..], |book| book.all());
    let mut views: Vec<Value> = certificates.iter().map(|certificate| view(certificate)).collect();
    views.sort_by_key(|view| view["not_after"].as_str().unwrap_or_default().to_owned());
    Ok(reply::ok(&json!({ "count": views.len(), "certificates": views })))
}

fn view(certificate: &Certificate) -> Value {
    json!({
        "names": certificate.names,
        "issuer": certificate.issuer,
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
        "source": certificate.source.as_str(),
    })
}
