//! The parsers of this crate, as the fuzz targets in `fuzz/` call them. Public only because those and the replay of their
//! corpus stand outside of the crate; nothing else may use it.

use crate::{
    Cid, EgressRule, FunctionRef, LIMITS, Manifest, PATTERN_CHARS_MAX, Pattern, Receipt, TOPIC_BYTES_MAX, Topic, oyster,
};

/// The name of a target, which is that of its corpus, and what it calls.
pub type Target = (&'static str, fn(&[u8]));

/// Every target of this crate.
pub const TARGETS: &[Target] = &[
    ("function_ref", function_ref),
    ("manifest", manifest),
    ("cid", cid),
    ("egress_rule", egress_rule),
    ("topic_pattern", topic_pattern),
    ("oyster_label", oyster_label),
    ("oyster_calldata", oyster_calldata),
    ("receipt", receipt),
];

/// What is accepted is written as it was read.
pub fn function_ref(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(parsed) = FunctionRef::parse(&text) {
        assert_eq!(parsed.to_string(), text);
    }
}

/// What is accepted is within its limits, and survives being stored.
pub fn manifest(data: &[u8]) {
    let Ok(parsed) = Manifest::parse(&String::from_utf8_lossy(data)) else { return };
    let within = |value: u64, (least, most, _): (u64, u64, u64)| (least..=most).contains(&value);
    assert!(within(parsed.memory_mb.into(), LIMITS.memory_mb));
    assert!(within(parsed.timeout.as_secs(), LIMITS.timeout_seconds));
    assert!(within(parsed.concurrency.into(), LIMITS.concurrency));
    let stored = serde_json::to_string(&parsed).expect("a manifest serializes");
    assert_eq!(serde_json::from_str::<Manifest>(&stored).expect("a stored manifest is read again"), parsed);
}

/// Only the one text form that we print is accepted, and its hash is a whole one.
pub fn cid(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(parsed) = Cid::parse(&text) {
        assert_eq!(parsed.to_string(), text);
        assert_eq!(parsed.digest().len(), 32);
    }
}

/// What is accepted is written in one form, which is read as the same rule.
pub fn egress_rule(data: &[u8]) {
    if let Ok(parsed) = EgressRule::parse(&String::from_utf8_lossy(data)) {
        let text = parsed.to_string();
        assert_eq!(EgressRule::parse(&text).expect("our own text is read"), parsed);
        assert!(text.is_ascii() && text.len() <= 300, "a rule is short: {text:?}");
    }
}

/// A pattern, and behind a line break a topic. A pattern is short; a topic matches its own name, and with a character more it
/// matches no less where the pattern ends in `**`.
pub fn topic_pattern(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (pattern, topic) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(parsed) = Pattern::parse(pattern) else { return };
    assert!(parsed.as_str().chars().count() <= PATTERN_CHARS_MAX);
    assert!(Pattern::is_pattern(pattern) || pattern.len() > TOPIC_BYTES_MAX || parsed.matches(pattern));
    let matched = parsed.matches(topic);
    if matched && pattern.ends_with("**") && topic.len() < TOPIC_BYTES_MAX {
        assert!(parsed.matches(&format!("{topic}:")));
    }
    assert!(!matched || Topic::parse(topic).is_ok() || topic.is_empty() || topic.contains(char::is_control));
}

/// A label names one hash, and is written back as it was read, but for its case.
pub fn oyster_label(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(hash) = oyster::hash_of_label(&text) {
        assert_eq!(oyster::label_of_hash(&hash), text.to_ascii_uppercase());
    }
}

/// Code lies within its calldata, ends with something, and is found again when it is stored anew.
pub fn oyster_calldata(data: &[u8]) {
    if let Ok(code) = oyster::code_of_calldata(data) {
        assert!(code.len() < data.len() && code.last().is_some_and(|last| *last != 0));
        assert_eq!(oyster::code_of_calldata(&oyster::calldata_of_code(code)), Ok(code));
    }
}

/// What is accepted as a receipt has one text that is signed, of whole lines of ASCII, and survives being stored.
pub fn receipt(data: &[u8]) {
    let Ok(parsed) = Receipt::parse(data) else { return };
    let base = parsed.signature_base();
    assert!(base.is_ascii() && !base.ends_with('\n'));
    let stored = serde_json::to_vec(&parsed).expect("a receipt serializes");
    assert_eq!(Receipt::parse(&stored).expect("a stored receipt is read again"), parsed);
}
