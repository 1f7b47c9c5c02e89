//! JavaScript workers, from a folder to the reply: made, deployed and called as their authors would.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::examples::copy;
use crate::hosts::ask;
use crate::support::Server;

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("written");
    }
}

#[test]
fn the_factors_of_a_number_are_told_by_every_door() {
    let server = Server::start();
    let folder = copy(&server, "factor-worker");
    server.orama_in(&folder, ["function", "deploy"]).ok();
    let invoked = server.orama_in(&folder, ["function", "invoke", "factor-worker", "--data", "@sample.json"]);
    assert_eq!(invoked.ok().trim_end(), "2,2,2,2,2,3,5,5,5,5");
    let host = "factor-worker.default.localhost";
    let reply = ask(&server, "POST", host, "/any/path", r#"{"num": 97}"#);
    assert_eq!((reply.status, reply.body.as_str()), (200, "97"));
    assert_eq!(reply.header("content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(ask(&server, "POST", host, "/", "{}").status, 400);
    // Whoever hangs up after the last byte has not gone away before it.
    let records = server.records("factor-worker", 3);
    assert!(records.iter().all(|record| record["status"] == "success"), "{records:?}");
    let shown = server.http().get("/v1/functions/factor-worker").json();
    assert_eq!((shown["engine"].as_str(), shown["memory_limit_mb"].as_u64()), (Some("worker"), Some(128)));
}

#[test]
fn a_new_worker_needs_no_build() {
    let server = Server::start();
    server.orama(["function", "init", "hello", "--lang", "js"]).ok();
    let folder = server.folder().join("hello");
    let built = server.orama_in(&folder, ["function", "build"]);
    assert_eq!(built.ok().trim_end(), "./index.js");
    server.orama_in(&folder, ["function", "deploy"]).ok();
    let invoked = server.orama(["function", "invoke", "hello", "--data", r#"{"name": "Ada"}"#]);
    assert_eq!(invoked.ok().trim_end(), r#"{"result":"Hello, Ada!"}"#);
    // One file, without its folder.
    fs::copy(folder.join("index.js"), server.folder().join("alone.js")).expect("copied");
    server.orama(["function", "deploy", "alone.js"]).ok();
    assert_eq!(server.orama(["function", "invoke", "alone"]).ok().trim_end(), r#"{"result":"Hello, World!"}"#);
    let run = server.orama(["function", "run", "hello"]);
    assert!(run.code != Some(0) && run.stderr.contains("a worker runs on a server"), "{run:?}");
}

#[test]
fn a_mistake_is_shown_with_its_place_and_nothing_is_deployed() {
    let server = Server::start();
    let folder = server.folder().join("broken");
    let broken = "export default {\n  fetch() {\n    let x = ;\n  }\n};\n";
    write(&folder, &[("function.yaml", "name: broken\nlanguage: js\n"), ("index.js", broken)]);
    let refused = server.orama_in(&folder, ["function", "deploy"]);
    assert!(refused.stderr.contains("index.js:3:12: SyntaxError: Unexpected token ';'"), "{refused:?}");
    assert_eq!(server.http().get("/v1/functions/broken").status, 404);
    write(&folder, &[("index.js", "export const x = 1;")]);
    let refused = server.orama_in(&folder, ["function", "deploy"]);
    assert!(refused.stderr.contains("has no fetch handler"), "{refused:?}");
}

#[test]
fn a_worker_uses_the_services_of_its_namespace() {
    let server = Server::start();
    let folder = server.folder().join("notes");
    let index = "
import { table } from './lib/table.mjs';

export default {
  async fetch(request, env) {
    const { text } = await request.json();
    await env.ORAMA.database.execute(table);
    const { lastInsertId } = await env.ORAMA.database.execute('INSERT INTO notes (text) VALUES (?)', text);
    const notes = await env.ORAMA.database.query('SELECT id, text FROM notes ORDER BY id');
    const seen = await env.ORAMA.cache.increment('seen');
    console.log('stored', lastInsertId, 'with', await env.ORAMA.secrets.get('KEY'));
    const echo = await env.ORAMA.invoke('echo', { hello: env.GREETING });
    return Response.json({ notes, seen, echo: echo.json(), published: await env.ORAMA.pubsub.publish('notes', text) });
  },
};
";
    write(
        &folder,
        &[
            ("function.yaml", "name: notes\nlanguage: js\nenv: {GREETING: hi}\n"),
            ("index.js", index),
            (
                "lib/table.mjs",
                "export const table = 'CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)';\n",
            ),
            ("echo.js", "export default { fetch: request => new Response(request.body) };\n"),
        ],
    );
    server.orama_in(&folder, ["function", "deploy"]).ok();
    fs::copy(folder.join("echo.js"), server.folder().join("echo.js")).expect("copied");
    server.orama(["function", "deploy", "echo.js"]).ok();
    server.http().send("PUT", "/v1/functions/secrets", &[], br#"{"name": "KEY", "value": "s3cr3t-value"}"#);
    for (text, want) in [("one", 1), ("two", 2)] {
        let data = format!(r#"{{"text": "{text}"}}"#);
        let invoked = server.orama(["function", "invoke", "notes", "--data", &data]);
        let answer: serde_json::Value = serde_json::from_str(invoked.ok()).expect("JSON");
        assert_eq!(answer["notes"].as_array().map(Vec::len), Some(want), "{answer}");
        assert_eq!((answer["seen"].as_u64(), answer["echo"]["hello"].as_str()), (Some(want as u64), Some("hi")));
        assert_eq!(answer["published"], true);
    }
    let records = server.records("notes", 2);
    let logged = records[0]["wasm_logs"].to_string();
    assert!(logged.contains("stored") && !logged.contains("s3cr3t"), "{logged}");
}

/// On a host name the reply is the runtime's own; what became of the call is in its record.
#[test]
fn a_worker_that_throws_is_recorded_as_failed_however_it_was_called() {
    let server = Server::start();
    let folder = server.folder().join("throws");
    let code = "export default { fetch() { throw new TypeError('boom'); } };";
    write(&folder, &[("function.yaml", "name: throws\nlanguage: js\npublic: true\n"), ("index.js", code)]);
    server.orama_in(&folder, ["function", "deploy"]).ok();
    assert_eq!(ask(&server, "GET", "throws.default.localhost", "/", "").status, 500);
    assert_ne!(server.orama(["function", "invoke", "throws"]).code, Some(0));
    for record in server.records("throws", 2) {
        let message = record["error_message"].as_str().unwrap_or_default();
        assert!(record["status"] == "error" && message.starts_with("the worker threw: TypeError: boom"), "{record}");
    }
}

/// The reply does not wait for what goes on behind it; the record does.
#[test]
fn what_a_worker_does_behind_its_reply_is_in_its_record() {
    let server = Server::start();
    let folder = server.folder().join("behind");
    let code = "export default { fetch(request, env, ctx) {
      const later = () => console.log('late, but here');
      ctx.waitUntil(new Promise(resolve => setTimeout(() => { later(); resolve(); }, 1500)));
      return new Response('answered');
    } };";
    let manifest = "name: behind\nlanguage: js\npublic: true\n";
    write(&folder, &[("function.yaml", manifest), ("index.js", code)]);
    server.orama_in(&folder, ["function", "deploy"]).ok();
    assert_eq!(ask(&server, "GET", "behind.default.localhost", "/", "").body, "answered");
    assert_eq!(server.orama(["function", "invoke", "behind"]).ok().trim_end(), "answered");
    for record in server.records("behind", 2) {
        let text = record.to_string();
        assert!(record["status"] == "success" && text.contains("late, but here"), "{text}");
    }
}

#[test]
fn a_server_with_workers_has_processes_ready_before_anybody_asks() {
    let mut server = Server::start();
    let folder = copy(&server, "factor-worker");
    server.orama_in(&folder, ["function", "deploy"]).ok();
    server.terminate();
    server.ended();
    server.restart();
    let folders = server.data().join("tmp/workers");
    let deadline = Instant::now() + Duration::from_secs(30);
    // A poll: how long a process takes to start is the machine's affair.
    while fs::read_dir(&folders).expect("folders").count() < 2 {
        assert!(Instant::now() < deadline, "nothing is in reserve");
        std::thread::sleep(Duration::from_millis(10)); // between two looks of the poll
    }
    let owners: Vec<u32> = fs::read_dir(&folders)
        .expect("folders")
        .map(|entry| entry.and_then(|entry| entry.metadata()).expect("a folder").uid())
        .collect();
    assert!(owners.iter().all(|owner| *owner != 0), "made by the user that the server has become: {owners:?}");
}
