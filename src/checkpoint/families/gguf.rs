//! What the families say alike in GGUF's metadata, as llama.cpp's converter writes it.
use super::super::config::{ExpertsConfig, RopeScaling, Rotary, RouterConfig, RouterScores};
use super::super::metadata::Metadata;
use super::super::names::Place;
use super::super::{CheckpointError, ModelConfig};
use super::rope::{context_max, yarn_magnitude};
use candle_core::Device;

/// A dense decoder with neither biases nor norms of its own. What values look like is for
/// the caller to say: see [`grouped`].
pub(super) fn common(metadata: &Metadata<'_>) -> Result<ModelConfig, CheckpointError> {
    let file = metadata.gguf();
    let hidden = metadata.size("embedding_length")?;
    let n_heads = metadata.size("attention.head_count")?;
    let head_dim = match metadata.maybe_size("attention.key_length")? {
        Some(head_dim) => head_dim,
        None => hidden.checked_div(n_heads).unwrap_or(0),
    };
    let n_kv_heads = metadata.maybe_size("attention.head_count_kv")?;
    // The last blocks may be there to predict tokens further ahead.
    let context = metadata.size("context_length")?;
    let scaling = scaling(metadata, context)?;
    let n_further = metadata.maybe_size("nextn_predict_layers")?.unwrap_or(0);
    Ok(ModelConfig {
        architecture: metadata.architecture().to_owned(),
        n_layers: metadata.size("block_count")?.saturating_sub(n_further),
        hidden,
        n_heads,
        n_kv_heads: n_kv_heads.unwrap_or(n_heads),
        head_dim,
        ffn: metadata.size("feed_forward_length")?,
        vocab: match file.shape("token_embd.weight") {
            Some(shape) => shape.first().copied().unwrap_or(0),
            None => return Err(file.no_tensor("token_embd.weight")),
        },
        context_max: context_max(&scaling, context),
        rotary: Rotary {
            dims: metadata
                .maybe_size("rope.dimension_count")?
                .unwrap_or(head_dim),
            theta: metadata.real("rope.freq_base")?,
            interleaved: false,
            scaling,
        },
        rms_eps: metadata.real("attention.layer_norm_rms_epsilon")?,
        tied_embeddings: !file.has("output.weight"),
        qkv_bias: false,
        head_norms: false,
        post_norms: false,
        fused_gate_up: false,
        experts: None,
        latent: None,
    })
}

/// The tensor of frequencies' divisors, one for each pair that is turned.
pub(in super::super) const DIVISORS: &str = "rope_freqs.weight";

/// Takes the scaling that llama.cpp's converter writes as a tensor: Llama 3.1's.
pub(super) fn take_divisors(
    metadata: &Metadata<'_>,
    rotary: &mut Rotary,
) -> Result<(), CheckpointError> {
    let file = metadata.gguf();
    let n_pairs = rotary.dims / 2;
    match file.shape(DIVISORS) {
        None => return Ok(()),
        Some(&[n]) if n == n_pairs => {}
        Some(found) => {
            return Err(CheckpointError::Shape {
                path: file.path().to_owned(),
                name: DIVISORS.to_owned(),
                found: found.to_vec(),
                expected: vec![n_pairs],
            });
        }
    }
    if rotary.scaling != RopeScaling::None {
        return Err(CheckpointError::Unsupported {
            path: file.path().to_owned(),
            what: format!("{DIVISORS} and rope.scaling.type at once"),
        });
    }
    let place = Place::whole(DIVISORS.to_owned(), &[n_pairs]);
    let divisors = file.floats(&place, &[n_pairs], &Device::Cpu)?;
    let divisors = divisors
        .to_vec1()
        .map_err(|source| CheckpointError::Tensor {
            name: DIVISORS.to_owned(),
            source,
        })?;
    rotary.scaling = RopeScaling::Divided { divisors };
    Ok(())
}

/// A dense decoder with grouped queries: values are as long as keys.
pub(super) fn grouped(metadata: &Metadata<'_>) -> Result<ModelConfig, CheckpointError> {
    let config = common(metadata)?;
    match metadata.maybe_size("attention.value_length")? {
        Some(values) if values != config.head_dim => {
            Err(metadata.unsupported("attention.value_length"))
        }
        _ => Ok(config),
    }
}

/// Experts behind the leading dense layers, of `n_layers`.
pub(super) fn experts(
    metadata: &Metadata<'_>,
    scores: RouterScores,
    n_layers: usize,
) -> Result<ExpertsConfig, CheckpointError> {
    let ffn = metadata.size("expert_feed_forward_length")?;
    let n_shared = metadata.maybe_size("expert_shared_count")?.unwrap_or(0);
    let n_dense = metadata.maybe_size("leading_dense_block_count")?;
    // Files from before groups were written down choose from all experts.
    let groups = |key: &str| -> Result<usize, CheckpointError> {
        let groups = metadata.maybe_size(key)?;
        Ok(groups.filter(|&n| n > 0).unwrap_or(1))
    };
    let scale = metadata.maybe_real("expert_weights_scale")?;
    Ok(ExpertsConfig {
        n: metadata.size("expert_count")?,
        n_used: metadata.size("expert_used_count")?,
        ffn,
        shared_ffn: ffn.saturating_mul(n_shared),
        dense_layers: (0..n_dense.unwrap_or(0).min(n_layers)).collect(),
        router: RouterConfig {
            scores,
            // What is chosen by sigmoids is chosen with a bias.
            corrected: scores == RouterScores::Sigmoid,
            n_groups: groups("expert_group_count")?,
            n_groups_used: groups("expert_group_used_count")?,
            normalised: metadata.flag("expert_weights_norm")?,
            // llama.cpp multiplies by nothing where it is zero.
            scale: scale.filter(|&scale| scale != 0.0).unwrap_or(1.0),
        },
    })
}

/// Refuses a router whose scores are not `scores`; gives whether the file says so at all.
pub(super) fn check_scores(
    metadata: &Metadata<'_>,
    scores: RouterScores,
) -> Result<bool, CheckpointError> {
    let key = "expert_gating_func";
    // As llama.cpp numbers them, where zero is none.
    let number = match scores {
        RouterScores::Softmax => 1,
        RouterScores::Sigmoid => 2,
    };
    match metadata.maybe_size(key)? {
        None | Some(0) => Ok(false),
        Some(found) if found == number => Ok(true),
        Some(_) => Err(metadata.unsupported(key)),
    }
}

/// How positions are stretched. YaRN's magnitude is what it is without a factor for all
/// dimensions.
fn scaling(metadata: &Metadata<'_>, context: usize) -> Result<RopeScaling, CheckpointError> {
    metadata.only_real("rope.scaling.attn_factor", 1.0)?;
    // The older name of the factor, which counts where the newer is not there.
    let older = metadata.maybe_real("rope.scale_linear")?;
    let factor = metadata.maybe_real("rope.scaling.factor")?;
    let factor = factor.or(older).unwrap_or(0.0);
    let original_context = metadata.maybe_size("rope.scaling.original_context_length")?;
    match metadata.maybe_str("rope.scaling.type")? {
        Some("none") => Ok(RopeScaling::None),
        None | Some("linear") if factor == 0.0 || factor == 1.0 => Ok(RopeScaling::None),
        // llama.cpp divides positions by it where nothing says how they are stretched.
        None | Some("linear") => Ok(RopeScaling::Linear { factor }),
        Some("yarn") => {
            metadata.only_real("rope.scaling.yarn_ext_factor", 1.0)?;
            if factor == 0.0 {
                return Err(metadata.missing("rope.scaling.factor"));
            }
            let magnitude = metadata.maybe_real("rope.scaling.yarn_attn_factor")?;
            let beta =
                |which: &str| metadata.maybe_real(&format!("rope.scaling.yarn_beta_{which}"));
            Ok(RopeScaling::Yarn {
                factor,
                beta_fast: beta("fast")?.unwrap_or(32.0),
                beta_slow: beta("slow")?.unwrap_or(1.0),
                // As llama.cpp: what is stretched is the context that the file names.
                original_context: original_context.unwrap_or(context),
                magnitude: magnitude.unwrap_or_else(|| yarn_magnitude(factor, 1.0)),
            })
        }
        Some(_) => Err(metadata.unsupported("rope.scaling.type")),
    }
}
