//! Where everything is printed: data to stdout, talk to stderr.
//!
//! A reader that went away (`orama … | head`) ends the program quietly.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde::Serialize;

use crate::failure::Failure;
use crate::printable;

/// Writes data as it is.
pub fn data(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Writes a line of data.
pub fn line(text: &str) {
    data(format!("{text}\n").as_bytes());
}

/// Writes one JSON document on one line.
pub fn json(document: &impl Serialize) {
    line(&serde_json::to_string(document).expect("what we print has only text keys"));
}

/// Writes a JSON document as it arrived, on one line.
pub fn document(body: &[u8]) {
    data(&[body.trim_ascii(), b"\n"].concat());
}

/// Says something to the person in front: progress, a result that is not data.
pub fn talk(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

pub fn warning(text: &str) {
    talk(&format!("{} {}", label("warning:", YELLOW), indented(text, "warning: ".len())));
}

pub fn hint(text: &str) {
    talk(&format!("{} {}", label("hint:", CYAN), indented(text, "hint: ".len())));
}

pub fn failure(failure: &Failure) {
    talk(&format!("{} {}", label("error:", RED), indented(&failure.message, "error: ".len())));
    if let Some(text) = &failure.hint {
        hint(text);
    }
}

/// Is a person looking at stdout?
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Is a person looking at stderr?
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Asks on stderr and reads a line from stdin; `None` at the end of input.
pub fn ask(question: &str) -> Option<String> {
    let _ = write!(io::stderr().lock(), "{question}");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    match io::stdin().read_line(&mut answer) {
        Ok(read) if read > 0 => Some(answer.trim().to_owned()),
        _ => None,
    }
}

/// Asks whether to go on; anything but a yes means no, the end of input too.
pub fn confirmed(question: &str) -> bool {
    let answer = ask(&format!("{question} [y/N] "));
    if answer.is_none() {
        talk("");
    }
    matches!(answer.as_deref(), Some("y" | "Y" | "yes" | "Yes"))
}

/// Asks like [`ask`], and a terminal does not show what is typed.
pub fn ask_hidden(question: &str) -> Option<String> {
    let hidden = io::stdin().is_terminal().then(hide_typing).flatten();
    let answer = ask(question);
    if let Some(before) = &hidden {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
    }
    if hidden.is_some() || answer.is_none() {
        talk("");
    }
    answer
}

/// Stops the terminal from showing what is typed; returns how to undo it.
fn hide_typing() -> Option<Termios> {
    let before = tcgetattr(io::stdin()).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(io::stdin(), OptionalActions::Now, &quiet).ok()?;
    Some(before)
}

/// A bar for bytes on their way; hidden unless a person looks at stderr. Without a size it counts.
pub fn progress(bytes: Option<u64>, what: &'static str) -> ProgressBar {
    if !stderr_is_terminal() {
        return ProgressBar::with_draw_target(bytes, ProgressDrawTarget::hidden());
    }
    let template = match bytes {
        Some(_) => "{msg:<11} [{bar:30}] {bytes}/{total_bytes}",
        None => "{msg:<11} {bytes}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is right").progress_chars("=> ");
    let bar = bytes.map_or_else(ProgressBar::no_length, ProgressBar::new).with_style(style).with_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Lines of a message stand below each other, so that none of them can pass for a line of ours.
fn indented(text: &str, width: usize) -> String {
    printable::block(text.trim_end()).replace('\n', &format!("\n{}", " ".repeat(width)))
}

const RED: &str = "31";
const YELLOW: &str = "33";
const CYAN: &str = "36";

fn label(word: &str, colour: &str) -> String {
    if colours() { format!("\x1b[1;{colour}m{word}\x1b[0m") } else { word.to_owned() }
}

fn colours() -> bool {
    stderr_is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_forge_a_line() {
        assert_eq!(indented("exit code 3\nhint: run rm\x1b[2K\n", 7), "exit code 3\n       hint: run rm\\x1b[2K");
    }
}
