//! A run as it goes on, on standard error.
use super::common::Meter;
use crate::engine::Progress;
use crate::record::{Event, StepFinished, SuiteRun};
use crate::search::{RunState, Watcher};
use std::cell::RefCell;
use std::time::Instant;

/// A line an event; between them the decoding's rate.
pub struct TerminalWatcher {
    started: Instant,
    meter: RefCell<Option<Meter>>,
}

impl TerminalWatcher {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            meter: RefCell::new(None),
        }
    }

    fn say(&self, text: &str) {
        // The meter's line is cleared before another is printed.
        *self.meter.borrow_mut() = None;
        eprintln!("{:>6.1} s  {text}", self.started.elapsed().as_secs_f64());
    }
}

impl Watcher for TerminalWatcher {
    fn event(&self, event: &Event, state: &RunState) {
        match event {
            Event::BranchStarted(started) => {
                self.say(&format!("branch {}: {}", started.branch, started.reason))
            }
            Event::StepFinished(step) => self.say(&step_line(step, state)),
            Event::BranchEnded(ended) => {
                let size = match ended.patch.lines().count() {
                    0 => "no patch".to_owned(),
                    n => format!("a patch of {n} lines"),
                };
                self.say(&format!(
                    "branch {}: {}, {size}",
                    ended.branch,
                    ended.status.clause()
                ));
            }
            Event::SuiteRun(run) => self.say(&suite_line(run)),
            Event::Voted(vote) => self.say(&format!(
                "vote ({}): branch {} {:.2} of 18",
                vote.voter, vote.branch, vote.total
            )),
            Event::TrajectoryJudged(judged) => self.say(&format!(
                "branch {}: judged whole, {:.2}",
                judged.branch, judged.judge.score
            )),
            Event::Selected(selected) => self.say(&match selected.branch {
                Some(branch) => format!("selected: branch {branch} ({})", selected.reason),
                None => format!("nothing selected: {}", selected.reason),
            }),
            Event::RunStarted(_)
            | Event::SuiteBuilt(_)
            | Event::SuiteClassified(_)
            | Event::RunEnded(_) => {}
        }
    }

    fn progress(&self, progress: &Progress<'_>) {
        self.meter
            .borrow_mut()
            .get_or_insert_with(|| Meter::new("decoding"))
            .show(progress);
    }

    fn stage(&self, what: &str) {
        self.say(what);
    }
}

fn step_line(step: &StepFinished, state: &RunState) -> String {
    let taken = &step.candidates[step.chosen];
    let action: String = taken
        .canonical
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(100)
        .collect();
    let mut line = format!(
        "branch {} step {}: {} -> {}; {}",
        step.branch,
        state.branch(step.branch).steps.len(),
        action,
        step.outcome.clause(),
        step.decision.reason
    );
    if step.candidates.len() > 1 {
        let score = |c: &crate::record::Candidate| {
            c.judge
                .as_ref()
                .map_or("-".to_owned(), |judge| format!("{:.2}", judge.score))
        };
        let scores: Vec<String> = step.candidates.iter().map(score).collect();
        line += &format!(
            "; {} candidates, judged {}, took {}",
            scores.len(),
            scores.join(" "),
            step.chosen + 1
        );
    }
    line
}

fn suite_line(run: &SuiteRun) -> String {
    let whose = run
        .branch
        .map_or("the base".to_owned(), |branch| format!("branch {branch}"));
    let counts = run.counts;
    format!(
        "tests on {whose}: {} of {} pass, {} fail, {} error",
        counts.passed, counts.total, counts.failed, counts.error
    )
}
