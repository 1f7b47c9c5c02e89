//! What only the platform may say: JSON objects with a field `_orama` or `__orama`. Clients tell its events from other messages
//! by these, so a message that any client might read so is refused when it is published by somebody else.
//!
//! Clients differ. Some skip a byte order mark, some put up with text that is no valid JSON or no UTF-8, and some read names
//! without regard to case. So this follows the structure of the text and nothing else, and takes what is doubtful for reserved.

/// The fields, in lower case.
const RESERVED: [&[u8]; 2] = [b"_orama", b"__orama"];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Is this an object that has, at its top level, a field for the platform alone?
pub(crate) fn is_reserved(data: &[u8]) -> bool {
    let text = data.strip_prefix(BYTE_ORDER_MARK).unwrap_or(data).trim_ascii_start();
    match text.strip_prefix(b"{") {
        Some(fields) => may_name(fields) && Names::of(fields).any(is_reserved_name),
        None => false,
    }
}

/// Could the text name a reserved field at all? Most messages end here, at the speed of a search for one byte.
fn may_name(text: &[u8]) -> bool {
    let plain = memchr::memchr_iter(b'_', text).any(|at| starts_with(&text[at..], RESERVED[0]));
    // A name that does not stand there as it is has an escape for one of its letters.
    let escaped = |at: usize| text.get(at + 1..at + 6).is_some_and(|escape| unescaped(escape).is_some_and(is_letter));
    plain || memchr::memchr_iter(b'\\', text).any(escaped)
}

fn starts_with(text: &[u8], name: &[u8]) -> bool {
    text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

fn is_letter(byte: u8) -> bool {
    RESERVED[0].contains(&byte.to_ascii_lowercase())
}

/// The character that `u` and four hexadecimal digits stand for, if it is an ASCII one.
fn unescaped(escape: &[u8]) -> Option<u8> {
    let digits = escape.strip_prefix(b"u").filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    let value = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    u8::try_from(value).ok().filter(u8::is_ascii)
}

fn is_reserved_name(name: &[u8]) -> bool {
    let mut plain = Vec::with_capacity(8);
    let mut rest = name;
    while let Some((first, behind)) = rest.split_first() {
        // Longer than any of them already.
        if plain.len() > RESERVED[1].len() {
            return false;
        }
        let escape = (*first == b'\\').then(|| behind.get(..5)).flatten().and_then(unescaped);
        plain.push(escape.unwrap_or(*first).to_ascii_lowercase());
        rest = if escape.is_some() { &behind[5..] } else { behind };
    }
    RESERVED.contains(&&plain[..])
}

/// The names of an object's fields, as they were written, from the text behind its brace.
struct Names<'a> {
    rest: &'a [u8],
    /// How many braces and brackets are open; 1 is the object itself.
    depth: usize,
    /// The next text is a name.
    expected: bool,
}

impl<'a> Names<'a> {
    fn of(rest: &'a [u8]) -> Self {
        Self { rest, depth: 1, expected: true }
    }

    /// The text up to its closing quote, or to the end.
    fn text(&mut self) -> &'a [u8] {
        let mut end = 0;
        while let Some(found) = memchr::memchr2(b'"', b'\\', &self.rest[end.min(self.rest.len())..]) {
            end += found;
            if self.rest[end] == b'"' {
                let text = &self.rest[..end];
                self.rest = &self.rest[end + 1..];
                return text;
            }
            // What is escaped closes nothing.
            end += 2;
        }
        std::mem::take(&mut self.rest)
    }
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while self.depth > 0 {
            let (first, rest) = self.rest.split_first()?;
            self.rest = rest;
            match first {
                b'"' => {
                    let text = self.text();
                    if self.depth == 1 && std::mem::take(&mut self.expected) {
                        return Some(text);
                    }
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                b',' if self.depth == 1 => self.expected = true,
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_with_a_field_of_the_platform_is_reserved() {
        for text in [
            r#"{"_orama":"ephemeral.set"}"#,
            r#" { "a" : [1, {"b": "}"}] , "__orama" : null }"#,
            "\u{feff}{\"_orama\":1}",
            "\t\r\n{\"_orama\":1}",
            r#"{"\u005forama":1}"#,
            r#"{"_\u006Frama":1}"#,
            r#"{"\u005f\u005f\u006f\u0072\u0061\u006d\u0061":1}"#,
            r#"{"_ORAMA":1}"#,
            r#"{"\u005FOr\u0041ma":1}"#,
            r#"{"a":"\"","_orama":1}"#,
            r#"{"a\\":1,"_orama":1}"#,
            r#"{"_orama":1} and more"#,
            r#"{"a":tru,"_orama":1"#,
            r#"{"\ud800":1,"_orama":1}"#,
            r#"{"_orama"#,
        ] {
            assert!(is_reserved(text.as_bytes()), "{text}");
        }
        assert!(is_reserved(b"{\"\xff\":1,\"_orama\":1}"), "some readers replace what is no UTF-8");
    }

    #[test]
    fn what_only_mentions_it_is_not() {
        for text in [
            "",
            "{",
            "{}",
            "_orama",
            r#""_orama""#,
            r#"["_orama"]"#,
            r#"[{"_orama":1}]"#,
            r#"{"a":"_orama"}"#,
            r#"{"a":{"_orama":1}}"#,
            r#"{"a":[{"_orama":1}]}"#,
            r#"{"a":"{\"_orama\":1}"}"#,
            r#"{"orama":1,"___orama":1,"_orama_":1,"x_orama":1,"_orama ":1,"\\u005forama":1}"#,
            r#"{"a":"x\\","b":"_orama"}"#,
            r#"{"type":"presence.join","_oram":"\u0061"}"#,
        ] {
            assert!(!is_reserved(text.as_bytes()), "{text}");
        }
    }

    /// Whatever a strict reader finds, this finds.
    #[test]
    fn nothing_that_is_valid_passes_by() {
        let pieces = [
            "{",
            "}",
            "[",
            "]",
            "\"",
            ":",
            ",",
            " ",
            "\\",
            "\\\"",
            "\\u005f",
            "_",
            "orama",
            "\"_orama\":1",
            "\"__or\\u0061ma\"",
            "a",
            "1",
            "{\"a\":",
            "\u{feff}",
        ];
        let mut state = 7_u64;
        let mut found = 0;
        for _ in 0..200_000 {
            let mut text = String::from("{");
            for _ in 0..state >> 61 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            }
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push('}');
            let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text);
            let named = object.is_ok_and(|object| object.contains_key("_orama") || object.contains_key("__orama"));
            found += usize::from(named);
            assert!(!named || is_reserved(text.as_bytes()), "{text}");
        }
        assert!(found > 100, "the noise is near enough: {found}");
    }
}
