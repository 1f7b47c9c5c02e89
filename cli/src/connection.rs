//! Which gateway a verb talks to, with which key and in which namespace: flags, then environment, then credentials file.

use std::io::Read;
use std::path::PathBuf;

use domain::Namespace;
use reqwest::Url;

use crate::credentials::{self, Credentials, Session};
use crate::failure::{Failure, Outcome};

pub const DEFAULT_GATEWAY: &str = "http://127.0.0.1:6001";

/// The options that every verb takes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionFlags {
    /// Address of the gateway [env: ORAMA_GATEWAY_URL] [default: the last login, else http://127.0.0.1:6001]
    #[arg(long, value_name = "URL", global = true)]
    pub gateway: Option<String>,
    /// API key; `-` reads it from stdin [env: ORAMA_API_KEY] [default: what `orama login` stored]
    #[arg(long, value_name = "KEY", global = true, conflicts_with = "api_key_file")]
    pub api_key: Option<String>,
    /// File that holds the API key
    #[arg(long, value_name = "FILE", global = true)]
    pub api_key_file: Option<PathBuf>,
    /// Namespace to work in [env: ORAMA_NAMESPACE] [default: the namespace of the key]
    #[arg(long, value_name = "NAME", global = true)]
    pub namespace: Option<String>,
}

/// Where to, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    /// Without a slash at the end.
    pub gateway: String,
    pub api_key: Option<String>,
    /// The sign-in of a wallet; there when there is no key.
    pub session: Option<Session>,
    pub namespace: Option<Namespace>,
}

impl Connection {
    pub fn of(flags: &ConnectionFlags) -> Outcome<Self> {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self::resolve(flags, environment, credentials::path())
    }

    fn resolve(
        flags: &ConnectionFlags,
        environment: impl Fn(&str) -> Option<String>,
        file: Option<PathBuf>,
    ) -> Outcome<Self> {
        let given_key = given_key(flags)?.or_else(|| environment("ORAMA_API_KEY"));
        let given_gateway = flags.gateway.clone().or_else(|| environment("ORAMA_GATEWAY_URL"));
        // A file that may not be used matters only when something is missing without it.
        let needs_file = given_key.is_none() || given_gateway.is_none();
        let stored = match file {
            Some(file) if needs_file => Credentials::read(&file)?,
            _ => Credentials::default(),
        };
        let gateway = given_gateway.or(stored.current).unwrap_or_else(|| DEFAULT_GATEWAY.to_owned());
        let gateway = parse_gateway(&gateway)?;
        let credential = stored.gateways.get(&gateway).cloned();
        let (api_key, session, key_namespace) = match (given_key, credential) {
            (Some(key), _) => (Some(key), None, None),
            (None, Some(stored)) => (stored.api_key, stored.session, stored.namespace),
            (None, None) => (None, None, None),
        };
        let namespace = flags.namespace.clone().or_else(|| environment("ORAMA_NAMESPACE")).or(key_namespace);
        Ok(Self { gateway, api_key, session, namespace: namespace.as_deref().map(parse_namespace).transpose()? })
    }

    /// The same without who we are.
    pub fn anonymous(self) -> Self {
        Self { api_key: None, session: None, ..self }
    }

    /// The namespace as far as this side knows it: the one asked for, else the one in the key's text.
    pub fn known_namespace(&self) -> Option<&str> {
        let of_key = || self.api_key.as_deref()?.split_once(':').map(|(_, namespace)| namespace);
        self.namespace.as_ref().map(Namespace::as_str).or_else(of_key)
    }
}

fn given_key(flags: &ConnectionFlags) -> Outcome<Option<String>> {
    let text = match (&flags.api_key, &flags.api_key_file) {
        (Some(dash), _) if dash == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| Failure::failed(format!("failed to read the key from stdin: {error}")))?;
            text
        }
        (Some(key), _) => key.clone(),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(Failure::file("read", file))?,
        (None, None) => return Ok(None),
    };
    parse_key(&text).map(Some)
}

/// A key as it may stand in a header; whitespace around it (the line end of a file) does not belong to it.
pub fn parse_key(text: &str) -> Outcome<String> {
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage("the API key is empty or has characters that no key has").hint(
            "a key looks like `ak_…:default`; a server's first one is in the file `admin.key` of its data folder",
        ));
    }
    Ok(key.to_owned())
}

/// An http or https address in one spelling, so that it finds its credential.
pub fn parse_gateway(text: &str) -> Outcome<String> {
    let wrong = |why: String| {
        Failure::usage(format!("`{text}` is no address of a gateway: {why}"))
            .hint("write for example `--gateway http://127.0.0.1:6001`")
    };
    let url = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => {}
        _ => return Err(wrong("it must begin with http:// or https://".to_owned())),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a user, a query or a fragment".to_owned()));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn parse_namespace(text: &str) -> Outcome<Namespace> {
    Namespace::parse(text).map_err(|refused| Failure::usage(format!("namespace `{text}` is refused: {refused}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(flags: ConnectionFlags, environment: &[(&str, &str)], file: Option<PathBuf>) -> Outcome<Connection> {
        let find =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        Connection::resolve(&flags, find, file)
    }

    fn file(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("credentials");
        let credential = |key: &str| credentials::Credential::key(key, "stored");
        let gateways = [("http://127.0.0.1:6001", "ak_file:stored"), ("https://example.org", "ak_far:stored")];
        let gateways = gateways.map(|(address, key)| (address.to_owned(), credential(key)));
        let credentials = Credentials { current: Some("https://example.org".into()), gateways: gateways.into() };
        credentials.write(&path).expect("written");
        path
    }

    fn check(connection: Outcome<Connection>, gateway: &str, key: Option<&str>, namespace: Option<&str>) {
        let connection = connection.unwrap_or_else(|failure| panic!("{}", failure.message));
        assert_eq!(connection.gateway, gateway);
        assert_eq!(connection.api_key.as_deref(), key);
        assert_eq!(connection.namespace.as_ref().map(Namespace::as_str), namespace);
    }

    #[test]
    fn with_nothing_said_it_is_this_machine() {
        check(resolve(ConnectionFlags::default(), &[], None), DEFAULT_GATEWAY, None, None);
    }

    #[test]
    fn flags_win_over_environment_and_that_over_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(&folder);
        check(
            resolve(ConnectionFlags::default(), &[], Some(path.clone())),
            "https://example.org",
            Some("ak_far:stored"),
            Some("stored"),
        );
        let environment = [("ORAMA_GATEWAY_URL", "http://127.0.0.1:6001/"), ("ORAMA_NAMESPACE", "team")];
        check(
            resolve(ConnectionFlags::default(), &environment, Some(path.clone())),
            "http://127.0.0.1:6001",
            Some("ak_file:stored"),
            Some("team"),
        );
        let flags = ConnectionFlags {
            gateway: Some("http://127.0.0.1:7000".into()),
            api_key: Some("ak_flag:x".into()),
            namespace: Some("mine".into()),
            ..Default::default()
        };
        check(resolve(flags, &environment, Some(path)), "http://127.0.0.1:7000", Some("ak_flag:x"), Some("mine"));
    }

    #[test]
    fn the_key_of_one_gateway_never_goes_to_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let flags = ConnectionFlags { gateway: Some("http://127.0.0.1:6002".into()), ..Default::default() };
        check(resolve(flags, &[], Some(file(&folder))), "http://127.0.0.1:6002", None, None);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "127.0.0.1:6001", "ftp://x", "http://u:p@x", "http://x/?q=1", "http://"] {
            assert!(parse_gateway(text).is_err(), "{text} is refused");
        }
        assert_eq!(parse_gateway("HTTP://Example.ORG:80/base/").ok().as_deref(), Some("http://example.org/base"));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(parse_key(" ak_abc:default\n").ok().as_deref(), Some("ak_abc:default"));
        for text in ["", "  ", "ak a", "ak_\u{7}", "schlüssel"] {
            assert!(parse_key(text).is_err(), "{text:?} is refused");
        }
    }
}
