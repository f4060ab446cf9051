//! What tokens weigh beside the most likely one.
use egss_kernels::{Isa, exp_sum};

/// Logits a block, in which a walk over a row finds its place.
pub(super) const BLOCK: usize = 1_024;

/// `sum e^(beta * (l - max))` of one block.
pub(super) fn tempered_mass(block: &[f32], max: f32, beta: f32) -> f64 {
    exp_sum(Isa::best(), block, max, beta)
}

/// `e^(beta * (l - max))`: a token's weight at temperature `1 / beta`, 1 at the top.
pub(super) fn tempered_weight(logit: f32, max: f32, beta: f32) -> f32 {
    ((logit - max) * beta).exp()
}
