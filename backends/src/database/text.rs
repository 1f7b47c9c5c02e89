//! Looking at SQL text without understanding it: where its tokens are, and which verb a statement begins with.
//!
//! SQLite decides what a statement is and does; what is decided here by the verb is decided again by the authorizer.

/// What a statement sets out to do, by its first words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// There is no statement: nothing but blanks and comments.
    Nothing,
    /// `SELECT`, `VALUES`, `EXPLAIN`, `PRAGMA`.
    Read,
    /// `INSERT`, `REPLACE`.
    Insert,
    /// `UPDATE`, `DELETE`.
    Change,
    /// `CREATE`, `REINDEX`, `DROP` of anything but a table.
    Schema,
    DropTable,
    Alter,
    Analyze,
    /// `BEGIN`, `COMMIT`, `END`, `ROLLBACK`, `SAVEPOINT`, `RELEASE`.
    Transaction,
    /// `ATTACH`, `DETACH`.
    Attach,
    Vacuum,
    Other,
}

impl Verb {
    fn of_word(word: &str) -> Self {
        let is = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
        match () {
            () if is(&["SELECT", "VALUES", "EXPLAIN", "PRAGMA"]) => Self::Read,
            () if is(&["INSERT", "REPLACE"]) => Self::Insert,
            () if is(&["UPDATE", "DELETE"]) => Self::Change,
            () if is(&["CREATE", "DROP", "REINDEX"]) => Self::Schema,
            () if is(&["ALTER"]) => Self::Alter,
            () if is(&["ANALYZE"]) => Self::Analyze,
            () if is(&["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"]) => Self::Transaction,
            () if is(&["ATTACH", "DETACH"]) => Self::Attach,
            () if is(&["VACUUM"]) => Self::Vacuum,
            () => Self::Other,
        }
    }

    /// May statements of this kind have a result without a change?
    pub(super) fn may_read(self) -> bool {
        matches!(self, Self::Read | Self::Other)
    }

    /// Does SQLite itself write its own tables for statements of this kind?
    pub(super) fn is_schema(self) -> bool {
        matches!(self, Self::Schema | Self::DropTable | Self::Alter | Self::Analyze)
    }
}

/// The verb of the first statement in `sql`; behind `WITH`, that of the statement that uses it.
pub(super) fn verb(sql: &str) -> Verb {
    let mut tokens = Tokens::of(sql).filter(|(_, token)| *token != Token::Semicolon);
    match tokens.next() {
        None => Verb::Nothing,
        Some((_, Token::Word(word))) if word.eq_ignore_ascii_case("WITH") => behind_with(tokens),
        Some((_, Token::Word(word))) if word.eq_ignore_ascii_case("DROP") => match tokens.next() {
            Some((_, Token::Word(thing))) if thing.eq_ignore_ascii_case("TABLE") => Verb::DropTable,
            _ => Verb::Schema,
        },
        Some((_, Token::Word(word))) => Verb::of_word(word),
        Some(_) => Verb::Other,
    }
}

fn behind_with<'a>(tokens: impl Iterator<Item = (usize, Token<'a>)>) -> Verb {
    let mut depth = 0_usize;
    for (_, token) in tokens {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 => {
                if let verb @ (Verb::Read | Verb::Insert | Verb::Change) = Verb::of_word(word) {
                    return verb;
                }
            }
            _ => {}
        }
    }
    Verb::Other
}

/// Where the first token of `sql` begins; `None` when it has none.
pub(super) fn first_token(sql: &str) -> Option<usize> {
    Tokens::of(sql).find(|(_, token)| *token != Token::Semicolon).map(|(at, _)| at)
}

/// Does anything follow the first semicolon behind a token?
pub(super) fn is_several(sql: &str) -> bool {
    let mut tokens = Tokens::of(sql).map(|(_, token)| token).skip_while(|token| *token == Token::Semicolon);
    tokens.by_ref().any(|token| token == Token::Semicolon) && tokens.any(|token| token != Token::Semicolon)
}

/// Would a semicolon behind `sql` end it? Not if it ends with a comment.
pub(super) fn takes_semicolon(sql: &str) -> bool {
    Tokens::of(&format!("{sql};")).last() == Some((sql.len(), Token::Semicolon))
}

/// The end of the first piece of `sql` from `from` that a semicolon ends, behind it; else the end of `sql`.
pub(super) fn next_semicolon(sql: &str, from: usize) -> usize {
    let found = Tokens { sql, at: from }.find(|(_, token)| *token == Token::Semicolon);
    found.map_or(sql.len(), |(at, _)| at + 1)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, a bare name or a number.
    Word(&'a str),
    Semicolon,
    Open,
    Close,
    /// A quoted text or name, an operator.
    Other,
}

/// The tokens of a text with where they begin; blanks and comments are skipped. What is not closed ends with the text.
pub(super) struct Tokens<'a> {
    sql: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(sql: &'a str) -> Self {
        Self { sql, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.sql[self.at..]
    }

    /// Moves behind the first `end` at or after `from`, which counts from here.
    fn skip_behind(&mut self, from: usize, end: &str) {
        let rest = self.rest();
        self.at +=
            rest.get(from..).and_then(|text| text.find(end)).map_or(rest.len(), |found| from + found + end.len());
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            let rest = self.rest();
            // SQLite takes a byte order mark for a blank.
            let blanks = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c', '\u{feff}']);
            self.at += rest.len() - blanks.len();
            match blanks {
                text if text.starts_with("--") => self.skip_behind(2, "\n"),
                text if text.starts_with("/*") => self.skip_behind(2, "*/"),
                _ => return,
            }
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (usize, Token<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_blanks_and_comments();
        let (start, rest) = (self.at, self.rest());
        let first = rest.chars().next()?;
        let token = match first {
            // A doubled quote ends one piece and begins the next: to find the end of it all, that is the same.
            '\'' | '"' | '`' => {
                self.skip_behind(1, first.encode_utf8(&mut [0; 4]));
                Token::Other
            }
            '[' => {
                self.skip_behind(1, "]");
                Token::Other
            }
            _ if is_word(first) => {
                let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
                self.at += word.len();
                Token::Word(word)
            }
            _ => {
                self.at += first.len_utf8();
                match first {
                    ';' => Token::Semicolon,
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Other,
                }
            }
        };
        Some((start, token))
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_is_behind_blanks_comments_and_with() {
        assert_eq!(verb(""), Verb::Nothing);
        assert_eq!(verb(" ; -- SELECT\n /* DROP"), Verb::Nothing);
        assert_eq!(verb("\u{feff}/* a */--b\n;sElEcT 1"), Verb::Read);
        assert_eq!(verb("WITH a AS (SELECT 1), \"insert\"(b) AS (VALUES (2)) DELETE FROM t"), Verb::Change);
        assert_eq!(verb("with recursive c(x) as (select ')') insert into t select 1"), Verb::Insert);
        assert_eq!(verb("\"select\""), Verb::Other);
        assert_eq!(verb("begin"), Verb::Transaction);
        assert_eq!(verb("drop /* a */ Table t"), Verb::DropTable);
        assert_eq!(verb("DROP TRIGGER t"), Verb::Schema);
        assert_eq!(verb("selectx"), Verb::Other);
    }

    #[test]
    fn semicolons_in_quotes_and_comments_end_nothing() {
        let sql = "SELECT ';', \";\", `;`, [;], 'it''s;' /* ; */ -- ;\n, 1; SELECT 2";
        let end = next_semicolon(sql, 0);
        assert_eq!(&sql[end..], " SELECT 2");
        assert_eq!(next_semicolon(sql, end), sql.len());
        assert_eq!(next_semicolon("SELECT ';", 0), 9);
        assert_eq!(next_semicolon("/*", 0), 2);
        assert!(takes_semicolon("SELECT 1 -- a\n"));
        assert!(!takes_semicolon("SELECT 1 -- a"));
    }
}
