use serde_json::{Map, Value, json};

use crate::args::Shared;
use crate::config::{ConfigFlags, Settings};
use crate::failure::Outcome;
use crate::screen;
use crate::table::Table;

/// Print the settings that `orama serve` would run with
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama config show > every-setting.yaml
  orama config show --origin                    # each value and where it came from")]
pub struct Args {
    /// Also print where each value came from: default, file and line, variable, or flag
    #[arg(long)]
    origin: bool,
    #[command(flatten)]
    config: ConfigFlags,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let settings = Settings::load(&args.config)?;
    match (shared.json, args.origin) {
        (true, origin) => screen::json(&document(&settings, origin)),
        (false, true) => screen::data(origins(&settings).as_bytes()),
        (false, false) => screen::data(yaml(&settings).as_bytes()),
    }
    Ok(())
}

fn document(settings: &Settings, with_origin: bool) -> Value {
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    let entry = |text: &str, origin: &dyn std::fmt::Display| match with_origin {
        true => json!({"value": value(text), "origin": origin.to_string()}),
        false => value(text),
    };
    let entries = settings.entries().map(|(setting, text, origin)| (setting.path.to_owned(), entry(text, origin)));
    Value::Object(entries.collect::<Map<_, _>>())
}

fn origins(settings: &Settings) -> String {
    let mut table = Table::new(["SETTING", "VALUE", "ORIGIN"]);
    for (setting, text, origin) in settings.entries() {
        table.row([setting.path.to_owned(), text.to_owned(), origin.to_string()]);
    }
    table.render()
}

/// A file that, read again, gives the same settings.
fn yaml(settings: &Settings) -> String {
    let mut file = String::new();
    let mut open_section = "";
    for (setting, text, _) in settings.entries() {
        let (section, key) = setting.path.split_once('.').unwrap_or(("", setting.path));
        if section != open_section && !section.is_empty() {
            file.push_str(&format!("{section}:\n"));
        }
        open_section = section;
        let indent = if section.is_empty() { "" } else { "  " };
        file.push_str(&format!("{indent}{key}: {}\n", scalar(setting.kind, text)));
    }
    file
}

fn scalar(kind: crate::config::Kind, text: &str) -> String {
    match kind {
        crate::config::Kind::Number(..) | crate::config::Kind::Switch => text.to_owned(),
        // A JSON string is a YAML string.
        _ => json!(text).to_string(),
    }
}
