//! Percent-encoding: query strings and path segments.

use std::borrow::Cow;

/// The decoded value of the first `name=value` in a query. A key may hold a literal `:`; `+` is a space.
pub(crate) fn value<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let pair = pairs(query?).find(|(key, _)| *key == name)?;
    decode(pair.1, true)
}

/// The decoded values of every `name=value`, in order; `None` for one whose escapes are broken.
pub(crate) fn values<'a>(query: Option<&'a str>, name: &str) -> impl Iterator<Item = Option<Cow<'a, str>>> {
    let named = pairs(query.unwrap_or_default()).filter(move |(key, _)| *key == name);
    named.map(|(_, value)| decode(value, true))
}

/// Is the switch `name` on? `?dry_run`, `?dry_run=1` and `?dry_run=true` are.
pub(crate) fn switch(query: Option<&str>, name: &str) -> bool {
    value(query, name).is_some_and(|value| matches!(&*value, "" | "1" | "true" | "yes"))
}

/// The query without the parameters that `drop` names by name and decoded value; `None` when nothing is left.
pub(crate) fn without(query: &str, drop: impl Fn(&str, &str) -> bool) -> Option<String> {
    let dropped = |part: &&str| {
        let (name, value) = split(part);
        decode(value, true).is_some_and(|value| drop(name, &value))
    };
    let kept: Vec<&str> = query.split('&').filter(|part| !dropped(part)).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// Is there a parameter that `wanted` names by name and decoded value?
pub(crate) fn holds(query: &str, wanted: impl Fn(&str, &str) -> bool) -> bool {
    pairs(query).any(|(name, value)| decode(value, true).is_some_and(|value| wanted(name, &value)))
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(split)
}

fn split(part: &str) -> (&str, &str) {
    part.split_once('=').unwrap_or((part, ""))
}

/// Decodes a path segment; `None` when an escape is broken or the result is not UTF-8.
pub(crate) fn segment(raw: &str) -> Option<Cow<'_, str>> {
    decode(raw, false)
}

fn decode(raw: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    let plain = |b: u8| b != b'%' && !(plus_is_space && b == b'+');
    if raw.bytes().all(plain) {
        return Some(Cow::Borrowed(raw));
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (hex(bytes.next()?)? << 4) | hex(bytes.next()?)?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_broken_ones_are_none() {
        let query = Some("a=1&namespace=te%61m&key=ak_x:default&space=a+b%2B&bad=%f&utf=%ff");
        assert_eq!(value(query, "namespace").as_deref(), Some("team"));
        assert_eq!(value(query, "key").as_deref(), Some("ak_x:default"));
        assert_eq!(value(query, "space").as_deref(), Some("a b+"));
        assert_eq!(value(query, "bad"), None);
        assert_eq!(value(query, "utf"), None);
        let all: Vec<_> = values(Some("t=a&u=b&t=%62c&t&t=%f"), "t").collect();
        assert_eq!(all, [Some("a".into()), Some("bc".into()), Some("".into()), None]);
        assert_eq!(values(None, "t").count(), 0);
        assert_eq!(segment("a%2fb+c").as_deref(), Some("a/b+c"));
    }

    #[test]
    fn a_credential_is_taken_out_and_the_rest_stays_as_it_was() {
        assert_eq!(
            without("a=%31&api_key=k&b", |name, value| name == "api_key" && value == "k").as_deref(),
            Some("a=%31&b")
        );
        assert_eq!(without("token=%6b", |name, value| name == "token" && value == "k"), None);
    }
}
