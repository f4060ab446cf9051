//! How many rows of a step a CPU computes in a given time.
//!
//! Only an engine on a CPU is paced. A long prefill is then cut into steps of about two
//! seconds, so that a deadline is seen between them.
use std::time::Duration;

/// A step's time. A deadline is looked at between steps, and progress is told there.
const STEP_TIME: Duration = Duration::from_secs(2);

/// Rows of the first step, of which no time is known.
const FIRST_ROWS: usize = 64;

/// Fewer are never asked for: so few rows read every weight all the same.
const ROWS_MIN: usize = 16;

/// The part of the last step's time in the estimate.
const NEWEST: f64 = 0.5;

/// Bounds the rows of a step by the speed of those before.
///
/// Only where the results are the same in a step of any number of rows
/// (`CausalLm::rows_are_independent`): what a run decodes must not hang on its speed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Of the steps so far; `None` before the first.
    row_s: Option<f64>,
}

impl Pace {
    /// Rows that the next step takes about [`STEP_TIME`] for.
    pub fn rows(&self) -> usize {
        match self.row_s {
            None => FIRST_ROWS,
            // A float that is too large for an integer becomes the largest.
            Some(row_s) => ((STEP_TIME.as_secs_f64() / row_s) as usize).max(ROWS_MIN),
        }
    }

    /// Takes in a step of `n_rows`. Steps of few rows are bound by reading the weights and
    /// say little of what more rows would take.
    pub fn took(&mut self, n_rows: usize, time: Duration) {
        if n_rows < ROWS_MIN {
            return;
        }
        let row_s = time.as_secs_f64() / n_rows as f64;
        let before = self.row_s.unwrap_or(row_s);
        self.row_s = Some(NEWEST * row_s + (1.0 - NEWEST) * before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_the_rows_that_its_time_allows() {
        let mut pace = Pace::default();
        assert_eq!(pace.rows(), FIRST_ROWS);
        pace.took(1, Duration::from_secs(9));
        assert_eq!(pace.rows(), FIRST_ROWS, "a decode step says nothing");
        pace.took(64, Duration::from_secs(1));
        assert_eq!(pace.rows(), 128);
        for _ in 0..20 {
            pace.took(128, Duration::from_secs(8));
        }
        assert_eq!(pace.rows(), 32);
        for _ in 0..20 {
            pace.took(32, Duration::from_secs(60));
        }
        assert_eq!(pace.rows(), ROWS_MIN);
        for _ in 0..80 {
            pace.took(32, Duration::ZERO);
        }
        assert!(pace.rows() > 512);
    }
}
