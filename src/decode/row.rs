//! What one row of raw logits says: its normaliser, entropy and top tokens.
//!
//! With `d = l - max(l)` and `Z = sum e^d`: `ln Z` normalises, the entropy is
//! `ln Z - E[d]`, and the varentropy is the variance of `d` (that of `-ln p`,
//! which differs from `-d` by a constant). Two passes over the row, 8 bytes a
//! logit read; nothing is allocated.
//!
//! Precision: `d` and `e^d` are f32 (relative error about 1e-7 each), summed in
//! 16 lanes over blocks of 1,024 and from there on in f64, which keeps all
//! results within 1e-5 nats of an f64 reference.
use super::weights::{BLOCK, EXPONENT_MIN, LANES, exp_nonpositive};
use super::{DecodeError, Mask};
use std::array::from_fn;

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
    /// Cost: two passes, about 0.1 ms for 151,936 logits on one core.
    pub fn of(logits: &[f32]) -> Result<Self, DecodeError> {
        let top = TopTwo::of(logits)?;
        let sums = Sums::of(logits, top.first);
        let mean_d = sums.e_d / sums.e;
        let log_z = sums.e.ln();
        let prob = |logit: f32| (f64::from(logit) - f64::from(top.first) - log_z).exp();
        Ok(Self {
            logsumexp: f64::from(top.first) + log_z,
            entropy_nats: (log_z - mean_d).max(0.0) as f32,
            varentropy: (sums.e_d2 / sums.e - mean_d * mean_d).max(0.0) as f32,
            top1: top.index as u32,
            top1_prob: prob(top.first) as f32,
            margin: (prob(top.first) - prob(top.second)) as f32,
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
        for (block_index, block) in logits.chunks(BLOCK).enumerate() {
            let (first, second) = top_two_values(block);
            if first.is_nan() || first == f32::INFINITY {
                return Err(bad_logit(block, block_index * BLOCK));
            }
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

/// Largest and second largest of a block; `(NaN, _)` if it holds a NaN.
fn top_two_values(block: &[f32]) -> (f32, f32) {
    let mut first = [f32::NEG_INFINITY; LANES];
    let mut second = [f32::NEG_INFINITY; LANES];
    let mut nan = [0u32; LANES];
    let (chunks, rest) = block.as_chunks::<LANES>();
    let mut take = |values: &[f32; LANES]| {
        for lane in 0..LANES {
            let value = values[lane];
            nan[lane] |= u32::from(value.is_nan());
            // `if`, not `f32::max`: no NaN rules, so it is one instruction.
            let lesser = if value < first[lane] {
                value
            } else {
                first[lane]
            };
            second[lane] = if lesser > second[lane] {
                lesser
            } else {
                second[lane]
            };
            first[lane] = if value > first[lane] {
                value
            } else {
                first[lane]
            };
        }
    };
    chunks.iter().for_each(&mut take);
    take(&from_fn(|lane| {
        rest.get(lane).copied().unwrap_or(f32::NEG_INFINITY)
    }));
    if nan.iter().any(|&n| n != 0) {
        return (f32::NAN, f32::NAN);
    }
    let mut top = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for value in first.into_iter().chain(second) {
        if value > top.0 {
            top = (value, top.0);
        } else if value > top.1 {
            top.1 = value;
        }
    }
    top
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

/// `sum e^d`, `sum d e^d` and `sum d² e^d` over a row.
struct Sums {
    e: f64,
    e_d: f64,
    e_d2: f64,
}

impl Sums {
    fn of(logits: &[f32], max: f32) -> Self {
        let mut sums = Self {
            e: 0.0,
            e_d: 0.0,
            e_d2: 0.0,
        };
        for block in logits.chunks(BLOCK) {
            let mut lanes = [[0f32; LANES]; 3];
            let (chunks, rest) = block.as_chunks::<LANES>();
            let mut take = |values: &[f32; LANES]| {
                for lane in 0..LANES {
                    let d = (values[lane] - max).max(EXPONENT_MIN);
                    let e = exp_nonpositive(d);
                    lanes[0][lane] += e;
                    lanes[1][lane] += e * d;
                    lanes[2][lane] += e * d * d;
                }
            };
            chunks.iter().for_each(&mut take);
            if !rest.is_empty() {
                take(&from_fn(|lane| {
                    rest.get(lane).copied().unwrap_or(f32::NEG_INFINITY)
                }));
            }
            let total = |lane: [f32; LANES]| lane.into_iter().map(f64::from).sum::<f64>();
            sums.e += total(lanes[0]);
            sums.e_d += total(lanes[1]);
            sums.e_d2 += total(lanes[2]);
        }
        sums
    }
}

#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
