use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use domain::{EngineKind, Manifest};
use futures_util::stream;
use indicatif::ProgressBar;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use serde_json::{Value, json};

use super::{build, connect};
use crate::args::Shared;
use crate::failure::{Failure, Outcome};
use crate::gateway::Gateway;
use crate::table::Table;
use crate::{screen, units};

/// Uploading and compiling of the largest module on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(600);
const CHUNK_BYTES: usize = 64 << 10;

/// Upload a function as a new version
///
/// A folder is built first when it has no function.wasm, or a source is younger than it. Every deploy makes a new
/// version, also of the same bytes, unless --if-changed keeps the old one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function deploy
  orama function deploy ./my-function --if-changed
  orama function deploy ./echo.wasm             # named after the file, or by the function.yaml beside it
  orama function deploy ./worker.js             # a worker of one file, the same
  orama function deploy --dry-run               # check and compile there, and store nothing")]
pub struct Args {
    /// Folder of the function, or a module
    #[arg(default_value = ".", value_name = "DIR|FILE.wasm|FILE.js")]
    target: PathBuf,
    /// Keep the active version if code and manifest equal it
    #[arg(long)]
    if_changed: bool,
    /// Check and compile on the server, and store nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let (manifest, code) = build::load(&args.target)?;
    let document = upload(args, &gateway, &manifest, code.clone())?;
    for warning in document["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        screen::warning(warning);
    }
    if shared.json {
        screen::json(&document);
    } else {
        screen::data(render(&document, &gateway, &manifest, code.len()).as_bytes());
        talk_result(args, &document, &manifest);
    }
    Ok(())
}

fn upload(args: &Args, gateway: &Gateway, manifest: &Manifest, code: Bytes) -> Outcome<Value> {
    let query: Vec<(&str, String)> = [("if_changed", args.if_changed), ("dry_run", args.dry_run)]
        .into_iter()
        .filter(|(_, wanted)| *wanted)
        .map(|(name, _)| (name, "true".to_owned()))
        .collect();
    let bar = screen::progress(Some(code.len() as u64), "uploading");
    let form = form(manifest, code, bar.clone())?;
    let request = gateway.request(Method::POST, "/v1/functions", &query).multipart(form).timeout(TIMEOUT);
    let answer = gateway.block_on(gateway.answer(request));
    bar.finish_and_clear();
    let answer = answer?;
    match answer.status.is_success() {
        true => {
            serde_json::from_slice(&answer.body).map_err(|_| Failure::failed("the answer of the gateway is not JSON"))
        }
        false => Err(answer.failure()),
    }
}

/// Exactly the fields that clients of the reference send; what they do not know goes into `metadata`.
fn form(manifest: &Manifest, code: Bytes, bar: ProgressBar) -> Outcome<Form> {
    let length = code.len() as u64;
    let chunks = (0..code.len()).step_by(CHUNK_BYTES).map(move |start| {
        let chunk = code.slice(start..code.len().min(start + CHUNK_BYTES));
        bar.inc(chunk.len() as u64);
        if bar.position() == length {
            bar.set_message("compiling");
        }
        Ok::<Bytes, io::Error>(chunk)
    });
    let body = Body::wrap_stream(stream::iter(chunks));
    let (name, kind) = match manifest.engine {
        EngineKind::Wasm => ("function.wasm", "application/wasm"),
        EngineKind::Worker => ("worker", "application/octet-stream"),
    };
    let module = Part::stream_with_length(body, length).file_name(name).mime_str(kind);
    let module = module.map_err(|error| Failure::failed(format!("failed to make the upload: {error}")))?;
    Ok(Form::new()
        .text("name", manifest.name.to_string())
        .text("is_public", manifest.public.to_string())
        .text("memory_limit_mb", manifest.memory_mb.to_string())
        .text("timeout_seconds", manifest.timeout.as_secs().to_string())
        .text("retry_count", manifest.retry.count.to_string())
        .text("retry_delay_seconds", manifest.retry.delay.as_secs().to_string())
        .text("metadata", metadata(manifest).to_string())
        .part("wasm", module))
}

fn metadata(manifest: &Manifest) -> Value {
    json!({
        "env_vars": manifest.env,
        "is_internal": manifest.internal,
        "dlq_topic": manifest.dlq_topic,
        "ws_persistent": manifest.websocket.persistent,
        "ws_idle_timeout_sec": manifest.websocket.idle_timeout.as_secs(),
        "ws_max_frame_bytes": manifest.websocket.frame_bytes_max,
        "ws_max_inflight_per_conn": manifest.websocket.inflight_max,
        "ws_auth": manifest.websocket.auth,
        "raw_http_response": manifest.raw_http_response,
        "sign": manifest.sign,
        "by_hash": manifest.by_hash,
        "engine": manifest.engine,
        "language": manifest.language,
        "concurrency": manifest.concurrency,
        "http": manifest.http,
        "reactor": manifest.reactor,
        "triggers": manifest.triggers,
        "egress": manifest.egress,
        "main": manifest.main,
        "compatibility_date": manifest.compatibility_date,
    })
}

/// What a person wants to know: which version this is, and where to call it.
fn render(document: &Value, gateway: &Gateway, manifest: &Manifest, bytes: usize) -> String {
    let function = &document["function"];
    let version = function["version"].as_u64().map(|version| ("version", version.to_string()));
    let cid = [&function["wasm_cid"], &document["wasm_cid"], &document["cid"]].into_iter().find_map(Value::as_str);
    let namespace =
        function["namespace"].as_str().or_else(|| gateway.connection().known_namespace()).unwrap_or("default");
    let url = format!("{}/v1/invoke/{namespace}/{}", gateway.connection().gateway, manifest.name);
    let mut table = Table::plain();
    let rows = [
        Some(("name", manifest.name.to_string())),
        version,
        cid.map(|cid| ("cid", cid.to_owned())),
        Some(("size", units::size(bytes as u64))),
        function.is_object().then_some(("url", url)),
    ];
    rows.into_iter().flatten().for_each(|(name, value)| table.row([name.to_owned(), value]));
    table.render()
}

fn talk_result(args: &Args, document: &Value, manifest: &Manifest) {
    if args.dry_run {
        screen::talk("dry run: the function is good, and nothing was stored");
    } else if document["changed"] == false {
        screen::talk("nothing changed: the active version stays");
    } else {
        screen::talk(&format!("call it with `orama function invoke {}`", manifest.name));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_metadata_has_the_keys_of_the_reference_and_ours() {
        let manifest = "name: hello\nenv: {A: b}\nlanguage: rust\nhttp: true\negress: {allow: [10.0.0.0/8]}\ntriggers:\n  - topic: orders\n  - {cron: '* * * * *', tz: UTC}";
        let manifest = Manifest::parse(manifest).expect("a good manifest");
        expect![[r#"
            {
              "by_hash": false,
              "compatibility_date": null,
              "concurrency": 100,
              "dlq_topic": null,
              "egress": {
                "allow": [
                  "10.0.0.0/8"
                ]
              },
              "engine": "wasm",
              "env_vars": {
                "A": "b"
              },
              "http": true,
              "is_internal": false,
              "language": "rust",
              "main": null,
              "raw_http_response": false,
              "reactor": false,
              "sign": false,
              "triggers": [
                {
                  "topic": "orders"
                },
                {
                  "cron": "* * * * *",
                  "tz": "UTC"
                }
              ],
              "ws_auth": "",
              "ws_idle_timeout_sec": 0,
              "ws_max_frame_bytes": 262144,
              "ws_max_inflight_per_conn": 64,
              "ws_persistent": false
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&metadata(&manifest)).expect("JSON"));
    }
}
