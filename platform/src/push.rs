//! Push messages: the devices of users, the providers of namespaces, and messages that reach people wherever they are.
//!
//! `settings.rs` is what a namespace says of its providers, `tenant.rs` the providers that follow from it, `devices.rs` who has which
//! device, `dispatch.rs` a message on its way to all devices of a user, `receipts.rs` what providers tell later, `notify.rs` sockets, then
//! push, then the inbox. Providers themselves are `backends`.

mod devices;
mod dispatch;
mod house;
mod notify;
mod receipts;
mod settings;
mod tenant;

use std::sync::{Arc, Mutex};

use domain::{Caller, Error, ErrorCode};
use ports::{PushProviders, PushSettings};

use crate::OpenError;
use crate::cannot_read;
use crate::identity::Wallet;
use receipts::Receipts;
use tenant::Tenants;

pub use devices::{DeviceView, NewDevice};
pub use notify::{INBOX_DEFAULT, INBOX_MAX};
pub(crate) use receipts::watch_receipts;
pub use settings::{PushFieldView, PushSettingsView};

/// The longest name of a user, in bytes.
const USER_BYTES_MAX: usize = 256;

/// Everything that a node knows of push beside what stands in the registry.
pub(crate) struct Pushes {
    providers: Arc<dyn PushProviders>,
    /// What the operator set for every namespace.
    defaults: PushSettings,
    tenants: Mutex<Tenants>,
    receipts: Mutex<Receipts>,
    /// Held while settings are changed: a change is made of what was there.
    changing: tokio::sync::Mutex<()>,
}

impl Pushes {
    /// Settings of the operator that cannot be used are an error.
    pub(crate) fn open(providers: Arc<dyn PushProviders>, defaults: PushSettings) -> Result<Self, OpenError> {
        let everybody = domain::Namespace::default_namespace();
        let chosen = PushSettings::default().over(&defaults);
        providers.open(&everybody, &chosen, &[]).map_err(cannot_read("settings of push"))?;
        Ok(Self {
            providers,
            defaults,
            tenants: Mutex::default(),
            receipts: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        })
    }
}

/// The user who asks, for what only users have.
fn signed_in(caller: &Caller) -> Result<String, Error> {
    let nobody = || {
        Error::new(ErrorCode::Unauthorized, "the token of a user is required")
            .hint("sign in with a wallet: `POST /v1/auth/challenge`, then `POST /v1/auth/verify`")
    };
    user_named(caller.user().ok_or_else(nobody)?)
}

/// A user as messages are addressed: by an account, or by a wallet, in whatever way its address is written.
fn user_named(text: &str) -> Result<String, Error> {
    if text.is_empty() || text.len() > USER_BYTES_MAX || text.chars().any(char::is_control) {
        let message = format!("`user_id` must be a wallet or an account of 1 to {USER_BYTES_MAX} bytes");
        return Err(Error::invalid(message));
    }
    Ok(Wallet::parse(text, None).map_or_else(|_| text.to_owned(), |wallet| wallet.to_string()))
}
