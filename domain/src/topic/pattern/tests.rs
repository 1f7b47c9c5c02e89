use std::time::Instant;

use super::*;

#[track_caller]
fn check(pattern: &str, matching: &[&str], others: &[&str]) {
    let parsed = Pattern::parse(pattern).expect("a valid pattern");
    for topic in matching {
        assert!(parsed.matches(topic), "`{pattern}` must match `{topic}`");
    }
    for topic in others {
        assert!(!parsed.matches(topic), "`{pattern}` must not match `{topic}`");
    }
}

#[test]
fn a_star_stays_between_colons_and_two_do_not() {
    check("orders:*", &["orders:", "orders:new", "orders:é"], &["orders", "orders:new:eu", "order:new"]);
    check("orders:**", &["orders:", "orders:new", "orders:new:eu"], &["orders", "xorders:new"]);
    check("*:new", &["orders:new", ":new"], &["a:b:new", "new"]);
    check("**:new", &["orders:new", "a:b:new"], &["new"]);
    check("**", &["", "a", "a:b:c"], &[]);
    check("*", &["", "a"], &["a:b"]);
    check("a*b*c", &["abc", "axbyc", "abbcc"], &["ab", "acb", "ab:c"]);
    check("a*****z", &["az", "a:b:z"], &["a:b"]);
}

#[test]
fn one_character_and_classes() {
    check("a?c", &["abc", "aéc"], &["ac", "a:c", "abbc"]);
    check("[abc]:x", &["a:x", "c:x"], &["d:x", ":x", "ab:x"]);
    check("[!abc]", &["d", "é"], &["a", ":", ""]);
    check("[]]", &["]"], &["[", ""]);
    check("[!]]", &["x"], &["]"]);
    check("[[*?]", &["[", "*", "?"], &["a"]);
    check("[-a][a-]", &["-a", "a-"], &["ab"]);
    check("x[:]y", &["x:y"], &["xzy"]);
    check("[!:!]", &["a"], &[":", "!"]);
}

#[test]
fn what_is_no_pattern_says_where() {
    let refused = |pattern: &str| Pattern::parse(pattern).expect_err("no pattern");
    assert_eq!(refused(""), InvalidPattern::Empty);
    assert_eq!(refused(&"é".repeat(257)), InvalidPattern::TooLong(257));
    assert_eq!(refused("ab[cd"), InvalidPattern::Unclosed(3));
    assert_eq!(refused("["), InvalidPattern::Unclosed(1));
    assert_eq!(refused("a[]"), InvalidPattern::EmptyClass(2));
    assert_eq!(refused("a[!]"), InvalidPattern::EmptyClass(2));
    assert_eq!(refused("x[a-z]"), InvalidPattern::Range(4));
    assert_eq!(refused("a\nb*"), InvalidPattern::Control(2, '\n'));
    assert!(refused("x[a-z]").to_string().starts_with("character 4 of the pattern is a `-`"));
    assert!(Pattern::parse(&"*".repeat(256)).is_ok());
}

#[test]
fn what_has_no_special_character_is_the_name_of_a_topic() {
    assert!(!Pattern::is_pattern("orders:new") && !Pattern::is_pattern("a]b!c-d"));
    assert!(["a*", "a?", "[a]"].into_iter().all(Pattern::is_pattern));
}

/// Matchers that try again take longer than the universe for these.
#[test]
fn patterns_made_to_explode_cost_no_more_than_others() {
    let topic = "a".repeat(256);
    let patterns = [
        "*a".repeat(127) + "b",
        "**a".repeat(85) + "b",
        "a*".repeat(127) + "?b",
        "[!b]*".repeat(51) + "b",
        "?*".repeat(127) + ":b",
    ];
    let started = Instant::now();
    for pattern in &patterns {
        let parsed = Pattern::parse(pattern).expect("a valid pattern");
        for _ in 0..200 {
            assert!(!parsed.matches(&topic), "{pattern}");
        }
    }
    assert!(started.elapsed().as_secs() < 5, "1,000 matches took {:?}", started.elapsed());
}

/// The meaning, written down a second time in the simplest way.
fn plainly(pattern: &[char], topic: &[char]) -> bool {
    let Some((token, rest)) = pattern.split_first() else { return topic.is_empty() };
    match token {
        '*' if rest.first() == Some(&'*') => {
            let rest: Vec<char> = rest.iter().copied().skip_while(|next| *next == '*').collect();
            (0..=topic.len()).any(|skipped| plainly(&rest, &topic[skipped..]))
        }
        '*' => {
            let reach = topic.iter().position(|character| *character == ':').unwrap_or(topic.len());
            (0..=reach).any(|skipped| plainly(rest, &topic[skipped..]))
        }
        '?' => topic.first().is_some_and(|first| *first != ':') && plainly(rest, &topic[1..]),
        one => topic.first() == Some(one) && plainly(rest, &topic[1..]),
    }
}

#[test]
fn every_short_pattern_means_what_it_says() {
    let (tokens, letters) = (['a', ':', '*', '?'], ['a', ':', 'b']);
    for pattern in words(&tokens, 4).iter().filter(|pattern| !pattern.is_empty()) {
        let parsed = Pattern::parse(pattern).expect("a valid pattern");
        let characters: Vec<char> = pattern.chars().collect();
        for topic in words(&letters, 4) {
            let expected = plainly(&characters, &topic.chars().collect::<Vec<_>>());
            assert_eq!(parsed.matches(&topic), expected, "`{pattern}` and `{topic}`");
        }
    }
}

/// Every word of up to `length` letters.
fn words(letters: &[char], length: usize) -> Vec<String> {
    let mut words = vec![String::new()];
    for of_length in 0..length {
        let longest: Vec<String> = words.iter().filter(|word| word.len() == of_length).cloned().collect();
        words.extend(longest.iter().flat_map(|word| letters.iter().map(move |letter| format!("{word}{letter}"))));
    }
    words
}
