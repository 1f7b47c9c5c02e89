//! Hides the values of secrets in texts that people read later: log lines and error messages.
//!
//! A value is looked for as it is and in the forms in which programs commonly print it; of a value with several lines each line
//! counts, because logs are made of lines. The finder knows only how a form begins, so its size does not grow with long values;
//! what follows is compared. A value that is cut off behind its beginning is therefore hidden as far as it goes.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ports::Secret;
use zeroize::Zeroizing;

/// Shorter values are not hidden: they stand in texts by chance, and hiding them would make logs unreadable.
const VALUE_BYTES_MIN: usize = 4;
/// Shorter lines of longer values are not hidden: `}` and `---` are lines, too.
const LINE_BYTES_MIN: usize = 8;
/// As much of a form as the finder knows.
const BEGIN_BYTES: usize = 64;
const HIDDEN: &str = "***";

type Text = Zeroizing<String>;

/// Finds values, and puts `***` in their place. Holds them in clear text, until the next change of a secret of the namespace.
pub(super) struct Mask {
    finder: AhoCorasick,
    /// By pattern of the finder: what may follow it.
    rests: Vec<Vec<Text>>,
}

impl Mask {
    /// `None` when there is nothing to look for.
    pub(super) fn of(values: impl Iterator<Item = Secret>) -> Option<Self> {
        let mut rests = BTreeMap::<String, Vec<Text>>::new();
        for text in values.flat_map(|value| texts_of(value.expose())) {
            let (begin, rest) = text.split_at(text.floor_char_boundary(BEGIN_BYTES));
            let known = rests.entry(begin.to_owned()).or_default();
            if !rest.is_empty() && !known.iter().any(|other| **other == *rest) {
                known.push(Text::new(rest.to_owned()));
            }
        }
        if rests.is_empty() {
            return None;
        }
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            // The other kinds are faster, and take many times the memory.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(rests.keys().map(|begin| begin.as_bytes()));
        let finder = finder.expect("the secrets of a namespace are far smaller than what a finder can hold");
        Some(Self { finder, rests: rests.into_values().collect() })
    }

    /// The text with every value replaced; `None` when it holds none.
    pub(super) fn apply(&self, text: &str) -> Option<String> {
        let mut masked = String::new();
        let mut done = 0;
        while let Some(found) = self.finder.find(Input::new(text).range(done..)) {
            masked.push_str(&text[done..found.start()]);
            masked.push_str(HIDDEN);
            done = found.end() + self.rest_in(found.pattern().as_usize(), &text[found.end()..]);
        }
        if done == 0 {
            return None;
        }
        masked.push_str(&text[done..]);
        Some(masked)
    }

    /// How much of what follows a beginning belongs to a value, too.
    fn rest_in(&self, pattern: usize, following: &str) -> usize {
        let alike = |rest: &Text| rest.bytes().zip(following.bytes()).take_while(|(a, b)| a == b).count();
        let longest = self.rests[pattern].iter().map(alike).max().unwrap_or_default();
        following.ceil_char_boundary(longest)
    }
}

/// Every text that gives a value away.
fn texts_of(value: &[u8]) -> Vec<Text> {
    let mut texts = Vec::new();
    // What a program reads out of a secret, it often trims.
    for value in [value, value.trim_ascii()] {
        if value.len() >= VALUE_BYTES_MIN {
            texts.extend(forms_of(value));
        }
    }
    let whole = Text::new(String::from_utf8_lossy(value).into_owned());
    let lines = whole.lines().map(str::trim).filter(|line| line.len() >= LINE_BYTES_MIN);
    texts.extend(lines.map(|line| Text::new(line.to_owned())));
    texts
}

fn forms_of(value: &[u8]) -> Vec<Text> {
    let raw = String::from_utf8_lossy(value).into_owned();
    let json = serde_json::to_string(&raw).expect("a text can be written as JSON");
    let mut forms = vec![json[1..json.len() - 1].to_owned(), raw];
    forms.extend([STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|base64| base64.encode(value)));
    forms.extend([hex(value, "", |_| false), hex(value, "", |_| false).to_uppercase()]);
    // RFC 3986 and, of the same standard, what the libraries of JavaScript, Python and forms leave as it is.
    for kept in ["-_.~", "-_.~!*'()", "-_.~/", "-_.*"] {
        let keep = |byte: u8| byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte);
        let lower = hex(value, "%", keep);
        forms.extend([upper_escapes(&lower), upper_escapes(&lower).replace("%20", "+"), lower]);
    }
    forms.into_iter().map(Text::new).collect()
}

/// The bytes in hexadecimal, each behind `before`, but for those that are kept.
fn hex(value: &[u8], before: &str, keep: impl Fn(u8) -> bool) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(value.len() * (2 + before.len()));
    for &byte in value {
        match keep(byte) {
            true => text.push(char::from(byte)),
            false => write!(text, "{before}{byte:02x}").expect("a text takes every write"),
        }
    }
    text
}

/// `%` escapes with digits in upper case.
fn upper_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut upper = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        upper.push('%');
        upper.push_str(&digits.to_ascii_uppercase());
        upper.push_str(rest);
    }
    upper
}

#[cfg(test)]
mod tests;
