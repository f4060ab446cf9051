//! The gated feed-forward half of a layer.
use super::{Input, Projection, RmsNorm, Rows};
use candle_core::Result;

/// `x + (silu(n Gᵀ) * n Uᵀ) Dᵀ` for `n` the norm of `x: [T, E]`; `gate_up` is G, then U.
pub fn feed_forward(
    x: &Rows,
    norm: &RmsNorm,
    gate_up: &Projection,
    down: &Projection,
) -> Result<Rows> {
    #[cfg(feature = "cuda")]
    if let Some(gated) = gate_up.gated(x, norm)? {
        return down.forward(&gated, Input::Plain, Some(x));
    }
    let gate_up = gate_up.forward(x, Input::Normed(norm), None)?; // [T, 2F]
    down.forward(&gate_up, Input::Gated, Some(x))
}
