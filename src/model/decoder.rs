//! The config-driven decoder: embedding, layers, norm, head.
use super::layer::{Layer, StepContext};
use super::rotary::Rotary;
use super::{BatchStep, CausalLm, ModelError};
use crate::checkpoint::{Checkpoint, ModelConfig};
use crate::kv::KvStorage;
use crate::ops::{AttentionPlan, Input, Matrix, Projection, RmsNorm};
use candle_core::{Device, Result, Tensor};

/// A decoder-only transformer of one of the supported families.
pub struct Decoder {
    config: ModelConfig,
    device: Device,
    embedding: Projection,
    layers: Vec<Layer>,
    norm: RmsNorm,
    /// `None` when the embedding is the head as well.
    head: Option<Projection>,
    rotary: Rotary,
}

impl Decoder {
    /// Takes the weights of a checkpoint. `context` bounds the positions.
    ///
    /// Errors: a tensor that is missing or of the wrong shape, by name.
    pub fn load(
        checkpoint: &Checkpoint,
        context: usize,
        device: &Device,
    ) -> std::result::Result<Self, ModelError> {
        let config = checkpoint.config().clone();
        let load = Load { checkpoint, device };
        // The largest matrices first: a matrix as read and as laid out lie in
        // memory together for a moment, which costs nothing before the rest is there.
        let embedding = Projection::single(Matrix::new(checkpoint.embedding(device)?)?)?;
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
            rotary: Rotary::new(
                f64::from(config.rope_theta),
                config.head_dim,
                context,
                device,
            )?,
            config,
            device: device.clone(),
        })
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub fn device(&self) -> &Device {
        &self.device
    }
}

/// Takes parts of a checkpoint by name.
struct Load<'a> {
    checkpoint: &'a Checkpoint,
    device: &'a Device,
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
                .linear(&format!("{name}.weight"), self.device)?;
            let bias = match biased {
                true => Some(
                    self.checkpoint
                        .vector(&format!("{name}.bias"), self.device)?,
                ),
                false => None,
            };
            Ok((Matrix::new(weight)?, bias))
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
            .vector(&format!("{name}.weight"), self.device)?;
        Ok(RmsNorm::new(weight, self.checkpoint.config().rms_eps))
    }
}

impl CausalLm for Decoder {
    fn forward(&self, batch: &BatchStep, kv: &KvStorage) -> Result<Tensor> {
        let step = StepContext {
            config: &self.config,
            batch,
            plan: &AttentionPlan::new(&batch.spans),
            rotary: &self.rotary.rows(&batch.positions)?,
            kv,
        };
        let mut x = self.embedding.matrix().rows(&batch.tokens, &self.device)?; // [T, E]
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, index, &step)?;
        }
        let rows = Tensor::new(batch.logit_rows.as_slice(), &self.device)?;
        self.norm.forward(&x.index_select(&rows, 0)?) // [R, E]
    }

    fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        head.forward(hidden, Input::Plain, None)
    }

    fn step_bytes(&self) -> usize {
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        head.bytes() + self.layers.iter().map(Layer::bytes).sum::<usize>()
    }
}
