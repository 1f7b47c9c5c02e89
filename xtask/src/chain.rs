//! A chain on this machine, for code that is taken from one: the program anvil, with accounts that need no key.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::thread;

use anyhow::{Context, Result};

use crate::command::command;
use crate::places::Places;

pub struct Chain {
    child: Child,
    /// Such as `http://127.0.0.1:8545`.
    pub rpc: String,
}

impl Chain {
    /// Starts it on a free port; it ends when we do.
    pub fn start(places: &Places) -> Result<Self> {
        let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let program = places.root.join(format!("tools/node_modules/@foundry-rs/anvil-linux-{machine}/bin/anvil"));
        let mut anvil = command(places, "setpriv", &places.root);
        anvil.args(["--pdeathsig", "TERM", "--"]).arg(program).args(["--host", "127.0.0.1", "--port", "0"]);
        let mut child = anvil.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("start anvil")?;
        let mut lines =
            BufReader::new(child.stdout.take().context("anvil has an output")?).lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| line.strip_prefix("Listening on ").map(|address| address.trim().to_owned()));
        // What else it prints must not block it.
        thread::spawn(move || lines.for_each(drop));
        let address = address.context("anvil ended without listening; run `cargo xtask setup`")?;
        Ok(Self { child, rpc: format!("http://{address}") })
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
