//! Our host calls for WebAssembly: names, types and failure values (`orama.md` 2.2, 2.3).
//!
//! To add a call: a method on [`crate::host::Host`], a line in [`CALLS`], a line in [`add`]. A call whose service this server
//! does not have is only a line in [`CALLS`]: it links, answers its failure value, and logs once that it is not available.

mod guest;
pub(super) mod response;

use serde_json::json;
use wasmtime::{Caller, FuncType, Linker, Val, ValType};

use super::state::State;
use domain::Level;
pub(crate) use guest::ALLOCATING_MAX;
use guest::{give, take, take_text};

/// Three names, one table.
pub(crate) const MODULES: [&str; 3] = ["env", "host", "orama"];

/// One host call.
pub(crate) struct HostCall {
    name: &'static str,
    /// `s` is a pointer and a length (two i32), `i` an i32, `l` an i64.
    params: &'static str,
    result: HostResult,
    /// What an absent service answers; `None` for calls that are here.
    absent: Option<Absent>,
    doc: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HostResult {
    Nothing,
    I32,
    I64,
    /// `(pointer << 32) | length` of bytes in the guest's memory; 0 for none.
    Bytes,
}

#[derive(Clone, Copy)]
enum Absent {
    Zero,
    Json(&'static str),
}

const fn here(name: &'static str, params: &'static str, result: HostResult, doc: &'static str) -> HostCall {
    HostCall { name, params, result, absent: None, doc }
}

const fn absent(name: &'static str, params: &'static str, result: HostResult, doc: &'static str) -> HostCall {
    HostCall { name, params, result, absent: Some(Absent::Zero), doc }
}

const fn absent_json(name: &'static str, params: &'static str, json: &'static str, doc: &'static str) -> HostCall {
    HostCall { name, params, result: HostResult::Bytes, absent: Some(Absent::Json(json)), doc }
}

use HostResult::{Bytes, I32, I64, Nothing};

const NO_DATABASE: &str =
    r#"{"rows":[],"rows_affected":0,"error":"the database is not available on this server","code":"UNAVAILABLE"}"#;
const NO_TRANSACTION: &str = r#"{"results":[],"committed":false,"failed_index":0,"error":"the database is not available on this server","code":"UNAVAILABLE"}"#;
const NO_FETCH: &str = r#"{"status":0,"error":"outbound HTTP is not available on this server"}"#;
const NO_ANONYMOUS_FETCH: &str = r#"{"status":0,"error":"no anonymity proxy is configured","proxy":"anyone"}"#;
const NO_PUSH: &str = r#"{"ok":true,"devices_attempted":0,"devices_succeeded":0,"results":[]}"#;

/// Every call, in the order of `docs/host-api.md`.
const CALLS: &[HostCall] = &[
    here(
        "get_caller_wallet",
        "",
        Bytes,
        "The wallet of the caller; the namespace when the caller used an API key; empty when nobody is known.",
    ),
    here("get_caller_jwt_subject", "", Bytes, "The `sub` claim of the caller's token; empty without a token."),
    here("get_caller_claim", "s", Bytes, "A custom claim of the caller's token, by name; empty when there is none."),
    here(
        "get_request_id",
        "",
        Bytes,
        "The unique id of this invocation: the `X-Request-ID` of the reply and the key of its record.",
    ),
    here("get_env", "s", Bytes, "A variable of `env` in function.yaml, by name; empty when it is not set."),
    here(
        "log_info",
        "s",
        Nothing,
        "Writes a line at level info into the log of the invocation. At most 16 KiB a line, 1,000 lines and 256 KiB a call.",
    ),
    here("log_error", "s", Nothing, "Writes a line at level error into the log of the invocation; the same bounds."),
    here(
        "set_http_response",
        "iss",
        I32,
        "Composes the HTTP reply: status (100 to 599), headers (a JSON object of texts or lists of texts, at most 64), body (at most 8 MiB). Only for functions with `raw_http_response: true` or `http: true`. 1 is success, 0 failure.",
    ),
    here(
        "turn_credentials",
        "",
        Bytes,
        "Credentials for a TURN server, as JSON: `{\"configured\":false,\"namespace\":…}` while none is configured.",
    ),
    here(
        "abort",
        "iiii",
        Nothing,
        "Ends the call as failed. AssemblyScript imports it: message, file (both UTF-16 strings of its runtime), line, column.",
    ),
    absent("get_secret", "s", Bytes, "A secret of the namespace, by name; empty when it does not exist."),
    absent("get_ws_client_id", "", Bytes, "The id of the WebSocket that the call came from; empty for other calls."),
    absent("get_caller_device_id", "", Bytes, "The device of the caller's session; empty when unknown."),
    absent("get_caller_capability", "", Bytes, "The capability that the call was made with; empty when none."),
    absent("db_query", "ss", Bytes, "SQL and a JSON array of arguments to a JSON array of rows; 0 on error."),
    absent(
        "db_execute",
        "ss",
        I32,
        "SQL and a JSON array of arguments to the number of rows changed; 0 also on error.",
    ),
    absent_json("db_query_v2", "ss", NO_DATABASE, "As `db_query`, to `{\"rows\":[…],\"error\"?,\"code\"?}`."),
    absent_json(
        "db_execute_v2",
        "ss",
        NO_DATABASE,
        "As `db_execute`, to `{\"rows_affected\":n,\"last_insert_id\"?,\"error\"?,\"code\"?}`.",
    ),
    absent_json("db_transaction", "s", NO_TRANSACTION, "Several statements, all or none."),
    absent_json("db_query_batch", "s", NO_TRANSACTION, "Several queries at once."),
    absent_json("exec_and_publish", "sss", NO_TRANSACTION, "Statements and a message, all or none."),
    absent("cache_get", "s", Bytes, "The value of a key; empty on a miss."),
    absent("cache_set", "ssl", Nothing, "Sets a key to a value, with a time to live in seconds."),
    absent("cache_delete", "s", I32, "Deletes a key; 1 also when it was missing."),
    absent("cache_incr", "s", I64, "Adds 1 to a counter and returns it; 0 on error."),
    absent("cache_incr_by", "sl", I64, "Adds to a counter and returns it; 0 on error."),
    absent_json(
        "http_fetch",
        "ssss",
        NO_FETCH,
        "Method, URL, headers as a JSON object, body; to `{\"status\",\"headers\",\"body\"}`.",
    ),
    absent_json("anyone_fetch", "ssss", NO_ANONYMOUS_FETCH, "As `http_fetch`, through an anonymity network."),
    absent_json("anon_fetch", "ssss", NO_ANONYMOUS_FETCH, "Another name of `anyone_fetch`."),
    absent("pubsub_publish", "ss", I32, "Publishes a message on a topic; 1 is success."),
    absent("pubsub_publish_batch", "s", I32, "Publishes up to 100 messages; 1 is success."),
    absent("push_send", "ss", I32, "Sends a push message to a user; 1 is success."),
    absent_json("push_send_v2", "ss", NO_PUSH, "As `push_send`, with the result of each device."),
    absent("push_send_topic", "ss", I64, "Sends a push message to a topic."),
    absent("ws_send", "ss", I32, "Sends a frame to a WebSocket; 1 is success."),
    absent("ws_broadcast", "ss", I32, "Sends a frame to every WebSocket on a topic; 1 is success."),
    absent("ws_pubsub_bridge", "ss", I32, "Forwards the messages of a topic to a WebSocket; 1 is success."),
    absent("ws_pubsub_unbridge", "ss", I32, "Ends a bridge; 1 is success."),
    absent("ephemeral_state_set", "sssl", I32, "Sets state that dies with the caller's WebSocket; 1 is success."),
    absent("ephemeral_state_clear", "ss", I32, "Clears such state; 1 is success."),
    absent("ephemeral_state_list", "s", Bytes, "Lists such state of a topic."),
    absent("function_invoke", "ss", Bytes, "Calls another function of the namespace and returns its output."),
    absent("function_invoke_async", "ss", I32, "Calls another function without waiting for it; 1 is success."),
    absent("capability_mint", "sl", Bytes, "Makes a capability for a resource, with a lifetime in seconds."),
    absent("capability_revoke", "s", I32, "Revokes a capability; 1 is success."),
    absent("storage_fetch_cap_mint", "sil", Bytes, "Makes capabilities to fetch content."),
    absent("webrtc_admit", "sssl", Bytes, "Admits a device to a room."),
    absent("webrtc_kick", "sss", I32, "Removes a device from a room; 1 is success."),
    absent("webrtc_mute", "sssi", I32, "Mutes a device in a room; 1 is success."),
];

fn find(name: &str) -> Option<&'static HostCall> {
    CALLS.iter().find(|call| call.name == name)
}

pub(crate) fn knows(name: &str) -> bool {
    find(name).is_some()
}

pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    domain::nearest(name, CALLS.iter().map(|call| call.name))
}

/// Does this import need the guest's allocator?
pub(crate) fn returns_bytes(module: &str, name: &str) -> bool {
    MODULES.contains(&module) && find(name).is_some_and(|call| call.result == Bytes)
}

impl HostCall {
    fn params(&self) -> Vec<ValType> {
        let types = self.params.chars().flat_map(|param| match param {
            's' => vec![ValType::I32, ValType::I32],
            'l' => vec![ValType::I64],
            _ => vec![ValType::I32],
        });
        types.collect()
    }

    fn results(&self) -> Vec<ValType> {
        match self.result {
            Nothing => vec![],
            I32 => vec![ValType::I32],
            I64 | Bytes => vec![ValType::I64],
        }
    }

    /// The imported function as a line of documentation.
    fn signature(&self) -> String {
        let params = self.params.chars().map(|param| match param {
            's' => "ptr i32, len i32",
            'l' => "i64",
            _ => "i32",
        });
        let result = match self.result {
            Nothing => "",
            I32 => " -> i32",
            I64 => " -> i64",
            Bytes => " -> i64 (packed bytes)",
        };
        format!("{}({}){result}", self.name, params.collect::<Vec<_>>().join(", "))
    }
}

/// The table as Markdown: `docs/host-api.md`.
pub fn host_api_reference() -> String {
    let mut page = String::from(include_str!("abi/preface.md"));
    for (title, wanted) in [("Available", false), ("Not available on this server yet", true)] {
        page.push_str(&format!("\n## {title}\n"));
        for call in CALLS.iter().filter(|call| call.absent.is_some() == wanted) {
            page.push_str(&format!("\n### `{}`\n\n    {}\n\n{}\n", call.name, call.signature(), call.doc));
            if let Some(Absent::Json(json)) = call.absent {
                page.push_str(&format!("Answers `{json}`.\n"));
            }
        }
    }
    page
}

/// Defines every call under the name `module`.
pub(crate) fn add(linker: &mut Linker<State>, module: &str) -> wasmtime::Result<()> {
    for call in CALLS.iter().filter(|call| call.absent.is_some()) {
        add_absent(linker, module, call)?;
    }
    text(linker, module, "get_caller_wallet", |state| state.host.caller_wallet().to_owned())?;
    text(linker, module, "get_caller_jwt_subject", |state| state.host.caller_jwt_subject().to_owned())?;
    text(linker, module, "get_request_id", |state| state.host.request_id().to_owned())?;
    text(linker, module, "turn_credentials", |state| {
        json!({"configured": false, "namespace": state.host.services.version.namespace.as_str()}).to_string()
    })?;
    text_of(linker, module, "get_caller_claim", |state, name| state.host.caller_claim(name).to_owned())?;
    text_of(linker, module, "get_env", |state, key| state.host.env(key).to_owned())?;
    log(linker, module, "log_info", Level::Info)?;
    log(linker, module, "log_error", Level::Error)?;
    response::add(linker, module)?;
    guest::add_abort(linker, module)
}

/// A call without arguments that returns a text.
fn text(
    linker: &mut Linker<State>,
    module: &str,
    name: &str,
    of: impl Fn(&State) -> String + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    linker.func_wrap_async(module, name, move |mut caller: Caller<'_, State>, (): ()| {
        Box::new(async move {
            let text = of(caller.data());
            give(&mut caller, text.as_bytes()).await
        })
    })?;
    Ok(())
}

/// A call with one text that returns a text.
fn text_of(
    linker: &mut Linker<State>,
    module: &str,
    name: &str,
    of: impl Fn(&State, &str) -> String + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    linker.func_wrap_async(module, name, move |mut caller: Caller<'_, State>, (pointer, length): (u32, u32)| {
        Box::new(async move {
            let text = match take_text(&mut caller, pointer, length) {
                Some(key) => of(caller.data(), &key),
                None => return Ok(0),
            };
            give(&mut caller, text.as_bytes()).await
        })
    })?;
    Ok(())
}

fn log(linker: &mut Linker<State>, module: &str, name: &str, level: Level) -> wasmtime::Result<()> {
    linker.func_wrap(module, name, move |mut caller: Caller<'_, State>, pointer: u32, length: u32| {
        // More than a line keeps is not worth copying.
        const COPIED_MAX: u32 = 64 << 10;
        let inside = take(&mut caller, pointer, length).is_some();
        if inside && let Some(message) = take(&mut caller, pointer, length.min(COPIED_MAX)).map(<[u8]>::to_vec) {
            caller.data_mut().host.logs.write(level, &String::from_utf8_lossy(&message));
        }
    })?;
    Ok(())
}

fn add_absent(linker: &mut Linker<State>, module: &str, call: &'static HostCall) -> wasmtime::Result<()> {
    let ty = FuncType::new(linker.engine(), call.params(), call.results());
    linker.func_new_async(module, call.name, ty, move |mut caller, _params, results| {
        Box::new(async move {
            caller.data_mut().host.unavailable(call.name);
            let answer = match call.absent {
                Some(Absent::Json(json)) => give(&mut caller, json.as_bytes()).await?,
                _ => 0,
            };
            if let Some(result) = results.first_mut() {
                *result = if call.result == I32 { Val::I32(0) } else { Val::I64(answer as i64) };
            }
            Ok(())
        })
    })?;
    Ok(())
}

#[cfg(test)]
mod tests;
