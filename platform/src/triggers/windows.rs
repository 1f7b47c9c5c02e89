//! Until when triggers collect messages. In memory: after a restart a window begins anew, and what was collected is due as noted.

use std::collections::HashMap;
use std::time::Duration;

use domain::Timestamp;

/// Windows that are kept before those that have passed are looked for.
const TIDY_AT: usize = 1024;

/// The windows that are open, by trigger.
#[derive(Debug, Default)]
pub(super) struct Windows {
    open: HashMap<String, Window>,
}

#[derive(Debug)]
struct Window {
    until: Timestamp,
    collected: u32,
}

impl Windows {
    /// When a message that comes now is due: at the end of the window that is open, or of one that it opens; at once when it is the
    /// last that the window takes, which closes it.
    pub(super) fn due(&mut self, trigger: &str, most: u32, length: Duration, now: Timestamp) -> Timestamp {
        if self.open.len() >= TIDY_AT {
            self.open.retain(|_, window| window.until > now);
        }
        let opened = Window { until: now + length, collected: 0 };
        let window = self.open.entry(trigger.to_owned()).or_insert(opened);
        // One that ends later than a new one would was opened before the clock was set back.
        if window.until <= now || window.until > now + length {
            *window = Window { until: now + length, collected: 0 };
        }
        window.collected += 1;
        let (until, full) = (window.until, window.collected >= most);
        if full {
            self.open.remove(trigger);
        }
        if full { now } else { until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("a date within range")
    }

    #[test]
    fn a_window_ends_when_its_time_is_over_or_it_is_full() {
        let mut windows = Windows::default();
        let mut due = |trigger: &str, ms: i64| windows.due(trigger, 3, Duration::from_millis(100), at(ms));
        assert_eq!([due("a", 0), due("a", 50), due("b", 60)], [at(100), at(100), at(160)]);
        assert_eq!(due("a", 70), at(70), "the third fills it");
        assert_eq!(due("a", 80), at(180), "a new one");
        assert_eq!(due("a", 180), at(280), "its time is over");
        assert_eq!(due("a", 20), at(120), "the clock was set back");
    }

    #[test]
    fn windows_that_passed_are_forgotten() {
        let mut windows = Windows::default();
        for trigger in 0..5000 {
            windows.due(&trigger.to_string(), 9, Duration::from_millis(1), at(trigger));
        }
        assert!(windows.open.len() <= TIDY_AT);
    }
}
