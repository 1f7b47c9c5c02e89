//! Which slots of a schedule are to be fired now.

use std::time::Duration;

use domain::{CatchUp, Timestamp, TriggerSpec};

use super::cron::Schedule;

/// What is late by less was not missed: the node was only busy.
const GRACE: Duration = Duration::from_secs(10);
/// The most slots that one look at the clock fires, and the most that are made up for.
const SLOTS_MAX: usize = 1000;

/// What to do about a schedule that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The slots to fire, oldest first.
    pub(super) fire: Vec<Timestamp>,
    /// When it is due after those; never in the past.
    pub(super) next: Option<Timestamp>,
}

/// The plan for a schedule that was due at `due`, as the clock shows `now`. `None` when what is kept is no schedule that can be read.
pub(super) fn plan(spec: &TriggerSpec, due: Timestamp, now: Timestamp) -> Option<Plan> {
    let TriggerSpec::Cron { cron, tz, day_rule, catch_up, .. } = spec else {
        // One moment is one slot, however late.
        return Some(Plan { fire: vec![due], next: None });
    };
    let schedule = Schedule::read(cron, tz.as_deref(), *day_rule).ok()?;
    let fresh = now - GRACE;
    let first = if due >= fresh || *catch_up == CatchUp::All { Some(due) } else { schedule.next(just_before(fresh)) };
    let slots = std::iter::successors(first, |slot| schedule.next(*slot)).take_while(|slot| *slot <= now);
    let mut fire: Vec<Timestamp> = slots.take(SLOTS_MAX).collect();
    // What is fresh makes up for what was missed.
    if fire.is_empty() && *catch_up == CatchUp::Last {
        fire.push(last(&schedule, due, now));
    }
    Some(Plan { fire, next: schedule.next(now) })
}

/// The last slot up to `now` of a schedule that was due at `due`. Halves the time between: there may be millions of slots.
fn last(schedule: &Schedule, due: Timestamp, now: Timestamp) -> Timestamp {
    let (mut slot, mut low, mut high) = (due, due.as_second(), now.as_second());
    while low < high {
        let middle = low + (high - low) / 2;
        match Timestamp::from_second(middle).ok().and_then(|at| schedule.next(at)).filter(|next| *next <= now) {
            Some(next) => (slot, low) = (next, middle + 1),
            None => high = middle,
        }
    }
    slot
}

fn just_before(at: Timestamp) -> Timestamp {
    at - Duration::from_nanos(1)
}

#[cfg(test)]
mod tests {
    use domain::{DayRule, Overlap};

    use super::*;

    fn spec(cron: &str, catch_up: CatchUp) -> TriggerSpec {
        TriggerSpec::Cron { cron: cron.into(), tz: None, overlap: Overlap::Skip, catch_up, day_rule: DayRule::Or }
    }

    #[track_caller]
    fn check(cron: &str, catch_up: CatchUp, due: &str, now: &str, want: &[&str]) {
        let at = |text: &str| -> Timestamp { format!("2026-03-01T{text}Z").parse().expect("a moment") };
        let plan = plan(&spec(cron, catch_up), at(due), at(now)).expect("it can be read");
        let fired: Vec<String> = plan.fire.iter().map(|slot| slot.to_string()[11..19].to_owned()).collect();
        assert_eq!(fired, want);
        assert!(plan.next.is_some_and(|next| next > at(now)), "the next is to come");
    }

    #[test]
    fn on_time_every_slot_fires() {
        for catch_up in [CatchUp::Skip, CatchUp::Last, CatchUp::All] {
            check("0 * * * *", catch_up, "03:00:00", "03:00:00", &["03:00:00"]);
            check("* * * * * *", catch_up, "03:00:00", "03:00:02", &["03:00:00", "03:00:01", "03:00:02"]);
        }
    }

    #[test]
    fn after_a_stop_the_policy_says_what_is_made_up_for() {
        let (due, now) = ("03:00:00", "06:30:00");
        check("0 * * * *", CatchUp::Skip, due, now, &[]);
        check("0 * * * *", CatchUp::Last, due, now, &["06:00:00"]);
        check("0 * * * *", CatchUp::All, due, now, &["03:00:00", "04:00:00", "05:00:00", "06:00:00"]);
    }

    #[test]
    fn what_is_fresh_makes_up_for_what_was_missed() {
        check("0 * * * *", CatchUp::Last, "03:00:00", "05:00:01", &["05:00:00"]);
        check("0 * * * *", CatchUp::Skip, "03:00:00", "05:00:01", &["05:00:00"]);
    }

    #[test]
    fn a_day_of_seconds_is_bounded() {
        let (due, now) = ("00:00:00", "23:59:59");
        let at = |text: &str| -> Timestamp { format!("2026-03-01T{text}Z").parse().expect("a moment") };
        let fire = |catch_up| plan(&spec("* * * * * *", catch_up), at(due), at(now)).expect("it can be read").fire;
        assert_eq!(fire(CatchUp::All).len(), SLOTS_MAX);
        let last = fire(CatchUp::Last);
        assert_eq!(last.last(), Some(&at(now)));
        assert_eq!(last.len(), 11, "those of the last ten seconds");
        assert_eq!(fire(CatchUp::Skip), last);
    }

    #[test]
    fn the_last_slot_of_a_long_absence_is_found() {
        let at = |text: &str| -> Timestamp { text.parse().expect("a moment") };
        let last = |cron: &str, due: &str, now: &str| {
            let plan = plan(&spec(cron, CatchUp::Last), at(due), at(now)).expect("it can be read");
            plan.fire.iter().map(Timestamp::to_string).collect::<Vec<_>>()
        };
        assert_eq!(last("0 * * * *", "2020-01-01T00:00:00Z", "2026-03-01T05:59:00Z"), ["2026-03-01T05:00:00Z"]);
        assert_eq!(last("* * * 1 *", "2020-01-01T00:00:00Z", "2026-03-01T05:59:00Z"), ["2026-01-31T23:59:00Z"]);
        assert_eq!(last("0 0 29 2 *", "2024-02-29T00:00:00Z", "2027-01-01T00:00:00Z"), ["2024-02-29T00:00:00Z"]);
    }

    #[test]
    fn one_moment_fires_once_however_late() {
        let at = |text: &str| -> Timestamp { text.parse().expect("a moment") };
        let once = TriggerSpec::Once { once: at("2026-01-01T00:00:00Z") };
        let plan = plan(&once, at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        assert_eq!(plan.expect("it can be read"), Plan { fire: vec![at("2026-01-01T00:00:00Z")], next: None });
    }
}
