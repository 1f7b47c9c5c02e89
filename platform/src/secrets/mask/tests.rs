use super::*;

fn mask(values: &[&str]) -> Option<Mask> {
    Mask::of(values.iter().map(|value| Secret::new(value.as_bytes().to_vec())))
}

#[track_caller]
fn check(values: &[&str], text: &str, want: &str) {
    let masked = mask(values).and_then(|mask| mask.apply(text)).unwrap_or_else(|| text.to_owned());
    assert_eq!(masked, want, "{values:?} in {text:?}");
}

#[test]
fn every_occurrence_is_replaced() {
    check(&["hunter2"], "hunter2", "***");
    check(&["hunter2"], "a hunter2, and hunter2hunter2 again", "a ***, and ****** again");
    check(&["hunter2", "swordfish"], "swordfish:hunter2", "***:***");
    check(&["hunter2"], "Hunter2 hunter hunter", "Hunter2 hunter hunter");
    check(&["p\u{e4}ssword"], "\u{e4}p\u{e4}ssword\u{e4}", "\u{e4}***\u{e4}");
}

#[test]
fn nothing_to_hide_is_nothing_to_do() {
    assert!(mask(&[]).is_none());
    assert!(mask(&["abc", "x", ""]).is_none());
    assert_eq!(mask(&["hunter2"]).and_then(|mask| mask.apply("nothing secret")), None);
    assert_eq!(mask(&["hunter2"]).and_then(|mask| mask.apply("")), None);
}

#[test]
fn the_longest_value_counts() {
    check(&["abcd", "abcdefgh"], "abcdefgh abcdefg", "*** ***efg");
    check(&["abcdefgh", "abcd"], "xabcdefghx", "x***x");
}

#[test]
fn common_encodings_of_a_value_are_hidden() {
    for text in [
        "p&ss/w?rd+~ x",
        "cCZzcy93P3JkK34geA==",
        "cCZzcy93P3JkK34geA",
        "702673732f773f72642b7e2078",
        "702673732F773F72642B7E2078",
        "p%26ss%2Fw%3Frd%2B~%20x",
        "p%26ss%2fw%3frd%2b~%20x",
        "p%26ss/w%3Frd%2B~%20x",
        "p%26ss%2Fw%3Frd%2B%7E+x",
    ] {
        check(&["p&ss/w?rd+~ x"], &format!("<{text}>"), "<***>");
    }
    check(&["?>?>?>"], "Pz4/Pj8+ Pz4_Pj8-", "*** ***");
    check(&["it's (ok)!"], "it's%20(ok)! it%27s%20%28ok%29%21", "*** ***");
    check(&["a \"b\"\\\n"], r#"{"key":"a \"b\"\\\n"}"#, r#"{"key":"***"}"#);
}

#[test]
fn lines_of_a_value_are_hidden_by_themselves() {
    let pem = "-----BEGIN KEY-----\r\nMIIEvQIBADANBgkq\r\nshort\r\n-----END KEY-----\r\n";
    check(&[pem], "line MIIEvQIBADANBgkq of it", "line *** of it");
    check(&[pem], "short", "short");
    check(&[pem], &format!("<{pem}>"), "<***>");
    check(&[pem], &format!("<{}>", pem.trim_ascii()), "<***>");
}

#[test]
fn a_value_that_ends_in_a_line_break_is_hidden_without_it() {
    check(&["token-1\n"], "it is token-1.", "it is ***.");
}

#[test]
fn long_values_are_hidden_as_far_as_they_go() {
    let long: String = (0..20_000).map(|index| char::from(b'a' + (index * index % 23) as u8)).collect();
    let other = format!("{}{}", &long[..70], "z".repeat(100));
    let values = [long.as_str(), &other];
    check(&values, &format!("<{long}>"), "<***>");
    check(&values, &format!("<{other}>"), "<***>");
    check(&values, &format!("<{}", &long[..16_000]), "<***");
    check(&values, &format!("<{}!>", &long[..100]), "<***!>");
    check(&values, &format!("<{}>", STANDARD.encode(&long)), "<***>");
    check(&[&"\u{e4}".repeat(100)], &format!("<{}\u{f6}>", "\u{e4}".repeat(60)), "<***>");
}

#[test]
fn bytes_that_are_no_text_are_hidden_in_their_encodings() {
    let mask = Mask::of([Secret::new(vec![0xff, 0, 0x80, 0xfe, 7])].into_iter()).expect("something to hide");
    let masked = ["ff0080fe07", "/wCA/gc=", "_wCA_gc", "%FF%00%80%FE%07"].map(|text| mask.apply(text));
    assert!(masked.iter().all(|masked| masked.as_deref() == Some("***")), "{masked:?}");
}

/// The most that a namespace can hold, in the shape that is worst: short lines.
#[test]
fn the_worst_secrets_make_a_mask_of_bearable_size() {
    let lines =
        |seed: u32| (0..7000_u32).map(move |index| format!("{:08x}\n", index.wrapping_mul(2_654_435_761) ^ seed));
    let values: Vec<String> = (0..16).map(|seed| lines(seed * 7919).collect::<String>()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let mask = mask(&values).expect("something to hide");
    assert!(mask.finder.memory_usage() < 64 << 20, "{} bytes", mask.finder.memory_usage());
    assert_eq!(mask.apply(&format!("<{}>", values[3].lines().nth(5000).expect("a line"))).as_deref(), Some("<***>"));
}
