//! What a request must be before anybody looks at its route.

use domain::Error;
use http::uri::Authority;
use http::{Request, StatusCode, Version, header};

use super::EdgeConfig;
use crate::error::Refusal;

/// Refuses requests that two servers could read differently, and those whose head is too large.
pub(super) fn check<B>(request: &Request<B>, ambiguous: bool, config: &EdgeConfig) -> Result<(), Refusal> {
    if ambiguous {
        return Err(Refusal::invalid("the length of the body is given twice; send one `Content-Length` alone").close());
    }
    check_sizes(request, config)?;
    check_coding(request)?;
    check_host(request)
}

/// Bodies come in chunks or as they are: what else they were coded with we could only pass on without saying so.
fn check_coding<B>(request: &Request<B>) -> Result<(), Refusal> {
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    let plain = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    if plain {
        return Ok(());
    }
    let error = Error::invalid("the only transfer coding that is understood here is `chunked`, once");
    Err(Refusal::with_status(StatusCode::NOT_IMPLEMENTED, error).close())
}

fn check_sizes<B>(request: &Request<B>, config: &EdgeConfig) -> Result<(), Refusal> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let authority = request.uri().authority().map_or(0, |authority| authority.as_str().len());
    if target + authority > config.uri_bytes_max {
        return Err(uri_too_long(config));
    }
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > config.headers_max || bytes > config.header_bytes_max {
        return Err(headers_too_large(config));
    }
    Ok(())
}

pub(super) fn uri_too_long(config: &EdgeConfig) -> Refusal {
    let message = format!("the URI is longer than {} bytes", config.uri_bytes_max);
    Refusal::with_status(StatusCode::URI_TOO_LONG, Error::invalid(message)).close()
}

pub(super) fn headers_too_large(config: &EdgeConfig) -> Refusal {
    let (count, bytes) = (config.headers_max, config.header_bytes_max);
    let message = format!("the headers are more than {count}, or more than {bytes} bytes");
    Refusal::with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Error::invalid(message)).close()
}

/// One host, well formed, and the same in the URI when that names one, too.
fn check_host<B>(request: &Request<B>) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let in_uri = request.uri().authority().map(Authority::as_str);
    let host = match (hosts.next(), hosts.next(), in_uri) {
        (_, Some(_), _) => return Err(bad_host("there are two `Host` headers")),
        (Some(value), None, _) => value.to_str().ok().filter(|host| is_host(host)),
        // HTTP/2 names the host in the request itself.
        (None, None, Some(authority)) if request.version() == Version::HTTP_2 => {
            return is_host(authority).then_some(()).ok_or_else(malformed);
        }
        (None, None, _) => return Err(bad_host("the `Host` header is missing")),
    };
    let host = host.ok_or_else(malformed)?;
    match in_uri {
        Some(authority) if !authority.eq_ignore_ascii_case(host) => {
            Err(bad_host("the request line and the `Host` header name different hosts"))
        }
        _ => Ok(()),
    }
}

fn malformed() -> Refusal {
    bad_host("the `Host` header is not a host name with an optional port")
}

fn bad_host(message: &str) -> Refusal {
    Refusal::invalid(message).close()
}

/// `name`, `name:port`, `[v6]` or `[v6]:port`.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            (address.parse::<std::net::Ipv6Addr>().is_ok(), port.strip_prefix(':').or(no_port(port)))
        }
        None => {
            let (name, port) = text.split_once(':').unwrap_or((text, "0"));
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            (!name.is_empty() && name.len() <= 255 && name.bytes().all(allowed), Some(port))
        }
    };
    name && port.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// Nothing behind the bracket stands for any port.
fn no_port(rest: &str) -> Option<&'static str> {
    rest.is_empty().then_some("0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(version: Version, uri: &str, hosts: &[&str]) -> u16 {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.body(()).expect("a request");
        let refused = check(&request, false, &EdgeConfig::default()).err();
        let config = crate::GatewayConfig::default();
        refused.map_or(200, |refusal| {
            refusal.render(crate::ErrorForm::Envelope, &domain::RequestId::new("r"), &config).status().as_u16()
        })
    }

    #[test]
    fn a_request_names_one_host() {
        let h1 = |uri, hosts: &[&str]| verdict(Version::HTTP_11, uri, hosts);
        for good in ["a", "a.example:80", "127.0.0.1:6001", "[::1]:6001", "[::1]", "under_score"] {
            assert_eq!(h1("/", &[good]), 200, "{good}");
        }
        for bad in ["", "a b", "a:b", "a:", "a:123456", "a/b", "user@a", "[::1", "[x]", "[::1]x", "é"] {
            assert_eq!(h1("/", &[bad]), 400, "{bad}");
        }
        assert_eq!(h1("/", &[]), 400);
        assert_eq!(h1("/", &["a", "a"]), 400);
        assert_eq!(h1("http://A/", &["a"]), 200);
        assert_eq!(h1("http://b/", &["a"]), 400);
        assert_eq!(h1("http://b/", &[]), 400);
        assert_eq!(verdict(Version::HTTP_2, "http://a/", &[]), 200);
        assert_eq!(verdict(Version::HTTP_2, "http://a/", &["b"]), 400);
    }

    #[test]
    fn heads_have_a_size() {
        assert_eq!(verdict(Version::HTTP_11, &format!("/{}", "a".repeat(9000)), &["a"]), 414);
        let mut request = Request::builder().header("host", "a");
        for number in 0..101 {
            request = request.header(format!("x-{number}"), "1");
        }
        let request = request.body(()).expect("a request");
        assert!(check(&request, false, &EdgeConfig::default()).is_err());
        assert!(check(&request, true, &EdgeConfig::default()).is_err());
    }
}
