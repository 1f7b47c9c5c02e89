//! `orama db shell`: statements line by line.

use std::io::{self, BufRead, IsTerminal, Write};

use super::complete;
use crate::args::Shared;
use crate::failure::{Failure, Outcome};
use crate::gateway::Gateway;
use crate::screen;

/// Type SQL, or pipe it in; each statement ends with `;` and stands by itself
///
/// `.tables` and `.schema` show what there is, `.quit` or the end of input leaves. On a terminal a failed statement is
/// told and the next one asked for; otherwise it ends the shell with exit code 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama db shell
  orama db shell < seed.sql
  echo 'SELECT count(*) FROM users;' | orama db shell --json")]
pub struct Args {}

/// Whether the shell goes on.
enum Next {
    Line,
    Leave,
}

pub(super) fn run(gateway: &Gateway, shared: &Shared) -> Outcome {
    let person = io::stdin().is_terminal();
    if person {
        let namespace = gateway.namespace()?;
        screen::talk(&format!("database of {namespace} at {}; `.help` helps", gateway.connection().gateway));
    }
    let mut text = String::new();
    loop {
        if person {
            prompt(&text);
        }
        let Some(line) = read_line()? else { break };
        match take_line(gateway, shared, &mut text, &line) {
            Ok(Next::Line) => {}
            Ok(Next::Leave) => return Ok(()),
            Err(failure) if person => {
                text.clear();
                screen::failure(&failure);
            }
            Err(failure) => return Err(failure),
        }
    }
    match complete::is_empty(&text) {
        true => Ok(()),
        false => Err(Failure::failed("the last statement has no end, and was not run").hint("end it with `;`")),
    }
}

fn prompt(text: &str) {
    let _ = write!(io::stderr().lock(), "{}", if text.trim().is_empty() { "sql> " } else { " ...> " });
    let _ = io::stderr().flush();
}

fn read_line() -> Outcome<Option<String>> {
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(line)),
        Err(error) => Err(Failure::failed(format!("failed to read stdin: {error}"))),
    }
}

/// A line with a dot is ours when no statement is open.
fn take_line(gateway: &Gateway, shared: &Shared, text: &mut String, line: &str) -> Outcome<Next> {
    if text.trim().is_empty() && line.trim_start().starts_with('.') {
        return command(gateway, shared, line.trim());
    }
    text.push_str(line);
    for statement in complete::take(text) {
        run_statement(gateway, shared, &statement)?;
    }
    Ok(Next::Line)
}

fn command(gateway: &Gateway, shared: &Shared, line: &str) -> Outcome<Next> {
    match line {
        ".quit" | ".exit" => return Ok(Next::Leave),
        ".tables" => super::tables(gateway, shared)?,
        ".schema" => super::schema(gateway, shared)?,
        ".help" => {
            screen::talk(".tables  the tables and views\n.schema  the statements that made them\n.quit    leave")
        }
        _ => return Err(Failure::usage(format!("there is no `{line}`")).hint("`.help` shows what there is")),
    }
    Ok(Next::Line)
}

fn run_statement(gateway: &Gateway, shared: &Shared, statement: &str) -> Outcome {
    match brings_rows(statement) {
        true => super::query(gateway, shared, statement, None),
        false => super::exec(gateway, shared, statement, None),
    }
}

/// What is asked for rows, and what changes something and says so with rows.
fn brings_rows(statement: &str) -> bool {
    let words = complete::words(statement);
    let first = words.first().map(String::as_str);
    matches!(first, Some("SELECT" | "VALUES" | "WITH" | "EXPLAIN" | "PRAGMA"))
        || (first != Some("CREATE") && words.iter().any(|word| word == "RETURNING"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shown_where_there_are_some() {
        for statement in
            ["select 1;", "-- all\nWITH a AS (SELECT 1) SELECT * FROM a;", "INSERT INTO a VALUES (1) RETURNING id;"]
        {
            assert!(brings_rows(statement), "{statement}");
        }
        for statement in ["INSERT INTO a VALUES ('RETURNING');", "CREATE TABLE a (returning);", "DELETE FROM a;"] {
            assert!(!brings_rows(statement), "{statement}");
        }
    }
}
