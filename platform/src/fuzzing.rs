//! The parsers of this crate, as the fuzz targets in `fuzz/` call them. Public only because those and the replay of their
//! corpus stand outside of the crate; nothing else may use it.

use domain::fuzzing::Target;

use crate::identity::{Message, Wallet, key_of_token};

/// Every target of this crate.
pub const TARGETS: &[Target] =
    &[("sign_in_message", sign_in_message), ("token_header", token_header), ("wallet", wallet)];

/// What is accepted is written as it was read.
pub fn sign_in_message(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(message) = Message::parse(&text) {
        assert_eq!(message.to_string(), text);
    }
}

/// A key's name comes only out of what has three parts and is short.
pub fn token_header(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if key_of_token(&text).is_some() {
        assert_eq!(text.matches('.').count(), 2);
        assert!(text.len() <= 8 << 10);
    }
}

/// What is accepted has one canonical form, which is accepted as it is; so is the form that people are shown.
pub fn wallet(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(wallet) = Wallet::parse(&text, None) {
        for form in [wallet.to_string(), wallet.shown()] {
            assert_eq!(Wallet::parse(&form, None).as_ref(), Ok(&wallet));
            assert_eq!(Wallet::parse(&form, Some(wallet.chain())).as_ref(), Ok(&wallet));
        }
    }
}
