//! Reads `orama.yaml` into values of the schema's settings.

use domain::yaml::{self, InvalidYaml, Key, Node, Read};

use super::schema::{Kind, Schema, Setting};

/// A value of the file, and the line it stood in.
pub struct FileValue {
    pub setting: &'static Setting,
    pub text: String,
    pub line: u64,
}

pub fn read(schema: &Schema, text: &str) -> Read<Vec<FileValue>> {
    let mut values = Vec::new();
    for (key, node) in yaml::entries(yaml::parse(text)?, "", "the configuration")? {
        refuse_renamed(schema, &key, &key.value)?;
        let name = yaml::known_key(&key, &schema.keys(""))?;
        match schema.setting(name) {
            Some(setting) => values.push(value(setting, node)?),
            None => section(schema, name, node, &mut values)?,
        }
    }
    Ok(values)
}

/// The settings below `name`, and those of the sections in it.
fn section(schema: &Schema, name: &str, node: Node, values: &mut Vec<FileValue>) -> Read<()> {
    for (key, node) in yaml::entries(node, name, &format!("`{name}`"))? {
        refuse_renamed(schema, &key, &format!("{name}.{}", key.value))?;
        let path = format!("{name}.{}", yaml::known_key(&key, &schema.keys(name))?);
        match schema.setting(&path) {
            Some(setting) => values.push(value(setting, node)?),
            None => section(schema, &path, node, values)?,
        }
    }
    Ok(())
}

fn refuse_renamed(schema: &Schema, key: &Key, path: &str) -> Read<()> {
    match schema.renamed(path) {
        None => Ok(()),
        Some(renamed) => {
            let at = (key.referenced.line(), key.referenced.column());
            Err(yaml::wrong(at, path, format!("`{}` is now called `{}`", renamed.old, renamed.new)))
        }
    }
}

fn value(setting: &'static Setting, node: Node) -> Read<FileValue> {
    let (line, column) = node.place();
    let text = match setting.kind {
        Kind::Number(..) => yaml::integer(node, setting.path)?.to_string(),
        Kind::Switch => yaml::boolean(node, setting.path)?.to_string(),
        Kind::Ranges | Kind::Origins | Kind::List => yaml::texts(node, setting.path)?.join(","),
        Kind::Address
        | Kind::AddressOrNone
        | Kind::Path
        | Kind::OneOf(_)
        | Kind::Text
        | Kind::Secret
        | Kind::Url
        | Kind::Contract => yaml::text(node, setting.path)?,
    };
    match setting.check(&text) {
        Ok(()) => Ok(FileValue { setting, text, line }),
        Err(reason) => Err(InvalidYaml {
            line,
            column,
            field: setting.path.to_owned(),
            reason: format!("`{}` {reason}", setting.path),
        }),
    }
}
