//! A webhook on this machine, so that the example that calls one has somebody to call.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};

/// The host that the example is written for.
const HOST: &str = "hooks.example.com";
/// The largest event that is read.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Runs `deploy_and_call` with a copy of the example whose webhook is on this machine.
pub fn call(example: &Path, deploy_and_call: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("open a port for the webhook")?;
    let address = listener.local_addr()?.to_string();
    // Ends with this program; the function may be called again as long as it runs.
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(answer(stream))));
    let copy = tempfile::tempdir_in(example.parent().context("an example has a folder around it")?)?;
    for entry in fs::read_dir(example)?.flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
    }
    let manifest = copy.path().join("function.yaml");
    let text = fs::read_to_string(&manifest)?;
    let here = text.replace(&format!("https://{HOST}"), &format!("http://{address}")).replace(HOST, &address);
    fs::write(&manifest, here)?;
    println!("webhook  http://{address}");
    deploy_and_call(copy.path())
}

/// Reads one request and says how long its body was.
fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or(0);
            }
            _ => {}
        }
        line.clear();
    }
    let mut event = vec![0; length.min(EVENT_BYTES_MAX)];
    reader.read_exact(&mut event)?;
    let body = format!("received {} bytes", event.len());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    reader.get_mut().write_all(format!("{head}{body}").as_bytes())
}
