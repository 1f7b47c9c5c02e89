//! Variables that name a proxy, set for the node, change nothing.

use std::process::Command;

use crate::server::{Answer, Server};

/// Runs a test of this program once more, in an environment that names a proxy for everything.
#[tokio::test]
async fn a_proxy_in_the_environment_is_ignored() {
    let proxy = Server::start(|_| Answer::ok("through the proxy")).await;
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(["--exact", "requests::a_plain_get_is_answered"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, proxy.url(""));
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy").env_remove("REQUEST_METHOD");
    let ran = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(proxy.connections(), 0);
}
