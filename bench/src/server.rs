//! Processes under measurement: `orama`, and what the kernel says of a process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The folder of the profile that this program was built with.
fn built() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    own.parent().map(Path::to_owned).context("find the folder of this program")
}

/// The binary `orama` of the same profile.
pub fn orama() -> Result<PathBuf> {
    let path = built()?.join("orama");
    if !path.exists() {
        bail!("`{}` is missing; build it: cargo build --profile fast -p cli", path.display());
    }
    Ok(path)
}

/// A guest program by name.
pub fn guest(name: &str) -> Result<Vec<u8>> {
    let path = built()?.with_file_name("guests").join(format!("{name}.wasm"));
    std::fs::read(&path).with_context(|| format!("read `{}`; build it: cargo xtask guests", path.display()))
}

/// A running `orama serve`; ended when dropped.
pub struct Server {
    child: Child,
    pub client: reqwest::blocking::Client,
    pub url: String,
    pub key: String,
}

impl Server {
    /// Starts on `data` and returns when it answers `/ready`.
    pub fn start(data: &Path) -> Result<Self> {
        Self::start_with(data, &[])
    }

    /// The same, with further variables.
    pub fn start_with(data: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(orama()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.env("XDG_CONFIG_HOME", data.with_extension("config")).env("ORAMA_LOG_LEVEL", "warn");
        command.envs(settings.iter().copied());
        let (child, url) = start(&mut command, "listening on ")?;
        let key = std::fs::read_to_string(data.join("admin.key")).context("read the admin key")?.trim().to_owned();
        let client = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build()?;
        client.get(format!("{url}/ready")).send()?.error_for_status()?;
        Ok(Self { child, client, url, key })
    }

    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts a server that prints `prefix` and its address as its first line.
pub fn start(command: &mut Command, prefix: &str) -> Result<(Child, String)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("start a server")?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("read a server's output")?).read_line(&mut line)?;
    let url = line.trim().strip_prefix(prefix).with_context(|| format!("a server said {line:?}"))?;
    Ok((child, url.to_owned()))
}

/// CPU time of a process, user and system (`/proc/PID/stat` counts hundredths of a second).
pub fn process_cpu(pid: &str) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("read the CPU time of a process")?;
    let after_name = stat.rsplit_once(") ").context("read the CPU time of a process")?.1;
    let ticks: u64 = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Resident memory of a process, in MiB.
pub fn resident_mib(pid: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("read the memory of a process")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("find the resident memory")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().context("read the resident memory")?;
    Ok(kib / 1024.0)
}
