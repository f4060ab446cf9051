//! The wall time of a run: when each of its stages has to be over.
//!
//! For example with `--wall-s-max 300` the search ends 15 s before the end where tests take a
//! moment, and 120 s before where they take minutes.
use crate::base::Deadline;
use std::time::Duration;

/// The part of a run's time that is kept for its end in any case: the last patches are
/// written, ranked and reported. And the most that is kept where tests are slow.
const END_SHARE_MIN: u32 = 20;
const END_SHARE_MAX: f64 = 0.4;

/// The part of a run's time that the tests on the base may take, before the search has
/// begun.
const BASE_SHARE: u32 = 3;

/// Runs of the suite at the end, beside those of patches: a new suite on the base, and once
/// more for tests that are not always the same.
const BASE_RUNS: u32 = 2;

/// Deadlines of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    wall: Duration,
    end: Deadline,
    /// The search's own, where that is earlier than what is kept leaves it.
    search: Deadline,
    kept: Duration,
}

impl Clock {
    /// Of a run that has `wall` of time in all and has to be over at `end`.
    pub fn new(wall: Duration, end: Deadline) -> Self {
        Self {
            wall,
            end,
            search: end,
            kept: wall / END_SHARE_MIN,
        }
    }

    /// The same with an end that takes as long as it takes.
    #[must_use]
    pub fn with_a_long_end(self) -> Self {
        Self {
            end: Deadline::NEVER,
            ..self
        }
    }

    /// Keeps time for the end, where the suite takes `suite` and is run on up to `n` patches.
    pub fn keep(&mut self, suite: Duration, n: u32) {
        let runs = suite.saturating_mul(BASE_RUNS.saturating_add(n));
        let most = self.wall.mul_f64(END_SHARE_MAX);
        self.kept = (self.wall / END_SHARE_MIN).saturating_add(runs).min(most);
    }

    /// When the tests on the base have to be over.
    pub fn base(&self) -> Deadline {
        Deadline::within(self.wall / BASE_SHARE).min(self.search())
    }

    /// When the search has to be over.
    pub fn search(&self) -> Deadline {
        self.search.earlier(self.kept)
    }

    /// When the run has to be over.
    pub fn end(&self) -> Deadline {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn left_s(deadline: Deadline) -> f64 {
        deadline.left().as_secs_f64().round()
    }

    #[test]
    fn slow_tests_are_given_more_of_the_end_but_never_the_most_of_a_run() {
        let mut clock = Clock::new(seconds(1000), Deadline::within(seconds(1000)));
        assert_eq!(left_s(clock.search()), 950.0);
        assert_eq!(left_s(clock.base()), 333.0);
        clock.keep(seconds(10), 4);
        assert_eq!(left_s(clock.search()), 890.0);
        clock.keep(seconds(300), 4);
        assert_eq!(left_s(clock.search()), 600.0);
        assert_eq!(left_s(clock.end()), 1000.0);
    }

    #[test]
    fn what_came_before_the_run_is_part_of_its_time() {
        // A model that took long to load.
        let clock = Clock::new(seconds(100), Deadline::within(seconds(20)));
        assert_eq!(left_s(clock.search()), 15.0);
        assert_eq!(left_s(clock.base()), 15.0);
        let late = Clock::new(seconds(100), Deadline::within(seconds(0)));
        assert!(late.search().is_over() && late.base().is_over());
    }
}
