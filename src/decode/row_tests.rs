//! A row's figures against an f64 reference, and what they cost.
use super::*;

/// Qwen2.5's logits row.
const V: usize = 151_936;
/// What f32 terms summed in blocks may be off by, nats.
const ENTROPY_TOLERANCE: f64 = 1e-5;

fn agrees_with_f64(row: &[f32], label: &str) {
    let stats = RowStats::of(row).unwrap();
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let d = |l: f32| f64::from(l) - f64::from(max);
    let z: f64 = row.iter().map(|&l| d(l).exp()).sum();
    let surprisal = |l: f32| z.ln() - d(l);
    let mean = |f: &dyn Fn(f32) -> f64| -> f64 {
        row.iter()
            .filter(|l| l.is_finite())
            .map(|&l| d(l).exp() / z * f(l))
            .sum()
    };
    let entropy = mean(&surprisal);
    let varentropy = mean(&|l| (surprisal(l) - entropy).powi(2));
    let close = |name: &str, got: f64, want: f64, tolerance: f64| {
        assert!(
            (got - want).abs() <= tolerance,
            "{label}: {name} {got} but f64 gives {want}"
        );
    };
    close(
        "logsumexp",
        stats.logsumexp,
        f64::from(max) + z.ln(),
        ENTROPY_TOLERANCE,
    );
    close(
        "entropy",
        stats.entropy_nats.into(),
        entropy,
        ENTROPY_TOLERANCE,
    );
    // A second moment: its error scales with its size.
    close(
        "varentropy",
        stats.varentropy.into(),
        varentropy,
        1e-4 * (1.0 + varentropy),
    );
    close("top1_prob", stats.top1_prob.into(), 1.0 / z, 1e-6);
    let mut sorted = row.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    close(
        "margin",
        stats.margin.into(),
        (1.0 - d(sorted[1]).exp()) / z,
        1e-6,
    );
    assert_eq!(row[stats.top1 as usize], max, "{label}: top1");
}

fn uniform_row(len: usize, spread: f32, seed: u64) -> Vec<f32> {
    use rand_chacha::rand_core::Rng;
    let mut stream = crate::base::RngKey::from_seed(seed).stream();
    (0..len)
        .map(|_| spread * (stream.next_u32() as f32 / u32::MAX as f32 - 0.5))
        .collect()
}

#[test]
fn figures_agree_with_an_f64_reference_on_rows_of_real_size() {
    for (seed, spread) in [0.01, 1.0, 8.0, 20.0, 40.0, 200.0].into_iter().enumerate() {
        agrees_with_f64(
            &uniform_row(V, spread, seed as u64),
            &format!("spread {spread}"),
        );
    }
    for len in [2, 15, 16, 17, 1_023, 1_025, 4_097] {
        agrees_with_f64(
            &uniform_row(len, 10.0, len as u64),
            &format!("{len} logits"),
        );
    }
}

#[test]
fn figures_agree_with_an_f64_reference_on_extreme_rows() {
    let mut huge = uniform_row(V, 10.0, 9);
    huge[77_777] = 30_000.0;
    agrees_with_f64(&huge, "one huge logit");
    agrees_with_f64(&vec![-1e30; V], "all equal and far from 0");
    let mut holes = uniform_row(V, 10.0, 10);
    holes
        .iter_mut()
        .skip(1)
        .step_by(2)
        .for_each(|l| *l = f32::NEG_INFINITY);
    agrees_with_f64(&holes, "every second logit -inf");
    let mut two = vec![f32::NEG_INFINITY; V];
    (two[3], two[151_935]) = (4.0, 4.0);
    agrees_with_f64(&two, "two of all");
    // A high floor under one peak: nearly all mass is in tiny terms.
    let mut floor = vec![-11.0; V];
    floor[0] = 0.0;
    agrees_with_f64(&floor, "a peak over a heavy floor");
}

#[test]
fn equal_logits_have_the_entropy_ln_v() {
    let stats = RowStats::of(&vec![3.5; V]).unwrap();
    assert!((f64::from(stats.entropy_nats) - (V as f64).ln()).abs() < 1e-6);
    assert_eq!((stats.varentropy, stats.margin, stats.top1), (0.0, 0.0, 0));
}

#[test]
fn logprob_is_the_logit_over_the_normaliser() {
    let row = [0.0, 1.0, f32::NEG_INFINITY];
    let stats = RowStats::of(&row).unwrap();
    let total: f32 = (0..2).map(|t| logprob(&row, &stats, t).exp()).sum();
    assert!((total - 1.0).abs() < 1e-6);
    assert_eq!(logprob(&row, &stats, 2), f32::NEG_INFINITY);
    assert_eq!(logprob(&row, &stats, 3), f32::NEG_INFINITY, "past the row");
}

/// `cargo test --release decode::row -- --ignored --nocapture`
#[test]
#[ignore = "prints timings; asserts nothing that a busy machine could break"]
fn time_of_one_row() {
    use std::time::Instant;
    // Bell-shaped with a few peaks above, as a model's rows are.
    let parts: Vec<Vec<f32>> = (0..6).map(|seed| uniform_row(V, 6.0, seed)).collect();
    let mut row: Vec<f32> = (0..V).map(|i| parts.iter().map(|p| p[i]).sum()).collect();
    row.iter_mut()
        .step_by(9_999)
        .for_each(|l| *l = l.abs() + 10.0);
    let stats = RowStats::of(&row).unwrap();
    println!("entropy {:.2} nats", stats.entropy_nats);
    let time = |label: &str, f: &dyn Fn(u64)| {
        let mut us: Vec<f64> = (0..200)
            .map(|i| {
                let start = Instant::now();
                f(i);
                start.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        us.sort_unstable_by(f64::total_cmp);
        println!("{label}: {:.0} us median, {:.0} us at best", us[100], us[0]);
    };
    time("RowStats::of", &|_| {
        std::hint::black_box(RowStats::of(std::hint::black_box(&row)).unwrap());
    });
    let dense = Mask::from_words(vec![0x7fff_ffff; V / 32], V);
    time("masked_entropy, 31 of 32 allowed", &|_| {
        std::hint::black_box(masked_entropy(&row, &dense));
    });
    use crate::base::SamplerSettings;
    let settings = SamplerSettings::at(0.8);
    let truncated = [
        ("temperature", settings),
        (
            "top_k 40",
            SamplerSettings {
                top_k: 40,
                ..settings
            },
        ),
        (
            "top_p 0.95",
            SamplerSettings {
                top_p: 0.95,
                ..settings
            },
        ),
        (
            "min_p 0.05",
            SamplerSettings {
                min_p: 0.05,
                ..settings
            },
        ),
    ];
    for (label, settings) in truncated {
        for (mask_label, mask) in [("", None), (", masked", Some(&dense))] {
            time(&format!("sample, {label}{mask_label}"), &|i| {
                let u = i as f64 / 200.0;
                std::hint::black_box(crate::decode::sample(
                    &row,
                    &stats,
                    &settings,
                    mask,
                    &[],
                    u,
                    &egss_kernels::Inline,
                ));
            });
        }
    }
}

#[test]
fn top_two_are_found_across_blocks_and_in_ragged_tails() {
    for len in [1, 2, 15, 17, 1_023, 1_025, 5_000] {
        for at in [0, len / 2, len - 1] {
            let mut row = vec![-1.0; len];
            row[at] = 3.0;
            let top = TopTwo::of(&row).unwrap();
            assert_eq!((top.first, top.index), (3.0, at));
            assert_eq!(top.second, if len == 1 { f32::NEG_INFINITY } else { -1.0 });
        }
    }
    // Equal tops: the lowest id, and no margin.
    let top = TopTwo::of(&[0.0, 7.0, 7.0]).unwrap();
    assert_eq!((top.first, top.second, top.index), (7.0, 7.0, 1));
}

#[test]
fn broken_rows_are_errors_that_name_the_logit() {
    let mut row = vec![0.5; 3_000];
    assert_eq!(RowStats::of(&[]), Err(DecodeError::EmptyRow));
    assert_eq!(
        RowStats::of(&[f32::NEG_INFINITY; 40]),
        Err(DecodeError::NoFiniteLogit)
    );
    row[2_999] = f32::INFINITY;
    let error = RowStats::of(&row).unwrap_err();
    assert!(
        error.to_string().starts_with("logit 2999 is inf"),
        "{error}"
    );
    for at in [0, 1_500, 2_990] {
        row[at] = f32::NAN;
        let error = RowStats::of(&row).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("logit {at} is NaN")),
            "{error}"
        );
        row[at] = 0.0;
    }
}
