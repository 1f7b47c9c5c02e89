//! A server of our own: started, spoken to through the program's other verbs, stopped.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::chain::Chain;
use crate::command::{cargo, command, run};
use crate::places::Places;

pub struct Server {
    child: Child,
    /// Such as `http://127.0.0.1:6001`.
    pub address: String,
    key: String,
    config_home: Option<PathBuf>,
    /// Where it takes code from that nobody deployed here.
    chain: Chain,
}

/// Builds the program.
pub fn build(places: &Places) -> Result<()> {
    eprintln!("building orama (the first time takes some minutes)");
    run(cargo(places).args(["build", "--profile", "fast", "--locked", "-p", "cli", "--bin", "orama"]))
}

impl Server {
    /// Starts `orama serve`; with `config_home`, nothing is stored among the user's own credentials.
    pub fn start(places: &Places, listen: &str, data: &Path, config_home: Option<PathBuf>) -> Result<Self> {
        let chain = Chain::start(places)?;
        // The server ends when we do, however we end.
        let mut serve = command(places, "setpriv", &places.root);
        serve.args(["--pdeathsig", "TERM", "--"]).arg(places.orama()).args(["serve", "--listen", listen, "--data"]);
        serve.arg(data).stdout(Stdio::piped());
        // One of the examples calls a webhook, and the only one that is always there is ours.
        serve.env("ORAMA_EGRESS_PRIVATE", "127.0.0.0/8").env("ORAMA_CHAIN_RPC", &chain.rpc);
        if let Some(folder) = &config_home {
            serve.env("XDG_CONFIG_HOME", folder);
        }
        let mut child = serve.spawn().context("start `orama serve`")?;
        let mut output = BufReader::new(child.stdout.take().context("the server has an output")?);
        let mut first = String::new();
        output.read_line(&mut first).context("read the server's first line")?;
        let Some(address) = first.trim().strip_prefix("listening on ").map(str::to_owned) else {
            child.kill().and_then(|()| child.wait()).context("end the server")?;
            bail!("the server did not start; its own message stands above");
        };
        forward(output);
        let key = fs::read_to_string(data.join("admin.key")).context("read `admin.key` of the server")?;
        Ok(Self { child, address, key: key.trim().to_owned(), config_home, chain })
    }

    /// The program, as a client of this server.
    pub fn client(&self, places: &Places, folder: &Path) -> Command {
        let mut client = command(places, places.orama(), folder);
        client.envs(self.variables());
        client
    }

    /// What makes any program a client of this server.
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![
            ("ORAMA_GATEWAY_URL", OsString::from(&self.address)),
            ("ORAMA_API_KEY", OsString::from(&self.key)),
            ("ORAMA_CHAIN_RPC", OsString::from(&self.chain.rpc)),
        ];
        variables.extend(self.config_home.as_ref().map(|folder| ("XDG_CONFIG_HOME", folder.into())));
        variables
    }

    /// The JSON-RPC address of the chain that it takes code from.
    pub fn chain(&self) -> &str {
        &self.chain.rpc
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> Result<()> {
        self.ask_to_end()?;
        self.wait()
    }

    fn ask_to_end(&self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("the server has a pid")?;
        kill_process(pid, Signal::TERM).context("stop the server")
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> Result<()> {
        let status = self.child.wait().context("wait for the server")?;
        match status.success() {
            true => Ok(()),
            false => bail!("the server failed: {status}"),
        }
    }
}

/// After a failure of ours too, nothing goes on running, and nothing is removed while it is in use.
impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.ask_to_end().and_then(|()| self.wait());
        }
    }
}

/// Passes on what the server prints; the thread ends with the server's output.
fn forward(output: BufReader<ChildStdout>) {
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    });
}
