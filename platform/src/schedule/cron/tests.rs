use expect_test::{Expect, expect};

use super::*;

/// The next moments behind `after`, in the zone.
#[track_caller]
fn check(expression: &str, zone: &str, after: &str, want: Expect) {
    check_with(DayRule::Or, expression, zone, after, want);
}

#[track_caller]
fn check_with(day_rule: DayRule, expression: &str, zone: &str, after: &str, want: Expect) {
    let schedule = match Schedule::parse(expression, Some(zone), day_rule) {
        Ok(schedule) => schedule,
        Err(refused) => return want.assert_eq(&refused.message),
    };
    let mut at: Timestamp = after.parse().expect("a moment");
    let mut moments = Vec::new();
    for _ in 0..4 {
        at = schedule.next(at).expect("it comes again");
        moments.push(at.to_zoned(schedule.zone.clone()).strftime("%F %T %z").to_string());
    }
    want.assert_eq(&moments.join("\n"));
}

#[test]
fn what_falls_into_the_missing_hour_is_due_once_behind_it() {
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T00:00:00Z",
        expect![[r#"
            2026-03-28 02:30:00 +0100
            2026-03-29 03:00:00 +0200
            2026-03-30 02:30:00 +0200
            2026-03-31 02:30:00 +0200"#]],
    );
}

#[test]
fn a_fixed_time_in_the_doubled_hour_is_due_once() {
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T00:00:00Z",
        expect![[r#"
            2026-10-24 02:30:00 +0200
            2026-10-25 02:30:00 +0200
            2026-10-26 02:30:00 +0100
            2026-10-27 02:30:00 +0100"#]],
    );
}

#[test]
fn lists_are_fixed_times_too() {
    let in_spring = "2027-03-27T20:00:00Z";
    check(
        "0 2,14 * * *",
        "Europe/Berlin",
        in_spring,
        expect![[r#"
            2027-03-28 03:00:00 +0200
            2027-03-28 14:00:00 +0200
            2027-03-29 02:00:00 +0200
            2027-03-29 14:00:00 +0200"#]],
    );
    check(
        "0,30 2,3 * * *",
        "Europe/Berlin",
        in_spring,
        expect![[r#"
            2027-03-28 03:00:00 +0200
            2027-03-28 03:30:00 +0200
            2027-03-29 02:00:00 +0200
            2027-03-29 02:30:00 +0200"#]],
    );
    check(
        "30 1,2 * * *",
        "Europe/Berlin",
        "2027-10-30T20:00:00Z",
        expect![[r#"
            2027-10-31 01:30:00 +0200
            2027-10-31 02:30:00 +0200
            2027-11-01 01:30:00 +0100
            2027-11-01 02:30:00 +0100"#]],
    );
}

#[test]
fn clocks_that_change_by_less_or_by_more_than_an_hour() {
    check(
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-02T18:00:00Z",
        expect![[r#"
            2026-10-04 02:30:00 +1100
            2026-10-05 02:15:00 +1100
            2026-10-06 02:15:00 +1100
            2026-10-07 02:15:00 +1100"#]],
    );
    // On the thirtieth there was no day at all.
    check(
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
        expect![[r#"
            2011-12-29 12:00:00 -1000
            2011-12-31 00:00:00 +1400
            2011-12-31 12:00:00 +1400
            2012-01-01 12:00:00 +1400"#]],
    );
}

#[test]
fn an_interval_goes_on_through_both_hours() {
    check(
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-10-25T00:00:00Z",
        expect![[r#"
            2026-10-25 02:30:00 +0200
            2026-10-25 02:00:00 +0100
            2026-10-25 02:30:00 +0100
            2026-10-25 03:00:00 +0100"#]],
    );
}

#[test]
fn the_leap_day_comes_every_four_years() {
    check(
        "0 0 29 2 *",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
            2028-02-29 00:00:00 +0000
            2032-02-29 00:00:00 +0000
            2036-02-29 00:00:00 +0000
            2040-02-29 00:00:00 +0000"#]],
    );
}

#[test]
fn six_fields_begin_with_seconds() {
    check(
        "*/20 * * * * *",
        "UTC",
        "2026-01-01T00:00:00Z",
        expect![[r#"
            2026-01-01 00:00:20 +0000
            2026-01-01 00:00:40 +0000
            2026-01-01 00:01:00 +0000
            2026-01-01 00:01:20 +0000"#]],
    );
}

#[test]
fn two_restricted_days_are_joined_by_the_day_rule() {
    let (expression, after) = ("0 0 13 * FRI", "2026-01-01T00:00:00Z");
    check(
        expression,
        "UTC",
        after,
        expect![[r#"
            2026-01-02 00:00:00 +0000
            2026-01-09 00:00:00 +0000
            2026-01-13 00:00:00 +0000
            2026-01-16 00:00:00 +0000"#]],
    );
    check_with(
        DayRule::And,
        expression,
        "UTC",
        after,
        expect![[r#"
            2026-02-13 00:00:00 +0000
            2026-03-13 00:00:00 +0000
            2026-11-13 00:00:00 +0000
            2027-08-13 00:00:00 +0000"#]],
    );
    let schedule = Schedule::parse(expression, None, DayRule::Or).expect("a schedule");
    assert!(schedule.hint(DayRule::Or).is_some_and(|hint| hint.contains("day_rule: and")));
    let plain = Schedule::parse("0 0 13 * *", None, DayRule::Or).expect("a schedule");
    assert_eq!(plain.hint(DayRule::Or), None);
}

#[test]
fn sunday_is_0_and_7() {
    for sunday in ["0 0 * * 0", "0 0 * * 7", "0 0 * * SUN"] {
        let schedule = Schedule::parse(sunday, None, DayRule::Or).expect("a schedule");
        let next = schedule.next("2026-01-01T00:00:00Z".parse().expect("a moment"));
        assert_eq!(next, Some("2026-01-04T00:00:00Z".parse().expect("a moment")), "{sunday}");
    }
}

#[test]
fn a_wrong_expression_names_its_field() {
    let check = |expression, want: Expect| check(expression, "UTC", "2026-01-01T00:00:00Z", want);
    check("61 * * * *", expect![[r#"the field minutes of the cron expression is "61"; it takes 0-59"#]]);
    check("* 25 * * *", expect![[r#"the field hours of the cron expression is "25"; it takes 0-23"#]]);
    check("* * 32 * *", expect![[r#"the field day of month of the cron expression is "32"; it takes 1-31"#]]);
    check("* * * 13 *", expect![[r#"the field month of the cron expression is "13"; it takes 1-12 or JAN-DEC"#]]);
    check("* * * * 8", expect![[r#"the field day of week of the cron expression is "8"; it takes 0-7 or SUN-SAT"#]]);
    check("99 * * * * *", expect![[r#"the field seconds of the cron expression is "99"; it takes 0-59"#]]);
    check("5-1 * * * *", expect![[r#"the field minutes of the cron expression is "5-1"; it takes 0-59"#]]);
    check("*/0 * * * *", expect![[r#"the field minutes of the cron expression is "*/0"; it takes 0-59"#]]);
    check(
        "1,,2 * * * *",
        expect![[r#"the field minutes of the cron expression is "1,,2"; it has an empty place in its list"#]],
    );
    check(
        "*/61 * * * *",
        expect![[
            r#"the field minutes of the cron expression is "*/61"; it has a step of 61, which leads out of 0-59"#
        ]],
    );
    check("* * *", expect![[r#"a cron expression has 5 fields, or 6 with seconds first; "* * *" has 3"#]]);
    check("", expect![[r#"a cron expression has 5 fields, or 6 with seconds first; "" has 0"#]]);
    check(
        "@never",
        expect![[r#""@never" is no schedule; known are `@yearly`, `@monthly`, `@weekly`, `@daily`, `@hourly`"#]],
    );
    check("0 0 30 2 *", expect!["the cron expression `0 0 30 2 *` names no moment that ever comes"]);
}

#[test]
fn a_zone_that_does_not_exist_is_refused() {
    check(
        "* * * * *",
        "Europe/Atlantis",
        "2026-01-01T00:00:00Z",
        expect![[r#"the time zone "Europe/Atlantis" does not exist"#]],
    );
    check(
        "* * * * *",
        "../../etc/passwd",
        "2026-01-01T00:00:00Z",
        expect![[r#"the time zone "../../etc/passwd" does not exist"#]],
    );
}
