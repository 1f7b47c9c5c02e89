use serde_json::json;

use crate::args::Shared;
use crate::connection::Connection;
use crate::credentials::{Lock, Session};
use crate::failure::{Failure, Outcome};
use crate::gateway::Gateway;
use crate::screen;

/// Forget the credential of a gateway, and end the sign-in of a wallet
///
/// An API key stays valid for whoever else has it; `orama auth keys revoke` ends it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End every sign-in of the wallet, also those elsewhere
    #[arg(long)]
    all: bool,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let connection = Connection::of(&shared.connection)?;
    let address = connection.gateway.clone();
    let stored = Lock::take()?.read()?.gateways.remove(&address);
    let Some(stored) = stored else {
        return Err(Failure::usage(format!("no credential is stored for {address}")));
    };
    if args.all && stored.session.is_none() {
        return Err(Failure::usage("`--all` is for the sign-ins of a wallet").hint("this credential is an API key"));
    }
    let ended = stored.session.map_or(Ok(()), |session| end(connection, session, args.all));
    forget(&address)?;
    if let Err(failure) = ended {
        // Nobody but the gateway can end it, and here it is forgotten all the same.
        screen::warning(&format!("the sign-in was not ended at the gateway: {}", failure.message));
    }
    match shared.json {
        true => screen::json(&json!({ "gateway": address, "status": "ok" })),
        false => screen::line(&format!("logged out of {address}")),
    }
    Ok(())
}

/// With all of a wallet, the access token is renewed first where it must be; else the refresh token is enough.
fn end(connection: Connection, session: Session, all: bool) -> Outcome {
    let connection = connection.anonymous();
    let (connection, body) = match all {
        true => (Connection { session: Some(session), ..connection }, json!({ "all": true })),
        false => (connection, json!({ "refresh_token": session.refresh_token })),
    };
    Gateway::connect(connection)?.post("/v1/auth/logout", &body).map(drop)
}

fn forget(address: &str) -> Outcome {
    let lock = Lock::take()?;
    let mut credentials = lock.read()?;
    credentials.gateways.remove(address);
    if credentials.current.as_deref() == Some(address) {
        credentials.current = None;
    }
    lock.write(&credentials)
}
