//! The gated feed-forward half of a layer.
use super::{Input, Projection, RmsNorm, Rows};
use candle_core::Result;

/// `(silu(n Gᵀ) * n Uᵀ) Dᵀ` for `n` the norm of `x: [T, E]`, and `onto` where it is given;
/// `gate_up` is G, then U.
pub fn feed_forward(
    x: &Rows,
    norm: &RmsNorm,
    gate_up: &Projection,
    down: &Projection,
    onto: Option<&Rows>,
) -> Result<Rows> {
    #[cfg(feature = "cuda")]
    if let Some(gated) = gate_up.gated(x, norm)? {
        return down.forward(&gated, Input::Plain, onto);
    }
    let gate_up = gate_up.forward(x, Input::Normed(norm), None)?; // [T, 2F]
    down.forward(&gate_up, Input::Gated, onto)
}
