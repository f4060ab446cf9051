//! The present work of a run, as lines: pure, for a terminal or a pipe to print.
//!
//! A terminal shows the lines in place; a pipe gets one now and then.
use crate::base::{BranchId, Budget};
use crate::engine::Progress;
use crate::record::{Candidate, Event, StepFinished, StepOutcome};
use crate::report::{action, duration, thousands};
use crate::search::RunState;
use std::collections::{BTreeMap, VecDeque};

/// The present state of a run, from what its watcher is told.
#[derive(Default)]
pub struct Live {
    budget: Option<Budget>,
    /// When the run that is watched opened its first branch.
    began_ms: u64,
    branches: BTreeMap<BranchId, Row>,
    n_branches: usize,
    /// Decoded + computed tokens that events account for.
    recorded_tokens: u64,
    /// The same since the newest event.
    unrecorded_tokens: u64,
    call: Call,
    rate: Rate,
}

/// A living branch.
#[derive(Default)]
struct Row {
    n_steps: usize,
    action: String,
    outcome: Option<StepOutcome>,
    score: Option<f32>,
}

/// The operation of the engine that goes on.
#[derive(Clone, Copy, Default)]
struct Call {
    decoded_tokens: usize,
    computed_tokens: usize,
    pending_tokens: usize,
    running: usize,
}

/// Widest text of an action, characters.
const ACTION_CHARS_MAX: usize = 56;
/// Branches that are shown at most; the others are counted.
const ROWS_MAX: usize = 12;

impl Live {
    /// Takes an event at a time of the watch; `state` is what was before it.
    pub fn event(&mut self, event: &Event, state: &RunState, now_ms: u64) {
        self.budget = Some(state.start.budget);
        self.recorded_tokens =
            state.usage.total().spent_tokens() + event.usage().total().spent_tokens();
        self.unrecorded_tokens = 0;
        self.n_branches = state.branches.len();
        match event {
            Event::BranchStarted(started) => {
                if state.branches.is_empty() {
                    // Another run, or the first one.
                    self.branches.clear();
                    self.began_ms = now_ms;
                }
                self.n_branches += 1;
                let n_steps = started.forked_from.map_or(0, |fork| {
                    let steps = &state.branch(fork.branch).steps;
                    let at = steps.iter().position(|&step| step == fork.step);
                    at.unwrap_or(steps.len())
                });
                let row = Row {
                    n_steps,
                    ..Row::default()
                };
                self.branches.insert(started.branch, row);
            }
            Event::StepFinished(step) => {
                // A run that goes on after a stop has branches from before.
                let row = self.branches.entry(step.branch).or_default();
                row.n_steps = state.branch(step.branch).steps.len() + 1;
                row.take(step);
            }
            Event::BranchEnded(ended) => {
                self.branches.remove(&ended.branch);
            }
            _ => {}
        }
    }

    /// Takes an engine's progress at a time of the watch.
    pub fn progress(&mut self, progress: &Progress<'_>, now_ms: u64) {
        let (decoded, computed) = (progress.decoded_tokens, progress.computed_tokens);
        let before = self.call;
        // Counts begin anew with each operation.
        let is_new = decoded < before.decoded_tokens || computed < before.computed_tokens;
        let gained = |now: usize, before: usize| (if is_new { now } else { now - before }) as u64;
        let gained_decoded = gained(decoded, before.decoded_tokens);
        let gained_computed = gained(computed, before.computed_tokens);
        self.unrecorded_tokens += gained_decoded + gained_computed;
        self.rate.add(now_ms, gained_decoded, gained_computed);
        self.call = Call {
            decoded_tokens: decoded,
            computed_tokens: computed,
            pending_tokens: progress.pending_tokens,
            running: progress.running,
        };
    }

    /// Rates, then what is left of the budget.
    pub fn status(&self, now_ms: u64) -> Vec<String> {
        let (decoded_per_s, computed_per_s) = self.rate.per_s(now_ms);
        let mut parts = Vec::new();
        if self.call.pending_tokens > 0 && computed_per_s > 0.0 {
            let left_s = self.call.pending_tokens as f64 / computed_per_s;
            parts.push(format!(
                "computing a prompt, {} tokens to go, {computed_per_s:.0} tok/s, {left_s:.0} s",
                self.call.pending_tokens
            ));
        } else {
            parts.push(format!(
                "decoding {}, {decoded_per_s:.1} tok/s",
                match self.call.running {
                    1 => "1 sequence".to_owned(),
                    n => format!("{n} sequences"),
                }
            ));
        }
        if let Some(budget) = &self.budget {
            parts.push(self.left(budget, now_ms, decoded_per_s + computed_per_s));
        }
        parts
    }

    /// What is left, and how long at most: the budget ends a run, its end cannot
    /// be foreseen.
    fn left(&self, budget: &Budget, now_ms: u64, per_s: f64) -> String {
        let spent = self.recorded_tokens + self.unrecorded_tokens;
        let tokens = budget.tokens_max.saturating_sub(spent);
        let branches = (budget.branches_max as usize).saturating_sub(self.n_branches);
        let wall_s = budget
            .wall_s_max
            .saturating_sub((now_ms - self.began_ms) / 1_000);
        let mut text = format!("left: {} tokens, {branches} branches", thousands(tokens));
        let by_tokens_s = (per_s > 0.0).then(|| (tokens as f64 / per_s) as u64);
        let at_most_s = by_tokens_s.map_or(wall_s, |s| s.min(wall_s));
        text += &format!(", at most {}", duration(at_most_s * 1_000));
        text
    }

    /// A line for each living branch.
    pub fn rows(&self) -> Vec<String> {
        let rows = self.branches.iter().take(ROWS_MAX);
        let mut lines: Vec<String> = rows.map(|(id, row)| row.line(*id)).collect();
        if self.branches.len() > ROWS_MAX {
            lines.push(format!("… and {} more", self.branches.len() - ROWS_MAX));
        }
        lines
    }
}

impl Row {
    fn take(&mut self, step: &StepFinished) {
        let taken = &step.candidates[step.chosen];
        self.action = action_line(taken);
        self.outcome = Some(step.outcome);
        self.score = taken.judge.as_ref().map(|judge| judge.score);
    }

    fn line(&self, id: BranchId) -> String {
        let Some(outcome) = self.outcome else {
            return format!("branch {id:<3} step {:<3} begins", self.n_steps + 1);
        };
        let score = self
            .score
            .map_or(String::new(), |score| format!(", judged {score:.2}"));
        format!(
            "branch {id:<3} step {:<3} {} → {}{score}",
            self.n_steps,
            self.action,
            outcome.clause()
        )
    }
}

/// A candidate's tool and arguments in a line that cannot move the cursor.
pub fn action_line(candidate: &Candidate) -> String {
    let (tool, rest) = action(candidate, ACTION_CHARS_MAX);
    format!("{tool} {rest}").trim_end().to_owned()
}

/// Tokens over the last seconds.
#[derive(Default)]
struct Rate {
    /// `(time ms, decoded, computed)`, oldest first.
    samples: VecDeque<(u64, u64, u64)>,
}

/// Long enough to be steady, short enough to be of now.
const RATE_WINDOW_MS: u64 = 5_000;

impl Rate {
    fn add(&mut self, now_ms: u64, decoded: u64, computed: u64) {
        self.samples.push_back((now_ms, decoded, computed));
        while let Some(&(at, ..)) = self.samples.front()
            && at + RATE_WINDOW_MS < now_ms
        {
            self.samples.pop_front();
        }
    }

    /// Decoded and computed tokens a second. The first sample only says since when.
    fn per_s(&self, now_ms: u64) -> (f64, f64) {
        let mut samples = self.samples.iter();
        let Some(&(since, ..)) = samples.next() else {
            return (0.0, 0.0);
        };
        let s = now_ms.saturating_sub(since) as f64 / 1e3;
        if s <= 0.0 {
            return (0.0, 0.0);
        }
        let (decoded, computed) = samples.fold((0, 0), |sum, s| (sum.0 + s.1, sum.1 + s.2));
        (decoded as f64 / s, computed as f64 / s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(
        decoded_tokens: usize,
        computed_tokens: usize,
        pending: usize,
    ) -> Progress<'static> {
        Progress {
            decoded_tokens,
            computed_tokens,
            pending_tokens: pending,
            running: 3,
            new_tokens: &[],
        }
    }

    #[test]
    fn the_rate_is_of_the_last_seconds() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_s(10), (0.0, 0.0));
        for second in 0..=60 {
            // Ten a second, then forty.
            let n = if second > 50 { 40 } else { 10 };
            rate.add(second * 1_000, n, 0);
        }
        assert_eq!(rate.per_s(60_000).0, 40.0);
    }

    #[test]
    fn tokens_of_several_operations_add_up() {
        let mut live = Live::default();
        live.progress(&progress(0, 100, 0), 0);
        live.progress(&progress(10, 100, 0), 500);
        live.progress(&progress(4, 0, 0), 1_000);
        assert_eq!(live.unrecorded_tokens, 114);
        assert_eq!(live.status(1_000), ["decoding 3 sequences, 14.0 tok/s"]);
    }

    #[test]
    fn a_prompt_says_how_long_it_takes() {
        let mut live = Live::default();
        live.progress(&progress(0, 0, 900), 0);
        live.progress(&progress(0, 300, 600), 1_000);
        assert_eq!(
            live.status(1_000),
            ["computing a prompt, 600 tokens to go, 300 tok/s, 2 s"]
        );
    }

    #[test]
    fn the_budget_bounds_the_time_that_is_left() {
        let budget = Budget {
            tokens_max: 1_000,
            branches_max: 8,
            wall_s_max: 600,
            ..Budget::default()
        };
        let live = Live {
            recorded_tokens: 400,
            n_branches: 3,
            ..Live::default()
        };
        let left = |per_s| live.left(&budget, 60_000, per_s);
        assert_eq!(
            left(10.0),
            "left: 600 tokens, 5 branches, at most 1 min 00 s"
        );
        assert_eq!(
            left(0.1),
            "left: 600 tokens, 5 branches, at most 9 min 00 s"
        );
        assert_eq!(
            left(0.0),
            "left: 600 tokens, 5 branches, at most 9 min 00 s"
        );
    }

    #[test]
    fn a_branch_is_a_line_that_cannot_move_the_cursor() {
        let row = Row {
            n_steps: 4,
            action: "edit a.py balance".into(),
            outcome: Some(StepOutcome::TestsFailed),
            score: Some(0.625),
        };
        assert_eq!(
            row.line(BranchId(2)),
            "branch 2   step 4   edit a.py balance → tests failed, judged 0.62"
        );
        assert_eq!(
            Row::default().line(BranchId(11)),
            "branch 11  step 1   begins"
        );
        let text = serde_json::json!({
            "text": "", "tokens": [], "tool": null, "merged": 1, "judge": null,
            "canonical": "\u{1b}[2J\n?",
            "entropy": crate::base::ActionEntropy::default(),
        });
        let candidate: Candidate = serde_json::from_value(text).unwrap();
        assert_eq!(action_line(&candidate), "no call [2J ?");
    }

    #[test]
    fn many_branches_do_not_fill_the_screen() {
        let mut live = Live::default();
        for id in 0..20 {
            live.branches.insert(BranchId(id), Row::default());
        }
        let rows = live.rows();
        assert_eq!(rows.len(), ROWS_MAX + 1);
        assert_eq!(rows.last().unwrap(), "… and 8 more");
    }
}
