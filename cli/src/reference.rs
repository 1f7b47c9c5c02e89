//! The reference documents, made from the definitions themselves: `docs/cli.md` and `docs/configuration.md`.

use clap::{Arg, Command, CommandFactory};

use crate::args::Cli;
use crate::config::{Kind, SETTINGS, Setting};

/// Every verb with its arguments, as Markdown.
pub fn cli_reference() -> String {
    let mut command = Cli::command();
    command.build();
    let mut text = String::from(
        "# The command line\n\nMade by `orama __docs cli`; do not edit.\n\n\
         Data goes to stdout, talk to stderr. Exit codes: 0 ok, 1 the call failed, 2 wrong usage, 3 gateway not reachable, \
         4 not allowed.\n\n## Options of every verb\n\n",
    );
    let shared: Vec<&Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).collect();
    options(&mut text, &shared);
    verbs(&mut text, &command);
    text
}

/// Every setting of a server, as Markdown.
pub fn config_reference() -> String {
    let mut text = String::from(
        "# The configuration of a server\n\nMade by `orama __docs config`; do not edit.\n\n\
         Read from `orama.yaml`, then from the environment, then from flags. `orama config show --origin` prints each value \
         and where it came from.\n\n| setting | variable | takes | default | meaning |\n|---|---|---|---|---|\n",
    );
    for setting in SETTINGS {
        text.push_str(&format!(
            "| `{}` | `{}` | {} | `{}` | {} |\n",
            setting.path,
            setting.variable(),
            takes(setting),
            setting.default,
            setting.meaning
        ));
    }
    text
}

fn takes(setting: &Setting) -> String {
    match setting.kind {
        Kind::Address => "address and port".to_owned(),
        Kind::AddressOrNone => "address and port, or nothing".to_owned(),
        Kind::List => "texts".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::OneOf(words) => format!("`{}`", words.join("`, `")),
        Kind::Number(least, most) => format!("{least} to {most}"),
        Kind::Switch => "`true`, `false`".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Secret => "text, never shown".to_owned(),
        Kind::Url => "http or https URL".to_owned(),
        Kind::Contract => "address of Ethereum".to_owned(),
        Kind::Ranges => "ranges of addresses".to_owned(),
        Kind::Origins => "origins of pages, or `*`".to_owned(),
    }
}

/// The verbs below `command`, each with a heading of its own; groups have none.
fn verbs(text: &mut String, command: &Command) {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        match verb.has_subcommands() {
            true => verbs(text, verb),
            false => describe(text, verb),
        }
    }
}

fn describe(text: &mut String, verb: &Command) {
    let name = verb.get_bin_name().unwrap_or_else(|| verb.get_name());
    text.push_str(&format!("\n## `{name}`\n\n"));
    if let Some(about) = verb.get_long_about().or_else(|| verb.get_about()) {
        text.push_str(&sentences(&about.to_string()));
    }
    let own = |arg: &&Arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help";
    let arguments: Vec<&Arg> = verb.get_arguments().filter(own).collect();
    text.push_str(&format!("```\n{}\n```\n", usage(name, &arguments)));
    if !arguments.is_empty() {
        text.push('\n');
        options(text, &arguments);
    }
    if let Some(examples) = verb.get_after_help() {
        let examples = examples.to_string();
        let lines = examples.lines().skip(1).map(|line| line.trim_start().to_owned());
        text.push_str(&format!("\n```sh\n{}\n```\n", lines.collect::<Vec<_>>().join("\n")));
    }
}

/// The first paragraph of a help text has lost its full stop.
fn sentences(about: &str) -> String {
    about.split("\n\n").map(|paragraph| format!("{}.\n\n", paragraph.trim_end_matches('.'))).collect()
}

fn usage(name: &str, arguments: &[&Arg]) -> String {
    let has_options = arguments.iter().any(|arg| !arg.is_positional() && !arg.is_required_set());
    let required = arguments.iter().filter(|arg| is_required_option(arg));
    let required = required.map(|arg| format!(" --{} <{}>", arg.get_long().unwrap_or_default(), value_name(arg)));
    let positional = arguments.iter().filter(|arg| arg.is_positional()).map(|arg| match arg.is_required_set() {
        true => format!(" <{}>", value_name(arg)),
        false => format!(" [{}]", value_name(arg)),
    });
    let rest: String = required.chain(positional).collect();
    format!("{name}{}{rest}", if has_options { " [OPTIONS]" } else { "" })
}

fn is_required_option(arg: &Arg) -> bool {
    arg.is_required_set() && !arg.is_positional()
}

fn options(text: &mut String, arguments: &[&Arg]) {
    text.push_str("| option | meaning |\n|---|---|\n");
    for arg in arguments {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let takes_value = arg.get_num_args().is_some_and(|count| count.takes_values());
        let default = match takes_value && !defaults.is_empty() {
            true => format!(" [default: `{}`]", defaults.join(" ")),
            false if is_required_option(arg) => " [required]".to_owned(),
            false => String::new(),
        };
        let meaning = format!("{help}{default}");
        text.push_str(&format!("| `{}` | {} |\n", signature(arg), meaning.trim().replace('|', "\\|")));
    }
}

fn signature(arg: &Arg) -> String {
    let value = value_name(arg).replace('|', "\\|");
    if arg.is_positional() {
        return value;
    }
    let short = arg.get_short().map_or(String::new(), |short| format!("-{short}, "));
    let long = arg.get_long().map_or(String::new(), |long| format!("--{long}"));
    let takes_value = arg.get_num_args().is_some_and(|count| count.takes_values());
    if takes_value { format!("{short}{long} {value}") } else { format!("{short}{long}") }
}

fn value_name(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some([first, ..]) => first.to_string(),
        _ => arg.get_id().as_str().to_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_of_the_document_is_in_the_reference() {
        let text = cli_reference();
        for verb in ["init", "build", "deploy", "invoke", "list", "get", "delete", "logs", "versions"] {
            assert!(text.contains(&format!("## `orama function {verb}`")), "{verb} is described");
        }
        assert!(!text.contains("__docs`\n\n```"), "hidden verbs stay hidden");
        assert!(text.contains("\norama cache get --map <MAP> <KEY>\n"), "what must be said stands in the usage");
        assert!(text.contains("| `--map MAP` | The map that the key is in [required] |"), "and in the table");
    }

    #[test]
    fn every_setting_is_in_the_reference() {
        let text = config_reference();
        assert!(SETTINGS.iter().all(|setting| text.contains(&format!("| `{}` |", setting.path))));
    }
}
