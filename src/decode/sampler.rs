//! Draws tokens from a row of logits. Pure: the caller brings the random number.
use super::Mask;
use super::row::RowStats;
use super::truncate::survivors;
use super::weights::{BLOCK, tempered_mass, tempered_weight};
use crate::base::SamplerSettings;
use egss_kernels::Executor;
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

/// Takes one token, or `None` where nothing is allowed.
///
/// `stats` are the row's own, so the row is known to hold no NaN. Tokens
/// outside `mask` or in `excluded`, and `-inf` logits, are never taken. Then,
/// in this order: temperature (0 takes the most likely allowed token, the
/// lowest id of several), top-k, top-p, min-p, each on what the one before
/// left, renormalised. `u` is uniform in `[0, 1)`: the same `u` gives the same
/// token.
///
/// Cost: no sort of the vocabulary; two or three passes over the allowed logits, that
/// over a row which nothing truncates on all threads of `executor`.
pub fn sample(
    logits: &[f32],
    stats: &RowStats,
    settings: &SamplerSettings,
    mask: Option<&Mask>,
    excluded: &[u32],
    u: f64,
    executor: &dyn Executor,
) -> Option<u32> {
    let allowed = Allowed::of(logits, mask, excluded);
    let top = allowed.top(logits, stats)?;
    if settings.is_greedy() {
        return Some(allowed.token(top));
    }
    let row = &allowed.logits;
    let &SamplerSettings {
        temperature,
        top_p: _, // `survivors` filters by all three
        top_k: _,
        min_p: _,
    } = settings;
    let (max, beta) = (row[top], 1.0 / temperature);
    let drawn = if settings.truncates() {
        let kept = survivors(row, max, beta, settings);
        let weights = kept.iter().map(|c| tempered_weight(c.logit, max, beta));
        kept[draw(weights, u)].index as usize
    } else {
        draw_from_row(row, max, beta, u, executor)
    };
    Some(allowed.token(drawn))
}

/// The part of a row that may be drawn from, ascending by token.
struct Allowed<'a> {
    logits: Cow<'a, [f32]>,
    /// Token of each logit; `None` where that is its position.
    tokens: Option<Vec<u32>>,
}

impl<'a> Allowed<'a> {
    fn of(row: &'a [f32], mask: Option<&Mask>, excluded: &[u32]) -> Self {
        // Padding is cut off, not copied around: a row behind which no token stands is as
        // common as a model without a grammar.
        let prefix = mask.map(|mask| (mask, mask.prefix_len()));
        let (tokens, mut logits) = match prefix {
            None => (None, Cow::Borrowed(row)),
            Some((_, Some(n))) => (None, Cow::Borrowed(&row[..n.min(row.len())])),
            Some((mask, None)) if !mask.is_sparse() => (None, Cow::Owned(mask.applied(row))),
            Some((mask, None)) => {
                let (tokens, logits) = mask.gathered(row);
                (Some(tokens), Cow::Owned(logits))
            }
        };
        for &token in excluded {
            let index = match &tokens {
                None => Some(token as usize).filter(|&index| index < logits.len()),
                Some(tokens) => tokens.binary_search(&token).ok(),
            };
            if let Some(index) = index {
                logits.to_mut()[index] = f32::NEG_INFINITY;
            }
        }
        Self { logits, tokens }
    }

    fn token(&self, index: usize) -> u32 {
        match &self.tokens {
            None => index as u32,
            Some(tokens) => tokens[index],
        }
    }

    /// Index of the largest finite logit, the first of several.
    fn top(&self, row: &[f32], stats: &RowStats) -> Option<usize> {
        let index = match &self.tokens {
            None => Some(stats.top1 as usize),
            Some(tokens) => tokens.binary_search(&stats.top1).ok(),
        };
        // The whole row's first is the first here, if it is still here.
        let unmasked = index.filter(|&i| self.logits.get(i) == row.get(stats.top1 as usize));
        unmasked.or_else(|| {
            let top = RowStats::top1_of(&self.logits)?;
            (self.logits[top] > f32::NEG_INFINITY).then_some(top)
        })
    }
}

/// The first index at which the running sum of weights passes `u` of the whole.
fn draw(weights: impl Iterator<Item = f32> + Clone, u: f64) -> usize {
    let total: f64 = weights.clone().map(f64::from).sum();
    let target = u * total;
    let mut sum = 0.0;
    let mut last = 0;
    for (index, weight) in weights.enumerate() {
        sum += f64::from(weight);
        last = index;
        if sum > target {
            break;
        }
    }
    last
}

/// [`draw`] over a whole row: block sums find the block, a walk the token.
fn draw_from_row(row: &[f32], max: f32, beta: f32, u: f64, executor: &dyn Executor) -> usize {
    let masses: Vec<AtomicU64> = row.chunks(BLOCK).map(|_| AtomicU64::new(0)).collect();
    executor.execute(masses.len(), &|blocks| {
        let begun = &row[blocks.start * BLOCK..];
        for (mass, block) in masses[blocks].iter().zip(begun.chunks(BLOCK)) {
            mass.store(tempered_mass(block, max, beta).to_bits(), Ordering::Relaxed);
        }
    });
    let masses: Vec<f64> = masses
        .into_iter()
        .map(|mass| f64::from_bits(mass.into_inner()))
        .collect();
    let target = u * masses.iter().sum::<f64>();
    let mut before = 0.0;
    let mut last = None;
    for (block_index, mass) in masses.iter().enumerate() {
        if before + mass > target || block_index + 1 == masses.len() {
            let base = block_index * BLOCK;
            for (i, &logit) in row[base..].iter().enumerate() {
                if logit == f32::NEG_INFINITY {
                    continue;
                }
                last = Some(base + i);
                before += f64::from(tempered_weight(logit, max, beta));
                if before > target {
                    break;
                }
            }
            break;
        }
        before += mass;
    }
    // Rounding may leave the target beyond the last weight, and the last block
    // may hold nothing that is allowed: then the last allowed token it is.
    last.or_else(|| row.iter().rposition(|&l| l > f32::NEG_INFINITY))
        .expect("the caller found a finite logit")
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
