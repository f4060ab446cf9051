//! From a path to a running engine.
use super::batch_rows::{BATCH_ROWS_MAX, LOGIT_ROWS_MAX};
use super::grammars::Grammars;
use super::lane::{Lane, SHARED_STEPS_MAX};
use super::local::LocalEngine;
use super::memory::{MemoryPlan, backend_for, cache_shape};
use crate::checkpoint::{ChatTemplate, Checkpoint, CheckpointError, Keeping, Tokenizer};
use crate::decode::{DecodeError, GrammarFactory, check_vocabulary};
use crate::kv::{BlockPool, KvStorage};
use crate::model::{CausalLm, Decoder, ModelError};
use crate::ops::{Backend, Operations};
use std::path::Path;
use std::sync::Arc;

/// How much of what an engine may take.
#[derive(Clone, Copy, Debug)]
pub struct EngineSettings {
    /// Most tokens of one sequence; the model's own limit bounds it.
    pub context_max: usize,
    /// Most bytes of KV of one engine.
    pub kv_bytes_max: u64,
    /// Engines that run on the weights side by side, from 1 on: as many as are
    /// asked for, or as there is memory for.
    pub engines_max: usize,
}

/// What keeps an engine from starting.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("{plan}: that does not fit; {}", what_would_fit(.plan))]
    DoesNotFit { plan: MemoryPlan },
    #[error("--kv-mem of {bytes} bytes holds not one KV block of {block_bytes} bytes; raise it")]
    NoKv { bytes: u64, block_bytes: u64 },
    #[error("--ctx {asked} is past the {limit} tokens that this model was trained for; lower it")]
    Context { asked: usize, limit: usize },
    #[error("the vocabulary cannot hold a grammar: {0}")]
    Grammar(String),
}

/// An engine with what its callers need of the checkpoint beside it.
pub struct Opened {
    pub engine: LocalEngine,
    /// Others over the same weights, each for a thread of its own. Their steps run
    /// as one batch, and give what they would alone.
    pub beside: Vec<LocalEngine>,
    pub template: ChatTemplate,
    /// Tokens that end a turn.
    pub stop_tokens: Vec<u32>,
    pub plan: MemoryPlan,
    /// Where the model runs.
    pub backend: Backend,
    /// Whether a row's results have the same bits whatever other rows a step has.
    pub rows_are_independent: bool,
    /// Packed weights that are being written, if they are.
    pub keeping: Option<Keeping>,
}

impl Opened {
    /// Lets every engine draft: see [`LocalEngine::draft`].
    pub fn draft(&mut self, n_tokens: Option<usize>) {
        let engines = std::iter::once(&mut self.engine).chain(&mut self.beside);
        engines.for_each(|engine| engine.draft(n_tokens));
    }
}

/// Opens a checkpoint, plans memory (`on_plan` is told before anything large is
/// read), loads the weights and makes the engine.
pub fn open(
    path: &Path,
    settings: &EngineSettings,
    on_plan: &mut dyn FnMut(&MemoryPlan),
) -> Result<Opened, OpenError> {
    open_checkpoint(&Checkpoint::open(path)?, settings, &Backend::cpu(), on_plan)
}

/// The same for a checkpoint that is open, on any device.
pub fn open_checkpoint(
    checkpoint: &Checkpoint,
    settings: &EngineSettings,
    backend: &Backend,
    on_plan: &mut dyn FnMut(&MemoryPlan),
) -> Result<Opened, OpenError> {
    let config = checkpoint.config().clone();
    if settings.context_max > config.context_max {
        return Err(OpenError::Context {
            asked: settings.context_max,
            limit: config.context_max,
        });
    }
    let backend = &backend_for(&config, backend);
    let plan_for = |n_engines: usize| {
        let n_steps = n_engines.min(SHARED_STEPS_MAX);
        MemoryPlan::new(
            checkpoint,
            backend,
            settings.kv_bytes_max,
            n_engines,
            n_steps * BATCH_ROWS_MAX,
            n_steps * LOGIT_ROWS_MAX,
        )
    };
    let n_engines = (2..=settings.engines_max)
        .rev()
        .find(|&n| plan_for(n).fits())
        .unwrap_or(1);
    let plan = plan_for(n_engines);
    on_plan(&plan);
    if plan.kv_blocks == 0 {
        let block_bytes = cache_shape(&config).block_bytes(backend) as u64;
        return Err(OpenError::NoKv {
            bytes: settings.kv_bytes_max,
            block_bytes,
        });
    }
    if !plan.fits() {
        return Err(OpenError::DoesNotFit { plan });
    }
    // A caller that renders a conversation is told of its faults.
    let template = checkpoint.chat_template();
    let template = template.unwrap_or_else(|error| ChatTemplate::unusable(&error));
    let tokenizer = Arc::new(checkpoint.tokenizer()?);
    let stop_tokens = checkpoint.eos_token_ids()?;
    let grammars = Arc::new(Grammars::new(grammar_factory(&tokenizer, &stop_tokens)?));
    let model: Box<dyn CausalLm> =
        Box::new(Decoder::load(checkpoint, settings.context_max, backend)?);
    let keeping = checkpoint.keep_packed();
    // There a step waits for its results, too, so that its time is known.
    let on_cpu = backend.operations() == Operations::CpuKernels;
    let rows_are_independent = model.rows_are_independent();
    let in_short_steps = on_cpu && rows_are_independent;
    let n_blocks = n_engines * plan.kv_blocks;
    let storage =
        KvStorage::new(cache_shape(&config), n_blocks, backend).map_err(ModelError::from)?;
    let lanes = Lane::new_all(model, storage, n_engines, plan.kv_blocks);
    let mut engines = lanes.into_iter().map(|lane| {
        let engine = LocalEngine::new(
            lane,
            tokenizer.clone(),
            grammars.clone(),
            BlockPool::new(plan.kv_blocks),
            settings.context_max,
        );
        match in_short_steps {
            true => engine.in_short_steps(),
            false => engine,
        }
    });
    Ok(Opened {
        engine: engines.next().expect("at least one engine"),
        beside: engines.collect(),
        template,
        stop_tokens,
        plan,
        backend: backend.clone(),
        rows_are_independent,
        keeping,
    })
}

/// Bytes of KV for one engine, `wanted` at most, for which there is memory beside the
/// weights; `None` where the memory that is free is not known, or the weights alone are
/// too large.
pub fn kv_bytes_that_fit(checkpoint: &Checkpoint, backend: &Backend, wanted: u64) -> Option<u64> {
    let backend = &backend_for(checkpoint.config(), backend);
    let plan = MemoryPlan::new(
        checkpoint,
        backend,
        wanted,
        1,
        BATCH_ROWS_MAX,
        LOGIT_ROWS_MAX,
    );
    plan.kv_bytes_that_fit().map(|bytes| bytes.min(wanted))
}

/// What to ask for instead.
fn what_would_fit(plan: &MemoryPlan) -> String {
    if !plan.host_fits() {
        return "the experts are too large for the host: take a smaller model (`egss models list`)"
            .into();
    }
    match plan.kv_bytes_that_fit().map(|bytes| bytes >> 20) {
        Some(mib) if mib > 0 => {
            format!("--kv-mem {mib} would; or take a smaller model (`egss models list`)")
        }
        _ if plan.on_gpu && plan.experts_bytes == 0 => {
            "its weights alone are too large: take a smaller model (`egss models list`) or, of \
             a mixture, keep the experts on the host with --experts host"
                .into()
        }
        _ => "its weights alone are too large: take a smaller model (`egss models list`)".into(),
    }
}

/// How the grammars' factory is made, once it is wanted. Errors: what can be told before.
fn grammar_factory(
    tokenizer: &Arc<Tokenizer>,
    stop_tokens: &[u32],
) -> Result<impl FnOnce() -> Result<GrammarFactory, DecodeError> + Send + 'static, OpenError> {
    let n_tokens = tokenizer.size() as u32;
    let eos = stop_tokens.first().copied();
    let eos = eos.ok_or_else(|| OpenError::Grammar("it names no end-of-text token".into()))?;
    let token_bytes = (0..tokenizer.size()).map(|id| tokenizer.token_bytes(id as u32).len());
    check_vocabulary(token_bytes, eos).map_err(|error| OpenError::Grammar(error.to_string()))?;
    let tokenizer = tokenizer.clone();
    Ok(move || {
        let token_bytes = (0..n_tokens)
            .map(|id| tokenizer.token_bytes(id).to_vec())
            .collect();
        // To a grammar every added token is special: no text is ever matched by one.
        let is_added = |id: u32| {
            let text = std::str::from_utf8(tokenizer.token_bytes(id)).unwrap_or_default();
            tokenizer.added_id(text) == Some(id)
        };
        let special: Vec<bool> = (0..n_tokens)
            .map(|id| tokenizer.is_special(id) || is_added(id))
            .collect();
        let tokenize =
            Arc::new(move |bytes: &[u8]| tokenizer.encode(&String::from_utf8_lossy(bytes)));
        GrammarFactory::new(token_bytes, &special, eos, tokenize)
    })
}
