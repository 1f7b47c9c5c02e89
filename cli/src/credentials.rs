//! The file of credentials: an API key or a wallet's sign-in, and a namespace, per address of a gateway; readable by its owner
//! alone.
//!
//! `$XDG_CONFIG_HOME/orama/credentials`, else `~/.config/orama/credentials`; JSON. A file that others may read is not used.
//! Whoever changes it holds [`Lock`], because a refresh token that two processes use counts as stolen.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The sign-in of a wallet.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub wallet: String,
    pub access_token: String,
    /// Good for one use; what it brings has the next one.
    pub refresh_token: String,
    /// When the access token ends.
    pub expires_at: Timestamp,
}

#[derive(Default, Serialize, Deserialize)]
pub struct Credentials {
    /// The gateway that `orama login` named last: where verbs go when nothing else says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    #[serde(default)]
    pub gateways: BTreeMap<String, Credential>,
}

impl Credentials {
    /// Reads the file; no file means no credentials.
    pub fn read(path: &Path) -> Outcome<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::file("read", path)(error)),
        };
        check_mode(path)?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::failed(format!("`{}` is damaged: {error}", path.display()))
                .hint("remove the file and run `orama login` again")
        })
    }

    /// Replaces the file as a whole: a crash leaves the old one or the new one.
    pub fn write(&self, path: &Path) -> Outcome {
        let folder = create_folder(path)?;
        let new = folder.join(format!(".credentials.{}", std::process::id()));
        let text = serde_json::to_string_pretty(self).expect("credentials have only text keys");
        write_private(&new, &text).map_err(Failure::file("write", &new))?;
        fs::rename(&new, path).map_err(Failure::file("replace", path))
    }
}

/// Makes the folder of the file at `path`.
fn create_folder(path: &Path) -> Outcome<&Path> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Failure::file("create", folder))?;
    Ok(folder)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    // A file left by a crash would keep its own mode.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

fn check_mode(path: &Path) -> Outcome {
    let mode = fs::metadata(path).map_err(Failure::file("inspect", path))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let message = format!("others may read `{}` (mode {:03o}), so its keys are not used", path.display(), mode & 0o777);
    Err(Failure::usage(message).hint(format!("run `chmod 600 {}`", path.display())))
}

/// Where the file lies; `None` when neither `XDG_CONFIG_HOME` nor `HOME` is set.
pub fn path() -> Option<PathBuf> {
    path_in(std::env::var_os("XDG_CONFIG_HOME"), std::env::var_os("HOME"))
}

fn path_in(config_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let config_home = config_home.map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.map(PathBuf::from).filter(|path| path.is_absolute());
    Some(config_home.or_else(|| Some(home?.join(".config")))?.join("orama/credentials"))
}

/// Stores the key and namespace of a gateway, beside those of others.
pub fn store_credential(gateway_url: &str, api_key: &str, namespace: &str) -> Outcome<PathBuf> {
    store_in(&required_path()?, gateway_url, Credential::key(api_key, namespace), false)
}

/// The same, and makes the gateway the one that verbs use from now on.
pub fn store_login(gateway_url: &str, credential: Credential) -> Outcome<PathBuf> {
    store_in(&required_path()?, gateway_url, credential, true)
}

impl Credential {
    pub fn key(api_key: &str, namespace: &str) -> Self {
        Self { api_key: Some(api_key.to_owned()), session: None, namespace: Some(namespace.to_owned()) }
    }

    pub fn session(session: Session, namespace: &str) -> Self {
        Self { api_key: None, session: Some(session), namespace: Some(namespace.to_owned()) }
    }
}

/// The right to change the file, until the value is dropped.
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Waits until no other process changes the file.
    pub fn take() -> Outcome<Self> {
        Self::take_for(&required_path()?)
    }

    fn take_for(path: &Path) -> Outcome<Self> {
        create_folder(path)?;
        let lock = path.with_extension("lock");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock);
        let file = opened.and_then(|file| file.lock().map(|()| file)).map_err(Failure::file("lock", &lock))?;
        Ok(Self { path: path.to_owned(), _file: file })
    }

    pub fn read(&self) -> Outcome<Credentials> {
        Credentials::read(&self.path)
    }

    pub fn write(&self, credentials: &Credentials) -> Outcome {
        credentials.write(&self.path)
    }
}

fn required_path() -> Outcome<PathBuf> {
    path().ok_or_else(|| {
        Failure::usage("there is no place for credentials: neither `XDG_CONFIG_HOME` nor `HOME` is set")
            .hint("set `HOME`, or give the key with `ORAMA_API_KEY`")
    })
}

fn store_in(path: &Path, gateway_url: &str, credential: Credential, current: bool) -> Outcome<PathBuf> {
    let lock = Lock::take_for(path)?;
    let mut credentials = lock.read()?;
    let address = gateway_url.trim_end_matches('/').to_owned();
    credentials.gateways.insert(address.clone(), credential);
    if current {
        credentials.current = Some(address);
    }
    lock.write(&credentials)?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").permissions().mode() & 0o777
    }

    #[test]
    fn the_file_and_its_folder_are_private() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("config/orama/credentials");
        store_in(&path, "http://127.0.0.1:6001/", Credential::key("ak_one:default", "default"), false).expect("stored");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a parent")), 0o700);
    }

    #[test]
    fn each_gateway_has_its_own_key_and_login_makes_one_current() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("credentials");
        store_in(&path, "http://127.0.0.1:6001/", Credential::key("ak_one:default", "default"), false).expect("stored");
        store_in(&path, "https://example.org", Credential::key("ak_two:team", "team"), true).expect("stored");
        store_in(&path, "http://127.0.0.1:6001", Credential::key("ak_three:default", "default"), false)
            .expect("stored");
        let text = fs::read_to_string(&path).expect("a file");
        expect_test::expect![[r#"
            {
              "current": "https://example.org",
              "gateways": {
                "http://127.0.0.1:6001": {
                  "api_key": "ak_three:default",
                  "namespace": "default"
                },
                "https://example.org": {
                  "api_key": "ak_two:team",
                  "namespace": "team"
                }
              }
            }
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_fix() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("credentials");
        store_in(&path, "http://127.0.0.1:6001", Credential::key("ak_one:default", "default"), false).expect("stored");
        for open in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).expect("changed");
            let refused = Credentials::read(&path).err().expect("refused");
            assert!(refused.message.contains("others may read"), "{}", refused.message);
            assert_eq!(refused.hint, Some(format!("run `chmod 600 {}`", path.display())));
            assert!(!refused.message.contains("ak_one"));
        }
    }

    #[test]
    fn the_place_follows_the_environment() {
        let path = |config: Option<&str>, home: Option<&str>| path_in(config.map(Into::into), home.map(Into::into));
        assert_eq!(path(Some("/c"), Some("/h")), Some("/c/orama/credentials".into()));
        assert_eq!(path(None, Some("/h")), Some("/h/.config/orama/credentials".into()));
        assert_eq!(path(Some(""), Some("/h")), Some("/h/.config/orama/credentials".into()));
        assert_eq!(path(None, None), None);
    }
}
