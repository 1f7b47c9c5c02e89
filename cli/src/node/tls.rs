//! TLS of a server: the certificates it starts with, the listener, and what keeps them fresh while it runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use backends::DataFolder;
use backends::certificates::{AcmeAuthority, AcmeChallenge, AcmeConfig, CertificateFiles, PairOfFiles};
use domain::Timestamp;
use gateway::{Bound, Tls, TlsConfig};
use platform::certificates::{CertificatePlan, CertificatePorts, Certifier};
use ports::{CertificateAuthority, NameAuthority, SystemClock};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::Check;
use crate::config;

/// Between two looks at the files of certificates.
const LOOK: Duration = Duration::from_secs(2);
/// From here on `orama doctor` speaks up: an ordered certificate would have been renewed long before.
const DOCTOR_DAYS: i64 = 14;

/// TLS, ready to be offered.
pub(super) struct TlsDoor {
    pub(super) bound: Bound,
    pub(super) tls: Arc<Tls>,
    certifier: Arc<Certifier>,
    files: CertificateFiles,
}

/// Opens what the configuration says of TLS; `None` when it says nothing.
pub(super) async fn open(
    config: &config::TlsConfig,
    folder: &DataFolder,
    names: Arc<dyn NameAuthority>,
    shards: usize,
) -> anyhow::Result<Option<TlsDoor>> {
    let pairs = check(config)?;
    let Some(listen) = config.listen else { return Ok(None) };
    let mut files = CertificateFiles::new(pairs);
    let read = files.read(Timestamp::now()).context("read the certificates of `gateway.tls`")?;
    let authority = authority(&config.acme, folder)?;
    let store = backends::certificates::open(&folder.certificates()).context("open the folder of certificates")?;
    let ports = CertificatePorts { store: Arc::new(store), authority, names, clock: Arc::new(SystemClock) };
    let certifier = Certifier::open(ports, plan(&config.acme), read).await.context("read the kept certificates")?;
    let bound = gateway::bind(listen, shards).with_context(|| format!("listen on {listen}"))?;
    let redirect_to = config.redirect.then_some(bound.address.port());
    let tls = TlsConfig { redirect_to, hsts: config.hsts, ..TlsConfig::default() };
    let tls = Tls::new(certifier.clone(), tls)?;
    Ok(Some(TlsDoor { bound, tls, certifier, files }))
}

/// What has to be looked after while the node runs; see [`keep`].
pub(super) struct Kept {
    certifier: Arc<Certifier>,
    files: CertificateFiles,
}

impl TlsDoor {
    pub(super) fn into_parts(self) -> (Bound, Kept) {
        let Self { bound, tls: _, certifier, files } = self;
        (bound, Kept { certifier, files })
    }
}

/// Begins to order certificates and to look at the files; dropping what this returns ends it. The listeners must be
/// served by now, because authorities ask them. Needs a runtime.
pub(super) fn keep(kept: Kept) -> anyhow::Result<JoinSet<()>> {
    let Kept { certifier, mut files } = kept;
    let mut tasks = JoinSet::new();
    let ordering = certifier.clone();
    tasks.spawn(async move { ordering.run().await });
    let mut asked = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    tasks.spawn(async move {
        loop {
            let forced = tokio::select! {
                _ = asked.recv() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            files = reload(&certifier, files, forced).await;
        }
    });
    Ok(tasks)
}

/// Takes changed files; what cannot be used changes nothing.
async fn reload(certifier: &Arc<Certifier>, mut files: CertificateFiles, forced: bool) -> CertificateFiles {
    let certifier = certifier.clone();
    let look = move || {
        if !files.is_empty() && (forced || files.have_changed()) {
            match files.read(Timestamp::now()) {
                Ok(read) => {
                    tracing::info!(certificates = read.len(), "read the certificates again");
                    certifier.replace_files(read);
                }
                Err(error) => {
                    let cause = &error as &dyn std::error::Error;
                    tracing::error!(cause, "failed to read new certificates; the old ones stay in use");
                }
            }
        }
        files
    };
    match tokio::task::spawn_blocking(look).await {
        Ok(files) => files,
        // The runtime stops, or we have a bug; in either case nothing is looked after any more.
        Err(_) => std::future::pending().await,
    }
}

/// Do the settings make sense together?
fn check(config: &config::TlsConfig) -> anyhow::Result<Vec<PairOfFiles>> {
    let config::TlsConfig { listen, certificates, keys, redirect, hsts, acme } = config;
    if certificates.len() != keys.len() {
        let (certificates, keys) = (certificates.len(), keys.len());
        bail!(
            "`gateway.tls.certificate` names {certificates} files and `gateway.tls.key` {keys}; each needs one of the other"
        );
    }
    let has_source = !certificates.is_empty() || acme.directory.is_some();
    match listen {
        None if has_source || *redirect || hsts.is_some() => {
            bail!(
                "set `gateway.tls.listen`, such as `0.0.0.0:443`; without it, nothing else of `gateway.tls` has an effect"
            )
        }
        Some(_) if !has_source => {
            bail!(
                "`gateway.tls.listen` needs certificates: set `gateway.tls.certificate` and `.key`, or `.acme.directory`"
            )
        }
        _ => {}
    }
    if acme.directory.is_some() && !acme.terms_agreed {
        bail!("read the terms of service of the ACME server; if you agree, set `gateway.tls.acme.terms_agreed: true`");
    }
    if acme.directory.is_none() && !acme.names.is_empty() {
        bail!("`gateway.tls.acme.names` needs `gateway.tls.acme.directory`: the server that they are ordered from");
    }
    acme.names.iter().try_for_each(|name| check_name(name))?;
    let pairs = certificates.iter().zip(keys);
    Ok(pairs.map(|(certificate, key)| PairOfFiles { certificate: certificate.clone(), key: key.clone() }).collect())
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(allowed);
    match name.split('.').all(is_label) {
        true => Ok(()),
        false if name.starts_with("*.") => {
            bail!("`{name}` in `gateway.tls.acme.names`: wildcards cannot be ordered this way; give it as a file")
        }
        false => bail!("`{name}` in `gateway.tls.acme.names` must be a host name in lower case"),
    }
}

fn authority(
    config: &config::AcmeConfig,
    folder: &DataFolder,
) -> anyhow::Result<Option<Arc<dyn CertificateAuthority>>> {
    let config::AcmeConfig { directory, terms_agreed: _, contacts, names: _, on_demand: _, by_tls, ca_file } = config;
    let Some(directory) = directory.clone() else { return Ok(None) };
    let challenge = if *by_tls { AcmeChallenge::TlsAlpn01 } else { AcmeChallenge::Http01 };
    let config = AcmeConfig { directory, contacts: contacts.clone(), ca_file: ca_file.clone(), challenge };
    let authority = AcmeAuthority::open(config, &folder.certificates()).context("prepare ACME")?;
    Ok(Some(Arc::new(authority)))
}

fn plan(config: &config::AcmeConfig) -> CertificatePlan {
    CertificatePlan {
        names: config.names.clone(),
        on_demand: config.on_demand && config.directory.is_some(),
        ..CertificatePlan::default()
    }
}

/// What `orama doctor` says about the certificates of a configuration; nothing where TLS is not offered.
pub fn certificate_checks(config: &config::TlsConfig, data: &std::path::Path) -> Vec<Check> {
    use super::CheckState::{Note, Ok as Good, Problem};
    let line = |state, detail: String| Check { name: "certificates".to_owned(), state, detail };
    let pairs = match check(config) {
        Ok(_) if config.listen.is_none() => return Vec::new(),
        Ok(pairs) => pairs,
        Err(wrong) => return vec![line(Problem, wrong.to_string())],
    };
    let now = Timestamp::now();
    let read = match CertificateFiles::new(pairs).read(now) {
        Ok(read) => read,
        Err(wrong) => return vec![line(Problem, wrong.to_string())],
    };
    let kept = kept(data.join("certificates"));
    let all = read.iter().chain(&kept);
    let Some(first) = all.min_by_key(|certificate| certificate.not_after) else {
        return vec![line(Note, "none yet; `orama serve` orders them".to_owned())];
    };
    let days = first.not_after.duration_since(now).as_hours() / 24;
    let name = first.names.first().map_or("no name", String::as_str);
    let detail = format!("{}; the first to expire is that of `{name}`, in {days} days", read.len() + kept.len());
    vec![line(if days < DOCTOR_DAYS { Note } else { Good }, detail)]
}

/// The ordered certificates in a folder, which may not exist.
fn kept(folder: PathBuf) -> Vec<ports::Certificate> {
    backends::certificates::kept_in(&folder).map(|(certificates, _)| certificates).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigFlags, ServeConfig, Settings};

    /// Why the settings of `gateway.tls` are refused, which are written below it.
    fn refused(tls: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("orama.yaml");
        std::fs::write(&file, format!("gateway:\n  tls: {tls}\n")).expect("written");
        let flags = ConfigFlags { config: Some(file), ..ConfigFlags::default() };
        let Ok(settings) = Settings::load(&flags) else { panic!("each setting is good by itself") };
        check(&ServeConfig::from(&settings).gateway.tls).expect_err("they make no sense").to_string()
    }

    #[test]
    fn settings_must_make_sense_together() {
        for (tls, said) in [
            ("{listen: '127.0.0.1:0'}", "needs certificates"),
            ("{listen: '127.0.0.1:0', certificate: a.pem}", "names 1 files and `gateway.tls.key` 0"),
            ("{certificate: a.pem, key: a.key}", "set `gateway.tls.listen`"),
            ("{redirect: true}", "set `gateway.tls.listen`"),
            ("{listen: '127.0.0.1:0', acme: {directory: 'https://a/'}}", "terms_agreed: true"),
            (
                "{listen: '127.0.0.1:0', certificate: a, key: b, acme: {names: a.b}}",
                "needs `gateway.tls.acme.directory`",
            ),
            (
                "{listen: '127.0.0.1:0', acme: {directory: 'https://a/', terms_agreed: true, names: '*.a.b'}}",
                "wildcards cannot be ordered",
            ),
            (
                "{listen: '127.0.0.1:0', acme: {directory: 'https://a/', terms_agreed: true, names: A.b}}",
                "a host name in lower case",
            ),
        ] {
            let message = refused(tls);
            assert!(message.contains(said), "{tls}: {message}");
        }
    }
}
