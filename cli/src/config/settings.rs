//! The values of all settings, layer upon layer, each with the place it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::file;
use super::schema::{SCHEMA, Schema, Setting, variable};
use crate::failure::{Failure, Outcome};

/// The file that is read when no other is named and it exists.
const FILE: &str = "orama.yaml";

/// Variables with our prefix that are no settings of a server.
const CLIENT_VARIABLES: [&str; 3] = ["ORAMA_GATEWAY_URL", "ORAMA_API_KEY", "ORAMA_NAMESPACE"];

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigFlags {
    /// Folder of everything the node keeps [default: ./orama-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Address to accept connections on; port 0 takes a free one [default: 127.0.0.1:6001]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Configuration file [default: ./orama.yaml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf, u64),
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Environment(variable) => f.write_str(variable),
            Origin::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// A value of every setting of a schema; each has passed the setting's check.
#[derive(Debug, Clone)]
pub struct Settings {
    schema: Schema,
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Settings {
    /// Reads file, environment and flags of this process.
    pub fn load(flags: &ConfigFlags) -> Outcome<Self> {
        let mut settings = Self::defaults(SCHEMA);
        if let Some((path, text)) = find_file(flags.config.as_deref())? {
            settings.apply_file(&path, &text)?;
        }
        settings.apply_environment(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )?;
        settings.apply_flag("--data", "data", flags.data.as_deref())?;
        settings.apply_flag("--listen", "listen", flags.listen.as_deref())?;
        Ok(settings)
    }

    pub(super) fn defaults(schema: Schema) -> Self {
        let default = |setting: &'static Setting| (setting.path, (setting.default.to_owned(), Origin::Default));
        Self { schema, values: schema.settings.iter().map(default).collect() }
    }

    pub(super) fn apply_file(&mut self, path: &Path, text: &str) -> Outcome {
        let values =
            file::read(&self.schema, text).map_err(|wrong| Failure::usage(format!("`{}` {wrong}", path.display())))?;
        for value in values {
            self.values.insert(value.setting.path, (value.text, Origin::File(path.to_owned(), value.line)));
        }
        Ok(())
    }

    /// An empty variable counts as unset. A variable of one of our sections that is no setting is refused; others with
    /// the prefix are not, because orchestrators make some of their own (`ORAMA_PORT`, `ORAMA_SERVICE_HOST`).
    pub(super) fn apply_environment(&mut self, variables: impl Iterator<Item = (String, String)>) -> Outcome {
        let ours = |name: &str| name.starts_with("ORAMA_") && !CLIENT_VARIABLES.contains(&name);
        for (name, text) in variables.filter(|(name, text)| ours(name) && !text.is_empty()) {
            match self.schema.settings.iter().find(|setting| setting.variable() == name) {
                Some(setting) => self.apply(setting, &text, &name, Origin::Environment(name.clone()))?,
                None => self.refuse_variable(&name)?,
            }
        }
        Ok(())
    }

    pub(super) fn apply_flag(&mut self, flag: &'static str, path: &str, value: Option<&str>) -> Outcome {
        let Some(text) = value else { return Ok(()) };
        let setting = self.schema.setting(path).expect("every flag is a setting");
        self.apply(setting, text, flag, Origin::Flag(flag))
    }

    fn apply(&mut self, setting: &'static Setting, text: &str, source: &str, origin: Origin) -> Outcome {
        setting.check(text).map_err(|reason| Failure::usage(format!("`{source}` {reason}")))?;
        self.values.insert(setting.path, (text.to_owned(), origin));
        Ok(())
    }

    fn refuse_variable(&self, name: &str) -> Outcome {
        if let Some(renamed) = self.schema.renamed.iter().find(|renamed| variable(renamed.old) == name) {
            return Err(Failure::usage(format!("`{name}` is now called `{}`", variable(renamed.new))));
        }
        let sections = self.schema.settings.iter().filter_map(|setting| setting.path.split_once('.'));
        if !sections.into_iter().any(|(section, _)| name.starts_with(&format!("{}_", variable(section)))) {
            return Ok(());
        }
        let known: Vec<String> = self.schema.settings.iter().map(Setting::variable).collect();
        let lower: Vec<String> = known.iter().map(|known| known.to_lowercase()).collect();
        let near = domain::nearest(name, lower.iter().map(String::as_str)).map(str::to_uppercase);
        let suggestion = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        Err(Failure::usage(format!("unknown variable `{name}`{suggestion}"))
            .hint("run `orama config show --origin` to see every setting"))
    }

    /// Path, value and origin of each setting, in the order of the table.
    pub fn entries(&self) -> impl Iterator<Item = (&'static Setting, &str, &Origin)> {
        self.schema.settings.iter().map(|setting| {
            let (text, origin) = &self.values[setting.path];
            (setting, text.as_str(), origin)
        })
    }

    pub(super) fn text(&self, path: &str) -> &str {
        &self.values[path].0
    }

    pub(super) fn text_if_any(&self, path: &str) -> Option<String> {
        Some(self.text(path)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn number(&self, path: &str) -> u64 {
        self.text(path).parse().expect("every value was checked when it was set")
    }

    pub(super) fn count(&self, path: &str) -> usize {
        usize::try_from(self.number(path)).unwrap_or(usize::MAX)
    }

    pub(super) fn switch(&self, path: &str) -> bool {
        self.text(path) == "true"
    }

    pub(super) fn address(&self, path: &str) -> SocketAddr {
        self.text(path).parse().expect("every value was checked when it was set")
    }
}

fn find_file(named: Option<&Path>) -> Outcome<Option<(PathBuf, String)>> {
    let path = named.unwrap_or(Path::new(FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format!("failed to read the configuration `{}`: {error}", path.display()))),
    }
}
