//! Where statements end: at a semicolon that is in no text, no name, no comment and no body of a trigger.

/// Takes every whole statement from the front of `text`, which keeps the rest.
pub(super) fn take(text: &mut String) -> Vec<String> {
    let mut statements = Vec::new();
    while let Some(end) = end(text) {
        let statement: String = text.drain(..end).collect();
        statements.push(statement.trim().to_owned());
    }
    statements.retain(|statement| statement != ";");
    statements
}

/// Is there anything but space and comments?
pub(super) fn is_empty(text: &str) -> bool {
    Tokens { rest: text }.next().is_none()
}

/// The words of a statement, upper case, without what is quoted.
pub(super) fn words(statement: &str) -> Vec<String> {
    let words = Tokens { rest: statement }.filter_map(|token| match token {
        Token::Word(word) => Some(word.to_ascii_uppercase()),
        _ => None,
    });
    words.collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Semicolon,
    /// A text, a quoted name, a sign.
    Other,
    /// A text, a name or a comment that goes on in the next line.
    Unfinished,
}

struct Tokens<'a> {
    rest: &'a str,
}

/// What a statement is, as far as its end depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Explained,
    Created,
    Plain,
    /// Statements within, up to `END` behind a semicolon.
    Trigger,
    TriggerSemicolon,
    TriggerEnd,
}

/// The length of the first statement with its semicolon.
fn end(text: &str) -> Option<usize> {
    let mut tokens = Tokens { rest: text };
    let mut state = State::Start;
    while let Some(token) = tokens.next() {
        state = match (state, token) {
            (_, Token::Unfinished) => return None,
            (State::Trigger | State::TriggerSemicolon, Token::Semicolon) => State::TriggerSemicolon,
            (_, Token::Semicolon) => return Some(text.len() - tokens.rest.len()),
            (State::Start, Token::Word(word)) if is(word, &["EXPLAIN"]) => State::Explained,
            (State::Explained, Token::Word(word)) if is(word, &["QUERY", "PLAN"]) => State::Explained,
            (State::Start | State::Explained, Token::Word(word)) if is(word, &["CREATE"]) => State::Created,
            (State::Created, Token::Word(word)) if is(word, &["TEMP", "TEMPORARY"]) => State::Created,
            (State::Created, Token::Word(word)) if is(word, &["TRIGGER"]) => State::Trigger,
            (State::TriggerSemicolon, Token::Word(word)) if is(word, &["END"]) => State::TriggerEnd,
            (State::Trigger | State::TriggerSemicolon | State::TriggerEnd, _) => State::Trigger,
            _ => State::Plain,
        };
    }
    None
}

fn is(word: &str, words: &[&str]) -> bool {
    words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted))
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            self.rest = self.rest.trim_start();
            let first = self.rest.chars().next()?;
            if self.rest.starts_with("--") {
                let Some(end) = self.rest.find('\n') else {
                    self.rest = "";
                    return None;
                };
                self.skip(end);
            } else if self.rest.starts_with("/*") {
                let Some(end) = self.rest[2..].find("*/") else { return Some(self.unfinished()) };
                self.skip(end + 4);
            } else {
                return Some(self.token(first));
            }
        }
    }
}

impl<'a> Tokens<'a> {
    fn token(&mut self, first: char) -> Token<'a> {
        match first {
            ';' => self.skip_as(1, Token::Semicolon),
            '\'' | '"' | '`' | '[' => {
                let close = if first == '[' { ']' } else { first };
                match self.rest[1..].find(close) {
                    // A doubled quote is two texts beside each other: the end of the statement is the same.
                    Some(length) => self.skip_as(length + 2, Token::Other),
                    None => self.unfinished(),
                }
            }
            _ if is_word(first) => {
                let length = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                let word = &self.rest[..length];
                self.skip_as(length, Token::Word(word))
            }
            other => self.skip_as(other.len_utf8(), Token::Other),
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn skip_as(&mut self, bytes: usize, token: Token<'a>) -> Token<'a> {
        self.skip(bytes);
        token
    }

    fn unfinished(&mut self) -> Token<'a> {
        self.rest = "";
        Token::Unfinished
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, statements: &[&str], rest: &str) {
        let mut left = text.to_owned();
        assert_eq!(take(&mut left), statements);
        assert_eq!(left.trim(), rest);
    }

    #[test]
    fn a_semicolon_ends_a_statement_unless_it_is_quoted() {
        check("SELECT 1; SELECT 2;\nSELECT", &["SELECT 1;", "SELECT 2;"], "SELECT");
        check("SELECT ';', \";\", `;`, [;], 'it''s;';", &["SELECT ';', \";\", `;`, [;], 'it''s;';"], "");
        check("SELECT 1 -- no;\n, 2 /* no; */;", &["SELECT 1 -- no;\n, 2 /* no; */;"], "");
        check(";; ;SELECT 1;", &["SELECT 1;"], "");
    }

    #[test]
    fn what_is_open_waits_for_more() {
        for open in ["SELECT 1", "SELECT ';", "SELECT /* ;", "SELECT [;", "SELECT 1 -- ;"] {
            check(open, &[], open);
        }
    }

    #[test]
    fn a_trigger_ends_behind_its_last_statement() {
        let trigger = "create temp trigger t after insert on a begin update a set b = 1; delete from c; end;";
        check(&format!("{trigger} SELECT 1;"), &[trigger, "SELECT 1;"], "");
        check(
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1;",
            &[],
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1;",
        );
        check("CREATE TABLE trigger_log (a); SELECT 1;", &["CREATE TABLE trigger_log (a);", "SELECT 1;"], "");
    }

    #[test]
    fn comments_alone_are_nothing() {
        assert!(is_empty(" -- a comment\n /* another */ "));
        assert!(!is_empty(" /* open"));
        assert!(!is_empty("x"));
    }
}
