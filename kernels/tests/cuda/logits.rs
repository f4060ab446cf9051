//! Rows of logits: their figures, and what is drawn from them.
use super::{gpu, numbers};
use egss_kernels::cuda::Draw;
use egss_kernels::{Isa, exp_moments};

#[test]
fn rows_of_logits_say_on_the_device_what_they_say_on_a_cpu() {
    let gpu = gpu();
    let v = 151_936;
    let n = 6;
    let mut logits: Vec<f32> = numbers(1, n * v).iter().map(|x| 9.0 * x).collect();
    logits[2 * v + 77] = 30.0; // nearly certain
    logits[3 * v..4 * v].fill(0.5); // all alike
    logits[4 * v..4 * v + 90_000].fill(f32::NEG_INFINITY); // forbidden
    logits[5 * v + 12_345] = f32::NAN;
    logits[5 * v + 99] = f32::INFINITY;
    let temperatures = [1.0, 0.5, 1.0, 2.0, 0.7, 1.0];
    let on_device = gpu.upload(&logits).unwrap();
    for u in [0.0, 0.1, 0.5, 0.999_999] {
        let draws = temperatures.map(|t: f32| Draw {
            u,
            beta: 1.0 / t,
            ..Draw::GREEDY
        });
        let read = gpu.read_rows(on_device.view(), v, &draws, &[]).unwrap();
        assert_eq!(read[5].bad, 99);
        for (i, row) in logits.chunks_exact(v).take(5).enumerate() {
            let got = read[i];
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let index = row.iter().position(|&l| l == max).unwrap();
            assert_eq!(
                (got.first, got.index, got.bad),
                (max, index as u32, u32::MAX),
                "row {i}"
            );
            let others = row.iter().enumerate().filter(|(at, _)| *at != index);
            let second = others.map(|(_, &l)| l).fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(got.second, second, "row {i}");
            let want = exp_moments(Isa::best(), row, max);
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
            assert!(
                close(got.e, want.e) && close(got.e_d, want.e_d),
                "{got:?} {want:?}"
            );
            assert!(close(got.e_d2, want.e_d2), "{got:?} {want:?}");
            // What is drawn stands where the running sum passes u, but for rounding.
            let beta = f64::from(draws[i].beta);
            let weight = |l: f32| (beta * (f64::from(l) - f64::from(max))).exp();
            let all: f64 = row.iter().map(|&l| weight(l)).sum();
            let drawn = got.drawn as usize;
            let before: f64 = row[..drawn].iter().map(|&l| weight(l)).sum();
            let own = weight(row[drawn]);
            assert_eq!(got.drawn_logit, row[drawn]);
            assert!(
                own > 0.0 && before <= (u + 1e-6) * all && before + own >= (u - 1e-6) * all,
                "row {i}, u {u}: {drawn} at {} to {}",
                before / all,
                (before + own) / all
            );
        }
    }
    let greedy = gpu
        .read_rows(on_device.view(), v, &[Draw::GREEDY; 6], &[])
        .unwrap();
    assert!(greedy.iter().all(|row| row.drawn == row.index));
}

#[test]
fn draws_under_masks_and_filters_are_those_of_a_sorted_row() {
    let gpu = gpu();
    let v = 151_936;
    let free = Draw {
        u: 0.4,
        beta: 1.25,
        ..Draw::GREEDY
    };
    let draws = [
        Draw { mask: 0, ..free },
        Draw { mask: 1, ..free },
        Draw {
            mask: 0,
            ..Draw::GREEDY
        },
        Draw { top_k: 20, ..free },
        Draw {
            top_k: 50,
            top_p: 0.9,
            min_p: 0.01,
            mask: 0,
            ..free
        },
        Draw {
            top_p: 0.95,
            ..free
        },
        Draw {
            min_p: 0.05,
            mask: 0,
            ..free
        },
        Draw {
            token: 77,
            ..Draw::GREEDY
        },
        // Nothing is allowed.
        Draw { mask: 2, ..free },
    ];
    let n = draws.len();
    // Sharper than uniform, as a model's rows are.
    let logit = |x: &f32| 60.0 * x.powi(9);
    let logits: Vec<f32> = numbers(4, n * v).iter().map(logit).collect();
    // Shorter than the row: what they do not speak of is not allowed.
    let masks: Vec<Vec<u32>> = vec![
        (0..4_000u32)
            .map(|word| word.wrapping_mul(2_654_435_761))
            .collect(),
        vec![0, 0, 1 << 9],
        vec![],
    ];
    let masks: Vec<&[u32]> = masks.iter().map(Vec::as_slice).collect();
    let on_device = gpu.upload(&logits).unwrap();
    let read = gpu.read_rows(on_device.view(), v, &draws, &masks).unwrap();
    for ((draw, got), row) in draws.iter().zip(&read).zip(logits.chunks_exact(v)) {
        let allows = |token: usize| match masks.get(draw.mask as usize) {
            None => true,
            Some(mask) => mask
                .get(token / 32)
                .is_some_and(|word| word >> (token % 32) & 1 == 1),
        };
        let mut order: Vec<usize> = (0..v).filter(|&token| allows(token)).collect();
        if order.is_empty() {
            assert_eq!(got.drawn, u32::MAX);
            continue;
        }
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        let top = f64::from(row[order[0]]);
        let d = |token: usize| f64::from(row[token]) - top;
        let sums = order.iter().fold((0.0, 0.0), |(e, e_d), &token| {
            (e + d(token).exp(), e_d + d(token) * d(token).exp())
        });
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
        assert!(
            close(got.allowed_e, sums.0) && close(got.allowed_e_d, sums.1),
            "{got:?} {sums:?}"
        );
        let weight = |token: usize| (f64::from(draw.beta) * d(token)).exp();
        let mass = |tokens: &[usize]| tokens.iter().map(|&token| weight(token)).sum::<f64>();
        if draw.top_k > 0 {
            order.truncate(draw.top_k as usize);
        }
        if draw.top_p < 1.0 {
            let wanted = f64::from(draw.top_p) * mass(&order);
            let mut sum = 0.0;
            let reaches = |&token: &usize| {
                sum += weight(token);
                sum >= wanted
            };
            let n = order
                .iter()
                .position(reaches)
                .map_or(order.len(), |n| n + 1);
            order.truncate(n);
        }
        let first = order[0];
        order.retain(|&token| token == first || weight(token) >= f64::from(draw.min_p));
        order.sort_unstable();
        let want = match (draw.token, draw.beta) {
            (u32::MAX, 0.0) => first,
            (u32::MAX, _) => {
                let (wanted, mut sum) = (draw.u * mass(&order), 0.0);
                let passes = |&token: &usize| {
                    sum += weight(token);
                    sum > wanted
                };
                order[order.iter().position(passes).unwrap()]
            }
            (token, _) => token as usize,
        };
        assert_eq!(got.drawn as usize, want, "{draw:?}");
        assert_eq!(got.drawn_logit, row[want]);
    }
}
