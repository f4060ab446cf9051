//! Arguments that several commands share, and what they turn into.
use crate::checkpoint::{DEFAULT_MODEL, resolve};
use crate::engine::{self, EngineSettings, Opened, Progress};
use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Which model, where, and how much of the machine it may take.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// Model: a name from `egss models list`, a .gguf file, or a checkpoint folder.
    #[arg(long, default_value = DEFAULT_MODEL)]
    pub model: String,
    /// Where to run: cpu (cuda and metal come with their own builds).
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Most tokens of one sequence.
    #[arg(long, default_value_t = 8192)]
    pub ctx: usize,
    /// Memory for the KV cache, in MiB.
    #[arg(long, default_value_t = 2048, value_name = "MIB")]
    pub kv_mem: u64,
    /// Threads; 0 takes all cores.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
}

impl ModelArgs {
    /// Opens the model for one engine, saying the memory plan on standard error first.
    pub fn open(&self) -> anyhow::Result<Opened> {
        self.open_for(1)
    }

    /// Opens the model for up to `engines_max` engines, as far as memory goes.
    pub fn open_for(&self, engines_max: usize) -> anyhow::Result<Opened> {
        if self.device != "cpu" {
            bail!("--device {}: this build runs on cpu only", self.device);
        }
        if self.ctx == 0 {
            bail!("--ctx must be at least 1");
        }
        if self.threads > 0 {
            // candle sizes its pools from this when they are first used.
            if rayon::ThreadPoolBuilder::new()
                .num_threads(self.threads)
                .build_global()
                .is_err()
            {
                bail!("--threads came after the thread pool was started");
            }
        }
        let path = resolve(&self.model)?;
        let started = Instant::now();
        let settings = EngineSettings {
            context_max: self.ctx,
            kv_bytes_max: self.kv_mem << 20,
            engines_max,
        };
        let opened = engine::open(&path, &settings, &mut |plan| eprintln!("{plan}"))
            .with_context(|| format!("the model {} cannot be opened", self.model))?;
        eprintln!(
            "loaded {} in {:.1} s",
            path.display(),
            started.elapsed().as_secs_f64()
        );
        Ok(opened)
    }
}

/// Shows how a long operation goes: a line that is redrawn on a terminal, a
/// plain line every few seconds elsewhere. Always on standard error.
pub struct Meter {
    bar: ProgressBar,
    plain: bool,
    what: String,
    started: Instant,
    last_plain: Instant,
}

/// How often a plain line is printed where there is no terminal.
pub const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

impl Meter {
    pub fn new(what: &str) -> Self {
        let plain = !std::io::IsTerminal::is_terminal(&std::io::stderr());
        let target = if plain {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let style = ProgressStyle::with_template("{spinner} {msg}").expect("a valid template");
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        Self {
            bar,
            plain,
            what: what.to_owned(),
            started: Instant::now(),
            last_plain: Instant::now(),
        }
    }

    /// Takes an engine's progress.
    pub fn show(&mut self, progress: &Progress<'_>) {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        let message = if progress.pending_tokens > 0 && progress.computed_tokens > 0 {
            let rate = progress.computed_tokens as f64 / seconds;
            format!(
                "{}: {} of {} prompt tokens, {rate:.0} tok/s, {:.0} s left",
                self.what,
                progress.computed_tokens,
                progress.computed_tokens + progress.pending_tokens,
                progress.pending_tokens as f64 / rate
            )
        } else {
            let rate = progress.decoded_tokens as f64 / seconds;
            format!(
                "{}: {} tokens, {rate:.1} tok/s, {} running",
                self.what, progress.decoded_tokens, progress.running
            )
        };
        if self.plain {
            if self.last_plain.elapsed() >= PLAIN_INTERVAL {
                self.last_plain = Instant::now();
                eprintln!("{message}");
            }
        } else {
            self.bar.set_message(message);
            self.bar.tick();
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
