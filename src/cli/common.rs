//! Arguments that several commands share, and what they turn into.
use super::{heading, keeping, out, values};
use crate::checkpoint::{Checkpoint, DEFAULT_MODEL, Grouped, PackedFolder, resolve};
use crate::engine::{self, EngineSettings, Opened, Progress};
use crate::ops::{Backend, Operations};
use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A model, the device that it runs on, and its share of the machine.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// Name of `egss models list`, .gguf file, or folder of a checkpoint
    ///
    /// For measurements, `random:SHAPE[:PRECISION]`, such as random:qwen3-8b, has untrained weights.
    #[arg(long, help_heading = heading::MODEL, default_value = DEFAULT_MODEL)]
    pub model: String,
    /// cpu, cuda or metal; the last two in builds with that feature.
    #[arg(long, help_heading = heading::MODEL, default_value = "cpu")]
    pub device: String,
    /// Tokens of one sequence at most [default: by profile and model]
    ///
    /// The default is the profile's in an agent and 8192 elsewhere, cut to the limits of the model
    /// and of the KV cache.
    #[arg(
        long,
        value_name = "TOKENS",
        help_heading = heading::MODEL,
        value_parser = values::positive::<usize>
    )]
    pub ctx: Option<usize>,
    /// Memory of the KV cache, shared by all branches [default: 2048, or as much as is free].
    #[arg(long, value_name = "MIB", help_heading = heading::MODEL, value_parser = kv_mib)]
    pub kv_mem: Option<u64>,
    /// Threads, at most one for each core; 0 takes all cores.
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::MODEL,
        default_value_t = 0,
        value_parser = values::whole::<usize>
    )]
    pub threads: usize,
    /// Type of weights that a file has as floats: auto (bf16, f16 and FP8 stay so on a CPU), f32
    /// (widened) or bf16 (rounded). Quantised weights keep theirs.
    #[arg(long, help_heading = heading::ADVANCED, default_value = "auto")]
    pub dtype: String,
    /// Memory of a mixture's experts: device, or host. On the host, a model runs that is larger
    /// than the GPU's memory.
    #[arg(long, help_heading = heading::ADVANCED, default_value = "device", value_name = "PLACE")]
    pub experts: String,
    /// Keep quantised weights as the kernels of a CPU want them, beside the models: yes or no. The
    /// next start needs not pack them again; `egss models prune` removes them.
    #[arg(
        long,
        value_name = "YES|NO",
        help_heading = heading::ADVANCED,
        default_value = "yes",
        action = clap::ArgAction::Set,
        value_parser = values::yes_or_no
    )]
    pub keep_packed: bool,
}

impl ModelArgs {
    /// Opens the model for conversations and up to `engines_max` engines, as far as memory
    /// goes, saying the memory plan on standard error first. Without `--ctx` a sequence holds
    /// up to `ctx_tokens`; 0: as many as the model takes.
    pub fn open_for(&self, engines_max: usize, ctx_tokens: usize) -> anyhow::Result<Opened> {
        let named = self.named()?;
        // Its faults are told before the weights are read.
        named.checkpoint.chat_template()?;
        self.open_named(named, engines_max, ctx_tokens)
    }

    /// The model as it was named: its checkpoint is open, nothing large is read.
    pub fn named(&self) -> anyhow::Result<NamedModel> {
        self.start_threads()?;
        let backend = Backend::open(&self.device)?
            .with_dtype(&self.dtype)?
            .with_experts(&self.experts)?;
        let checkpoint = match self.model.strip_prefix("random:") {
            Some(shape) => Checkpoint::random(shape)?,
            None => Checkpoint::open(&resolve(&self.model)?)?,
        };
        let packs = self.keep_packed && backend.operations() == Operations::CpuKernels;
        // A user without a home keeps nothing.
        let checkpoint = match PackedFolder::of_user() {
            Ok(folder) if packs => checkpoint.with_packed(folder),
            _ => checkpoint,
        };
        for note in checkpoint.notes() {
            out::note(&format!("note: {note}"));
        }
        let kv_bytes_max = match self.kv_mem {
            Some(mib) => mib << 20,
            None => default_kv_bytes(&checkpoint, &backend),
        };
        Ok(NamedModel {
            checkpoint,
            backend,
            kv_bytes_max,
        })
    }

    /// Sizes the thread pool, which candle's follow when they are first used.
    fn start_threads(&self) -> anyhow::Result<()> {
        let (asked, by) = match (self.threads, std::env::var("RAYON_NUM_THREADS")) {
            // The pool's own variable, which it takes without a bound.
            (0, Ok(text)) => (text.parse().unwrap_or(0), "RAYON_NUM_THREADS="),
            (asked, _) => (asked, "--threads "),
        };
        if asked == 0 {
            return Ok(());
        }
        let cores = std::thread::available_parallelism().map_or(asked, usize::from);
        if asked > cores {
            out::note(&format!(
                "{by}{asked}: this process may use {cores} cores, so {cores} threads are started"
            ));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(asked.min(cores));
        if pool.build_global().is_err() && asked.min(cores) != rayon::current_num_threads() {
            bail!("{}{asked} came after the thread pool was started", by);
        }
        Ok(())
    }

    /// Loads the model for up to `engines_max` engines: see [`ModelArgs::open_for`].
    pub fn open_named(
        &self,
        named: NamedModel,
        engines_max: usize,
        ctx_tokens: usize,
    ) -> anyhow::Result<Opened> {
        let NamedModel {
            checkpoint,
            backend,
            kv_bytes_max,
        } = named;
        let started = Instant::now();
        let checkpoint = match backend.device().is_cpu() {
            true => checkpoint,
            false => with_load_meter(checkpoint),
        };
        let settings = EngineSettings {
            context_max: match self.ctx {
                Some(asked) => asked,
                None => default_context(&checkpoint, &backend, kv_bytes_max, ctx_tokens),
            },
            kv_bytes_max,
            engines_max,
        };
        let on_plan = &mut |plan: &engine::MemoryPlan| out::note(&plan.to_string());
        let mut opened = engine::open_checkpoint(&checkpoint, &settings, &backend, on_plan)
            .with_context(|| format!("the model {} cannot be opened", self.model))?;
        keeping::hold(opened.keeping.take());
        let packed = match checkpoint.is_packed() {
            true => ", packed before",
            false => "",
        };
        out::note(&format!(
            "loaded {} in {:.1} s{packed}",
            checkpoint.path().display(),
            started.elapsed().as_secs_f64()
        ));
        Ok(opened)
    }
}

/// A model that was found, and what it may take.
pub struct NamedModel {
    pub checkpoint: Checkpoint,
    pub backend: Backend,
    pub kv_bytes_max: u64,
}

/// Tokens of a sequence where nothing says how many.
pub const CTX_TOKENS: usize = 8_192;

/// Memory for the KV cache where nothing says how much, MiB.
const KV_MIB: u64 = 2_048;

/// Most MiB whose bytes are a number that is computed with.
const KV_MIB_MAX: u64 = 1 << 40;

fn kv_mib(text: &str) -> Result<u64, String> {
    values::within(text, 1..=KV_MIB_MAX)
}

/// The KV cache that nobody asked for: what is free, where that is less; that is said.
fn default_kv_bytes(checkpoint: &Checkpoint, backend: &Backend) -> u64 {
    let wanted = KV_MIB << 20;
    match engine::kv_bytes_that_fit(checkpoint, backend, wanted) {
        Some(fitting) if fitting < wanted && fitting >> 20 > 0 => {
            let mib = fitting >> 20;
            out::note(&format!(
                "the KV cache takes {mib} MiB of the usual {}, as much as is free; --kv-mem sets it",
                Grouped(KV_MIB)
            ));
            mib << 20
        }
        _ => wanted,
    }
}

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
        out::note(&format!(
            "a sequence holds {held} tokens, as many as the KV cache of {} MiB does, of {wanted}; raise --kv-mem for more",
            kv_bytes_max >> 20
        ));
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
            out::note(&format!("loading: {percent} % of {} MiB", total >> 20));
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
        let plain = !out::is_redrawn();
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
                out::note(&message);
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
