//! Queries composed of parts.
//!
//! Tables, aliases and columns of criteria are identifiers and are quoted. `select`, `order_by`, `group_by`, `on` and `expr`
//! are SQL of the caller, as in every statement that it sends to its own database: the database decides what is allowed.

use domain::{SqlStatement, SqlValue};

use crate::document::Document;
use crate::error::Refusal;

/// The longest identifier, in characters.
const NAME_CHARS_MAX: usize = 128;

/// A query, part by part.
#[derive(Debug, Default)]
pub(crate) struct Query {
    columns: Vec<String>,
    /// Quoted, with an alias if there is one.
    table: String,
    joins: Vec<String>,
    /// Conditions with the word that stands before each but the first.
    conditions: Vec<(&'static str, String)>,
    group_by: Vec<String>,
    order_by: Vec<String>,
    limit: Option<u64>,
    offset: Option<u64>,
    arguments: Vec<SqlValue>,
}

impl Query {
    /// `table` with `criteria`, all of which must be equal; the rest stands in `options` or beside them.
    pub(crate) fn of_criteria(document: &Document<'_>) -> Result<Self, Refusal> {
        let options = document.object("options")?;
        let mut query = Self::default();
        query.read_common(document)?;
        if let Some(options) = &options {
            query.read_common(options)?;
        }
        let table = Table::parse(&document.needed_text("table")?)?;
        query.table = table.reference();
        let criteria = document.object("criteria")?;
        let mut names: Vec<&str> = criteria.iter().flat_map(Document::keys).collect();
        names.sort_unstable();
        for name in names {
            let value = criteria.as_ref().map_or(Ok(SqlValue::Null), |criteria| criteria.value(name))?;
            query.add_criterion(&table, name, value)?;
        }
        Ok(query)
    }

    /// The body of `select`.
    pub(crate) fn of_parts(document: &Document<'_>) -> Result<Self, Refusal> {
        let mut query = Self::default();
        query.read_common(document)?;
        let mut table = Table::parse(&document.needed_text("table")?)?;
        if let Some(alias) = document.text("alias")?.filter(|alias| !alias.is_empty()) {
            table.alias = Some(quoted(&alias)?);
        }
        query.table = table.reference();
        for condition in document.objects("where")? {
            query.conditions.push((conjunction(&condition)?, format!("({})", condition.needed_text("expr")?)));
            query.arguments.extend(condition.arguments("args")?);
        }
        Ok(query)
    }

    /// At most one row.
    pub(crate) fn first_only(mut self) -> Self {
        self.limit = Some(1);
        self
    }

    fn read_common(&mut self, document: &Document<'_>) -> Result<(), Refusal> {
        self.columns.extend(document.texts("select")?);
        self.group_by.extend(document.texts("group_by")?);
        self.order_by.extend(document.texts("order_by")?);
        self.limit = document.whole("limit")?.or(self.limit);
        self.offset = document.whole("offset")?.or(self.offset);
        for join in document.objects("joins")? {
            let table = Table::parse(&join.needed_text("table")?)?.reference();
            self.joins.push(format!("{} JOIN {table} ON {}", join_kind(&join)?, join.needed_text("on")?));
        }
        Ok(())
    }

    /// Columns are written with their table: alone, a name that is no column would be taken for a text.
    fn add_criterion(&mut self, table: &Table, name: &str, value: SqlValue) -> Result<(), Refusal> {
        let column = match name.split_once('.') {
            Some((table, column)) => format!("{}.{}", quoted(table)?, quoted(column)?),
            None => format!("{}.{}", table.name_in_expressions(), quoted(name)?),
        };
        self.conditions.push(match value {
            SqlValue::Null => ("AND", format!("{column} IS NULL")),
            value => {
                self.arguments.push(value);
                ("AND", format!("{column} = ?"))
            }
        });
        Ok(())
    }

    pub(crate) fn statement(self) -> SqlStatement {
        let columns = if self.columns.is_empty() { "*".to_owned() } else { self.columns.join(", ") };
        let mut sql = format!("SELECT {columns} FROM {}", self.table);
        let mut arguments = self.arguments;
        for join in &self.joins {
            sql.push_str(&format!(" {join}"));
        }
        for (index, (conjunction, condition)) in self.conditions.iter().enumerate() {
            let word = if index == 0 { "WHERE" } else { conjunction };
            sql.push_str(&format!(" {word} {condition}"));
        }
        for (words, parts) in [("GROUP BY", &self.group_by), ("ORDER BY", &self.order_by)] {
            if !parts.is_empty() {
                sql.push_str(&format!(" {words} {}", parts.join(", ")));
            }
        }
        if self.limit.is_some() || self.offset.is_some() {
            // SQLite has no OFFSET without LIMIT; -1 is no limit.
            sql.push_str(" LIMIT ? OFFSET ?");
            let number = |value: u64| SqlValue::Integer(i64::try_from(value).unwrap_or(i64::MAX));
            arguments.push(self.limit.map_or(SqlValue::Integer(-1), number));
            arguments.push(number(self.offset.unwrap_or(0)));
        }
        SqlStatement::new(sql, arguments)
    }
}

/// A table as it is named: `users`, `main.users`, `users u` or `users AS u`.
struct Table {
    /// Quoted.
    name: String,
    alias: Option<String>,
}

impl Table {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (name, alias) = match words[..] {
            [name] => (name, None),
            [name, alias] => (name, Some(alias)),
            [name, word, alias] if word.eq_ignore_ascii_case("as") => (name, Some(alias)),
            _ => return Err(not_a_name(text)),
        };
        let parts: Result<Vec<String>, Refusal> = name.splitn(2, '.').map(quoted).collect();
        Ok(Self { name: parts?.join("."), alias: alias.map(quoted).transpose()? })
    }

    fn reference(&self) -> String {
        match &self.alias {
            Some(alias) => format!("{} AS {alias}", self.name),
            None => self.name.clone(),
        }
    }

    fn name_in_expressions(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

/// An identifier in quotes: a letter or `_`, then letters, digits, `_` and `$`.
pub(crate) fn quoted(name: &str) -> Result<String, Refusal> {
    let first = |c: char| c.is_alphabetic() || c == '_';
    let other = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let mut chars = name.chars();
    let well_formed = chars.next().is_some_and(first) && chars.all(other);
    match well_formed && name.chars().count() <= NAME_CHARS_MAX {
        true => Ok(format!("\"{name}\"")),
        false => Err(not_a_name(name)),
    }
}

fn not_a_name(text: &str) -> Refusal {
    let shown: String = text.chars().take(64).collect();
    Refusal::invalid(format!("{shown:?} is not the name of a table or column; use letters, digits and `_`"))
}

fn join_kind(join: &Document<'_>) -> Result<&'static str, Refusal> {
    match join.text_or_empty("kind")?.to_ascii_uppercase().as_str() {
        "" | "INNER" => Ok("INNER"),
        "LEFT" => Ok("LEFT"),
        "RIGHT" => Ok("RIGHT"),
        "FULL" => Ok("FULL"),
        _ => Err(Refusal::invalid("`kind` of a join must be INNER, LEFT, RIGHT or FULL")),
    }
}

fn conjunction(condition: &Document<'_>) -> Result<&'static str, Refusal> {
    match condition.text_or_empty("conj")?.to_ascii_uppercase().as_str() {
        "" | "AND" => Ok("AND"),
        "OR" => Ok("OR"),
        _ => Err(Refusal::invalid("`conj` must be AND or OR")),
    }
}

/// The table that a CREATE TABLE statement makes, as it is written there; `None` for any other statement.
pub(crate) fn created_table(sql: &str) -> Option<String> {
    let (first, rest) = word(without_comments(sql));
    let (second, after) = word(without_comments(rest));
    let temporary = ["TEMP", "TEMPORARY"].iter().any(|temporary| second.eq_ignore_ascii_case(temporary));
    let (second, after) = if temporary { word(without_comments(after)) } else { (second, after) };
    if !first.eq_ignore_ascii_case("CREATE") || !second.eq_ignore_ascii_case("TABLE") {
        return None;
    }
    let named = without_comments(after);
    let name = named.split(|c: char| c == '(' || c.is_whitespace());
    let mut words =
        name.filter(|word| !word.is_empty() && !["IF", "NOT", "EXISTS"].iter().any(|w| word.eq_ignore_ascii_case(w)));
    Some(words.next().unwrap_or_default().trim_matches(['"', '`', '[', ']']).to_owned())
}

/// The leading word, and what follows it.
fn word(sql: &str) -> (&str, &str) {
    let end = sql.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(sql.len());
    sql.split_at(end)
}

fn without_comments(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start();
        let end = match sql.as_bytes() {
            [b'-', b'-', ..] => sql.find('\n').map(|at| at + 1),
            [b'/', b'*', ..] => sql.find("*/").map(|at| at + 2),
            _ => return sql,
        };
        sql = &sql[end.unwrap_or(sql.len())..];
    }
}

#[cfg(test)]
mod tests;
