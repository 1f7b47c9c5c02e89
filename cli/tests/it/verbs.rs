//! Every verb as people and scripts see it: its text, its JSON, its exit code.

mod calls;
mod credentials;
mod deploy;
mod functions;
mod init;
mod logs;
mod node;
mod usage;
mod versions;

use std::fs;
use std::path::PathBuf;

use crate::support::{Server, fixture};

/// A server with one version of `echo`.
fn with_echo() -> Server {
    let server = Server::start();
    module(&server, "echo", "echo");
    server.orama(["function", "deploy", "echo.wasm"]).ok();
    server
}

/// Puts a program of the fixtures into the folder of the verbs, as `NAME.wasm`.
fn module(server: &Server, name: &str, program: &str) -> PathBuf {
    let file = server.folder().join(format!("{name}.wasm"));
    fs::write(&file, fixture(program)).expect("written");
    file
}
