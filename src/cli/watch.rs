//! A run as it goes on, on standard error.
use super::live::{Live, action_line};
use super::out;
use crate::engine::Progress;
use crate::record::{Event, StepFinished, SuiteRun};
use crate::search::{RunState, Watcher};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a plain line says how far an engine has come.
const PLAIN_EVERY: Duration = Duration::from_secs(3);

/// By then a line says what goes on where an engine does not.
const SILENCE_MAX: Duration = Duration::from_secs(4);

/// How often the silence is measured.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A line an event. On a terminal a panel below them shows the living branches,
/// rates and what is left of the budget; elsewhere a plain line now and then.
pub struct TerminalWatcher {
    screen: Arc<Screen>,
    /// Says what goes on where nothing else does.
    ticker: Option<JoinHandle<()>>,
}

/// The lines that are shown, and the run's state behind them.
struct Screen {
    started: Instant,
    live: Mutex<Live>,
    /// `None` without a terminal.
    panel: Option<Mutex<Panel>>,
    /// The newest work, and when it began.
    doing: Mutex<(Doing, Instant)>,
    last_line: Mutex<Instant>,
    is_over: AtomicBool,
}

/// The work that goes on.
#[derive(Clone)]
enum Doing {
    /// A clause.
    Stage(String),
    /// Steps of an engine, whose progress is known.
    Steps,
}

/// The work behind an event.
const BETWEEN: &str = "a step of the model, an action, or the tests after it";

impl TerminalWatcher {
    pub fn new() -> Self {
        let screen = Arc::new(Screen::new());
        let of_ticker = Arc::clone(&screen);
        let ticker = std::thread::Builder::new().name("ticker".into());
        Self {
            screen,
            // Without it a run goes on, with less to read.
            ticker: ticker.spawn(move || of_ticker.tick()).ok(),
        }
    }
}

impl Drop for TerminalWatcher {
    fn drop(&mut self) {
        self.screen.is_over.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            // It has nothing to lose.
            let _ = ticker.join();
        }
    }
}

impl Screen {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            live: Mutex::new(Live::default()),
            panel: Panel::on_terminal().map(Mutex::new),
            doing: Mutex::new((Doing::Stage("starting".to_owned()), now)),
            last_line: Mutex::new(now),
            is_over: AtomicBool::new(false),
        }
    }

    /// Breaks each silence, until the run is over.
    fn tick(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            if lock(&self.last_line).elapsed() >= SILENCE_MAX {
                let (doing, since) = lock(&self.doing).clone();
                match doing {
                    Doing::Stage(what) => {
                        let seconds = since.elapsed().as_secs();
                        self.say(&format!("{what}, for {seconds} s"));
                    }
                    Doing::Steps => self.say(&self.status()),
                }
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn begin(&self, doing: Doing) {
        *lock(&self.doing) = (doing, Instant::now());
    }

    /// How far an engine is, and the rest of the budget, in a line.
    fn status(&self) -> String {
        lock(&self.live).status(self.now_ms()).join(" · ")
    }

    fn say(&self, text: &str) {
        *lock(&self.last_line) = Instant::now();
        let line = format!("{:>6.1} s  {text}", self.started.elapsed().as_secs_f64());
        match &self.panel {
            Some(panel) => lock(panel).say(&line),
            None => out::note(&line),
        }
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn show(&self) {
        if let Some(panel) = &self.panel {
            *lock(&self.last_line) = Instant::now();
            let mut lines = lock(&self.live).rows();
            lines.extend(lock(&self.live).status(self.now_ms()));
            lock(panel).show(&lines);
            return;
        }
        let is_due = lock(&self.last_line).elapsed() >= PLAIN_EVERY;
        if is_due {
            self.say(&self.status());
        }
    }
}

/// What a watcher that panicked has left is good to show.
fn lock<T>(shown: &Mutex<T>) -> MutexGuard<'_, T> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines at the bottom of a terminal, redrawn in their places.
struct Panel {
    all: MultiProgress,
    lines: Vec<ProgressBar>,
}

impl Panel {
    /// `None` where lines of standard error cannot be redrawn.
    fn on_terminal() -> Option<Self> {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        (out::is_redrawn() && !all.is_hidden()).then(|| Self {
            all,
            lines: Vec::new(),
        })
    }

    /// A line above the panel, which stays.
    fn say(&self, line: &str) {
        if self.all.println(line).is_err() {
            out::note(line);
        }
    }

    fn show(&mut self, lines: &[String]) {
        while self.lines.len() > lines.len() {
            let line = self.lines.pop().expect("there are more");
            line.finish_and_clear();
            self.all.remove(&line);
        }
        while self.lines.len() < lines.len() {
            // A line that is too long is cut, as a wrapped one would be drawn over.
            let style = ProgressStyle::with_template("{wide_msg}");
            let line = ProgressBar::new_spinner().with_style(style.expect("a valid template"));
            self.lines.push(self.all.add(line));
        }
        for (line, text) in self.lines.iter().zip(lines) {
            line.set_message(text.clone());
            line.tick();
        }
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        self.show(&[]);
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
    fn event(&self, event: &Event, state: &RunState) {
        self.begin(Doing::Stage(BETWEEN.to_owned()));
        lock(&self.live).event(event, state, self.now_ms());
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
            Event::RunEnded(_) => {
                if let Some(panel) = &self.panel {
                    lock(panel).show(&[]);
                }
            }
        }
    }

    fn progress(&self, progress: &Progress<'_>) {
        self.begin(Doing::Steps);
        lock(&self.live).progress(progress, self.now_ms());
        self.show();
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
