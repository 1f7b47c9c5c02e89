//! TLS of the real binary: certificates of files and certificates ordered from Pebble, a public ACME server for tests.

mod pebble;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::support::{PATIENCE, Printed, Server, TLS_LISTEN};
use pebble::{Options, Pebble};

/// A name that exists on every node: that of its first namespace.
const NAME: &str = "ns-default.localhost";

/// An authority of the test, and a certificate of it.
struct Issued {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

/// Writes them into `folder`, in place of those that are there.
fn issue(folder: &Path, names: &[&str]) -> Issued {
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Of its own: whoever is issued by its own name looks self-signed.
    params.distinguished_name.push(DnType::CommonName, "authority of the test");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(names).expect("host names");
    let signed = params.signed_by(&key, &authority).expect("signed");
    let issued =
        Issued { ca: folder.join("ca.pem"), certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    fs::write(&issued.ca, authority.pem()).expect("written");
    fs::write(&issued.certificate, signed.pem()).expect("written");
    fs::write(&issued.key, key.serialize_pem()).expect("written");
    fs::set_permissions(&issued.key, Permissions::from_mode(0o600)).expect("ours");
    // Whom a server of root becomes, which reads it again.
    std::os::unix::fs::chown(&issued.key, Some(1_999_999_999), None).expect("given");
    issued
}

/// What `curl` says to `https://name/path`, asking the server here.
fn curl(server: &Server, ca: &Path, name: &str, path: &str) -> Printed {
    let port = server.secure().rsplit(':').next().expect("a port");
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "60", "--include", "--cacert"]).arg(ca);
    command.args(["--resolve", &format!("{name}:{port}:127.0.0.1"), &format!("https://{name}:{port}{path}")]);
    command.output().expect("curl is here").into()
}

/// Asks again and again until the server is trusted.
#[track_caller]
fn curl_until_trusted(server: &Server, ca: &Path, name: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let printed = curl(server, ca, name, "/health");
        if printed.code == Some(0) {
            assert!(printed.stdout.starts_with("HTTP/2 200"), "{printed:?}");
            return;
        }
        assert!(Instant::now() < deadline, "{printed:?}");
    }
}

fn listen() -> (&'static str, &'static OsStr) {
    (TLS_LISTEN, OsStr::new("127.0.0.1:0"))
}

#[test]
fn certificates_of_files_are_served_replaced_and_kept_when_the_new_one_is_broken() {
    let mut server = Server::prepared();
    let files = server.folder();
    let issued = issue(&files, &["a.example"]);
    server.set_environment([
        listen(),
        ("ORAMA_GATEWAY_TLS_CERTIFICATE", issued.certificate.as_os_str()),
        ("ORAMA_GATEWAY_TLS_KEY", issued.key.as_os_str()),
        ("ORAMA_GATEWAY_TLS_HSTS_SECONDS", OsStr::new("60")),
        ("ORAMA_GATEWAY_TLS_REDIRECT", OsStr::new("true")),
    ]);
    server.restart();
    let printed = curl(&server, &issued.ca, "a.example", "/health");
    assert!(printed.ok().starts_with("HTTP/2 200"), "{printed:?}");
    assert!(printed.stdout.contains("strict-transport-security: max-age=60"), "{printed:?}");
    // This machine itself goes on as before, the command line among it.
    let listed = server.orama(["certificates", "list"]);
    assert!(listed.ok().starts_with("NAME       ISSUER"), "{listed:?}");
    assert!(listed.stdout.contains("a.example  ") && listed.stdout.trim_end().ends_with("file"), "{listed:?}");

    // Half a replacement changes nothing, and is said.
    server.expect_warning("failed to read new certificates; the old ones stay in use");
    fs::write(&issued.certificate, "noise").expect("written");
    let pid = rustix::process::Pid::from_raw(server.pid().cast_signed()).expect("a process has a number");
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it is ours");
    curl_until_trusted(&server, &issued.ca, "a.example");
    // A good one is taken by itself.
    let issued = issue(&files, &["b.example"]);
    curl_until_trusted(&server, &issued.ca, "b.example");
    let log = server.kill();
    assert!(log.contains("is not PEM") || log.contains("holds no `BEGIN CERTIFICATE`"), "{log}");
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_at_the_start() {
    let mut server = Server::prepared();
    let issued = issue(&server.folder(), &["a.example"]);
    let mut said = |certificate: &Path, key: &Path| {
        server.set_environment([
            listen(),
            ("ORAMA_GATEWAY_TLS_CERTIFICATE", certificate.as_os_str()),
            ("ORAMA_GATEWAY_TLS_KEY", key.as_os_str()),
        ]);
        server.try_restart().expect_err("it cannot serve")
    };
    let nowhere = Path::new("nowhere.pem");
    assert!(said(nowhere, &issued.key).contains("`nowhere.pem` is not there"));
    assert!(said(&issued.certificate, nowhere).contains("`nowhere.pem` is not there"));
    assert!(said(&issued.ca, &issued.key).contains("does not belong to the key"));
    fs::set_permissions(&issued.key, Permissions::from_mode(0o644)).expect("ours");
    assert!(said(&issued.certificate, &issued.key).contains("chmod 600"));
}

/// A server that orders from `pebble`, once that runs.
fn ordering(pebble: &Pebble, challenge: &str) -> Server {
    let mut server = Server::prepared();
    let directory = pebble.directory();
    server.set_environment([
        listen(),
        ("ORAMA_GATEWAY_TLS_ACME_DIRECTORY", OsStr::new(&directory)),
        ("ORAMA_GATEWAY_TLS_ACME_CA_FILE", pebble.ca().as_os_str()),
        ("ORAMA_GATEWAY_TLS_ACME_TERMS_AGREED", OsStr::new("true")),
        ("ORAMA_GATEWAY_TLS_ACME_CHALLENGE", OsStr::new(challenge)),
    ]);
    server.expect_warning("failed to get a certificate");
    server.restart();
    server
}

#[test]
fn a_certificate_is_ordered_over_http_once_the_directory_is_up_and_reused_after_a_restart() {
    let mut pebble = Pebble::prepared(Options::default());
    let mut server = ordering(&pebble, "http-01");
    let refused = curl(&server, &pebble.ca(), NAME, "/health");
    assert_ne!(refused.code, Some(0), "the directory is down: {refused:?}");
    pebble.start(&server);
    curl_until_trusted(&server, &pebble.root(), NAME);
    let root = pebble.root();
    let listed = server.orama(["certificates", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(listed.ok()).expect("a document");
    let certificate = &listed["certificates"][0];
    assert_eq!((&certificate["names"][0], &certificate["source"]), (&NAME.into(), &"acme".into()), "{listed}");
    assert!(certificate["issuer"].as_str().is_some_and(|issuer| issuer.starts_with("Pebble")), "{listed}");

    // It is a secret, and part of a backup.
    let kept = server.data().join("certificates").join(format!("{NAME}.pem"));
    assert_eq!(fs::metadata(&kept).expect("it is kept").permissions().mode() & 0o777, 0o600);
    let copy = server.home().join("copy");
    let backup =
        [OsStr::new("backup"), OsStr::new("--data"), server.data().as_os_str(), copy.as_os_str()].map(OsStr::to_owned);
    server.orama(backup).ok();
    assert_eq!(fs::read(copy.join("certificates").join(format!("{NAME}.pem"))).ok(), fs::read(&kept).ok());
    assert_eq!(fs::read_dir(copy.join("certificates")).expect("a folder").count(), 2, "the account, too");

    // Nobody is asked after a restart.
    pebble.stop();
    let log = server.kill();
    assert!(log.contains("the authority is unavailable"), "{log}");
    server.restart();
    assert_eq!(curl(&server, &root, NAME, "/health").code, Some(0));
}

#[test]
fn a_certificate_is_ordered_over_tls_and_renewed_before_it_expires() {
    // Seconds: renewal comes after two thirds, and a little earlier by chance.
    let mut pebble = Pebble::prepared(Options { validity: Some(Duration::from_secs(18)), ..Options::default() });
    let server = ordering(&pebble, "tls-alpn-01");
    pebble.start(&server);
    curl_until_trusted(&server, &pebble.root(), NAME);
    let expires = || {
        let listed = server.orama(["certificates", "list", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(listed.ok()).expect("a document");
        assert_eq!(listed["count"], 1, "{listed}");
        listed["certificates"][0]["not_after"].as_str().expect("a time").to_owned()
    };
    let first = expires();
    let deadline = Instant::now() + PATIENCE;
    while expires() == first {
        assert!(Instant::now() < deadline, "it was not renewed");
    }
    assert_eq!(curl(&server, &pebble.root(), NAME, "/health").code, Some(0));
}

#[test]
fn an_order_that_is_refused_is_said_and_harms_nobody() {
    let mut pebble = Pebble::prepared(Options { refused: vec![NAME], ..Options::default() });
    let mut server = ordering(&pebble, "http-01");
    pebble.start(&server);
    for _ in 0..3 {
        assert_ne!(curl(&server, &pebble.ca(), NAME, "/health").code, Some(0));
    }
    let unknown = curl(&server, &pebble.ca(), "ns-nobody.localhost", "/health");
    assert_ne!(unknown.code, Some(0), "{unknown:?}");
    assert_eq!(server.http().get("/health").status, 200);
    let log = server.kill();
    assert_eq!(log.matches("failed to get a certificate").count(), 1, "{log}");
    assert!(log.contains("the authority refused"), "{log}");
}
