//! Runs that go on side by side, on standard error: a row each.
use super::lines::{Lines, Ticker, lock};
use super::live::Live;
use super::watch::{BETWEEN, Doing};
use crate::engine::Progress;
use crate::record::Event;
use crate::search::{RunState, Watcher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A row for each worker: in place on a terminal, else one after the other in a plain line
/// now and then.
pub struct RunsWatcher {
    screen: Arc<Screen>,
    _ticker: Ticker,
}

struct Screen {
    lines: Lines,
    rows: Vec<Mutex<Row>>,
    /// The row that the next plain line is of.
    next: AtomicUsize,
}

/// The work of one worker.
struct Row {
    /// Of its run; `None` before the first.
    run: Option<String>,
    live: Live,
    /// With its begin; `None` before the first.
    doing: Option<(Doing, Instant)>,
}

/// The watcher of one worker.
pub struct RunWatcher {
    screen: Arc<Screen>,
    at: usize,
}

impl RunsWatcher {
    pub fn new(n_workers: usize) -> Self {
        let row = || {
            Mutex::new(Row {
                run: None,
                live: Live::default(),
                doing: None,
            })
        };
        let screen = Arc::new(Screen {
            lines: Lines::new(),
            rows: std::iter::repeat_with(row).take(n_workers).collect(),
            next: AtomicUsize::new(0),
        });
        let of_ticker = Arc::clone(&screen);
        Self {
            screen,
            _ticker: Ticker::start(move || of_ticker.tick()),
        }
    }

    pub fn of_each(&self) -> Vec<RunWatcher> {
        let of = |at| RunWatcher {
            screen: Arc::clone(&self.screen),
            at,
        };
        (0..self.screen.rows.len()).map(of).collect()
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        self.screen.lines.say(text);
    }
}

impl Screen {
    fn tick(&self) {
        let now_ms = self.lines.now_ms();
        if self.lines.are_in_place() {
            let rows = self.rows.iter().filter_map(|row| lock(row).line(now_ms));
            let rows: Vec<String> = rows.collect();
            self.lines.show(&rows);
        } else if self.lines.are_silent() {
            let first = self.next.load(Ordering::Relaxed);
            let in_turn = (0..self.rows.len()).map(|i| (first + i) % self.rows.len());
            let mut lines = in_turn.filter_map(|at| Some((at, lock(&self.rows[at]).line(now_ms)?)));
            if let Some((at, line)) = lines.next() {
                self.next.store(at + 1, Ordering::Relaxed);
                self.lines.say(&line);
            }
        }
    }
}

impl Row {
    /// `None` before the first work.
    fn line(&self, now_ms: u64) -> Option<String> {
        let (doing, since) = self.doing.as_ref()?;
        Some(self.named(&match doing {
            Doing::Stage(what) => format!("{what}, for {} s", since.elapsed().as_secs()),
            Doing::Steps => self.live.status(now_ms).join(" · "),
        }))
    }

    fn named(&self, text: &str) -> String {
        match &self.run {
            Some(run) => format!("{run}: {text}"),
            None => text.to_owned(),
        }
    }

    fn begin(&mut self, doing: Doing) {
        self.doing = Some((doing, Instant::now()));
    }
}

impl Watcher for RunWatcher {
    fn event(&self, event: &Event, state: &RunState) {
        let now_ms = self.screen.lines.now_ms();
        let mut row = lock(&self.screen.rows[self.at]);
        row.live.event(event, state, now_ms);
        row.begin(Doing::Stage(BETWEEN.to_owned()));
    }

    fn progress(&self, progress: &Progress<'_>) {
        let now_ms = self.screen.lines.now_ms();
        let mut row = lock(&self.screen.rows[self.at]);
        row.live.progress(progress, now_ms);
        row.begin(Doing::Steps);
    }

    fn stage(&self, what: &str) {
        let mut row = lock(&self.screen.rows[self.at]);
        row.begin(Doing::Stage(what.to_owned()));
        let line = row.named(what);
        drop(row);
        self.screen.lines.say(&line);
    }

    fn run(&self, name: &str) {
        let mut row = lock(&self.screen.rows[self.at]);
        row.live = Live::default();
        row.run = Some(name.to_owned());
        row.begin(Doing::Stage("starting".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_its_run_and_says_what_goes_on_now() {
        let watcher = RunsWatcher::new(2);
        let runs = watcher.of_each();
        let line = |at: usize| lock(&watcher.screen.rows[at]).line(1_000);
        assert_eq!(line(0), None);
        runs[0].stage("opening the model");
        assert_eq!(line(0).unwrap(), "opening the model, for 0 s");
        runs[1].run("task egss");
        runs[1].stage("indexing 3 files");
        assert_eq!(line(1).unwrap(), "task egss: indexing 3 files, for 0 s");
        // A stage ends with the work after it.
        runs[1].progress(&Progress {
            decoded_tokens: 1,
            computed_tokens: 0,
            pending_tokens: 0,
            running: 1,
            new_tokens: &[],
        });
        let decoding = line(1).unwrap();
        assert!(
            decoding.starts_with("task egss: decoding 1 sequence, "),
            "{decoding}"
        );
        assert_eq!(line(0).unwrap(), "opening the model, for 0 s");
    }
}
