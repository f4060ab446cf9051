//! Lines on standard error for work that goes on: in place on a terminal, else now and then.
use super::out;
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

/// Lines that stay, each with its time, and on a terminal some below them that do not.
pub struct Lines {
    started: Instant,
    /// `None` without a terminal.
    panel: Option<Mutex<Panel>>,
    last: Mutex<Instant>,
}

impl Lines {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            panel: Panel::on_terminal().map(Mutex::new),
            last: Mutex::new(now),
        }
    }

    pub fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        *lock(&self.last) = Instant::now();
        let line = format!("{:>6.1} s  {text}", self.started.elapsed().as_secs_f64());
        match &self.panel {
            Some(panel) => lock(panel).say(&line),
            None => out::note(&line),
        }
    }

    /// Whether lines can be redrawn.
    pub fn are_in_place(&self) -> bool {
        self.panel.is_some()
    }

    /// Redraws the lines that do not stay; nothing without a terminal.
    pub fn show(&self, lines: &[String]) {
        if let Some(panel) = &self.panel {
            *lock(&self.last) = Instant::now();
            lock(panel).show(lines);
        }
    }

    /// Takes the lines that do not stay away: what is printed next must not be drawn over.
    pub fn clear(&self) {
        if let Some(panel) = &self.panel {
            lock(panel).show(&[]);
        }
    }

    /// Whether a plain line on an engine's progress is due.
    pub fn are_due(&self) -> bool {
        lock(&self.last).elapsed() >= PLAIN_EVERY
    }

    /// Whether nothing was said for so long that a reader would wonder.
    pub fn are_silent(&self) -> bool {
        lock(&self.last).elapsed() >= SILENCE_MAX
    }
}

/// Looks at lines now and then, from a thread of its own, until it is dropped.
pub struct Ticker {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub fn start(look: impl Fn() + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let looks = move || {
            while !seen.load(Ordering::Relaxed) {
                look();
                std::thread::sleep(LOOK_EVERY);
            }
        };
        let named = std::thread::Builder::new().name("ticker".into());
        Self {
            is_over,
            // Without it the work goes on, with less to read.
            thread: named.spawn(looks).ok(),
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to lose.
            let _ = thread.join();
        }
    }
}

/// Whatever a thread that panicked has left is good to show.
pub fn lock<T>(shown: &Mutex<T>) -> MutexGuard<'_, T> {
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
