//! When something has to be over.
//!
//! A [`Deadline`] is data and stops nothing by itself. Each worker looks at its own: an
//! engine before each step, the sandbox while a command runs. Work that a deadline cuts short
//! ends in an error (`DeadlinePassed`) and has no result. For example, a step that is cut
//! short is left out of the record, as if it had not begun; a patch that was not tested in
//! time has no run.
use std::time::{Duration, Instant};

/// A point in time that work has to be done by. Plain data: whoever works looks at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline {
    /// `None`: whenever it is done.
    at: Option<Instant>,
}

impl Deadline {
    /// There is all the time there is.
    pub const NEVER: Self = Self { at: None };

    /// `time` from now.
    pub fn within(time: Duration) -> Self {
        Self::after(Instant::now(), time)
    }

    /// `time` after `began`.
    pub fn after(began: Instant, time: Duration) -> Self {
        // A time beyond the clock's range never comes.
        Self {
            at: began.checked_add(time),
        }
    }

    /// The time until then; none behind it.
    pub fn left(self) -> Duration {
        self.at.map_or(Duration::MAX, |at| {
            at.saturating_duration_since(Instant::now())
        })
    }

    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// The same but for `time` that is kept for what comes after.
    #[must_use]
    pub fn earlier(self, time: Duration) -> Self {
        Self {
            // A time before the clock began is over, as now is.
            at: self
                .at
                .map(|at| at.checked_sub(time).unwrap_or_else(Instant::now)),
        }
    }

    /// The earlier of the two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        match (self.at, other.at) {
            (Some(a), Some(b)) => Self { at: Some(a.min(b)) },
            (a, b) => Self { at: a.or(b) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_comes_and_a_share_of_it_can_be_kept() {
        let hour = Duration::from_secs(3600);
        let deadline = Deadline::within(hour);
        assert!(!deadline.is_over() && deadline.left() <= hour);
        assert!(deadline.earlier(2 * hour).is_over());
        assert!(!deadline.earlier(hour / 2).is_over());
        assert!(Deadline::within(Duration::ZERO).is_over());
    }

    #[test]
    fn the_earlier_of_two_holds_and_never_is_the_latest() {
        let (soon, late) = (
            Deadline::within(Duration::from_secs(1)),
            Deadline::within(Duration::from_secs(9)),
        );
        assert_eq!(late.min(soon), soon);
        assert_eq!(Deadline::NEVER.min(late), late);
        assert_eq!(late.min(Deadline::NEVER), late);
        assert_eq!(Deadline::NEVER.left(), Duration::MAX);
        assert_eq!(Deadline::NEVER.earlier(Duration::MAX), Deadline::NEVER);
        assert_eq!(Deadline::within(Duration::MAX), Deadline::NEVER);
    }
}
