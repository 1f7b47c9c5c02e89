//! Patterns over topics: `*` stands for any characters but `:`, `**` for any characters, `?` for one character but `:`, `[abc]` for
//! one of these, `[!abc]` for one that is none of these, nor `:`.
//!
//! Matching keeps a set of places in the pattern, as bits, and moves all of them with each character of the topic: the time is that
//! of the topic's length, whatever the pattern, and nothing is ever tried again.

use std::fmt;

use super::TOPIC_BYTES_MAX;

/// The longest pattern, in characters.
pub const PATTERN_CHARS_MAX: usize = 256;
/// Where `*` and `?` end.
const SEPARATOR: char = ':';
/// One bit for each place in a pattern: before each of its tokens, and behind the last.
const WORDS: usize = (PATTERN_CHARS_MAX + 1).div_ceil(64);

/// Why a pattern was refused, and at which character, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    #[error("the pattern is empty; write a topic, such as `orders:new`, or a pattern, such as `orders:*`")]
    Empty,
    #[error("the pattern is {0} characters long, the limit is {PATTERN_CHARS_MAX}")]
    TooLong(usize),
    #[error("character {0} of the pattern opens a `[` that no `]` closes; write `[[]` for the character itself")]
    Unclosed(usize),
    #[error("character {0} of the pattern opens a class without characters; write `[abc]` or `[!abc]`")]
    EmptyClass(usize),
    #[error(
        "character {0} of the pattern is a `-` between others: a class has no ranges; name each character, or begin with `-`"
    )]
    Range(usize),
    #[error("character {0} of the pattern is the control character {1:?}, which no topic has")]
    Control(usize, char),
}

/// A pattern over topics.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    /// The places before a `*`, and before a `**`.
    stars: Bits,
    double_stars: Bits,
    /// The places before a token that each character passes; of the characters that the pattern names.
    named: Vec<(char, Bits)>,
    /// The same for characters that the pattern does not name, and that are not the separator.
    unnamed: Bits,
    end: usize,
}

impl Pattern {
    /// Is this text a pattern, and not the name of one topic?
    pub fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let length = text.chars().count();
        match length {
            0 => return Err(InvalidPattern::Empty),
            length if length > PATTERN_CHARS_MAX => return Err(InvalidPattern::TooLong(length)),
            _ => {}
        }
        if let Some((at, control)) = (1..).zip(text.chars()).find(|(_, character)| character.is_control()) {
            return Err(InvalidPattern::Control(at, control));
        }
        let tokens = tokens(&text.chars().collect::<Vec<_>>())?;
        Ok(Self::of(text.to_owned(), &tokens))
    }

    fn of(text: String, tokens: &[Token]) -> Self {
        let mut pattern = Self {
            text,
            stars: Bits::default(),
            double_stars: Bits::default(),
            named: Vec::new(),
            unnamed: Bits::default(),
            end: tokens.len(),
        };
        for character in tokens.iter().flat_map(Token::characters).chain([SEPARATOR]) {
            if pattern.named.iter().all(|(known, _)| *known != character) {
                let passes = |token: &Token| token.passes(character);
                pattern.named.push((character, Bits::of(tokens, passes)));
            }
        }
        pattern.named.sort_by_key(|(character, _)| *character);
        pattern.unnamed = Bits::of(tokens, |token| matches!(token, Token::Any | Token::NoneOf(_)));
        pattern.stars = Bits::of(tokens, |token| matches!(token, Token::Star));
        pattern.double_stars = Bits::of(tokens, |token| matches!(token, Token::DoubleStar));
        pattern
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn matches(&self, topic: &str) -> bool {
        if topic.len() > TOPIC_BYTES_MAX {
            return false;
        }
        let mut places = self.skip_stars(Bits::first());
        for character in topic.chars() {
            let passed = places.and(&self.passing(character)).shifted();
            let stayed = places.and(&match character {
                SEPARATOR => self.double_stars,
                _ => self.double_stars.or(&self.stars),
            });
            places = self.skip_stars(passed.or(&stayed));
            if places.is_empty() {
                return false;
            }
        }
        places.has(self.end)
    }

    fn passing(&self, character: char) -> Bits {
        match self.named.binary_search_by_key(&character, |(known, _)| *known) {
            Ok(place) => self.named[place].1,
            Err(_) => self.unnamed,
        }
    }

    /// A star may stand for nothing. No star follows another, so that one step is enough.
    fn skip_stars(&self, places: Bits) -> Bits {
        places.or(&places.and(&self.stars.or(&self.double_stars)).shifted())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

enum Token {
    One(char),
    Any,
    Star,
    DoubleStar,
    OneOf(Vec<char>),
    NoneOf(Vec<char>),
}

impl Token {
    fn characters(&self) -> Vec<char> {
        match self {
            Token::One(character) => vec![*character],
            Token::OneOf(characters) | Token::NoneOf(characters) => characters.clone(),
            Token::Any | Token::Star | Token::DoubleStar => Vec::new(),
        }
    }

    /// Does one character pass this token? A star is not passed but skipped.
    fn passes(&self, character: char) -> bool {
        match self {
            Token::One(one) => *one == character,
            Token::OneOf(characters) => characters.contains(&character),
            Token::NoneOf(characters) => character != SEPARATOR && !characters.contains(&character),
            Token::Any => character != SEPARATOR,
            Token::Star | Token::DoubleStar => false,
        }
    }
}

fn tokens(text: &[char]) -> Result<Vec<Token>, InvalidPattern> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(character) = text.get(at) {
        at += 1;
        tokens.push(match character {
            '*' => {
                let more = text[at..].iter().take_while(|next| **next == '*').count();
                at += more;
                if more == 0 { Token::Star } else { Token::DoubleStar }
            }
            '?' => Token::Any,
            '[' => class(text, &mut at)?,
            other => Token::One(*other),
        });
    }
    Ok(tokens)
}

/// Reads on behind a `[`. A `]` that comes first is one of the characters.
fn class(text: &[char], at: &mut usize) -> Result<Token, InvalidPattern> {
    let opened = *at;
    let negated = text.get(*at) == Some(&'!');
    let first = *at + usize::from(negated);
    let rest = text.get(first + 1..).unwrap_or_default();
    let closed = rest.iter().position(|character| *character == ']').map(|offset| first + 1 + offset);
    let Some(closed) = closed else {
        return Err(match text.get(first) {
            Some(']') => InvalidPattern::EmptyClass(opened),
            _ => InvalidPattern::Unclosed(opened),
        });
    };
    let characters = &text[first..closed];
    if let Some(place) = characters.iter().position(|character| *character == '-')
        && (1..characters.len() - 1).contains(&place)
    {
        return Err(InvalidPattern::Range(first + place + 1));
    }
    *at = closed + 1;
    Ok(if negated { Token::NoneOf(characters.to_vec()) } else { Token::OneOf(characters.to_vec()) })
}

/// A set of places in a pattern.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bits([u64; WORDS]);

impl Bits {
    fn first() -> Self {
        let mut bits = Self::default();
        bits.0[0] = 1;
        bits
    }

    /// The places before the tokens that are wanted.
    fn of(tokens: &[Token], wanted: impl Fn(&Token) -> bool) -> Self {
        let mut bits = Self::default();
        for place in (0..tokens.len()).filter(|place| wanted(&tokens[*place])) {
            bits.0[place / 64] |= 1 << (place % 64);
        }
        bits
    }

    fn and(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    fn or(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// Each place moved on by one.
    fn shifted(&self) -> Self {
        let carried = |word: usize| if word == 0 { 0 } else { self.0[word - 1] >> 63 };
        Self(std::array::from_fn(|word| self.0[word] << 1 | carried(word)))
    }

    fn has(&self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 == 1
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }
}

#[cfg(test)]
mod tests;
