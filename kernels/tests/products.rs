//! Packed products against f64 sums over what the bytes stand for.
use egss_kernels::{Executor, Format, Inline, Isa, PackedMatrix, Part, QuantizedRows, multiply};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::ops::Range;

/// f32 sums of some thousand terms, in an order of their own.
const TOLERANCE: f64 = 2e-5;

/// Bytes of a block that hold its scales of 16 bits, or its exponent.
fn scales_at(format: Format) -> Vec<usize> {
    match format {
        Format::Q3K => vec![108, 109],
        Format::Q4K | Format::Q5K => vec![0, 1, 2, 3],
        Format::Q6K => vec![208, 209],
        Format::Q5_0 | Format::Q8_0 | Format::Iq4Nl | Format::Iq4Xs => vec![0, 1],
        Format::Mxfp4 => vec![0],
        Format::Nvfp4 => vec![],
    }
}

/// A matrix as a file has it: random bits, with scales of ordinary size.
fn file(format: Format, n: usize, k: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = vec![0; n * k / format.block() * format.block_bytes()];
    rng.fill_bytes(&mut bytes);
    for block in bytes.chunks_exact_mut(format.block_bytes()) {
        for scale in scales_at(format).chunks(2) {
            let random = rng.next_u32();
            match scale {
                [exponent] => block[*exponent] = 118 + (random % 7) as u8,
                half => {
                    let value = half::f16::from_f32(0.01 + (random % 1000) as f32 * 1e-5);
                    block[half[0]..][..2].copy_from_slice(&value.to_le_bytes());
                }
            }
        }
    }
    bytes
}

fn rows(isa: Isa, rows: usize, k: usize, format: Format, rng: &mut ChaCha8Rng) -> QuantizedRows {
    let values: Vec<f32> = (0..rows * k)
        .map(|_| (rng.next_u32() % 2001) as f32 / 1000.0 - 1.0)
        .collect();
    let fill = |row: usize, to: &mut [f32]| to.copy_from_slice(&values[row * k..(row + 1) * k]);
    QuantizedRows::new(isa, rows, k, format.scales(), &fill, &Inline)
}

fn part(weights: &PackedMatrix, column: usize) -> Part<'_> {
    Part {
        weights,
        bias: None,
        column,
    }
}

/// `x Wᵀ` of one matrix: `[rows, n]`.
fn product(isa: Isa, lhs: &QuantizedRows, weights: &PackedMatrix) -> Vec<f32> {
    let n = weights.n();
    let mut out = vec![0f32; lhs.rows() * n];
    multiply(isa, lhs, &[part(weights, 0)], false, &mut out, n, &Inline);
    out
}

/// Items in reverse and one by one, as threads might take them.
struct Backwards;

impl Executor for Backwards {
    fn execute(&self, n_items: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        (0..n_items).rev().for_each(|item| work(item..item + 1));
    }
}

fn largest_error(isa: Isa, format: Format, n: usize, k: usize, t: usize) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64((n * k + t) as u64);
    let weights = PackedMatrix::pack(format, n, k, &file(format, n, k, &mut rng), &Backwards);
    let lhs = rows(isa, t, k, format, &mut rng);
    let bias: Vec<f32> = (0..n).map(|i| i as f32 / 8.0).collect();
    let (stride, column) = (n + 5, 3);
    let mut out = vec![1f32; t * stride];
    let part = Part {
        weights: &weights,
        bias: Some(&bias),
        column,
    };
    multiply(isa, &lhs, &[part], true, &mut out, stride, &Backwards);
    let mut largest = 0f64;
    let mut row_of = vec![0f32; k];
    for i in 0..n {
        weights.row(i, &mut row_of);
        for row in 0..t {
            let terms = row_of
                .iter()
                .enumerate()
                .map(|(c, &w)| f64::from(w) * f64::from(lhs.value(row, c)));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
            let want = sum + f64::from(bias[i]) + 1.0;
            let got = f64::from(out[row * stride + column + i]);
            largest = largest.max((got - want).abs() / (size + 1.0));
        }
    }
    for row in out.chunks_exact(stride) {
        assert!(
            row[..column]
                .iter()
                .chain(&row[column + n..])
                .all(|&x| x == 1.0),
            "written past its columns"
        );
    }
    largest
}

#[test]
fn a_factor_of_the_whole_matrix_is_in_its_products_and_rows() {
    let (n, k) = (20, 256);
    for isa in Isa::all() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let file = file(Format::Nvfp4, n, k, &mut rng);
        let plain = PackedMatrix::pack(Format::Nvfp4, n, k, &file, &Inline);
        let halved = PackedMatrix::pack(Format::Nvfp4, n, k, &file, &Inline).times(0.5);
        let lhs = rows(isa, 3, k, Format::Nvfp4, &mut rng);
        let want: Vec<f32> = product(isa, &lhs, &plain).iter().map(|x| x / 2.0).collect();
        assert_eq!(product(isa, &lhs, &halved), want, "{isa:?}");
        let [mut all, mut half] = [vec![0f32; k], vec![0f32; k]];
        plain.row(7, &mut all);
        halved.row(7, &mut half);
        assert!(all.iter().zip(&half).all(|(all, half)| all / 2.0 == *half));
    }
}

#[test]
fn products_equal_sums_in_f64_for_every_format_and_number_of_rows() {
    for isa in Isa::all() {
        for format in Format::ALL {
            for t in [1, 2, 3, 4, 5, 8, 12, 13, 40] {
                let error = largest_error(isa, format, 40, 512, t);
                assert!(error < TOLERANCE, "{isa:?} {format:?} {t} rows: {error}");
            }
            // Whole blocks of 32 that are no whole blocks of 64 or 128.
            if format.block() == 32 {
                for (k, t) in [(96, 1), (576, 1), (576, 9)] {
                    let error = largest_error(isa, format, 48, k, t);
                    assert!(error < TOLERANCE, "{isa:?} {format:?} over {k}: {error}");
                }
            }
            let error = largest_error(isa, format, 16, 8960, 100);
            assert!(
                error < TOLERANCE,
                "{isa:?} {format:?} in several turns: {error}"
            );
        }
    }
}

#[test]
fn every_processor_gives_what_the_portable_path_gives() {
    let (n, k, t) = (48, 1024, 9);
    for format in Format::ALL {
        let run = |isa: Isa| {
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let file = file(format, n, k, &mut rng);
            let weights = PackedMatrix::pack(format, n, k, &file, &Inline);
            let lhs = rows(isa, t, k, format, &mut rng);
            product(isa, &lhs, &weights)
        };
        let want = run(Isa::Portable);
        for isa in Isa::all() {
            // Sums of terms of both signs: what is lost is a share of the terms.
            let size = want.iter().fold(0f32, |size, x| size.max(x.abs()));
            let off = want.iter().zip(run(isa)).map(|(a, b)| (a - b).abs() / size);
            let off = off.fold(0f32, f32::max);
            assert!(off < 2e-6, "{isa:?} {format:?}: {off}");
        }
    }
}

#[test]
fn the_rows_beside_it_change_no_bit_of_a_row() {
    let (n, k) = (32, 512);
    for isa in Isa::all() {
        for format in Format::ALL {
            let mut rng = ChaCha8Rng::seed_from_u64(5);
            let weights = PackedMatrix::pack(format, n, k, &file(format, n, k, &mut rng), &Inline);
            let values: Vec<f32> = (0..40 * k)
                .map(|i| ((i * 31) % 977) as f32 / 400.0 - 1.0)
                .collect();
            let products = |rows: usize| {
                let fill = |row: usize, to: &mut [f32]| to.copy_from_slice(&values[row * k..][..k]);
                let lhs = QuantizedRows::new(isa, rows, k, format.scales(), &fill, &Inline);
                product(isa, &lhs, &weights)
            };
            let all = products(40);
            for rows in [1, 2, 3, 5, 8, 12, 13, 25] {
                assert_eq!(
                    products(rows),
                    all[..rows * n],
                    "{isa:?} {format:?} {rows} rows"
                );
            }
        }
    }
}

#[test]
fn rows_of_zero_bytes_give_zeros() {
    let (n, k) = (20, 512);
    for isa in Isa::all() {
        for format in Format::ALL {
            let file = vec![0; n * k / format.block() * format.block_bytes()];
            let weights = PackedMatrix::pack(format, n, k, &file, &Inline);
            let mut rng = ChaCha8Rng::seed_from_u64(11);
            let lhs = rows(isa, 5, k, format, &mut rng);
            let products = product(isa, &lhs, &weights);
            assert!(products.iter().all(|&x| x == 0.0), "{isa:?} {format:?}");
        }
    }
}

#[test]
fn the_largest_weights_times_the_largest_rows_are_exact_enough() {
    // Every code, scale and minimum at its most: no sum of whole numbers overflows, and
    // what is stored for a weight of 0 cancels.
    let (n, k, t) = (16, 512, 13);
    for isa in Isa::all() {
        for format in Format::ALL {
            for fill in [0x00, 0xff, 0x0f, 0xf0, 0x7f, 0x80] {
                let mut file = file(format, n, k, &mut ChaCha8Rng::seed_from_u64(13));
                let scales = file.clone();
                file.fill(fill);
                let bytes = format.block_bytes();
                for (to, from) in file.chunks_exact_mut(bytes).zip(scales.chunks_exact(bytes)) {
                    for at in scales_at(format) {
                        to[at] = from[at];
                    }
                }
                let weights = PackedMatrix::pack(format, n, k, &file, &Inline);
                for sign in [1.0, -1.0] {
                    let fill_row = |_: usize, to: &mut [f32]| to.fill(sign);
                    let lhs = QuantizedRows::new(isa, t, k, format.scales(), &fill_row, &Inline);
                    let products = product(isa, &lhs, &weights);
                    let mut row = vec![0f32; k];
                    for (i, &got) in products.iter().enumerate() {
                        weights.row(i % n, &mut row);
                        let terms = row.iter().map(|&w| f64::from(w) * f64::from(sign));
                        let (sum, size) =
                            terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
                        let off = (f64::from(got) - sum).abs();
                        assert!(
                            off <= TOLERANCE * size,
                            "{isa:?} {format:?} of {fill:#x} times {sign}: {got} for {sum}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn parts_of_two_formats_stand_side_by_side() {
    let (k, t) = (256, 3);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let isa = Isa::best();
    let [a, b] = [Format::Q4K, Format::Q6K]
        .map(|format| PackedMatrix::pack(format, 24, k, &file(format, 24, k, &mut rng), &Inline));
    let lhs = rows(isa, t, k, Format::Q4K, &mut rng);
    let mut both = vec![0f32; t * 48];
    let parts = [part(&a, 0), part(&b, 24)];
    multiply(isa, &lhs, &parts, false, &mut both, 48, &Backwards);
    for (weights, column) in [(&a, 0), (&b, 24)] {
        let alone = product(isa, &lhs, weights);
        for row in 0..t {
            assert_eq!(both[row * 48 + column..][..24], alone[row * 24..][..24]);
        }
    }
}

#[test]
#[should_panic(expected = "scales of the rows")]
fn rows_scaled_for_another_format_are_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let isa = Isa::best();
    let file = file(Format::Q8_0, 16, 256, &mut rng);
    let weights = PackedMatrix::pack(Format::Q8_0, 16, 256, &file, &Inline);
    product(isa, &rows(isa, 1, 256, Format::Q4K, &mut rng), &weights);
}
