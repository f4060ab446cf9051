//! Arguments that several commands share, and what they turn into.
use crate::checkpoint::{Checkpoint, DEFAULT_MODEL, resolve};
use crate::engine::{self, EngineSettings, Opened, Progress};
use crate::ops::Backend;
use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Which model, where, and how much of the machine it may take.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// Model: a name from `egss models list`, a .gguf file, a checkpoint folder, or, to
    /// measure with weights that nobody trained, random:SHAPE[:PRECISION] (random:qwen3-8b).
    #[arg(long, default_value = DEFAULT_MODEL)]
    pub model: String,
    /// Where to run: cpu, cuda or metal (the latter two in builds with that feature).
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Width of weights that a file has as floats: auto (bf16 and f16 stay so on a CPU),
    /// f32 (widened), or bf16 (wider ones are rounded). Quantised weights keep theirs.
    #[arg(long, default_value = "auto")]
    pub dtype: String,
    /// Where a mixture's experts are: on the device, or on the host, so that a model runs
    /// which is larger than the GPU's memory.
    #[arg(long, default_value = "device", value_name = "PLACE")]
    pub experts: String,
    /// Most tokens of one sequence. Default: for an agent its profile's, or the model's own
    /// limit; else 8,192; never more than the model or the KV cache holds.
    #[arg(long, value_name = "TOKENS")]
    pub ctx: Option<usize>,
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
        self.open_for(1, CTX_TOKENS)
    }

    /// Opens the model for up to `engines_max` engines, as far as memory goes. Without
    /// `--ctx` a sequence holds up to `ctx_tokens`; 0: as many as the model takes.
    pub fn open_for(&self, engines_max: usize, ctx_tokens: usize) -> anyhow::Result<Opened> {
        self.open_on(engines_max, ctx_tokens, |backend| backend)
    }

    /// Opens the model for one engine, on the device as `with` has it.
    pub fn open_by(&self, with: impl FnOnce(Backend) -> Backend) -> anyhow::Result<Opened> {
        self.open_on(1, CTX_TOKENS, with)
    }

    fn open_on(
        &self,
        engines_max: usize,
        ctx_tokens: usize,
        with: impl FnOnce(Backend) -> Backend,
    ) -> anyhow::Result<Opened> {
        if self.ctx == Some(0) {
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
        let backend = Backend::open(&self.device)?
            .with_dtype(&self.dtype)?
            .with_experts(&self.experts)?;
        let backend = with(backend);
        let checkpoint = match self.model.strip_prefix("random:") {
            Some(shape) => Checkpoint::random(shape)?,
            None => Checkpoint::open(&resolve(&self.model)?)?,
        };
        for note in checkpoint.notes() {
            eprintln!("note: {note}");
        }
        let started = Instant::now();
        let checkpoint = match backend.device().is_cpu() {
            true => checkpoint,
            false => with_load_meter(checkpoint),
        };
        let kv_bytes_max = self.kv_mem << 20;
        let settings = EngineSettings {
            context_max: match self.ctx {
                Some(asked) => asked,
                None => default_context(&checkpoint, &backend, kv_bytes_max, ctx_tokens),
            },
            kv_bytes_max,
            engines_max,
        };
        let on_plan = &mut |plan: &engine::MemoryPlan| eprintln!("{plan}");
        let opened = engine::open_checkpoint(&checkpoint, &settings, &backend, on_plan)
            .with_context(|| format!("the model {} cannot be opened", self.model))?;
        eprintln!(
            "loaded {} in {:.1} s",
            checkpoint.path().display(),
            started.elapsed().as_secs_f64()
        );
        Ok(opened)
    }
}

/// Tokens of a sequence where nothing says how many.
const CTX_TOKENS: usize = 8_192;

/// The context that nobody asked for: `wanted` (0: any), cut to what the model takes and
/// the KV cache holds; the latter is said.
fn default_context(
    checkpoint: &Checkpoint,
    backend: &Backend,
    kv_bytes_max: u64,
    wanted: usize,
) -> usize {
    let limit = checkpoint.config().context_max;
    let wanted = match wanted {
        0 => limit,
        wanted => wanted.min(limit),
    };
    let held = engine::context_held(checkpoint.config(), backend, kv_bytes_max);
    if held < wanted && held > 0 {
        eprintln!(
            "a sequence holds {held} tokens, as many as the KV cache of {} MiB does, of {wanted}; raise --kv-mem for more",
            kv_bytes_max >> 20
        );
    }
    wanted.min(held.max(1))
}

/// Says how much of the weights has gone to the device, now and then.
fn with_load_meter(checkpoint: Checkpoint) -> Checkpoint {
    let last = Mutex::new(Instant::now());
    checkpoint.with_progress(move |done, total| {
        let mut last = last.lock().unwrap_or_else(|e| e.into_inner());
        if last.elapsed() >= LOAD_INTERVAL {
            *last = Instant::now();
            let percent = 100 * done / total.max(1);
            eprintln!("loading: {percent} % of {} MiB", total >> 20);
        }
    })
}

/// How often loading says how far it is.
const LOAD_INTERVAL: Duration = Duration::from_secs(2);

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
