//! A namespace with an admin of its own, as an operator makes it.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Http, PATIENCE, Reply, Server, Wallet};

pub struct Tenant {
    pub name: String,
    /// The key of its admin.
    pub key: String,
    address: String,
}

impl Tenant {
    #[track_caller]
    pub fn found(server: &Server, name: &str) -> Self {
        let operator = server.http();
        let made = operator.post("/v1/namespaces", json!({ "name": name }).to_string().as_bytes());
        assert_eq!(made.status, 201, "{}", made.body);
        let body = json!({ "name": "admin", "scopes": ["admin"] }).to_string();
        let key = operator.post(&format!("/v1/auth/keys?namespace={name}"), body.as_bytes());
        assert_eq!(key.status, 201, "{}", key.body);
        let key = key.json()["key"].as_str().expect("a key").to_owned();
        Self { name: name.to_owned(), key, address: server.address().to_owned() }
    }

    /// The same after a start, when the server has another address.
    pub fn known(server: &Server, name: &str, key: &str) -> Self {
        Self { name: name.to_owned(), key: key.to_owned(), address: server.address().to_owned() }
    }

    /// A client that shows the key of the admin.
    pub fn http(&self) -> Http {
        Http::new(&self.address, Some(&self.key))
    }

    /// Asks as the admin for what must succeed.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.reply(method, path, body).json()
    }

    #[track_caller]
    pub fn reply(&self, method: &str, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = self.http().send(method, path, &[("content-type", "application/json")], body.as_bytes());
        assert!((200..300).contains(&reply.status), "{method} {path}: {reply:?}");
        reply
    }

    /// Makes a wallet an owner, signs in with it, and returns its access token.
    #[track_caller]
    pub fn token_of(&self, wallet: &Wallet, scopes: &[&str]) -> String {
        let path = format!("/v1/namespaces/{}/owners/{}", self.name, wallet.address());
        self.ask("PUT", &path, &json!({ "scopes": scopes }));
        let signed_in = wallet.sign_in(&self.http().without_key(), &self.name);
        signed_in["access_token"].as_str().expect("a token").to_owned()
    }

    #[track_caller]
    pub fn set_secret(&self, name: &str, value: &str) {
        self.ask("PUT", "/v1/functions/secrets", &json!({ "name": name, "value": value }));
    }

    #[track_caller]
    pub fn deploy(&self, name: &str, code: &[u8], fields: &[(&str, &str)]) -> u64 {
        let reply = self.http().deploy(name, code, fields).expect("the server answers");
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()["function"]["version"].as_u64().expect("a number")
    }

    pub fn invoke(&self, name: &str, input: &[u8]) -> Reply {
        self.http().post(&format!("/v1/functions/{name}/invoke"), input)
    }

    /// The records of a function's calls, newest first, as soon as there are `count` of them.
    #[track_caller]
    pub fn records(&self, name: &str, count: usize) -> Vec<Value> {
        let path = format!("/v1/functions/{name}/logs?limit=500");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let document = self.ask("GET", &path, &Value::Null);
            let records = document["invocations"].as_array().expect("a list");
            if records.len() >= count {
                assert_eq!(records.len(), count, "each call has one record: {document}");
                return records.clone();
            }
            assert!(Instant::now() < deadline, "{} of {count} records", records.len());
        }
    }

    /// Calls a host-call fixture with these arguments; the bytes it answered, as text.
    #[track_caller]
    pub fn host_call(&self, name: &str, arguments: &[&[u8]]) -> String {
        let reply = self.invoke(name, &packed(arguments));
        assert_eq!(reply.status, 200, "{}", reply.body);
        let document: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        // Output that looks like a document goes out as it is; all other is wrapped.
        match document.get("duration_ms") {
            Some(_) => document["output_base64"].as_str().or(document["output"].as_str()).expect("text").to_owned(),
            None => reply.body,
        }
    }
}

/// Arguments as the fixtures of host calls take them: each with its length before it.
pub fn packed(arguments: &[&[u8]]) -> Vec<u8> {
    let length = |argument: &[u8]| u32::try_from(argument.len()).expect("arguments are short").to_le_bytes();
    arguments.iter().flat_map(|argument| [&length(argument)[..], argument].concat()).collect()
}
