//! What the host of a request names: the API, one namespace's API, a function, or code by its hash.

use domain::Namespace;
use domain::oyster::{InvalidLabel, hash_of_label};

/// What a host name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Site<'a> {
    /// The routes of the table.
    Api,
    /// The same, of one namespace, whose name is as it was written.
    NamespaceApi(&'a str),
    /// Two names as they were written; whether there is such a function is not known here.
    Function {
        namespace: &'a str,
        function: &'a str,
    },
    Hash([u8; 32]),
    /// One label that could only be a hash, and is none.
    NoHash(InvalidLabel),
    /// Below the base domain, but nothing can be there.
    Nothing,
}

/// What `host`, with or without a port, stands for on a node whose functions live below `base`.
pub(crate) fn site_of<'a>(host: &'a str, base: &str) -> Site<'a> {
    let Some(below) = below(name_of(host), base) else { return Site::Api };
    match below.split_once('.') {
        None => of_label(below),
        Some((function, namespace)) if !function.is_empty() && !namespace.is_empty() && !namespace.contains('.') => {
            Site::Function { namespace, function }
        }
        Some(_) => Site::Nothing,
    }
}

/// The name without its port, and without the dot that may end a whole name.
pub(crate) fn name_of(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// The labels of `name` before `.base`.
fn below<'a>(name: &'a str, base: &str) -> Option<&'a str> {
    let (labels, end) = name.split_at_checked(name.len().checked_sub(base.len())?)?;
    let matches = !base.is_empty() && end.eq_ignore_ascii_case(base);
    matches.then(|| labels.strip_suffix('.')).flatten()
}

fn of_label(label: &str) -> Site<'_> {
    if let Some(namespace) = label.get(3..).filter(|_| label[..3].eq_ignore_ascii_case("ns-")) {
        return Namespace::parse(namespace).map_or(Site::Nothing, |_| Site::NamespaceApi(namespace));
    }
    // The last one: so that a name has one reading, whatever namespaces there are.
    if let Some((function, namespace)) = label.rsplit_once("--") {
        let both = !function.is_empty() && !namespace.is_empty();
        return if both { Site::Function { namespace, function } } else { Site::Nothing };
    }
    match hash_of_label(label) {
        Ok(hash) => Site::Hash(hash),
        Err(not) => Site::NoHash(not),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The label of the published sample, and its hash.
    const LABEL: &str = "FSPLPQB5EBRFC3FAVAUMQSZ2Q7IDMXCH64OTE3VBS34RAMPO7SWA";
    const HASH: &str = "2c9eb7c03d2062516ca0a828c84b3a87d0365c47f71d326ea196f91031eefcac";

    fn seen(host: &str) -> String {
        match site_of(host, "Example.org") {
            Site::Api => "api".to_owned(),
            Site::NamespaceApi(namespace) => format!("api of {namespace}"),
            Site::Function { namespace, function } => format!("{function} in {namespace}"),
            Site::Hash(hash) => hash.iter().map(|b| format!("{b:02x}")).collect(),
            Site::NoHash(why) => why.to_string(),
            Site::Nothing => "nothing".to_owned(),
        }
    }

    #[track_caller]
    fn check(host: &str, want: &str) {
        assert_eq!(seen(host), want, "{host}");
    }

    #[test]
    fn the_api_is_everywhere_but_below_the_base() {
        for host in ["example.org", "EXAMPLE.org:6001", "example.org.", "127.0.0.1:6001", "[::1]", "[::1]:6001"] {
            check(host, "api");
        }
        for host in ["localhost", "a.b.example.com", "notexample.org", "a.notexample.org", ""] {
            check(host, "api");
        }
        assert_eq!(site_of("a.b.example.org", ""), Site::Api);
    }

    #[test]
    fn functions_have_two_names() {
        check("hello.default.example.org", "hello in default");
        check("Hello.Default.EXAMPLE.ORG.:443", "Hello in Default");
        check("hello--default.example.org", "hello in default");
        check("a--b--c.example.org", "a--b in c");
        check("ns-shop.example.org", "api of shop");
        check("NS-a--b.example.org:1", "api of a--b");
        for host in ["a.b.c.example.org", ".a.example.org", "a..example.org", "--a.example.org", "a--.example.org"] {
            check(host, "nothing");
        }
        for host in ["ns-.example.org", "ns--a.example.org"] {
            check(host, "nothing");
        }
    }

    #[test]
    fn a_hash_is_read_in_any_case_and_strictly() {
        check(&format!("{LABEL}.example.org:6001"), HASH);
        check(&format!("{}.example.org", LABEL.to_ascii_lowercase()), HASH);
        // The last letter has one bit of data: only `A` and `Q` end a hash.
        check(&format!("{}B.example.org", &LABEL[..51]), "DecodeError { position: 51, kind: Trailing }");
        for wrong in [&LABEL[..51], "www", &format!("{LABEL}A")] {
            assert!(seen(&format!("{wrong}.example.org")).ends_with("kind: Length }"), "{wrong}");
        }
        check(&format!("{}1.example.org", &LABEL[..51]), "DecodeError { position: 51, kind: Symbol }");
    }

    #[test]
    fn noise_is_a_site_and_never_a_panic() {
        let parts = ["a", "-", "--", ".", "ns-", "example.org", ":", "7", "é", "_", LABEL, "[::1]"];
        let mut state = 11_u64;
        for _ in 0..20_000 {
            let mut host = String::new();
            for _ in 0..6 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                host.push_str(parts[(state >> 33) as usize % parts.len()]);
            }
            seen(&host);
            seen(&format!("{host}.example.org"));
        }
    }
}
