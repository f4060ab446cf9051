//! The config-driven decoder: embedding, layers, norm, head.
use super::layer::{Layer, StepContext};
use super::rotary;
use super::{BatchStep, CausalLm, ModelError};
use crate::checkpoint::{Checkpoint, ModelConfig};
use crate::kv::KvStorage;
use crate::ops::{
    Angles, Backend, HeadNorms, Heads, Input, Matrix, Projection, RmsNorm, Rows, Step,
};
use candle_core::{Result, Tensor};

/// A decoder-only transformer of one of the supported families.
pub struct Decoder {
    config: ModelConfig,
    backend: Backend,
    embedding: Projection,
    layers: Vec<Layer>,
    norm: RmsNorm,
    /// `None` when the embedding is the head as well.
    head: Option<Projection>,
    angles: Angles,
}

impl Decoder {
    /// Takes the weights of a checkpoint. `context` bounds the positions.
    ///
    /// Errors: a tensor that is missing or of the wrong shape, by name.
    pub fn load(
        checkpoint: &Checkpoint,
        context: usize,
        backend: &Backend,
    ) -> std::result::Result<Self, ModelError> {
        let config = checkpoint.config().clone();
        let load = Load {
            checkpoint,
            backend,
        };
        // The largest matrices first: a matrix as read and as laid out lie in
        // memory together for a moment, which costs nothing before the rest is there.
        let embedding = checkpoint.embedding(backend.device())?;
        let embedding = Projection::single(Matrix::new(embedding, backend)?)?;
        let head = match config.tied_embeddings {
            true => None,
            false => Some(load.projection(&["output"], false)?),
        };
        let layer = |index: usize| -> std::result::Result<Layer, ModelError> {
            let name = |part: &str| format!("blk.{index}.{part}");
            let qkv = ["attn_q", "attn_k", "attn_v"].map(name);
            let gate_up = ["ffn_gate", "ffn_up"].map(name);
            Ok(Layer {
                attention_norm: load.norm(&name("attn_norm"))?,
                qkv: load.projection(&qkv, config.qkv_bias)?,
                head_norms: match config.head_norms {
                    true => Some(HeadNorms {
                        queries: load.norm(&name("attn_q_norm"))?,
                        keys: load.norm(&name("attn_k_norm"))?,
                    }),
                    false => None,
                },
                o: load.projection(&[name("attn_output")], false)?,
                ffn_norm: load.norm(&name("ffn_norm"))?,
                gate_up: load.projection(&gate_up, false)?,
                down: load.projection(&[name("ffn_down")], false)?,
            })
        };
        let layers = (0..config.n_layers)
            .map(layer)
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self {
            embedding,
            layers,
            norm: load.norm("output_norm")?,
            head,
            angles: rotary::angles(
                f64::from(config.rope_theta),
                config.head_dim,
                context,
                backend.device(),
            )?,
            config,
            backend: backend.clone(),
        })
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where it runs.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }
}

/// Takes parts of a checkpoint by name.
struct Load<'a> {
    checkpoint: &'a Checkpoint,
    backend: &'a Backend,
}

impl Load<'_> {
    fn projection<S: AsRef<str>>(
        &self,
        names: &[S],
        biased: bool,
    ) -> std::result::Result<Projection, ModelError> {
        let part = |name: &S| -> std::result::Result<(Matrix, Option<Tensor>), ModelError> {
            let name = name.as_ref();
            let weight = self
                .checkpoint
                .linear(&format!("{name}.weight"), self.backend.device())?;
            let bias = match biased {
                true => Some(
                    self.checkpoint
                        .vector(&format!("{name}.bias"), self.backend.device())?,
                ),
                false => None,
            };
            Ok((Matrix::new(weight, self.backend)?, bias))
        };
        let parts = names
            .iter()
            .map(part)
            .collect::<std::result::Result<_, _>>()?;
        Ok(Projection::new(parts)?)
    }

    fn norm(&self, name: &str) -> std::result::Result<RmsNorm, ModelError> {
        let weight = self
            .checkpoint
            .vector(&format!("{name}.weight"), self.backend.device())?;
        Ok(RmsNorm::new(weight, self.checkpoint.config().rms_eps))
    }
}

impl CausalLm for Decoder {
    fn forward(&self, batch: &BatchStep, kv: &KvStorage) -> Result<Rows> {
        let heads = Heads {
            n_heads: self.config.n_heads,
            n_kv_heads: self.config.n_kv_heads,
            head_dim: self.config.head_dim,
        };
        let step = Step::new(
            &self.backend,
            heads,
            &batch.spans,
            &batch.positions,
            &batch.slots,
            &self.angles,
        )?;
        let on = StepContext { step: &step, kv };
        let device = self.backend.device();
        let mut x = self.embedding.matrix().rows(&batch.tokens, device)?; // [T, E]
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, index, &on)?;
        }
        self.norm.forward(&x.take(&batch.logit_rows)?) // [R, E]
    }

    fn logits(&self, hidden: &Rows) -> Result<Rows> {
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        head.forward(hidden, Input::Plain, None)
    }

    fn step_bytes(&self) -> usize {
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        head.bytes() + self.layers.iter().map(Layer::bytes).sum::<usize>()
    }
}
