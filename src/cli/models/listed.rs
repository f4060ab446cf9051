//! A known model, and how it stands with it on this machine.
use crate::base::ModelManifest;
use crate::checkpoint::{ModelConfig, ModelShape, Precision, manifest_config, models_dir};
use crate::engine::{MemoryPlan, WeightSizes};
use crate::ops::Backend;
use serde::Serialize;
use std::path::PathBuf;

/// What is listed of a model; with `--json`, field by field.
#[derive(Serialize)]
pub struct Listed {
    #[serde(flatten)]
    pub manifest: ModelManifest,
    /// Where it is kept, or would be.
    pub path: PathBuf,
    pub present: bool,
    /// Tokens that it was trained to hold in one sequence; `None` where its shape is not
    /// known.
    pub context_max: Option<usize>,
    /// At the precision that it is published at, then at those that a GGUF file of it can
    /// have; none where its shape is not known.
    pub precisions: Vec<AtPrecision>,
}

/// The model at one precision.
#[derive(Serialize)]
pub struct AtPrecision {
    pub precision: String,
    /// True for what a pull fetches; false for a GGUF file of one's own.
    pub published: bool,
    pub weights_bytes: u64,
    /// A mixture's experts on the host, where that was asked for: beside the weights.
    pub experts_bytes: u64,
    /// Contexts up to what the model was trained for, as they were asked for.
    pub contexts: Vec<AtContext>,
}

/// Memory of a run with one sequence of so many tokens.
#[derive(Serialize)]
pub struct AtContext {
    pub tokens: usize,
    pub kv_bytes: u64,
    /// Activations and logits.
    pub work_bytes: u64,
    /// With the weights, all where the model runs.
    pub total_bytes: u64,
    /// `None` where the memory that is available cannot be told.
    pub fits: Option<bool>,
}

/// What the figures are for.
pub struct Asked<'a> {
    pub backend: &'a Backend,
    /// Tokens of one sequence, ascending.
    pub contexts: &'a [usize],
}

impl Listed {
    /// Computes what the model takes, from its manifest alone.
    pub fn new(manifest: ModelManifest, asked: &Asked<'_>) -> anyhow::Result<Self> {
        let path = models_dir()?.join(manifest.kept_as());
        let config = manifest_config(&manifest)?;
        Ok(Self {
            present: path.exists(),
            context_max: config.as_ref().map(|config| config.context_max),
            precisions: match &config {
                Some(config) => precisions(&manifest, config, asked),
                None => Vec::new(),
            },
            path,
            manifest,
        })
    }

    /// Leaves out the precisions that another model of the same shape is published at:
    /// it is listed itself.
    pub fn without_those_of(&mut self, others: &[ModelManifest]) {
        let same = |other: &&ModelManifest| {
            other.config == self.manifest.config && other.architecture == self.manifest.architecture
        };
        let listed: Vec<_> = others.iter().filter(same).collect();
        self.precisions.retain(|at| {
            let is_at = |other: &&ModelManifest| other.precision.as_ref() == Some(&at.precision);
            at.published || !listed.iter().any(is_at)
        });
    }
}

/// The published precision first, then what GGUF files there can be of the model.
fn precisions(
    manifest: &ModelManifest,
    config: &ModelConfig,
    asked: &Asked<'_>,
) -> Vec<AtPrecision> {
    let shape = ModelShape::new(config);
    let published = manifest.precision.clone();
    let known = published.as_deref().and_then(Precision::of_name);
    let weights = match (known, manifest.file()) {
        (Some(precision), _) => Some(WeightSizes::of_shape(&shape, precision, asked.backend)),
        (None, Some(file)) => Some(WeightSizes {
            bytes: file.bytes,
            ..WeightSizes::default()
        }),
        (None, None) => None,
    };
    let published = published.unwrap_or_else(|| "gguf".into());
    let own = weights.map(|weights| AtPrecision::new(&published, true, config, weights, asked));
    // A file is what it is; of a whole repository other files can be made.
    let can_have_others = manifest.file().is_none();
    let gguf = can_have_others.then_some(Precision::GGUF);
    let gguf = gguf.into_iter().flatten().map(|precision| {
        let weights = WeightSizes::of_shape(&shape, precision, asked.backend);
        AtPrecision::new(precision.name(), false, config, weights, asked)
    });
    own.into_iter().chain(gguf).collect()
}

impl AtPrecision {
    fn new(
        precision: &str,
        published: bool,
        config: &ModelConfig,
        weights: WeightSizes,
        asked: &Asked<'_>,
    ) -> Self {
        let plan = |tokens| MemoryPlan::of_sequence(config, weights, asked.backend, tokens);
        let within = asked.contexts.iter().filter(|&&n| n <= config.context_max);
        Self {
            precision: precision.to_owned(),
            published,
            weights_bytes: plan(0).weights_bytes,
            experts_bytes: weights.experts_bytes,
            contexts: within.map(|&n| AtContext::new(n, &plan(n))).collect(),
        }
    }

    /// At a context that was asked for; `None` past what the model was trained for.
    pub fn at(&self, tokens: usize) -> Option<&AtContext> {
        self.contexts.iter().find(|at| at.tokens == tokens)
    }

    /// The longest of the contexts that fits; `None` where none does.
    pub fn longest_that_fits(&self) -> Option<usize> {
        let fitting = self.contexts.iter().filter(|at| at.fits == Some(true));
        fitting.map(|at| at.tokens).max()
    }
}

impl AtContext {
    fn new(tokens: usize, plan: &MemoryPlan) -> Self {
        Self {
            tokens,
            kv_bytes: plan.kv_bytes,
            work_bytes: plan.work_bytes,
            total_bytes: plan.total_bytes(),
            fits: plan.available_bytes.map(|_| plan.fits()),
        }
    }
}
