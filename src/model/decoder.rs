//! The config-driven decoder: embedding, layers, norm, head.
use super::layer::{Attention, FeedForward, Layer, PostNorms, StepContext};
use super::rotary;
use super::{BatchStep, CausalLm, ModelError};
use crate::checkpoint::{Checkpoint, ExpertsConfig, LatentConfig, ModelConfig};
use crate::kv::KvStorage;
use crate::ops::{
    Angles, Backend, Expert, HeadNorms, Heads, Input, LatentAttention, Matrix, Mixture, Projection,
    Recordings, RmsNorm, Rows, Step,
};
use candle_core::{Device, Result, Tensor};

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
    recordings: Recordings,
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
        let embedding = Projection::single(load.matrix(Checkpoint::EMBEDDING)?)?;
        let head = match config.tied_embeddings {
            true => None,
            false => Some(load.projection(&["output"], false)?),
        };
        let layer = |index| load.layer(index);
        let layers = (0..config.n_layers)
            .map(layer)
            .collect::<std::result::Result<Vec<Layer>, _>>()?;
        Ok(Self {
            embedding,
            norm: load.norm("output_norm")?,
            recordings: Recordings::new(backend, layers.iter().all(Layer::only_launches)),
            layers,
            head,
            angles: rotary::angles(&config.rotary, context, backend.device())?,
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

/// Of the norms within latent attention, whatever the others have: published code has
/// no other.
const LATENT_EPS: f32 = 1e-6;

/// The name of a layer's part.
type Name<'a> = &'a dyn Fn(&str) -> String;

/// Takes parts of a checkpoint by name.
#[derive(Clone, Copy)]
struct Load<'a> {
    checkpoint: &'a Checkpoint,
    backend: &'a Backend,
}

impl Load<'_> {
    fn layer(&self, index: usize) -> std::result::Result<Layer, ModelError> {
        let config = self.checkpoint.config();
        let name = |part: &str| format!("blk.{index}.{part}");
        Ok(Layer {
            attention_norm: self.norm(&name("attn_norm"))?,
            attention: match &config.latent {
                None => self.grouped(&name)?,
                Some(latent) => Attention::Latent(self.latent(latent, &name)?),
            },
            ffn_norm: self.norm(&name("ffn_norm"))?,
            ffn: match &config.experts {
                Some(experts) if config.is_mixture(index) => {
                    FeedForward::Mixture(self.mixture(experts, &name)?)
                }
                _ => {
                    let Expert { gate_up, down } = self.expert("", &name)?;
                    FeedForward::Dense { gate_up, down }
                }
            },
            post_norms: match config.post_norms {
                true => Some(PostNorms {
                    attention: self.norm(&name("post_attention_norm"))?,
                    ffn: self.norm(&name("post_ffw_norm"))?,
                }),
                false => None,
            },
        })
    }

    fn grouped(&self, name: Name<'_>) -> std::result::Result<Attention, ModelError> {
        let config = self.checkpoint.config();
        Ok(Attention::Grouped {
            qkv: self.projection(&["attn_q", "attn_k", "attn_v"].map(name), config.qkv_bias)?,
            head_norms: match config.head_norms {
                true => Some(HeadNorms {
                    queries: self.norm(&name("attn_q_norm"))?,
                    keys: self.norm(&name("attn_k_norm"))?,
                }),
                false => None,
            },
            o: self.projection(&[name("attn_output")], false)?,
        })
    }

    fn latent(
        &self,
        latent: &LatentConfig,
        name: Name<'_>,
    ) -> std::result::Result<LatentAttention, ModelError> {
        let queries = ["attn_q_turned", "attn_q_still"].map(name);
        let mut down = match latent.q_rank {
            Some(_) => vec![name("attn_q_a")],
            None => queries.to_vec(),
        };
        down.extend(["attn_k_turned", "attn_latent"].map(name));
        let queries = match latent.q_rank {
            Some(_) => Some((
                RmsNorm::new(self.floats(&name("attn_q_a_norm"))?, LATENT_EPS),
                self.projection(&queries, false)?,
            )),
            None => None,
        };
        let [keys, values] = ["attn_k_b", "attn_v_b"].map(|part| self.floats(&name(part)));
        Ok(LatentAttention::new(
            *latent,
            self.projection(&down, false)?,
            queries,
            RmsNorm::new(self.floats(&name("attn_kv_a_norm"))?, LATENT_EPS),
            (&keys?, &values?),
            self.projection(&[name("attn_output")], false)?,
        )?)
    }

    fn mixture(
        &self,
        experts: &ExpertsConfig,
        name: Name<'_>,
    ) -> std::result::Result<Mixture, ModelError> {
        let place = &self.backend.of_experts();
        let there = Load {
            backend: place,
            ..*self
        };
        let all = (0..experts.n).map(|expert| there.expert(&format!(".{expert}"), name));
        let correction = match experts.router.corrected {
            true => {
                let bias = name("exp_probs_b.bias");
                Some(self.checkpoint.floats(&bias, place.device())?)
            }
            false => None,
        };
        let shared = match experts.shared_ffn {
            0 => None,
            _ => Some(self.expert("_shexp", name)?),
        };
        Ok(Mixture::new(
            experts.clone(),
            &there.floats(&name("ffn_gate_inp"))?,
            correction.as_ref(),
            all.collect::<std::result::Result<_, _>>()?,
            shared,
        )?)
    }

    /// A feed-forward layer, or one expert of a mixture: the one that `which` says.
    fn expert(&self, which: &str, name: Name<'_>) -> std::result::Result<Expert, ModelError> {
        let part = |part: &str| name(&format!("{part}{which}"));
        Ok(Expert {
            gate_up: self.projection(&["ffn_gate", "ffn_up"].map(part), false)?,
            down: self.projection(&[part("ffn_down")], false)?,
        })
    }

    /// Where matrices are read to.
    fn reads_on(&self) -> &Device {
        match self.checkpoint.draws_floats() {
            true => self.backend.device(),
            false => self.backend.reads_on(),
        }
    }

    /// A matrix of products, by its whole name.
    fn matrix(&self, name: &str) -> std::result::Result<Matrix, ModelError> {
        let weight = self.checkpoint.linear(name, self.reads_on())?;
        let matrix = Matrix::new(weight, self.backend)?;
        if let Matrix::Packed(packed) = &matrix {
            self.checkpoint.note_packed(name, packed);
        }
        Ok(matrix)
    }

    /// A matrix that goes into no product of rows.
    fn floats(&self, name: &str) -> std::result::Result<Tensor, ModelError> {
        let name = format!("{name}.weight");
        Ok(self.checkpoint.floats(&name, self.backend.device())?)
    }

    fn projection<S: AsRef<str>>(
        &self,
        names: &[S],
        biased: bool,
    ) -> std::result::Result<Projection, ModelError> {
        let part = |name: &S| -> std::result::Result<(Matrix, Option<Tensor>), ModelError> {
            let name = name.as_ref();
            let matrix = self.matrix(&format!("{name}.weight"))?;
            let bias = match biased {
                true => Some(
                    self.checkpoint
                        .floats(&format!("{name}.bias"), self.backend.device())?,
                ),
                false => None,
            };
            Ok((matrix, bias))
        };
        let parts = names
            .iter()
            .map(part)
            .collect::<std::result::Result<_, _>>()?;
        Ok(Projection::new(parts)?)
    }

    fn norm(&self, name: &str) -> std::result::Result<RmsNorm, ModelError> {
        let eps = self.checkpoint.config().rms_eps;
        Ok(RmsNorm::new(self.floats(name)?, eps))
    }
}

impl CausalLm for Decoder {
    fn forward(&self, batch: &BatchStep, kv: &KvStorage) -> Result<Rows> {
        let heads = Heads {
            n_heads: self.config.n_heads,
            n_kv_heads: self.config.n_kv_heads,
            head_dim: self.config.head_dim,
            rotary_dims: self.config.rotary.dims,
        };
        let step = Step::new(
            &self.backend,
            heads,
            &batch.spans,
            &batch.positions,
            &batch.slots,
            &self.angles,
        )?;
        let device = self.backend.device();
        let x = self.embedding.matrix().rows(&batch.tokens, device)?; // [T, E]
        let layers = |x: &Rows, step: &Step| {
            let on = StepContext { step, kv };
            let (first, rest) = self.layers.split_first().expect("a model has layers");
            let mut x = first.forward(x, 0, &on)?;
            for (index, layer) in rest.iter().enumerate() {
                x = layer.forward(&x, index + 1, &on)?;
            }
            Ok(x)
        };
        let x = self.recordings.run(&x, &step, kv.layer(0), &layers)?;
        self.norm.forward(&x.take(&batch.logit_rows)?) // [R, E]
    }

    fn logits(&self, hidden: &Rows) -> Result<Rows> {
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        head.forward(hidden, Input::Plain, None)
    }

    fn rows_are_independent(&self) -> bool {
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        head.rows_are_independent() && self.layers.iter().all(Layer::rows_are_independent)
    }

    fn step_bytes(&self) -> usize {
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        head.bytes() + self.layers.iter().map(Layer::step_bytes).sum::<usize>()
    }
}
