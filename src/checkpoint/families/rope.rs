//! How checkpoints say what positions do.
use super::super::CheckpointError;
use super::super::config::{RopeScaling, Rotary};
use super::super::fields::Fields;

/// What config.json says, in the older form (`rope_theta` and `rope_scaling`) or in
/// that of transformers 5 (`rope_parameters`), for heads of `head_dim`, of
/// which `share` is turned where nothing is said of it.
pub(super) fn rotary(
    fields: &Fields<'_>,
    head_dim: usize,
    share: f32,
) -> Result<Rotary, CheckpointError> {
    let newer = fields.within("rope_parameters", "rope_parameters.");
    let older = fields.within("rope_scaling", "rope_scaling.");
    let theta = match fields.maybe_real("rope_theta")? {
        Some(theta) => theta,
        None if newer.is_empty() => return Err(fields.invalid("missing field `rope_theta`".into())),
        None => newer.real("rope_theta")?,
    };
    let newer_share = newer.maybe_real("partial_rotary_factor")?;
    let share = match fields.maybe_real("partial_rotary_factor")? {
        Some(share) => share,
        None => newer_share.unwrap_or(share),
    };
    newer.get("rope_theta");
    let scaling = match newer.is_empty() {
        true => scaling(&older)?,
        false => scaling(&newer)?,
    };
    Ok(Rotary {
        dims: (head_dim as f32 * share) as usize,
        theta,
        interleaved: false,
        scaling,
    })
}

fn scaling(fields: &Fields<'_>) -> Result<RopeScaling, CheckpointError> {
    let kind = match fields.get("rope_type") {
        Some(kind) => Some(("rope_type", kind)),
        None => fields.get("type").map(|kind| ("type", kind)),
    };
    fields.get("type");
    let original = || fields.size("original_max_position_embeddings");
    let scaling = match kind.map(|(_, kind)| kind.as_str().unwrap_or_default()) {
        None | Some("default") => RopeScaling::None,
        Some("llama3") => RopeScaling::Llama3 {
            factor: fields.real("factor")?,
            low_freq_factor: fields.real("low_freq_factor")?,
            high_freq_factor: fields.real("high_freq_factor")?,
            original_context: original()?,
        },
        Some("yarn") => {
            let factor = fields.real("factor")?;
            fields.only("truncate", true)?;
            let magnitude = match fields.maybe_real("attention_factor")? {
                Some(magnitude) => magnitude,
                None => match (
                    fields.maybe_real("mscale")?,
                    fields.maybe_real("mscale_all_dim")?,
                ) {
                    (Some(turned), Some(all)) if turned != 0.0 && all != 0.0 => {
                        yarn_magnitude(factor, turned) / yarn_magnitude(factor, all)
                    }
                    _ => yarn_magnitude(factor, 1.0),
                },
            };
            RopeScaling::Yarn {
                factor,
                beta_fast: fields.maybe_real("beta_fast")?.unwrap_or(32.0),
                beta_slow: fields.maybe_real("beta_slow")?.unwrap_or(1.0),
                original_context: original()?,
                magnitude,
            }
        }
        Some(_) => {
            let (name, kind) = kind.expect("matched above");
            return Err(fields.unsupported(name, kind));
        }
    };
    fields.finish()?;
    Ok(scaling)
}

/// YaRN's `0.1 m ln(s) + 1`.
pub(super) fn yarn_magnitude(factor: f32, m: f32) -> f32 {
    match factor <= 1.0 {
        true => 1.0,
        false => 0.1 * m * factor.ln() + 1.0,
    }
}
