//! A server of the real binary in a folder of its own, and the command line that drives it.

mod browser;
mod guest;
mod http;
mod tenant;
mod text;
mod verb;
mod wallet;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use browser::Browser;
pub use guest::{compiled, fixture};
pub use http::{FORM, Http, Reply, file_head, form};
pub use tenant::{Tenant, packed};
pub use text::{normalised, normalised_json};
pub use verb::{check, check_failed, check_failure, check_json, clean, with_input};
pub use wallet::{Wallet, hex, verify, with_high_s};

/// The binary under test.
const ORAMA: &str = env!("CARGO_BIN_EXE_orama");
/// How long anything that is waited for may take.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The variable of the address for TLS.
pub const TLS_LISTEN: &str = "ORAMA_GATEWAY_TLS_LISTEN";

pub struct Server {
    home: TempDir,
    data: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, OsString)>,
    process: Option<Child>,
    address: String,
    /// Where it speaks TLS, if it does.
    secure: String,
    admin_key: String,
    stderr: Option<JoinHandle<String>>,
    expected_warnings: Vec<&'static str>,
}

/// What a verb printed, and how it ended.
#[derive(Debug)]
pub struct Printed {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Printed {
    /// The data of a verb that succeeded.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        &self.stdout
    }
}

impl From<Output> for Printed {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("a verb prints text");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Server {
    pub fn start() -> Self {
        Self::start_with([])
    }

    /// Starts with further arguments of `orama serve`.
    pub fn start_with<const COUNT: usize>(arguments: [&str; COUNT]) -> Self {
        let mut server = Self::prepared();
        server.arguments = arguments.map(str::to_owned).to_vec();
        server.restart();
        server
    }

    /// A server that is not started yet.
    pub fn prepared() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join("work")).expect("a folder");
        // A server that root starts becomes another user, who has to get to its data folder.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).expect("set");
        Self {
            data: home.path().join("data"),
            home,
            arguments: Vec::new(),
            environment: Vec::new(),
            process: None,
            address: String::new(),
            secure: String::new(),
            admin_key: String::new(),
            stderr: None,
            expected_warnings: Vec::new(),
        }
    }

    /// From the next start on, the data folder is elsewhere.
    pub fn keep_data_in(&mut self, folder: PathBuf) {
        self.data = folder;
    }

    /// From the next start on, these variables are set.
    pub fn set_environment<const COUNT: usize>(&mut self, variables: [(&str, &OsStr); COUNT]) {
        self.environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    }

    /// Starts a server that is stopped, on the folder it had.
    #[track_caller]
    pub fn restart(&mut self) {
        if let Err(said) = self.try_restart() {
            panic!("{said}");
        }
    }

    /// The error is what it said instead of starting.
    pub fn try_restart(&mut self) -> Result<(), String> {
        assert!(self.process.is_none(), "it is stopped");
        let mut command = isolated(self.home.path());
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(self.data()).args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the binary starts");
        self.stderr = Some(collect(process.stderr.take().expect("stderr is a pipe")));
        let stdout = process.stdout.take().expect("stdout is a pipe");
        self.process = Some(process);
        let mut lines = BufReader::new(stdout);
        let mut first = String::new();
        lines.read_line(&mut first).expect("stdout is readable");
        match first.trim_end().strip_prefix("listening on ") {
            Some(address) => self.address = address.to_owned(),
            None => return Err(format!("`orama serve` said {first:?}\n{}", self.kill())),
        }
        if self.environment.iter().any(|(name, _)| name == TLS_LISTEN) {
            let mut second = String::new();
            lines.read_line(&mut second).expect("stdout is readable");
            let address = second.trim_end().strip_prefix("listening on https://");
            self.secure = address.expect("it says where it speaks TLS").to_owned();
        }
        // What else it prints must not block it.
        collect(lines);
        self.admin_key = fs::read_to_string(self.data().join("admin.key")).expect("a key").trim().to_owned();
        Ok(())
    }

    /// Ends the server as kill -9 does, and returns its log.
    pub fn kill(&mut self) -> String {
        self.stop_and_read_stderr()
    }

    /// Asks the server to stop, as an operator or a supervisor does.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid().cast_signed()).expect("a process has a number");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
    }

    /// Waits until the server has ended by itself; returns its exit code and its log.
    #[track_caller]
    pub fn ended(&mut self) -> (Option<i32>, String) {
        let mut process = self.process.take().expect("the server runs");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match process.try_wait().expect("it is our child") {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    self.process = Some(process);
                    panic!("the server did not end");
                }
                None => std::thread::yield_now(),
            }
        };
        (status.code(), self.stop_and_read_stderr())
    }

    /// The folder in which verbs run.
    pub fn folder(&self) -> PathBuf {
        self.home.path().join("work")
    }

    /// Where settings and credentials of the verbs are.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// `http://127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `127.0.0.1:PORT`, once [`TLS_LISTEN`] is set.
    pub fn secure(&self) -> &str {
        &self.secure
    }

    pub fn admin_key(&self) -> &str {
        &self.admin_key
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").id()
    }

    /// A client that shows the admin key.
    pub fn http(&self) -> Http {
        Http::new(&self.address, Some(&self.admin_key))
    }

    /// Runs a verb in [`Server::folder`] with the credentials that `serve` stored.
    pub fn orama<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Printed {
        self.orama_in(&self.folder(), arguments)
    }

    pub fn orama_in<S: AsRef<OsStr>>(&self, folder: &Path, arguments: impl IntoIterator<Item = S>) -> Printed {
        let output = self.command(folder).args(arguments).stdin(Stdio::null()).output();
        output.expect("the binary starts").into()
    }

    /// Deploys a program under `name` with further fields of the upload; answers with the new version.
    #[track_caller]
    pub fn deploy<const COUNT: usize>(&self, name: &str, code: &[u8], fields: [(&str, &str); COUNT]) -> u64 {
        let reply = self.http().deploy(name, code, &fields).expect("the server answers");
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()["function"]["version"].as_u64().expect("a number")
    }

    /// The records of a function's calls, newest first, as soon as there are `count` of them.
    #[track_caller]
    pub fn records(&self, name: &str, count: usize) -> Vec<serde_json::Value> {
        let path = format!("/v1/functions/{name}/logs?limit=500");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let document = self.http().get(&path).json();
            let records = document["invocations"].as_array().expect("a list");
            if records.len() >= count {
                assert_eq!(records.len(), count, "each call has one record: {document}");
                return records.clone();
            }
            assert!(Instant::now() < deadline, "{} of {count} records", records.len());
        }
    }

    /// Returns as soon as so many calls are under way.
    #[track_caller]
    pub fn wait_for_running(&self, count: usize) {
        let line = format!("orama_calls_running {count}");
        let deadline = Instant::now() + PATIENCE;
        while !self.http().get("/metrics").body.lines().any(|found| found == line) {
            assert!(Instant::now() < deadline, "never {count} calls at once");
        }
    }

    /// A verb that is not started yet, for tests that talk to it while it runs.
    pub fn command(&self, folder: &Path) -> Command {
        let mut command = isolated(self.home.path());
        command.current_dir(folder).env("ORAMA_GATEWAY_URL", &self.address);
        command
    }

    /// Runs a verb again and again until its output is as wanted: for what the server does behind its reply.
    #[track_caller]
    pub fn orama_until<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S> + Clone,
        wanted: impl Fn(&Printed) -> bool,
    ) -> Printed {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = self.orama(arguments.clone());
            if wanted(&printed) {
                return printed;
            }
            assert!(Instant::now() < deadline, "still not as wanted: {printed:?}");
        }
    }

    /// A line of the server's log that may hold a warning although all is well.
    pub fn expect_warning(&mut self, part: &'static str) {
        self.expected_warnings.push(part);
    }

    /// A log has no warning that nobody expects.
    #[track_caller]
    pub fn assert_calm(&self, log: &str) {
        let odd = |line: &&str| line.contains("WARN") || line.contains("ERROR");
        let expected = |line: &&str| self.expected_warnings.iter().any(|part| line.contains(part));
        let unexpected: Vec<&str> = log.lines().filter(odd).filter(|line| !expected(line)).collect();
        assert!(unexpected.is_empty(), "the server warned:\n{}", unexpected.join("\n"));
    }

    fn stop_and_read_stderr(&mut self) -> String {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        self.stderr.take().map(|thread| thread.join().unwrap_or_default()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stderr = self.stop_and_read_stderr();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{stderr}");
            return;
        }
        self.assert_calm(&stderr);
    }
}

/// The binary with nothing of the user who runs the tests: no credentials, no settings, no colour.
fn isolated(home: &Path) -> Command {
    let mut command = Command::new(ORAMA);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ORAMA_") {
            command.env_remove(name);
        }
    }
    command.env("XDG_CONFIG_HOME", home.join("config")).env("XDG_CACHE_HOME", home.join("cache"));
    command.env("NO_COLOR", "1").current_dir(home);
    command
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
