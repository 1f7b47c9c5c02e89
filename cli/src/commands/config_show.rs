use serde_json::{Map, Value, json};

use crate::args::Shared;
use crate::config::{ConfigFlags, Kind, Settings};
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
    let settings_shown = settings.entries().map(|(setting, text, origin)| (setting, shown(setting.kind, text), origin));
    let entry = |text: &str, origin: &dyn std::fmt::Display| match with_origin {
        true => json!({"value": value(text), "origin": origin.to_string()}),
        false => value(text),
    };
    let entries = settings_shown.map(|(setting, text, origin)| (setting.path.to_owned(), entry(text, origin)));
    Value::Object(entries.collect::<Map<_, _>>())
}

fn origins(settings: &Settings) -> String {
    let mut table = Table::new(["SETTING", "VALUE", "ORIGIN"]);
    for (setting, text, origin) in settings.entries() {
        table.row([setting.path.to_owned(), shown(setting.kind, text).to_owned(), origin.to_string()]);
    }
    table.render()
}

/// What stands for a secret that is set.
const HIDDEN: &str = "***";

fn shown(kind: Kind, text: &str) -> &str {
    if kind == Kind::Secret && !text.is_empty() { HIDDEN } else { text }
}

/// A file that, read again, gives the same settings, but for secrets.
fn yaml(settings: &Settings) -> String {
    let mut file = String::new();
    let mut open: Vec<&str> = Vec::new();
    for (setting, text, _) in settings.entries() {
        let mut sections: Vec<&str> = setting.path.split('.').collect();
        let key = sections.pop().unwrap_or_default();
        let common = open.iter().zip(&sections).take_while(|(one, other)| one == other).count();
        for (depth, section) in sections.iter().enumerate().skip(common) {
            file.push_str(&format!("{}{section}:\n", "  ".repeat(depth)));
        }
        let indent = "  ".repeat(sections.len());
        open = sections;
        if shown(setting.kind, text) == HIDDEN {
            file.push_str(&format!("{indent}# {key} is set, and not shown\n"));
            continue;
        }
        file.push_str(&format!("{indent}{key}: {}\n", scalar(setting.kind, text)));
    }
    file
}

fn scalar(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Number(..) | Kind::Switch => text.to_owned(),
        // A JSON string is a YAML string.
        _ => json!(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let file = std::env::temp_dir().join(format!("orama-show-{}.yaml", std::process::id()));
        std::fs::write(&file, "push:\n  ntfy_auth_token: canary\n  apns_key_id: ABC\n").expect("written");
        let settings = Settings::load(&ConfigFlags { config: Some(file.clone()), ..ConfigFlags::default() });
        std::fs::remove_file(&file).expect("it is there");
        let Ok(settings) = settings else { panic!("the settings are good") };
        let printed = [yaml(&settings), origins(&settings), document(&settings, true).to_string()];
        assert!(printed.iter().all(|text| !text.contains("canary") && text.contains("ABC")));
        assert!(printed[0].contains("  # ntfy_auth_token is set, and not shown\n"));
        assert!(printed[0].contains("  expo_access_token: \"\"\n"), "what is not set is a setting like all others");
    }
}
