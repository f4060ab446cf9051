//! Draws against the distributions they should follow.
use super::*;
use crate::base::RngKey;
use egss_kernels::Inline;
use std::ops::Range;

/// A row of which tokens 3.. hold nearly nothing, and one `-inf`.
fn row() -> Vec<f32> {
    let mut row = vec![-12.0; 2_500];
    row[5] = f32::NEG_INFINITY;
    for (token, p) in [(0, 0.5f32), (1_030, 0.25), (2_499, 0.15), (7, 0.1)] {
        row[token] = p.ln();
    }
    row
}

fn draws(settings: &SamplerSettings, mask: Option<&Mask>, excluded: &[u32], n: u64) -> Vec<u32> {
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
                &Inline,
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
    assert_eq!(greedy(Some(&Mask::of(2_500, &[9])), &[]), 9);
    // Equal logits: the lowest allowed id.
    let stats = RowStats::of(&[1.0; 40]).unwrap();
    let taken = sample(
        &[1.0; 40],
        &stats,
        &SamplerSettings::GREEDY,
        None,
        &[0, 1],
        0.9,
        &Inline,
    );
    assert_eq!(taken, Some(2));
}

#[test]
fn nothing_allowed_is_none() {
    let row = row();
    let stats = RowStats::of(&row).unwrap();
    for settings in [SamplerSettings::GREEDY, SamplerSettings::at(1.0)] {
        let take = |mask: &Mask, excluded: &[u32]| {
            sample(&row, &stats, &settings, Some(mask), excluded, 0.3, &Inline)
        };
        assert_eq!(take(&Mask::none(2_500), &[]), None);
        assert_eq!(take(&Mask::of(2_500, &[5]), &[]), None, "-inf");
        assert_eq!(take(&Mask::of(2_500, &[8]), &[8]), None, "excluded");
    }
}

/// One item at a time, the last first: an order that threads might come to.
struct Backwards;

impl Executor for Backwards {
    fn execute(&self, n_items: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        (0..n_items).rev().for_each(|item| work(item..item + 1));
    }
}

#[test]
fn who_sums_which_block_changes_no_draw() {
    let row = row();
    let stats = RowStats::of(&row).unwrap();
    let settings = SamplerSettings::at(1.3);
    for i in 0..500 {
        let u = f64::from(i) / 500.0;
        let draw =
            |executor: &dyn Executor| sample(&row, &stats, &settings, None, &[], u, executor);
        assert_eq!(draw(&Backwards), draw(&Inline), "u = {u}");
    }
}

#[test]
fn every_random_number_gives_an_allowed_token() {
    let row = row();
    let stats = RowStats::of(&row).unwrap();
    let mask = Mask::of(2_600, &[5, 6, 2_499, 2_550]); // longer than the row
    let almost_one = 1.0 - f64::EPSILON / 2.0;
    for u in [0.0, 1e-300, 0.5, 0.999_999, almost_one] {
        for (top_k, top_p, min_p) in [(0, 1.0, 0.0), (2, 1.0, 0.0), (0, 0.9, 0.1), (9, 0.5, 2.0)] {
            let settings = SamplerSettings {
                temperature: 0.8,
                top_p,
                top_k,
                min_p,
            };
            let token = sample(&row, &stats, &settings, Some(&mask), &[], u, &Inline).unwrap();
            assert!([6, 2_499].contains(&token), "{token} at u = {u}");
            assert!(sample(&row, &stats, &settings, None, &[], u, &Inline).unwrap() != 5);
        }
    }
}

proptest::proptest! {
    #[test]
    fn a_token_outside_the_mask_or_excluded_is_never_drawn(
        row in proptest::collection::vec(
            proptest::prop_oneof![4 => -30f32..30.0, 1 => proptest::prelude::Just(f32::NEG_INFINITY)],
            1..200,
        ),
        allowed in proptest::collection::vec(0u32..220, 0..220),
        excluded in proptest::collection::vec(0u32..250, 0..20),
        temperature in proptest::prop_oneof![proptest::prelude::Just(0.0f32), 0.05f32..3.0],
        top_k in 0usize..20,
        top_p in 0f32..1.2,
        min_p in 0f32..1.2,
        u in 0f64..1.0,
    ) {
        let Ok(stats) = RowStats::of(&row) else { return Ok(()) };
        let mask = Mask::of(220, &allowed);
        let settings = SamplerSettings { temperature, top_p, top_k, min_p };
        let may = |token: u32| {
            let logit = row.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
            mask.allows(token) && !excluded.contains(&token) && logit > f32::NEG_INFINITY
        };
        match sample(&row, &stats, &settings, Some(&mask), &excluded, u, &Inline) {
            Some(token) => proptest::prop_assert!(may(token), "{token}"),
            None => proptest::prop_assert!(!(0..220).any(may)),
        }
    }
}
