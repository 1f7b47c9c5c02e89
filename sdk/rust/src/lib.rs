//! What functions in Rust import to run on Orama.
//!
//! ```ignore
//! #[derive(serde::Deserialize)]
//! struct In { name: String }
//!
//! #[derive(serde::Serialize)]
//! struct Out { greeting: String }
//!
//! #[orama_fn::handler]
//! fn handle(ctx: orama_fn::Context, input: In) -> Result<Out, orama_fn::Error> {
//!     ctx.log.info(&format!("called by {}", ctx.wallet()));
//!     Ok(Out { greeting: format!("Hello, {}", input.name) })
//! }
//! ```
//!
//! Input and output are JSON. An error fails the call, and its text reaches the caller. Built for `wasm32-wasip1`; on any
//! other target every host call answers what the platform answers for nothing, so that the rest can be tested.

mod db;
mod host;
mod http;
mod jobs;
mod push;
mod realtime;
mod services;
mod socket;

use std::fmt::{self, Display};
use std::io::{Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use db::{Blob, Changed, Db, Step, StepResult, TransactionError};
pub use http::{Fetch, Fetched, Http};
pub use jobs::{Job, JobStatus, Jobs};
pub use orama_fn_macros::handler;
pub use push::{DeviceResult, Notified, Push, PushMessage, PushResult};
pub use realtime::{Ephemeral, EphemeralEntry, PubSub, Published, Sockets};
pub use services::{Cache, Content, Functions, Log, Secrets, Storage};
pub use socket::{Flow, Opening, Socket};
#[doc(hidden)]
pub use socket::{close_socket, frame_of_socket, open_socket};

/// One call: who calls, and the services of the function's namespace.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context {
    pub db: Db,
    pub cache: Cache,
    pub storage: Storage,
    pub secrets: Secrets,
    pub http: Http,
    pub log: Log,
    pub functions: Functions,
    pub pubsub: PubSub,
    pub sockets: Sockets,
    pub ephemeral: Ephemeral,
    pub push: Push,
    pub jobs: Jobs,
}

impl Context {
    /// The caller's wallet; the namespace when the caller used an API key; empty when nobody is known.
    pub fn wallet(&self) -> String {
        text(host::caller_wallet())
    }

    /// The `sub` claim of the caller's token; empty without a token.
    pub fn subject(&self) -> String {
        text(host::caller_jwt_subject())
    }

    /// A custom claim of the caller's token; empty when there is none.
    pub fn claim(&self, name: &str) -> String {
        text(host::caller_claim(name))
    }

    /// The unique id of this invocation.
    pub fn request_id(&self) -> String {
        text(host::request_id())
    }

    /// The id of the WebSocket that the call came from; empty for other calls.
    pub fn client_id(&self) -> String {
        text(host::ws_client_id())
    }

    /// A variable of `env` in function.yaml; empty when it is not set.
    pub fn env(&self, key: &str) -> String {
        text(host::env(key))
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A failure: of the platform, with its code, or of the function itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Stable, such as `CONSTRAINT_VIOLATION`; empty for a failure of the function itself.
    pub code: String,
    pub message: String,
}

impl Error {
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: String::new(), message: message.into() }
    }

    pub(crate) fn coded(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    pub(crate) fn unreadable(cause: impl Display) -> Self {
        Self::coded("INTERNAL", format!("the platform's answer cannot be read: {cause}"))
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code.as_str() {
            "" => f.write_str(&self.message),
            code => write!(f, "{code}: {}", self.message),
        }
    }
}

impl std::error::Error for Error {}

/// Runs the handler once and ends the program; [`macro@handler`] calls it. No input at all is read as `null`.
pub fn run<In, Out, E>(handler: fn(Context, In) -> Result<Out, E>)
where
    In: DeserializeOwned,
    Out: Serialize,
    E: Display,
{
    if let Err(message) = answer(handler) {
        eprintln!("{message}");
        std::process::exit(1);
    }
}

fn answer<In, Out, E>(handler: fn(Context, In) -> Result<Out, E>) -> Result<(), String>
where
    In: DeserializeOwned,
    Out: Serialize,
    E: Display,
{
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).map_err(|error| format!("read the input: {error}"))?;
    let json: &[u8] = if input.is_empty() { b"null" } else { &input };
    let input =
        serde_json::from_slice(json).map_err(|error| format!("the input is not what the function takes: {error}"))?;
    let output = handler(Context::default(), input).map_err(|error| error.to_string())?;
    let output = serde_json::to_vec(&output).map_err(|error| format!("write the output: {error}"))?;
    std::io::stdout().write_all(&output).map_err(|error| format!("write the output: {error}"))
}
