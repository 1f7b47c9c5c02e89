//! A gateway that listens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway::{GatewayConfig, SocketConfig, bind, serve};
use platform::Config;
use ports::memory::Script;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Raw};
use crate::support::House;

/// Nothing here may take this long.
pub const GUARD: Duration = Duration::from_secs(90);

pub struct Server {
    pub house: House,
    pub address: SocketAddr,
    pub stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(GatewayConfig::default()).await
    }

    pub async fn start_timed(sockets: SocketConfig) -> Self {
        Self::start_with(GatewayConfig { sockets: Arc::new(sockets), ..GatewayConfig::default() }).await
    }

    pub async fn start_with(config: GatewayConfig) -> Self {
        Self::start_as(config, Config::default()).await
    }

    pub async fn start_as(config: GatewayConfig, node: Config) -> Self {
        let house = House::open_as(config, node).await;
        let mut bound = bind("127.0.0.1:0".parse().expect("an address"), 1).expect("a free port");
        let listener = bound.listeners.pop().expect("one shard");
        let listener = TcpListener::from_std(listener).expect("it is not blocking");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, house.gateway.clone(), stop.clone()));
        Self { house, address: bound.address, stop, serving }
    }

    /// Deploys a private function with further fields, and waits until it is there.
    pub async fn deploy(&self, name: &str, script: Script, fields: &[(&str, &str)]) {
        let seen = self.house.deploy(name, &script.code(), fields).await;
        assert_eq!(seen.status, 201, "{seen:?}");
    }

    /// A function whose sockets have an instance each.
    pub async fn deploy_persistent(&self, name: &str, script: Script, more: &[(&str, serde_json::Value)]) {
        let mut metadata = serde_json::json!({ "name": name, "ws_persistent": true });
        for (field, value) in more {
            metadata[field] = value.clone();
        }
        self.deploy(name, script, &[("metadata", &metadata.to_string())]).await;
    }

    /// A socket at `path`, with a key.
    pub async fn open(&self, path: &str, key: &str) -> Client {
        Client::open(self.address, path, key).await
    }

    /// A subscriber of a topic.
    pub async fn topic(&self, query: &str) -> Client {
        self.open(&format!("/v1/pubsub/ws?topic={query}"), &self.house.client).await
    }

    /// A socket to a function.
    pub async fn function(&self, name: &str) -> Client {
        self.open(&format!("/v1/functions/{name}/ws"), &self.house.invoker).await
    }

    /// A connection of a client that knows frames, but keeps no rules.
    pub async fn raw(&self, path: &str, key: &str) -> Raw {
        let mut raw = Raw::connect(self.address).await;
        let reply = raw.upgrade(path, &[("x-api-key", key)]).await;
        assert!(reply.starts_with("HTTP/1.1 101 "), "{reply}");
        raw
    }

    pub async fn raw_topic(&self) -> Raw {
        self.raw("/v1/pubsub/ws?topic=t", &self.house.client).await
    }

    /// The status of a request for a socket that is refused.
    pub async fn refusal(&self, path: &str, headers: &[(&str, &str)]) -> String {
        let mut raw = Raw::connect(self.address).await;
        raw.upgrade(path, headers).await
    }

    /// Stops, and waits for the end of every connection.
    pub async fn stopped(self) {
        self.stop.cancel();
        tokio::time::timeout(GUARD, self.serving).await.expect("it ends").expect("no panic");
    }

    /// One line of `/metrics`.
    pub async fn metric(&self, name: &str) -> u64 {
        let seen = self.house.operator(http::Method::GET, "/metrics", "").await;
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Waits until a line of `/metrics` says so.
    pub async fn until_metric(&self, name: &str, want: u64) {
        let reached = async {
            // The pause of a poll.
            while self.metric(name).await != want {
                tokio::time::sleep(Duration::from_millis(5)).await; // poll
            }
        };
        tokio::time::timeout(GUARD, reached).await.unwrap_or_else(|_| panic!("{name} is not {want}"));
    }
}
