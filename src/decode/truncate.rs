//! Top-k, top-p and min-p without sorting the vocabulary.
//!
//! The filters act one after the other on what the one before left,
//! renormalised (so top-p's mass is of the top-k set). Equal logits are ordered
//! by position, lowest first, so every set is exact.
//!
//! A cheap lower bound on the survivors' logits comes first (one pass); what it
//! leaves, usually a few hundred tokens, is narrowed by selection.
use super::weights::{BLOCK, tempered_mass, tempered_weight};
use crate::base::SamplerSettings;
use std::cmp::Ordering;

/// A token that may still be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub logit: f32,
    /// Position in the row that was given.
    pub index: u32,
}

impl Candidate {
    /// Most likely first, then lowest position.
    fn descending(a: &Self, b: &Self) -> Ordering {
        b.logit.total_cmp(&a.logit).then(a.index.cmp(&b.index))
    }
}

/// The tokens that the settings' filters leave of a row, by position.
///
/// `max` is the row's largest logit and finite; `beta` is `1 / temperature`.
/// `-inf` logits never survive. At least one token does.
pub(super) fn survivors(
    row: &[f32],
    max: f32,
    beta: f32,
    settings: &SamplerSettings,
) -> Vec<Candidate> {
    // Whole, as wherever a device implements the settings: a new filter is an error here.
    let &SamplerSettings {
        temperature: _, // `beta`
        top_p,
        top_k,
        min_p,
    } = settings;
    let by_k = top_k > 0 && top_k < row.len();
    let by_p = top_p < 1.0;

    let mut row_mass = 0.0;
    let floor = if by_k {
        kth_largest_floor(row, top_k)
    } else {
        let mut weight = min_p;
        if by_p {
            row_mass = row.chunks(BLOCK).map(|b| tempered_mass(b, max, beta)).sum();
            weight = weight.max(nucleus_floor(top_p, row_mass, row.len()));
        }
        // A little lower than exact, so that rounding drops no survivor.
        max + (weight.min(1.0).ln() - 1e-3) / beta
    };
    let mut kept = gather(row, floor);
    if by_k {
        if kept.len() > top_k {
            kept.select_nth_unstable_by(top_k - 1, Candidate::descending);
            kept.truncate(top_k);
        }
        row_mass = mass(&kept, max, beta);
    }
    if by_p {
        let n = nucleus(&mut kept, max, beta, f64::from(top_p) * row_mass);
        kept.truncate(n);
    }
    if min_p > 0.0 {
        // The top token stays whatever `min_p` says.
        kept.retain(|c| c.logit == max || tempered_weight(c.logit, max, beta) >= min_p);
    }
    kept.sort_unstable_by_key(|c| c.index);
    kept
}

/// Every finite logit of at least `floor`.
fn gather(row: &[f32], floor: f32) -> Vec<Candidate> {
    let mut kept = Vec::new();
    for (block_index, block) in row.chunks(64).enumerate() {
        // Most blocks hold nothing: ask that first, vectorised.
        if !block.iter().fold(false, |any, &l| any | (l >= floor)) {
            continue;
        }
        let base = block_index * 64;
        kept.extend(
            block
                .iter()
                .enumerate()
                .filter(|&(_, &l)| l >= floor && l > f32::NEG_INFINITY)
                .map(|(i, &logit)| Candidate {
                    logit,
                    index: (base + i) as u32,
                }),
        );
    }
    kept
}

/// A value that at least `k` logits reach: the k-th largest of the maxima of
/// blocks of 32. `-inf` where there are fewer blocks.
fn kth_largest_floor(row: &[f32], k: usize) -> f32 {
    let mut maxima: Vec<f32> = row
        .chunks(32)
        .map(|block| {
            block
                .iter()
                .fold(f32::NEG_INFINITY, |m, &l| if l > m { l } else { m })
        })
        .collect();
    if k > maxima.len() {
        return f32::NEG_INFINITY;
    }
    *maxima
        .select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a))
        .1
}

/// A weight below which no token belongs to the nucleus: `n` tokens of less
/// than `(1 - p) Z / n` each hold less than `(1 - p) Z` together, so the rest
/// reaches `p Z` without them.
fn nucleus_floor(top_p: f32, row_mass: f64, n: usize) -> f32 {
    ((1.0 - f64::from(top_p.max(0.0))) * row_mass / n as f64) as f32
}

fn mass(kept: &[Candidate], max: f32, beta: f32) -> f64 {
    kept.iter()
        .map(|c| f64::from(tempered_weight(c.logit, max, beta)))
        .sum()
}

/// Moves the smallest set of most likely tokens whose mass reaches `target` to
/// the front and gives its size, at least 1.
///
/// Bisects by selection until few tokens are undecided: `O(n)` expected.
fn nucleus(kept: &mut [Candidate], max: f32, beta: f32, target: f64) -> usize {
    const SORTED_AT_ONCE: usize = 128;
    let (mut low, mut high) = (0, kept.len());
    let mut mass_before = 0.0;
    while high - low > SORTED_AT_ONCE {
        let half = (high - low) / 2;
        kept[low..high].select_nth_unstable_by(half, Candidate::descending);
        let upper = mass(&kept[low..low + half], max, beta);
        if mass_before + upper >= target {
            high = low + half;
        } else {
            mass_before += upper;
            low += half;
        }
    }
    kept[low..high].sort_unstable_by(Candidate::descending);
    for (i, c) in kept[low..high].iter().enumerate() {
        mass_before += f64::from(tempered_weight(c.logit, max, beta));
        if mass_before >= target {
            return low + i + 1;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RngKey;
    use proptest::prelude::*;

    /// The filters by their definition: sort everything, then cut.
    fn by_sorting(row: &[f32], beta: f32, s: &SamplerSettings) -> Vec<u32> {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |l: f32| f64::from((l - max) * beta).exp();
        let mut order: Vec<usize> = (0..row.len())
            .filter(|&i| row[i] > f32::NEG_INFINITY)
            .collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        if s.top_k > 0 {
            order.truncate(s.top_k);
        }
        if s.top_p < 1.0 {
            let total: f64 = order.iter().map(|&i| weight(row[i])).sum();
            let mut sum = 0.0;
            let reached = order.iter().position(|&i| {
                sum += weight(row[i]);
                sum >= f64::from(s.top_p) * total
            });
            order.truncate(reached.unwrap_or(order.len()) + 1);
        }
        let top = order[0];
        order.retain(|&i| i == top || weight(row[i]) >= f64::from(s.min_p));
        let mut kept: Vec<u32> = order.into_iter().map(|i| i as u32).collect();
        kept.sort_unstable();
        kept
    }

    fn random_row(len: usize, spread: f32, seed: u64) -> Vec<f32> {
        use rand_chacha::rand_core::Rng;
        let mut stream = RngKey::from_seed(seed).stream();
        (0..len)
            .map(|_| match stream.next_u32() {
                x if x % 11 == 0 => f32::NEG_INFINITY,
                x => spread * (x as f32 / u32::MAX as f32 - 0.5),
            })
            .chain([0.0])
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
        #[test]
        fn survivors_are_those_of_a_sorted_reference(
            len in 0usize..6_000,
            spread in prop_oneof![Just(0.5f32), Just(8.0), Just(60.0)],
            seed in any::<u64>(),
            temperature in 0.3f32..2.0,
            top_k in prop_oneof![Just(0usize), 1usize..50, 1usize..6_000],
            top_p in prop_oneof![Just(1.0f32), 0.05f32..0.999, Just(0.0)],
            min_p in prop_oneof![Just(0.0f32), 0.001f32..0.9],
        ) {
            let row = random_row(len, spread, seed);
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let settings = SamplerSettings { temperature, top_p, top_k, min_p };
            let beta = 1.0 / temperature;
            let kept: Vec<u32> = survivors(&row, max, beta, &settings)
                .iter().map(|c| c.index).collect();
            let sorted = by_sorting(&row, beta, &settings);
            // Weights are f32 here and f64 there: a token that sits on the
            // boundary of top-p or min-p may fall on either side.
            let differing = kept.iter().filter(|i| !sorted.contains(i)).count()
                + sorted.iter().filter(|i| !kept.contains(i)).count();
            let allowed = if top_p < 1.0 || min_p > 0.0 { 1 + sorted.len() / 1_000 } else { 0 };
            prop_assert!(differing <= allowed, "{} kept, {} sorted, {differing} differ",
                kept.len(), sorted.len());
        }
    }

    #[test]
    fn equal_logits_are_kept_lowest_position_first() {
        let row = [1.0; 500];
        let keep = |top_k, top_p| {
            let settings = SamplerSettings {
                top_k,
                top_p,
                ..SamplerSettings::at(1.0)
            };
            let kept = survivors(&row, 1.0, 1.0, &settings);
            assert!(kept.iter().enumerate().all(|(i, c)| c.index == i as u32));
            kept.len()
        };
        assert_eq!(keep(7, 1.0), 7);
        assert_eq!(keep(0, 0.5), 250);
        assert_eq!(keep(100, 0.5), 50);
        assert_eq!(keep(0, 0.0), 1);
    }
}
