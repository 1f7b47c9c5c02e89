use expect_test::{Expect, expect};

use super::*;

#[track_caller]
fn check(text: &str, want: Expect) {
    let seen = match FunctionRef::parse(text) {
        Ok(parsed) => format!("{parsed}"),
        Err(refused) => format!("refused: {refused}"),
    };
    want.assert_eq(&seen);
}

#[test]
fn plain_names_pass() {
    check("hello", expect!["hello"]);
    check("_x-1", expect!["_x-1"]);
    check(&"a".repeat(63), expect!["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]);
}

#[test]
fn a_version_is_a_whole_number_from_one() {
    check("f@7", expect!["f@7"]);
    for bad in ["f@", "f@0", "f@-1", "f@2@3", "f@99999999999", "f@latest", "f@ 2", "f@2\0", "f@+1", "f@٣", "f@01"] {
        assert!(matches!(FunctionRef::parse(bad), Err(InvalidName::Version(_))), "{bad:?}");
    }
}

#[test]
fn what_is_not_a_name_is_refused_with_the_reason() {
    check("", expect!["refused: the name is empty; use 1 to 63 letters, digits, `-` or `_`"]);
    check("@2", expect!["refused: the name is empty; use 1 to 63 letters, digits, `-` or `_`"]);
    check("..", expect!["refused: the name contains '.'; use only letters, digits, `-` and `_`"]);
    check("a/b", expect!["refused: the name contains '/'; use only letters, digits, `-` and `_`"]);
    check("a\0b", expect![[r"refused: the name contains '\0'; use only letters, digits, `-` and `_`"]]);
    check("hеllo", expect!["refused: the name contains 'е'; use only letters, digits, `-` and `_`"]);
    check("-rf", expect!["refused: the name starts with `-`; start with a letter, a digit or `_`"]);
    check("secrets", expect!["refused: `secrets` is a reserved word; choose another name"]);
    check(
        &"a".repeat(300),
        expect!["refused: the name is 300 characters long; use 1 to 63 letters, digits, `-` or `_`"],
    );
}

#[test]
fn a_namespace_cannot_hold_a_separator() {
    for bad in ["", "a:b", "a/b", "ns.x", "-a", "ü"] {
        assert!(Namespace::parse(bad).is_err(), "{bad:?}");
    }
}
