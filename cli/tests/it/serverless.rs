//! What docs/serverless.md shows, done as it stands there.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::examples::{copy, deploy};
use crate::support::Server;

fn tree(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands under a heading, up to the next one that is as large.
fn section(heading: &str) -> String {
    let page = tree("docs/serverless.md");
    let (_, rest) = page.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading `{heading}`"));
    let mark = heading.split(' ').next().expect("a heading begins with its mark");
    rest.split(&format!("\n{mark} ")).next().unwrap_or(rest).to_owned()
}

/// The block of a language that begins so.
#[track_caller]
fn block(section: &str, language: &str, start: &str) -> String {
    let fence = format!("```{language}\n");
    let mut blocks = section.split(&fence).skip(1).filter_map(|rest| rest.split_once("```"));
    let found = blocks.find(|(block, _)| block.starts_with(start));
    found.unwrap_or_else(|| panic!("no block of `{language}` begins with `{start}`")).0.to_owned()
}

/// A function of its own, beside the SDK.
fn function(server: &Server, name: &str, manifest: &str, source: &str) -> PathBuf {
    let beside = copy(server, "call-push-handler");
    let folder = beside.with_file_name(name);
    fs::create_dir_all(&folder).expect("a folder");
    fs::copy(beside.join("go.mod"), folder.join("go.mod")).expect("copied");
    fs::write(folder.join("function.yaml"), manifest).expect("written");
    fs::write(folder.join("function.go"), source).expect("written");
    folder
}

/// Runs a block of commands in a folder.
#[track_caller]
fn run(server: &Server, folder: &Path, script: &str) {
    let verb = server.command(folder);
    let program = Path::new(verb.get_program()).parent().expect("the binary is in a folder");
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = [program.to_path_buf()].into_iter().chain(std::env::split_paths(&paths));
    let mut shell = Command::new("bash");
    shell.current_dir(folder).args(["-euo", "pipefail", "-c", script]);
    for (name, value) in verb.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let ended = shell.env("PATH", std::env::join_paths(paths).expect("paths")).output().expect("bash starts");
    assert!(ended.status.success(), "{script}\n{}", String::from_utf8_lossy(&ended.stderr));
}

fn socket(server: &Server, path: &str) -> WebSocket<TcpStream> {
    let host = server.address().replace("http://", "ws://");
    let url = format!("{host}{path}api_key={}", server.admin_key());
    let stream = server.http().connect().expect("the server listens");
    tungstenite::client(&url, stream).expect("the server speaks WebSocket").0
}

fn read(socket: &mut WebSocket<TcpStream>) -> String {
    socket.read().expect("a frame comes").to_text().expect("frames of ours are text").to_owned()
}

fn event(socket: &mut WebSocket<TcpStream>) -> Value {
    let frame: Value = serde_json::from_str(&read(socket)).expect("events are JSON");
    json!([frame["_orama"], frame["key"], frame["reason"]])
}

#[test]
fn the_call_push_handler_rings_when_an_invitation_is_published() {
    let server = Server::start();
    let shown = section("## Example: Call Push Handler");
    let source = block(&shown, "go", "");
    assert_eq!(source, tree("examples/call-push-handler/function.go"));
    let folder = function(&server, "handler", &block(&shown, "yaml", "name:"), &source);
    deploy(&server, &folder);

    // The commands of the section about triggers, with the id that `list` shows.
    let triggers = || -> Value {
        let listed = server.orama(["--json", "function", "triggers", "list", "call-push-handler"]);
        serde_json::from_str(listed.ok()).expect("a document")
    };
    let commands = block(&section("## PubSub Triggers"), "sh", "# Call");
    for command in commands.lines().filter(|line| line.starts_with("orama ")) {
        let id = triggers()["triggers"][0]["id"].as_str().unwrap_or_default().to_owned();
        run(&server, &folder, &command.replace("<trigger-id>", &id));
    }
    assert_eq!(triggers()["count"], 0, "the last command deletes it");

    run(&server, &folder, &block(&shown, "sh", "orama function build"));
    let rang = "rang 0 of 0 devices of grace";
    server.orama_until(["function", "logs", "call-push-handler"], |logs| logs.stdout.contains(rang));
}

#[test]
fn the_typing_indicator_ends_with_its_socket() {
    let server = Server::start();
    let source = block(&section("### Ephemeral State"), "go", "// A typing indicator");
    deploy(&server, &function(&server, "typing", "name: typing\n", &source));
    let mut room = socket(&server, "/v1/pubsub/ws?topic=typing:room1&");
    let mut typing = socket(&server, "/v1/functions/typing/ws?");
    for op in ["typing.start", "typing.stop", "typing.start"] {
        let order = json!({ "op": op, "room": "room1", "user": "user-7" });
        typing.send(Message::text(order.to_string())).expect("sent");
        let answer: Value = serde_json::from_str(&read(&mut typing)).expect("JSON");
        assert_eq!(answer["output"], json!({ "done": true }), "{answer}");
    }
    drop(typing);
    let told: Vec<Value> = (0..4).map(|_| event(&mut room)).collect();
    let (set, cleared) =
        (json!(["ephemeral.set", "user-7", null]), |why: &str| json!(["ephemeral.clear", "user-7", why]));
    assert_eq!(told, [set.clone(), cleared("explicit"), set, cleared("disconnect")]);
}

#[test]
fn the_counting_socket_counts_and_hears_the_news() {
    let server = Server::start();
    let source = block(&section("## WebSocket functions"), "go", "// A socket that counts");
    let manifest = "name: counting\nlanguage: go\nreactor: true\nws_persistent: true\n";
    deploy(&server, &function(&server, "counting", manifest, &source));
    let mut counting = socket(&server, "/v1/functions/counting/ws?");
    for (frame, want) in [("a", "frame 1: a"), ("b", "frame 2: b")] {
        counting.send(Message::text(frame)).expect("sent");
        assert_eq!(read(&mut counting), want);
    }
    server.orama(["pubsub", "publish", "news", "extra"]).ok();
    assert_eq!(read(&mut counting), "extra");
}
