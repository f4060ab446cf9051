//! Draws tokens from a row of logits. Pure: the caller brings the random number.
use super::Mask;
use super::row::{BLOCK, RowStats, tempered_mass, tempered_weight};
use super::truncate::survivors;
use crate::base::{RngKey, SamplerSettings};
use std::borrow::Cow;

/// Below this a temperature is 0: logits a millionth apart would already
/// differ in weight by a factor e, and `1 / temperature` must stay finite.
const TEMPERATURE_MIN: f32 = 1e-6;

/// Takes one token, or `None` where nothing is allowed.
///
/// `stats` are the row's own, so the row is known to hold no NaN. Tokens
/// outside `mask` or in `excluded`, and `-inf` logits, are never taken. Then,
/// in this order: temperature (0 takes the most likely allowed token, the
/// lowest id of several), top-k, top-p, min-p, each on what the one before
/// left, renormalised. `u` is uniform in `[0, 1)`: the same `u` gives the same
/// token.
///
/// Cost: no sort of the vocabulary; two or three passes over the allowed logits.
pub fn sample(
    logits: &[f32],
    stats: &RowStats,
    settings: &SamplerSettings,
    mask: Option<&Mask>,
    excluded: &[u32],
    u: f64,
) -> Option<u32> {
    let allowed = Allowed::of(logits, mask, excluded);
    let top = allowed.top(logits, stats)?;
    if settings.temperature.is_nan() || settings.temperature < TEMPERATURE_MIN {
        return Some(allowed.token(top));
    }
    let row = &allowed.logits;
    let (max, beta) = (row[top], 1.0 / settings.temperature);
    let truncated = settings.top_k > 0 || settings.top_p < 1.0 || settings.min_p > 0.0;
    let drawn = if truncated {
        let kept = survivors(row, max, beta, settings);
        let weights = kept.iter().map(|c| tempered_weight(c.logit, max, beta));
        kept[draw(weights, u)].index as usize
    } else {
        draw_from_row(row, max, beta, u)
    };
    Some(allowed.token(drawn))
}

/// Up to `n` distinct tokens, drawn one after the other without replacement:
/// first tokens for siblings. Fewer where fewer are allowed.
///
/// The distribution is that of the Gumbel top-n trick (Plackett-Luce). Each
/// draw truncates anew without the tokens already taken, so that `top_k = 1`
/// still gives siblings that differ; at temperature 0 they come out in order of
/// likelihood. Draw `i` takes its random number from `key.split(i)`.
pub fn siblings(
    logits: &[f32],
    stats: &RowStats,
    settings: &SamplerSettings,
    mask: Option<&Mask>,
    excluded: &[u32],
    key: RngKey,
    n: usize,
) -> Vec<u32> {
    let mut excluded = excluded.to_vec();
    let mut taken = Vec::with_capacity(n);
    for i in 0..n {
        let u = key.split(i as u64).uniform();
        let Some(token) = sample(logits, stats, settings, mask, &excluded, u) else {
            break;
        };
        taken.push(token);
        excluded.push(token);
    }
    taken
}

/// The part of a row that may be drawn from, ascending by token.
struct Allowed<'a> {
    logits: Cow<'a, [f32]>,
    /// Token of each logit; `None` where that is its position.
    tokens: Option<Vec<u32>>,
}

impl<'a> Allowed<'a> {
    fn of(row: &'a [f32], mask: Option<&Mask>, excluded: &[u32]) -> Self {
        let (tokens, mut logits) = match mask {
            None => (None, Cow::Borrowed(row)),
            Some(mask) if !mask.is_sparse() => (None, Cow::Owned(mask.applied(row))),
            Some(mask) => {
                let (tokens, logits) = mask.gathered(row);
                (Some(tokens), Cow::Owned(logits))
            }
        };
        for &token in excluded {
            let index = match &tokens {
                None => Some(token as usize).filter(|&index| index < row.len()),
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
        let unmasked = index.filter(|&i| self.logits[i] == row[stats.top1 as usize]);
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
fn draw_from_row(row: &[f32], max: f32, beta: f32, u: f64) -> usize {
    let masses: Vec<f64> = row
        .chunks(BLOCK)
        .map(|block| tempered_mass(block, max, beta))
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
mod tests {
    use super::*;
    use crate::base::RngKey;

    /// A row of which tokens 3.. hold nearly nothing, and one `-inf`.
    fn row() -> Vec<f32> {
        let mut row = vec![-12.0; 2_500];
        row[5] = f32::NEG_INFINITY;
        for (token, p) in [(0, 0.5f32), (1_030, 0.25), (2_499, 0.15), (7, 0.1)] {
            row[token] = p.ln();
        }
        row
    }

    fn draws(
        settings: &SamplerSettings,
        mask: Option<&Mask>,
        excluded: &[u32],
        n: u64,
    ) -> Vec<u32> {
        let row = row();
        let stats = RowStats::of(&row).unwrap();
        let key = RngKey::from_seed(11);
        (0..n)
            .map(|i| {
                sample(
                    &row,
                    &stats,
                    settings,
                    mask,
                    excluded,
                    key.split(i).uniform(),
                )
                .unwrap()
            })
            .collect()
    }

    /// Pearson's statistic against expected probabilities over named tokens
    /// and "anything else".
    fn chi_square(drawn: &[u32], expected: &[(u32, f64)]) -> f64 {
        let n = drawn.len() as f64;
        let rest = 1.0 - expected.iter().map(|e| e.1).sum::<f64>();
        let mut seen_named = 0.0;
        let mut statistic = 0.0;
        for &(token, p) in expected {
            let seen = drawn.iter().filter(|&&t| t == token).count() as f64;
            seen_named += seen;
            statistic += (seen - n * p).powi(2) / (n * p);
        }
        if rest > 1e-9 {
            statistic += (n - seen_named - n * rest).powi(2) / (n * rest);
        } else {
            assert_eq!(seen_named, n, "a token outside the expected set was drawn");
        }
        statistic
    }

    /// 99.9% quantile of chi-square with 4 degrees of freedom: seeds are fixed,
    /// so this either holds or does not.
    const CHI_SQUARE_MAX: f64 = 18.5;

    #[test]
    fn draws_follow_the_softmax_at_temperature_1() {
        let row = row();
        let stats = RowStats::of(&row).unwrap();
        let p = |token: u32| (f64::from(row[token as usize]) - stats.logsumexp).exp();
        let drawn = draws(&SamplerSettings::at(1.0), None, &[], 8_000);
        let named = [0, 7, 1_030, 2_499].map(|token| (token, p(token)));
        let statistic = chi_square(&drawn, &named);
        assert!(statistic < CHI_SQUARE_MAX, "{statistic}");
        assert!(!drawn.contains(&5), "a logit of -inf was drawn");
    }

    #[test]
    fn draws_follow_the_tempered_truncated_masked_distribution() {
        let settings = SamplerSettings {
            temperature: 0.5,
            top_k: 3,
            ..SamplerSettings::GREEDY
        };
        // p² renormalised over the top three: 25 : 6.25 : 2.25 of 33.5.
        let drawn = draws(&settings, None, &[], 4_000);
        let expected = [(0, 25.0 / 33.5), (1_030, 6.25 / 33.5), (2_499, 2.25 / 33.5)];
        assert!(chi_square(&drawn, &expected) < CHI_SQUARE_MAX);

        // Without token 0 by exclusion and 2499 by the mask: 1030 and 7, 25 : 10.
        let mask = Mask::of(2_400, &[0, 7, 1_030]);
        let drawn = draws(&SamplerSettings::at(1.0), Some(&mask), &[0], 4_000);
        let expected = [(1_030, 25.0 / 35.0), (7, 10.0 / 35.0)];
        assert!(chi_square(&drawn, &expected) < CHI_SQUARE_MAX);
    }

    #[test]
    fn greedy_is_argmax_over_what_is_allowed() {
        let greedy = |mask: Option<&Mask>, excluded: &[u32]| {
            draws(&SamplerSettings::GREEDY, mask, excluded, 1)[0]
        };
        assert_eq!(greedy(None, &[]), 0);
        assert_eq!(greedy(None, &[0]), 1_030);
        assert_eq!(greedy(Some(&Mask::all(2_500)), &[0, 1_030]), 2_499);
        assert_eq!(greedy(Some(&Mask::single(2_500, 9)), &[]), 9);
        // Equal logits: the lowest allowed id.
        let stats = RowStats::of(&[1.0; 40]).unwrap();
        let taken = sample(
            &[1.0; 40],
            &stats,
            &SamplerSettings::GREEDY,
            None,
            &[0, 1],
            0.9,
        );
        assert_eq!(taken, Some(2));
    }

    #[test]
    fn nothing_allowed_is_none() {
        let row = row();
        let stats = RowStats::of(&row).unwrap();
        for settings in [SamplerSettings::GREEDY, SamplerSettings::at(1.0)] {
            let take = |mask: &Mask, excluded: &[u32]| {
                sample(&row, &stats, &settings, Some(mask), excluded, 0.3)
            };
            assert_eq!(take(&Mask::none(2_500), &[]), None);
            assert_eq!(take(&Mask::single(2_500, 5), &[]), None, "-inf");
            assert_eq!(take(&Mask::single(2_500, 8), &[8]), None, "excluded");
        }
    }

    #[test]
    fn every_random_number_gives_an_allowed_token() {
        let row = row();
        let stats = RowStats::of(&row).unwrap();
        let mask = Mask::of(2_600, &[5, 6, 2_499, 2_550]); // longer than the row
        let almost_one = 1.0 - f64::EPSILON / 2.0;
        for u in [0.0, 1e-300, 0.5, 0.999_999, almost_one] {
            for (top_k, top_p, min_p) in
                [(0, 1.0, 0.0), (2, 1.0, 0.0), (0, 0.9, 0.1), (9, 0.5, 2.0)]
            {
                let settings = SamplerSettings {
                    temperature: 0.8,
                    top_p,
                    top_k,
                    min_p,
                };
                let token = sample(&row, &stats, &settings, Some(&mask), &[], u).unwrap();
                assert!([6, 2_499].contains(&token), "{token} at u = {u}");
                assert!(sample(&row, &stats, &settings, None, &[], u).unwrap() != 5);
            }
        }
    }

    #[test]
    fn siblings_are_distinct_and_drawn_without_replacement() {
        let row = row();
        let stats = RowStats::of(&row).unwrap();
        let at = |settings, mask, n, seed| {
            siblings(
                &row,
                &stats,
                &settings,
                mask,
                &[],
                RngKey::from_seed(seed),
                n,
            )
        };
        assert_eq!(
            at(SamplerSettings::GREEDY, None, 4, 1),
            [0, 1_030, 2_499, 7]
        );
        // top_k = 1 narrows each draw, not the number of siblings.
        let top_1 = SamplerSettings {
            top_k: 1,
            ..SamplerSettings::at(1.0)
        };
        assert_eq!(at(top_1, None, 3, 1), [0, 1_030, 2_499]);
        let mask = Mask::of(2_500, &[0, 7]);
        assert_eq!(
            at(SamplerSettings::at(1.0), Some(&mask), 5, 3).len(),
            2,
            "fewer are allowed"
        );

        // P(second = 1030) = sum over first of p(first) p(1030) / (1 - p(first)),
        // on the four named tokens alone.
        let named = [(0, 0.5), (1_030, 0.25), (2_499, 0.15), (7, 0.1)];
        let mask = Mask::of(2_500, &named.map(|(token, _)| token));
        let second: Vec<u32> = (0..4_000)
            .map(|seed| at(SamplerSettings::at(1.0), Some(&mask), 2, seed)[1])
            .collect();
        let expected = named.map(|(token, p)| {
            let others = named.iter().filter(|other| other.0 != token);
            (
                token,
                others
                    .map(|other| other.1 * p / (1.0 - other.1))
                    .sum::<f64>(),
            )
        });
        assert!(chi_square(&second, &expected) < CHI_SQUARE_MAX);
    }
}
