//! Who is next: whoever has been given the least time.
//!
//! Every grant is charged at once with a whole slice, and corrected to what it took when it ends, so that work which cannot be
//! interrupted in time pays for it. One who comes back after a rest begins where the others are: rest is not saved up, and
//! debts are not forgotten as long as anybody is at work.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use super::SLICE;

#[derive(Debug)]
pub(super) struct Order<K, W> {
    free: usize,
    /// The time that whoever came last had been given by then. Nobody at work has less.
    floor: Duration,
    shares: HashMap<K, Share<W>>,
    /// Numbers those who wait, by their coming.
    count: u64,
}

#[derive(Debug)]
struct Share<W> {
    given: Duration,
    running: usize,
    waiting: VecDeque<(u64, W)>,
}

impl<K: Hash + Eq + Clone, W> Order<K, W> {
    /// At most `running_max` run at any moment.
    pub(super) fn new(running_max: usize) -> Self {
        Self { free: running_max.max(1), floor: Duration::ZERO, shares: HashMap::new(), count: 0 }
    }

    /// One more waits for `key`; returns its number.
    pub(super) fn line_up(&mut self, key: &K, waiter: W) -> u64 {
        self.count += 1;
        let new = || Share { given: Duration::ZERO, running: 0, waiting: VecDeque::new() };
        let share = self.shares.entry(key.clone()).or_insert_with(new);
        share.given = share.given.max(self.floor);
        share.waiting.push_back((self.count, waiter));
        self.count
    }

    pub(super) fn is_waiting(&self, key: &K, number: u64) -> bool {
        self.shares.get(key).is_some_and(|share| share.waiting.iter().any(|(waiting, _)| *waiting == number))
    }

    pub(super) fn step_out(&mut self, key: &K, number: u64) {
        if let Some(share) = self.shares.get_mut(key) {
            share.waiting.retain(|(waiting, _)| *waiting != number);
        }
        self.forget();
    }

    /// Gives a free place to whoever is next.
    pub(super) fn next(&mut self) -> Option<W> {
        if self.free == 0 {
            return None;
        }
        let waiting = self.shares.values_mut().filter(|share| !share.waiting.is_empty());
        let share = waiting.min_by_key(|share| (share.given, share.waiting.front().map(|(number, _)| *number)))?;
        self.floor = self.floor.max(share.given);
        self.free -= 1;
        share.given += SLICE;
        share.running += 1;
        share.waiting.pop_front().map(|(_, waiter)| waiter)
    }

    /// One who ran for `key` stops running, after `took`.
    pub(super) fn give_back(&mut self, key: &K, took: Duration) {
        self.free += 1;
        if let Some(share) = self.shares.get_mut(key) {
            share.running -= 1;
            share.given = (share.given + took).saturating_sub(SLICE);
        }
        self.forget();
    }

    /// Forgets those who rest and owe nothing; when all rest, everybody.
    fn forget(&mut self) {
        let floor = self.floor;
        let works = |share: &Share<W>| share.running > 0 || !share.waiting.is_empty();
        if self.shares.values().any(works) {
            self.shares.retain(|_, share| works(share) || share.given > floor);
        } else {
            self.shares.clear();
            self.floor = Duration::ZERO;
        }
    }

    /// Everybody who waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &W> {
        self.shares.values().flat_map(|share| share.waiting.iter().map(|(_, waiter)| waiter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One place, on a clock that only this test moves: `hogs` who always have two pieces of work, each of which holds the
    /// place for `overrun`, and one who comes then and wants `work`. Returns how long it took that one.
    fn served_after(hogs: u32, overrun: Duration, work: Duration) -> Duration {
        let mut order = Order::new(1);
        for hog in (0..hogs).chain(0..hogs) {
            order.line_up(&hog, hog);
        }
        // They have been at it for a while.
        for _ in 0..1_000 {
            turn(&mut order, overrun);
        }
        let (late, mut done, mut now) = (hogs, Duration::ZERO, Duration::ZERO);
        order.line_up(&late, late);
        while done < work {
            let who = order.next().expect("somebody waits");
            let took = if who == late { SLICE.min(work - done) } else { overrun };
            now += took;
            done += if who == late { took } else { Duration::ZERO };
            order.give_back(&who, took);
            order.line_up(&who, who);
        }
        now
    }

    fn turn(order: &mut Order<u32, u32>, took: Duration) {
        let who = order.next().expect("somebody waits");
        order.give_back(&who, took);
        order.line_up(&who, who);
    }

    #[test]
    fn work_takes_at_most_its_time_for_each_who_works() {
        for hogs in [1, 4, 60] {
            for work in [SLICE / 10, SLICE, SLICE * 10, SLICE * 100] {
                let most = (work + SLICE) * (hogs + 1);
                let took = served_after(hogs, SLICE, work);
                assert!(took <= most, "{hogs} hogs, {work:?}: {took:?}, at most {most:?}");
            }
        }
    }

    /// A hog cannot be stopped in time, but pays: it may hold the place once before each of the others' shares is used up.
    #[test]
    fn whoever_overruns_pays_for_it() {
        let (work, overrun) = (SLICE * 20, SLICE * 40);
        let took = served_after(4, overrun, work);
        assert!(took <= work + overrun * 4, "{took:?}");
    }

    #[test]
    fn two_places_go_to_two_before_one_gets_both() {
        let mut order = Order::new(2);
        order.line_up(&'a', "a1");
        order.line_up(&'a', "a2");
        order.line_up(&'b', "b1");
        assert_eq!((order.next(), order.next(), order.next()), (Some("a1"), Some("b1"), None));
        order.give_back(&'b', SLICE * 3);
        assert_eq!(order.next(), Some("a2"), "nobody else waits");
    }

    #[test]
    fn a_debt_outlives_a_rest_and_a_rest_is_not_saved_up() {
        let mut order = Order::new(1);
        order.line_up(&'a', "a");
        order.line_up(&'b', "b");
        assert_eq!(order.next(), Some("a"));
        order.give_back(&'a', SLICE * 5);
        assert_eq!(order.next(), Some("b"));
        order.line_up(&'a', "a");
        for _ in 0..4 {
            order.give_back(&'b', SLICE);
            order.line_up(&'b', "b");
            assert_eq!(order.next(), Some("b"));
        }
        order.give_back(&'b', SLICE);
        order.line_up(&'b', "b");
        assert_eq!(order.next(), Some("a"), "both have had as much");

        let mut order = Order::new(1);
        order.line_up(&'a', "a");
        for _ in 0..10 {
            assert_eq!(order.next(), Some("a"));
            order.line_up(&'a', "a");
            order.give_back(&'a', SLICE);
        }
        order.line_up(&'b', "b");
        let turns: Vec<_> = (0..4)
            .map(|_| {
                let who = order.next().expect("both wait");
                let key = who.chars().next().expect("a letter");
                order.line_up(&key, who);
                order.give_back(&key, SLICE);
                who
            })
            .collect();
        assert_eq!(turns.iter().filter(|who| **who == "b").count(), 2, "{turns:?}");
    }

    #[test]
    fn when_all_rest_nothing_is_kept() {
        let mut order = Order::new(1);
        let number = order.line_up(&'a', ());
        order.line_up(&'b', ());
        order.step_out(&'a', number);
        order.next();
        order.give_back(&'b', SLICE * 100);
        assert!(order.shares.is_empty());
        assert_eq!((order.floor, order.free), (Duration::ZERO, 1));
    }
}
