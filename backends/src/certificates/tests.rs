use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::Timestamp;
use rcgen::{CertificateParams, KeyPair};

use super::*;

struct Pair {
    chain: String,
    key: String,
}

/// A certificate that is valid from yesterday for so many days.
fn made(names: &[&str], days: i64) -> Pair {
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    let day = Duration::from_secs(86_400);
    params.not_before = std::time::SystemTime::now().checked_sub(day).expect("yesterday").into();
    params.not_after = params.not_before + Duration::from_secs(u64::try_from(days).expect("days") * 86_400);
    let signed = params.self_signed(&key).expect("signed");
    Pair { chain: signed.pem(), key: key.serialize_pem() }
}

fn written(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
    path
}

/// What is said about a pair of files.
fn read_pair(certificate: PathBuf, key: PathBuf) -> Result<Certificate, String> {
    let mut files = CertificateFiles::new(vec![PairOfFiles { certificate, key }]);
    let read = files.read(Timestamp::now()).map_err(|error| error.to_string())?;
    Ok(read.into_iter().next().expect("one pair"))
}

#[test]
fn a_pair_of_files_is_read_with_its_names_and_dates() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = made(&["A.example.com", "*.b.example.com"], 90);
    let chain = written(folder.path(), "c.pem", &pair.chain, 0o644);
    let read = read_pair(chain, written(folder.path(), "k.pem", &pair.key, 0o600)).expect("a certificate");
    assert_eq!(read.names, ["a.example.com", "*.b.example.com"]);
    assert_eq!(read.source, CertificateSource::File);
    assert_eq!(read.not_after.duration_since(read.not_before).as_secs(), 90 * 86_400);
    assert!(!format!("{read:?}").contains("PRIVATE KEY"));
}

#[test]
fn what_is_wrong_with_a_pair_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (good, other, old) = (made(&["a"], 90), made(&["a"], 90), made(&["a"], 1));
    let chain = written(folder, "good.pem", &good.chain, 0o644);
    let key = written(folder, "good.key", &good.key, 0o600);
    let cases = [
        (folder.join("none"), key.clone(), "is not there"),
        (chain.clone(), folder.join("none"), "is not there"),
        (written(folder, "noise", "hello", 0o644), key.clone(), "holds no `BEGIN CERTIFICATE`"),
        (chain.clone(), written(folder, "empty.key", "", 0o600), "has a key that is not PEM"),
        (chain.clone(), written(folder, "open.key", &good.key, 0o640), "chmod 600"),
        (chain.clone(), written(folder, "other.key", &other.key, 0o600), "does not belong to the key"),
        (written(folder, "old.pem", &old.chain, 0o644), written(folder, "old.key", &old.key, 0o600), "expired at"),
        (written(folder, "key.pem", &good.key, 0o644), key.clone(), "holds no `BEGIN CERTIFICATE`"),
    ];
    for (certificate, key, said) in cases {
        let refused = read_pair(certificate, key).expect_err(said);
        assert!(refused.contains(said), "{refused}");
    }
    let bytes = folder.join("bytes.pem");
    fs::write(&bytes, [0xff, 0xfe]).expect("written");
    assert!(read_pair(bytes, key).expect_err("no text").contains("is not PEM"));
}

#[test]
fn a_change_of_a_file_is_seen_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (made(&["a"], 90), made(&["b"], 90));
    let certificate = written(folder.path(), "c.pem", &first.chain, 0o644);
    let key = written(folder.path(), "k.pem", &first.key, 0o600);
    let mut files = CertificateFiles::new(vec![PairOfFiles { certificate, key }]);
    files.read(Timestamp::now()).expect("a certificate");
    assert!(!files.have_changed());
    // Half of a replacement does not fit, and is looked at again when the other half is there.
    written(folder.path(), "c.pem", &second.chain, 0o644);
    assert!(files.have_changed());
    files.read(Timestamp::now()).expect_err("the key is still the old one");
    assert!(!files.have_changed());
    written(folder.path(), "k.pem", &second.key, 0o600);
    assert!(files.have_changed());
    assert_eq!(files.read(Timestamp::now()).expect("a certificate")[0].names, ["b"]);
}

#[tokio::test]
async fn the_folder_of_ordered_certificates_conforms() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("opens");
    ports::conformance::certificates(&store, |name| {
        let pair = made(&[name], 90);
        let chain = format!("{}\n", pair.chain.trim_end());
        let key = format!("{}\n", pair.key.trim_end());
        parse(chain, key.into(), CertificateSource::Acme).expect("a certificate")
    })
    .await;
    let file = folder.path().join("b.example.com.pem");
    assert_eq!(fs::metadata(&file).expect("it is kept").permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_damaged_file_hides_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).expect("opens");
    let pair = made(&["a.example.com"], 90);
    let good = parse(pair.chain, pair.key.into(), CertificateSource::Acme).expect("a certificate");
    ports::Certificates::store(&store, &good).await.expect("stored");
    written(folder.path(), "b.example.com.pem", "noise", 0o600);
    written(folder.path(), "account-00.json", "{}", 0o600);
    let (kept, unusable) = ports::Certificates::list(&store).await.expect("listed");
    assert_eq!((kept.len(), unusable.len()), (1, 1));
    assert!(unusable[0].to_string().contains("b.example.com"), "{}", unusable[0]);
    let elsewhere = Certificate { names: vec!["../../a".to_owned()], ..good };
    assert!(ports::Certificates::store(&store, &elsewhere).await.is_err());
}

#[test]
fn only_names_of_ours_are_kept() {
    for name in ["a.example.com.pem", "localhost.pem", "account-0a1b.json"] {
        assert!(is_kept_name(name), "{name}");
    }
    for name in ["", ".pem", "a..b.pem", "../a.pem", "A.pem", "*.a.pem", "account-.json", "account-x.json", "a.key"] {
        assert!(!is_kept_name(name), "{name}");
    }
}
