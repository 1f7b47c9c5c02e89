//! Who comes in, on in-memory ports: keys, wallets, tokens, namespaces.

mod keys;
mod namespaces;
mod sessions;
mod sign_in;
mod support;
mod tokens;
mod wallets;
