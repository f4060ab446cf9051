//! A run as it goes on, on standard error.
use super::lines::{Lines, Ticker, lock};
use super::live::{Live, action_line};
use crate::engine::Progress;
use crate::record::{Event, StepFinished, SuiteRun};
use crate::search::{RunState, Watcher};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A line an event. On a terminal a panel below them shows the living branches,
/// rates and what is left of the budget; elsewhere a plain line now and then.
pub struct TerminalWatcher {
    screen: Arc<Screen>,
    /// Says what goes on where nothing else does.
    _ticker: Ticker,
}

/// The lines that are shown, and the run's state behind them.
struct Screen {
    lines: Lines,
    live: Mutex<Live>,
    /// The newest work, and when it began.
    doing: Mutex<(Doing, Instant)>,
}

/// The work that goes on.
#[derive(Clone)]
pub(super) enum Doing {
    /// A clause.
    Stage(String),
    /// Steps of an engine, whose progress is known.
    Steps,
}

/// The work behind an event.
pub(super) const BETWEEN: &str = "a step of the model, an action, or the tests after it";

impl TerminalWatcher {
    pub fn new() -> Self {
        let starting = Doing::Stage("starting".to_owned());
        let screen = Arc::new(Screen {
            lines: Lines::new(),
            live: Mutex::new(Live::default()),
            doing: Mutex::new((starting, Instant::now())),
        });
        let of_ticker = Arc::clone(&screen);
        Self {
            screen,
            _ticker: Ticker::start(move || of_ticker.tick()),
        }
    }
}

impl Watcher for TerminalWatcher {
    fn event(&self, event: &Event, state: &RunState) {
        self.screen.event(event, state);
    }

    fn progress(&self, progress: &Progress<'_>) {
        self.screen.progress(progress);
    }

    fn stage(&self, what: &str) {
        self.screen.begin(Doing::Stage(what.to_owned()));
        self.screen.say(what);
    }
}

impl Screen {
    /// Breaks a silence.
    fn tick(&self) {
        if !self.lines.are_silent() {
            return;
        }
        let (doing, since) = lock(&self.doing).clone();
        match doing {
            Doing::Stage(what) => {
                let seconds = since.elapsed().as_secs();
                self.say(&format!("{what}, for {seconds} s"));
            }
            Doing::Steps => self.say(&self.status()),
        }
    }

    fn begin(&self, doing: Doing) {
        *lock(&self.doing) = (doing, Instant::now());
    }

    /// How far an engine is, and the rest of the budget, in a line.
    fn status(&self) -> String {
        lock(&self.live).status(self.lines.now_ms()).join(" · ")
    }

    fn say(&self, text: &str) {
        self.lines.say(text);
    }

    fn event(&self, event: &Event, state: &RunState) {
        self.begin(Doing::Stage(BETWEEN.to_owned()));
        lock(&self.live).event(event, state, self.lines.now_ms());
        match event {
            Event::BranchStarted(started) => {
                self.say(&format!("branch {}: {}", started.branch, started.reason))
            }
            Event::StepFinished(step) => self.say(&step_line(step, state)),
            Event::Folded(folded) => self.say(&format!(
                "branch {}: the context fills: {} old observations folded, {} tokens of {} left",
                folded.branch,
                folded.observations.len(),
                folded.tokens_after,
                folded.tokens_before
            )),
            Event::BranchEnded(ended) => {
                let size = match ended.readable().lines().count() {
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
            // Said once: the suite is built again at the end.
            Event::SuiteBuilt(built) if state.suite.is_none() => {
                if !built.options_dropped.is_empty() {
                    self.say(&format!(
                        "of the project's own test options these do not hold: {}",
                        built.options_dropped.join(", ")
                    ));
                }
            }
            Event::RunStarted(_) | Event::SuiteBuilt(_) | Event::SuiteClassified(_) => {}
            // What is printed next must not be drawn over.
            Event::RunEnded(_) => self.lines.clear(),
        }
    }

    fn progress(&self, progress: &Progress<'_>) {
        self.begin(Doing::Steps);
        let now_ms = self.lines.now_ms();
        let mut live = lock(&self.live);
        live.progress(progress, now_ms);
        if self.lines.are_in_place() {
            let mut rows = live.rows();
            rows.extend(live.status(now_ms));
            self.lines.show(&rows);
        } else if self.lines.are_due() {
            self.say(&live.status(now_ms).join(" · "));
        }
    }
}

fn step_line(step: &StepFinished, state: &RunState) -> String {
    let taken = &step.candidates[step.chosen];
    let mut line = format!(
        "branch {} step {}: {} -> {}; {}",
        step.branch,
        state.branch(step.branch).steps.len(),
        action_line(taken),
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
        let is_judged = step.candidates.iter().any(|c| c.judge.is_some());
        let judged = match is_judged {
            true => format!(", judged {}", scores.join(" ")),
            false => String::new(),
        };
        line += &format!(
            "; {} candidates{judged}, took {}",
            scores.len(),
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
    let mut line = format!(
        "tests on {whose}: {} of {} pass, {} fail, {} error",
        counts.passed, counts.total, counts.failed, counts.error
    );
    if counts.not_run > 0 {
        line += &format!(", {} not run", counts.not_run);
        line += &run
            .fault
            .as_ref()
            .map_or(String::new(), |why| format!(": {why}"));
    }
    line
}
