//! Cron expressions: five fields, or six with seconds first, in a time zone.
//!
//! When clocks go forward, what falls into the missing hour is due once, right behind it; when they go back, a fixed time is due at
//! its first coming only, while an interval goes on through both. That is what Vixie cron does. An interval is what has a `*` in its
//! hours, minutes or seconds; lists and ranges are fixed times.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use domain::{DayRule, Error, Timestamp};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// The longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 256;
const FIELDS: [&str; 6] = ["seconds", "minutes", "hours", "day of month", "month", "day of week"];
const RANGES: [&str; 6] = ["0-59", "0-59", "0-23", "1-31", "1-12 or JAN-DEC", "0-7 or SUN-SAT"];
const STEPS_MAX: [u32; 6] = [59, 59, 23, 31, 12, 7];

/// A schedule that can be asked for its moments.
pub(super) struct Schedule {
    cron: Cron,
    zone: TimeZone,
    /// Its moments are those of a clock on the wall, and not those that pass.
    fixed: bool,
}

impl Schedule {
    /// A schedule that is there already; what [`Self::parse`] refuses as never due is never due.
    pub(super) fn read(expression: &str, zone: Option<&str>, day_rule: DayRule) -> Result<Self, Error> {
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(Error::invalid(format!("the cron expression is longer than {EXPRESSION_BYTES_MAX} bytes")));
        }
        let cron = parser(day_rule).parse(expression).map_err(|_| wrong(expression))?;
        Ok(Self { cron, zone: zone_of(zone)?, fixed: is_fixed(expression) })
    }

    /// A schedule that somebody asks for.
    pub(super) fn parse(expression: &str, zone: Option<&str>, day_rule: DayRule) -> Result<Self, Error> {
        let schedule = Self::read(expression, zone, day_rule)?;
        check_fields(expression)?;
        // From a fixed moment, so that what is accepted does not depend on when it is asked.
        match schedule.next(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(Error::invalid(format!("the cron expression `{expression}` names no moment that ever comes"))),
        }
    }

    /// The first moment behind `after`.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after_there = after.to_zoned(self.zone.clone());
        if !self.fixed {
            return self.cron.find_next_occurrence(&after_there, false).ok().map(|next| next.timestamp());
        }
        // What a clock on the wall shows knows no zone. A time that comes twice is meant at its first coming, and was that of before
        // when the second passes; several may fall into a missing hour, and are the one moment behind it.
        let mut on_wall = after_there.datetime().to_zoned(TimeZone::UTC).ok()?;
        loop {
            on_wall = self.cron.find_next_occurrence(&on_wall, false).ok()?;
            let next = self.moment_of(on_wall.datetime())?;
            if next > after {
                return Some(next);
            }
        }
    }

    fn moment_of(&self, on_wall: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(on_wall);
        match ambiguous.offset() {
            // The first moment behind the gap: as far behind its beginning on the old clock as the gap is long.
            AmbiguousOffset::Gap { after, .. } => {
                let inside = after.to_timestamp(on_wall).ok()?;
                self.zone.following(inside).next().map(|transition| transition.timestamp())
            }
            _ => ambiguous.earlier().ok(),
        }
    }

    /// Two restricted days surprise people, whichever way they are joined.
    pub(super) fn hint(&self, day_rule: DayRule) -> Option<String> {
        let pattern = &self.cron.pattern;
        let both = !pattern.is_dom_wildcard() && !pattern.is_dow_wildcard();
        let meaning = match day_rule {
            DayRule::Or => "either of them is enough, as in every cron; `day_rule: and` asks for both",
            DayRule::And => "both must match; `day_rule: or` is what every cron does",
        };
        both.then(|| format!("the schedule restricts day of month and day of week: {meaning}"))
    }
}

fn parser(day_rule: DayRule) -> CronParser {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed);
    parser.dom_and_dow(day_rule == DayRule::And).build()
}

/// Fields of the time of day without a `*`. Of the names only `@hourly` is an interval.
fn is_fixed(expression: &str) -> bool {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    match fields.as_slice() {
        [name] => !name.eq_ignore_ascii_case("@hourly"),
        fields => !fields.iter().take(fields.len().saturating_sub(3)).any(|field| field.contains(['*', '?'])),
    }
}

/// What the library takes, and does not mean what it looks like.
fn check_fields(expression: &str) -> Result<(), Error> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let first = 6usize.saturating_sub(fields.len());
    for (field, index) in fields.iter().zip(first..6).filter(|_| fields.len() > 1) {
        let step = field.split(',').filter_map(|item| item.split_once('/')?.1.parse::<u32>().ok()).max();
        let why = match step {
            _ if field.split(',').any(str::is_empty) => "has an empty place in its list".to_owned(),
            Some(step) if step > STEPS_MAX[index] => {
                format!("has a step of {step}, which leads out of {}", RANGES[index])
            }
            _ => continue,
        };
        return Err(Error::invalid(format!(
            "the field {} of the cron expression is {field:?}; it {why}",
            FIELDS[index]
        )));
    }
    Ok(())
}

fn zone_of(name: Option<&str>) -> Result<TimeZone, Error> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(TimeZone::UTC) };
    TimeZone::get(name).map_err(|_| {
        let shown: String = name.chars().take(80).collect();
        Error::invalid(format!("the time zone {shown:?} does not exist"))
            .hint("use a name of the IANA database, such as `Europe/Berlin`, or leave it out for UTC")
    })
}

/// Why the library refused it, in terms of its fields.
fn wrong(expression: &str) -> Error {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if expression.trim_start().starts_with('@') {
        let known = "`@yearly`, `@monthly`, `@weekly`, `@daily`, `@hourly`";
        return Error::invalid(format!("{expression:?} is no schedule; known are {known}"));
    }
    if !(5..=6).contains(&fields.len()) {
        let message =
            format!("a cron expression has 5 fields, or 6 with seconds first; {expression:?} has {}", fields.len());
        return Error::invalid(message).hint("such as `0 3 * * *`: minutes, hours, day of month, month, day of week");
    }
    let first = 6 - fields.len();
    let refused = (first..6).find(|index| !alone_is_right(fields[index - first], *index));
    match refused {
        Some(index) => {
            let field = fields[index - first];
            Error::invalid(format!(
                "the field {} of the cron expression is {field:?}; it takes {}",
                FIELDS[index], RANGES[index]
            ))
            .hint("with `*`, lists (`1,15`), ranges (`9-17`, the smaller first) and steps from 1 (`*/5`)")
        }
        None => Error::invalid(format!("{expression:?} is no cron expression")),
    }
}

fn alone_is_right(field: &str, index: usize) -> bool {
    let alone: Vec<&str> = (0..6).map(|other| if other == index { field } else { "*" }).collect();
    parser(DayRule::Or).parse(&alone.join(" ")).is_ok()
}

#[cfg(test)]
mod tests;
