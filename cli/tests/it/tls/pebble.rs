//! Pebble, and a name server that sends it to this machine for every name.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{PATIENCE, Server};

#[derive(Default)]
pub struct Options {
    /// How long its certificates are valid; by default, for years.
    pub validity: Option<Duration>,
    /// Names that it issues nothing for.
    pub refused: Vec<&'static str>,
}

pub struct Pebble {
    folder: TempDir,
    options: Options,
    address: SocketAddr,
    management: SocketAddr,
    process: Option<Child>,
}

impl Pebble {
    /// Its addresses and its own certificate, before it runs.
    pub fn prepared(options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Of its own: whoever is issued by its own name looks self-signed.
        params.distinguished_name.push(DnType::CommonName, "authority of the test");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
        let key = KeyPair::generate().expect("a key");
        let (ip, [port, management_port]) = own_address();
        let params = CertificateParams::new([ip.to_string()]).expect("an address");
        let signed = params.signed_by(&key, &authority).expect("signed");
        for (name, text) in [("ca", authority.pem()), ("certificate", signed.pem()), ("key", key.serialize_pem())] {
            fs::write(folder.path().join(format!("{name}.pem")), text).expect("written");
        }
        let (address, management) = (SocketAddr::new(ip, port), SocketAddr::new(ip, management_port));
        Self { folder, options, address, management, process: None }
    }

    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("log")).expect("what it said")
    }

    /// The authority of its own certificate.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs it; it looks at `server` to see whose a name is.
    pub fn start(&mut self, server: &Server) {
        let port = |address: &str| address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        let validity = self.options.validity.unwrap_or(Duration::from_secs(5 * 365 * 86_400)).as_secs();
        let config = json!({ "pebble": {
            "listenAddress": self.address.to_string(),
            "managementListenAddress": self.management.to_string(),
            "certificate": self.file("certificate.pem"),
            "privateKey": self.file("key.pem"),
            "httpPort": port(server.address()),
            "tlsPort": port(server.secure()),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "domainBlocklist": self.options.refused,
            "retryAfter": { "authz": 1, "order": 1 },
            "profiles": { "default": { "description": "of the test", "validityPeriod": validity } },
        }});
        fs::write(self.file("config.json"), config.to_string()).expect("written");
        let log = File::create(self.file("log")).expect("a file");
        let mut command = Command::new("pebble");
        command.arg("-config").arg(self.file("config.json")).args(["-dnsserver", &name_server().to_string()]);
        // It would wait by chance to be like a real one.
        command.env("PEBBLE_VA_NOSLEEP", "1").stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let process = command.spawn().expect("`pebble` is there; `cargo xtask setup` builds it");
        self.process = Some(process);
        let deadline = Instant::now() + PATIENCE;
        while !self.answers() {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().expect("it is ours"));
            assert!(ended.is_none() && Instant::now() < deadline, "it never answered ({ended:?}): {}", self.log());
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn answers(&self) -> bool {
        fetch(&self.ca(), &self.directory()).is_some()
    }

    /// The root of the certificates that it issues, which is another one each time it starts.
    pub fn root(&self) -> PathBuf {
        let root = fetch(&self.ca(), &format!("https://{}/roots/0", self.management)).expect("it tells");
        let file = self.file("root.pem");
        fs::write(&file, root).expect("written");
        file
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}

fn fetch(ca: &Path, url: &str) -> Option<Vec<u8>> {
    let mut curl = Command::new("curl");
    let output = curl.args(["--silent", "--fail", "--noproxy", "*", "--cacert"]).arg(ca).arg(url).output();
    let output = output.expect("curl is here");
    output.status.success().then_some(output.stdout)
}

/// An address of the loopback network that nobody else takes a port of, and two ports that are free there. At 127.0.0.1 a
/// port could be gone between the moment the server is told of it and the moment Pebble starts.
fn own_address() -> (IpAddr, [u16; 2]) {
    static TAKEN: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = IpAddr::from(Ipv4Addr::new(127, 128 | TAKEN.fetch_add(1, Ordering::Relaxed), high, low));
    let both = [(); 2].map(|()| TcpListener::bind((ip, 0)).expect("a free port"));
    (ip, both.each_ref().map(|listener| listener.local_addr().expect("it is bound").port()))
}

/// Answers that every name is at 127.0.0.1, and that nothing else is known, as long as the test runs. Pebble asks over TCP.
fn name_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for asker in listener.incoming().flatten() {
            std::thread::spawn(move || while answer_next(&asker).is_some() {});
        }
    });
    address
}

/// Messages have their length in front (RFC 1035, section 4.2.2).
fn answer_next(mut asker: &TcpStream) -> Option<()> {
    let mut length = [0; 2];
    asker.read_exact(&mut length).ok()?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    asker.read_exact(&mut query).ok()?;
    let answer = answer(&query)?;
    let length = u16::try_from(answer.len()).ok()?.to_be_bytes();
    asker.write_all(&[&length[..], &answer].concat()).ok()
}

/// One question of RFC 1035, section 4, and its answer.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let name_end = 12 + query.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
    let question = query.get(12..name_end + 4)?;
    let asks_for_address = question[question.len() - 4..] == [0, 1, 0, 1];
    let mut answer = query[..2].to_vec();
    // A response that is authoritative, without error: one question, one answer or none.
    answer.extend([0x85, 0x80, 0, 1, 0, u8::from(asks_for_address), 0, 0, 0, 0]);
    answer.extend(question);
    if asks_for_address {
        // The name of the question, an address, a minute, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
