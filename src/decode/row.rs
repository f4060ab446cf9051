//! What one row of raw logits says: its normaliser, entropy and top tokens.
//!
//! With `d = l - max(l)` and `Z = sum e^d`: `ln Z` normalises, the entropy is
//! `ln Z - E[d]`, and the varentropy is the variance of `d` (that of `-ln p`,
//! which differs from `-d` by a constant). Two passes over the row, 8 bytes a
//! logit read; nothing is allocated.
//!
//! Precision: `d` and `e^d` are f32 (relative error about 3e-7 each), summed in
//! f64 but for the first thousand, which keeps all results within 1e-5 nats of an
//! f64 reference.
use super::weights::BLOCK;
use super::{DecodeError, Mask};
use egss_kernels::{ExpMoments, Isa, exp_moments, top_two};

/// One row of raw logits in six figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowStats {
    /// `ln sum e^l`: a token's log-probability is its logit minus this.
    pub logsumexp: f64,
    /// `-sum p ln p`, nats.
    pub entropy_nats: f32,
    /// Variance of `-ln p` under `p`, nats².
    pub varentropy: f32,
    /// The most likely token; the lowest id of several.
    pub top1: u32,
    /// Its probability.
    pub top1_prob: f32,
    /// `top1_prob` minus the second token's probability.
    pub margin: f32,
}

impl RowStats {
    /// Reads a row. `-inf` is a logit of probability 0; an empty row, NaN,
    /// `+inf`, or a row of nothing but `-inf` is an error.
    ///
    /// Cost: two passes.
    pub fn of(logits: &[f32]) -> Result<Self, DecodeError> {
        let top = TopTwo::of(logits)?;
        let sums = exp_moments(Isa::best(), logits, top.first);
        Self::from_moments(top.first, top.second, top.index as u32, &sums)
    }

    /// From what a device read of a row: its two largest logits, where the first is, and
    /// the sums over `d`. Errors: a row of nothing but `-inf`.
    pub fn from_moments(
        first: f32,
        second: f32,
        index: u32,
        sums: &ExpMoments,
    ) -> Result<Self, DecodeError> {
        if first == f32::NEG_INFINITY {
            return Err(DecodeError::NoFiniteLogit);
        }
        let mean_d = sums.e_d / sums.e;
        let log_z = sums.e.ln();
        let prob = |logit: f32| (f64::from(logit) - f64::from(first) - log_z).exp();
        Ok(Self {
            logsumexp: f64::from(first) + log_z,
            entropy_nats: (log_z - mean_d).max(0.0) as f32,
            varentropy: (sums.e_d2 / sums.e - mean_d * mean_d).max(0.0) as f32,
            top1: index,
            top1_prob: prob(first) as f32,
            margin: (prob(first) - prob(second)) as f32,
        })
    }

    /// Position of a row's largest logit, the first of several; `None` where
    /// [`RowStats::of`] would be an error.
    pub(super) fn top1_of(logits: &[f32]) -> Option<usize> {
        TopTwo::of(logits).ok().map(|top| top.index)
    }
}

/// Natural log of a token's probability under the raw logits; `-inf` for an id
/// past the row.
pub fn logprob(logits: &[f32], stats: &RowStats, token: u32) -> f32 {
    logits
        .get(token as usize)
        .map_or(f32::NEG_INFINITY, |&logit| {
            (f64::from(logit) - stats.logsumexp) as f32
        })
}

/// Entropy of the distribution renormalised over the allowed tokens, nats.
///
/// `None` where no allowed token has a finite logit. Cost: a copy of the
/// allowed logits, then as [`RowStats::of`] on them.
pub fn masked_entropy(logits: &[f32], mask: &Mask) -> Option<f32> {
    if mask
        .only()
        .is_some_and(|token| (token as usize) < logits.len())
    {
        return Some(0.0);
    }
    let values = if mask.is_sparse() {
        mask.gathered(logits).1
    } else {
        mask.applied(logits)
    };
    RowStats::of(&values).ok().map(|stats| stats.entropy_nats)
}

/// The two largest logits, and where the first is.
struct TopTwo {
    first: f32,
    second: f32,
    index: usize,
}

impl TopTwo {
    fn of(logits: &[f32]) -> Result<Self, DecodeError> {
        if logits.is_empty() {
            return Err(DecodeError::EmptyRow);
        }
        let mut top = Self {
            first: f32::NEG_INFINITY,
            second: f32::NEG_INFINITY,
            index: 0,
        };
        let isa = Isa::best();
        for (block_index, block) in logits.chunks(BLOCK).enumerate() {
            let Some((first, second)) = top_two(isa, block) else {
                return Err(bad_logit(block, block_index * BLOCK));
            };
            if first > top.first {
                let within = block.iter().position(|&l| l == first);
                top.index = block_index * BLOCK + within.expect("a block holds its largest logit");
                top.second = top.first.max(second);
                top.first = first;
            } else {
                top.second = top.second.max(first);
            }
        }
        if top.first == f32::NEG_INFINITY {
            return Err(DecodeError::NoFiniteLogit);
        }
        Ok(top)
    }
}

/// Names the first NaN or `+inf` of a block known to hold one.
#[cold]
fn bad_logit(block: &[f32], base: usize) -> DecodeError {
    let within = block
        .iter()
        .position(|l| l.is_nan() || *l == f32::INFINITY)
        .expect("the caller saw a NaN or +inf in this block");
    DecodeError::BadLogit {
        token: base + within,
        value: block[within],
    }
}

#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
