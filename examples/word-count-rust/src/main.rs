//! Counts the words of `{"text": "..."}` and answers the most frequent ones; how many is `TOP` in function.yaml.

mod host;

use std::collections::BTreeMap;
use std::io::{Read, Write};

fn main() -> std::io::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let Some(text) = text_field(&input, "text") else {
        eprintln!("the input has no `text`; send {{\"text\": \"...\"}}");
        std::process::exit(1);
    };
    let counts = count(&text);
    let words: usize = counts.values().sum();
    host::log(&format!("counted {words} words, {} of them different", counts.len()));
    let top = host::env("TOP").and_then(|top| top.parse().ok()).unwrap_or(3);
    write!(std::io::stdout(), "{}", reply(words, text.lines().count(), &most_frequent(counts, top)))
}

fn count(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

/// Equally frequent words stand in the order of the alphabet.
fn most_frequent(counts: BTreeMap<String, usize>, top: usize) -> Vec<(String, usize)> {
    let mut sorted: Vec<(String, usize)> = counts.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted.truncate(top);
    sorted
}

/// Words are letters, digits and apostrophes, so that nothing in them needs an escape.
fn reply(words: usize, lines: usize, top: &[(String, usize)]) -> String {
    let top: Vec<String> = top.iter().map(|(word, count)| format!("{{\"word\":\"{word}\",\"count\":{count}}}")).collect();
    format!("{{\"words\":{words},\"lines\":{lines},\"top\":[{}]}}", top.join(","))
}

/// A text field of a flat JSON object. For more than this, use the crate `serde_json`.
fn text_field(json: &str, field: &str) -> Option<String> {
    let (_, rest) = json.split_once(&format!("\"{field}\""))?;
    let mut chars = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'u' => {
                    let code: String = chars.by_ref().take(4).collect();
                    u32::from_str_radix(&code, 16).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
                }
                other => other,
            }),
            other => text.push(other),
        }
    }
}
