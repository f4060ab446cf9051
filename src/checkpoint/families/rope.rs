//! How checkpoints say what positions do.
use super::super::CheckpointError;
use super::super::config::{RopeScaling, Rotary};
use super::super::fields::Fields;

/// The base where config.json names none: transformers' `default_theta`.
const DEFAULT_THETA: f32 = 10_000.0;

/// The object of config.json that says how positions turn: `rope_scaling`, the older one
/// and that of model cards, where it says anything, else transformers 5's
/// `rope_parameters`. Of the other one nothing is taken
/// (`RotaryEmbeddingConfigMixin.convert_rope_params_to_dict`).
pub(super) fn parameters<'a>(fields: &Fields<'a>) -> Result<Fields<'a>, CheckpointError> {
    let newer = fields.within("rope_parameters", "rope_parameters.")?;
    let older = fields.within("rope_scaling", "rope_scaling.")?;
    if older.is_empty() {
        return Ok(newer);
    }
    if !newer.is_empty() && fields.get("rope_parameters") != fields.get("rope_scaling") {
        fields.note(
            "config.json: rope_scaling is taken, and of rope_parameters beside it nothing".into(),
        );
    }
    Ok(older)
}

/// How positions turn heads of `head_dim`, of which `share` is turned where nothing is
/// said of it.
///
/// A field within the object goes before a field of the same name at the top, but for
/// `original_max_position_embeddings`, where the top does.
pub(super) fn rotary(
    fields: &Fields<'_>,
    head_dim: usize,
    share: f32,
) -> Result<Rotary, CheckpointError> {
    let within = parameters(fields)?;
    let theta = first(fields, &within, "rope_theta")?.unwrap_or_else(|| {
        fields.note(format!(
            "config.json: no rope_theta holds, so {DEFAULT_THETA} is taken"
        ));
        DEFAULT_THETA
    });
    let share = first(fields, &within, "partial_rotary_factor")?.unwrap_or(share);
    Ok(Rotary {
        dims: (head_dim as f32 * share) as usize,
        theta,
        interleaved: false,
        scaling: scaling(fields, &within)?,
    })
}

/// A number of the object within, else that of the same name at the top.
fn first(
    fields: &Fields<'_>,
    within: &Fields<'_>,
    name: &str,
) -> Result<Option<f32>, CheckpointError> {
    match (within.maybe_real(name)?, fields.maybe_real(name)?) {
        (Some(inner), Some(outer)) if inner != outer => {
            fields.note(format!(
                "config.json: {name} is {inner}, as its rotary object says, and not the {outer} \
                 at its top"
            ));
            Ok(Some(inner))
        }
        (inner, outer) => Ok(inner.or(outer)),
    }
}

fn scaling(fields: &Fields<'_>, within: &Fields<'_>) -> Result<RopeScaling, CheckpointError> {
    let kind = match within.get("rope_type") {
        Some(kind) => Some(("rope_type", kind)),
        None => within.get("type").map(|kind| ("type", kind)),
    };
    within.get("type");
    let context = fields.size("max_position_embeddings")?;
    let outer_original = fields.maybe_size("original_max_position_embeddings")?;
    let inner_original = within.maybe_size("original_max_position_embeddings")?;
    let original_context = outer_original.or(inner_original).unwrap_or(context);
    let kind = kind.map(|(name, kind)| (name, kind, kind.as_str().unwrap_or_default()));
    let scaling = match kind {
        None | Some((_, _, "default")) => RopeScaling::None,
        Some((_, _, "linear")) => RopeScaling::Linear {
            factor: within.real("factor")?,
        },
        Some((_, _, "llama3")) => RopeScaling::Llama3 {
            factor: within.real("factor")?,
            low_freq_factor: within.real("low_freq_factor")?,
            high_freq_factor: within.real("high_freq_factor")?,
            original_context,
        },
        Some((_, _, "yarn")) => {
            let factor = match within.maybe_real("factor")? {
                Some(factor) => factor,
                // `null`, which transformers takes for the ratio; absent is refused.
                None if within.is_null("factor") => context as f32 / original_context as f32,
                None => within.real("factor")?,
            };
            within.only("truncate", true)?;
            let magnitude = match within.maybe_real("attention_factor")? {
                Some(magnitude) => magnitude,
                None => match (
                    within.maybe_real("mscale")?,
                    within.maybe_real("mscale_all_dim")?,
                ) {
                    (Some(turned), Some(all)) if turned != 0.0 && all != 0.0 => {
                        yarn_magnitude(factor, turned) / yarn_magnitude(factor, all)
                    }
                    _ => yarn_magnitude(factor, 1.0),
                },
            };
            // Zero stands for nothing there.
            let beta = |name: &str, default: f32| {
                let beta = within.maybe_real(name)?;
                Ok::<_, CheckpointError>(beta.filter(|&beta| beta != 0.0).unwrap_or(default))
            };
            RopeScaling::Yarn {
                factor,
                beta_fast: beta("beta_fast", 32.0)?,
                beta_slow: beta("beta_slow", 1.0)?,
                original_context,
                magnitude,
            }
        }
        Some((name, kind, _)) => return Err(within.unsupported(name, kind)),
    };
    if let (Some(outer), Some(inner)) = (outer_original, inner_original)
        && outer != inner
    {
        fields.note(format!(
            "config.json: original_max_position_embeddings is the {outer} at its top, and not \
             the {inner} of its rotary object"
        ));
    }
    for also in ["mscale", "mscale_all_dim", "attention_factor"] {
        within.get(also);
    }
    within.note_others()?;
    Ok(scaling)
}

/// Refuses heads that are turned in part, of a family whose heads are turned whole.
pub(super) fn only_whole(fields: &Fields<'_>) -> Result<(), CheckpointError> {
    fields.only("partial_rotary_factor", 1.0)?;
    parameters(fields)?.only("partial_rotary_factor", 1.0)
}

/// Tokens that a sequence may have: YaRN's stretch the original context by its factor,
/// whatever the file says of the longest before (Qwen2.5's model card adds YaRN and leaves
/// `max_position_embeddings` as it is).
pub(super) fn context_max(scaling: &RopeScaling, stated: usize) -> usize {
    match scaling {
        RopeScaling::Yarn {
            factor,
            original_context,
            ..
        } => stated.max((f64::from(*factor) * *original_context as f64).round() as usize),
        _ => stated,
    }
}

/// YaRN's `0.1 m ln(s) + 1`.
pub(super) fn yarn_magnitude(factor: f32, m: f32) -> f32 {
    match factor <= 1.0 {
        true => 1.0,
        false => 0.1 * m * factor.ln() + 1.0,
    }
}
