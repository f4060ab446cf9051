//! The config-driven decoder: embedding, layers, norm, head.
use super::layer::Layer;
use super::linear::Linear;
use super::rotary::Rotary;
use super::{BatchStep, CausalLm, ModelError};
use crate::checkpoint::{Checkpoint, ModelConfig};
use crate::kv::KvStorage;
use candle_core::{Device, Result, Tensor};
use candle_nn::ops::rms_norm;

/// A decoder-only transformer of one of the supported families.
pub struct Decoder {
    config: ModelConfig,
    device: Device,
    embedding: Linear,
    layers: Vec<Layer>,
    norm: Tensor, // [E]
    /// `None` when the embedding is the head as well.
    head: Option<Linear>,
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
        let device = device.clone();
        let linear = |name: String| -> std::result::Result<Linear, ModelError> {
            Ok(Linear::new(
                checkpoint.linear(&format!("{name}.weight"), &device)?,
                None,
            )?)
        };
        let projection = |name: String| -> std::result::Result<Linear, ModelError> {
            let bias = match config.qkv_bias {
                true => Some(checkpoint.vector(&format!("{name}.bias"), &device)?),
                false => None,
            };
            Ok(Linear::new(
                checkpoint.linear(&format!("{name}.weight"), &device)?,
                bias,
            )?)
        };
        let layer = |index: usize| -> std::result::Result<Layer, ModelError> {
            let name = |part: &str| format!("blk.{index}.{part}");
            Ok(Layer {
                attention_norm: checkpoint.vector(&name("attn_norm.weight"), &device)?,
                q: projection(name("attn_q"))?,
                k: projection(name("attn_k"))?,
                v: projection(name("attn_v"))?,
                o: linear(name("attn_output"))?,
                ffn_norm: checkpoint.vector(&name("ffn_norm.weight"), &device)?,
                gate: linear(name("ffn_gate"))?,
                up: linear(name("ffn_up"))?,
                down: linear(name("ffn_down"))?,
            })
        };
        let layers = (0..config.n_layers)
            .map(layer)
            .collect::<std::result::Result<_, _>>()?;
        let head = match config.tied_embeddings {
            true => None,
            false => Some(linear("output".into())?),
        };
        Ok(Self {
            embedding: Linear::new(checkpoint.embedding(&device)?, None)?,
            layers,
            norm: checkpoint.vector("output_norm.weight", &device)?,
            head,
            rotary: Rotary::new(
                f64::from(config.rope_theta),
                config.head_dim,
                context,
                &device,
            )?,
            config,
            device,
        })
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub fn device(&self) -> &Device {
        &self.device
    }
}

impl CausalLm for Decoder {
    fn forward(&self, batch: &BatchStep, kv: &KvStorage) -> Result<Tensor> {
        let tokens = Tensor::new(batch.tokens.as_slice(), &self.device)?;
        let rotary = self.rotary.rows(&batch.positions)?;
        let mut x = self.embedding.embed(&tokens)?; // [T, E]
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, index, &self.config, &rotary, batch, kv)?;
        }
        let rows = Tensor::new(batch.logit_rows.as_slice(), &self.device)?;
        rms_norm(&x.index_select(&rows, 0)?, &self.norm, self.config.rms_eps) // [R, E]
    }

    fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.head
            .as_ref()
            .unwrap_or(&self.embedding)
            .forward(hidden)
    }
}
