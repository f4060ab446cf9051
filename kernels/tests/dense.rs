//! Products with floats of 16 and 8 bits against f64 sums over what they stand for.
use egss_kernels::{
    AlignedBytes, BlockScales, DenseFormat, DenseMatrix, Executor, FloatRows, Inline, Isa,
    MappedBytes, Part, WeightBytes, multiply_dense,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::ops::Range;

/// Of f32 sums of some thousand terms: a rounding is 6e-8 of a term, and squared here.
const NMSE_MAX: f64 = 1e-12;

/// Items in reverse and one by one, as threads might take them.
struct Backwards;

impl Executor for Backwards {
    fn execute(&self, n_items: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        (0..n_items).rev().for_each(|item| work(item..item + 1));
    }
}

/// A number between -1 and 1.
fn number(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0
}

fn encoded(format: DenseFormat, number: f32) -> [u8; 2] {
    match format {
        DenseFormat::Bf16 => half::bf16::from_f32(number).to_le_bytes(),
        DenseFormat::F16 => half::f16::from_f32(number).to_le_bytes(),
    }
}

fn matrix(format: DenseFormat, n: usize, k: usize, rng: &mut ChaCha8Rng) -> DenseMatrix {
    let numbers: Vec<[u8; 2]> = (0..n * k).map(|_| encoded(format, number(rng))).collect();
    DenseMatrix::copied(format, n, k, numbers.into_iter())
}

/// E4M3 of any bits but NaN's, with a scale for each block.
fn e4m3(n: usize, k: usize, block: [usize; 2], rng: &mut ChaCha8Rng) -> DenseMatrix {
    let mut bytes = AlignedBytes::zeroed(n * k);
    rng.fill_bytes(&mut bytes);
    bytes.iter_mut().for_each(|byte| *byte &= 0xf7);
    let n_scales = n.div_ceil(block[0]) * k.div_ceil(block[1]);
    let scales = (0..n_scales).map(|_| 0.01 * number(rng)).collect();
    let block_of_row = (0..n).map(|row| (row / block[0]) as u32).collect();
    let scales = BlockScales::new(k, block[1], scales, block_of_row);
    DenseMatrix::e4m3(n, k, WeightBytes::Owned(bytes), scales)
}

fn rows(x: &[f32], k: usize) -> FloatRows {
    let fill = |row: usize, to: &mut [f32]| to.copy_from_slice(&x[row * k..][..k]);
    FloatRows::new(x.len() / k, k, &fill, &Backwards)
}

/// `x Wᵀ` of one matrix: `[rows, n]`.
fn product(isa: Isa, x: &[f32], weights: &DenseMatrix) -> Vec<f32> {
    let lhs = rows(x, weights.k());
    let mut out = vec![0f32; lhs.rows() * weights.n()];
    let part = Part {
        weights,
        bias: None,
        column: 0,
    };
    multiply_dense(isa, &lhs, &[part], false, &mut out, weights.n(), &Inline);
    out
}

/// The error of a product with a bias, added to ones, in the midst of a wider output.
fn nmse(isa: Isa, weights: &DenseMatrix, t: usize) -> f64 {
    let (n, k) = (weights.n(), weights.k());
    let mut rng = ChaCha8Rng::seed_from_u64((n * k + t) as u64);
    let x: Vec<f32> = (0..t * k).map(|_| number(&mut rng)).collect();
    let bias: Vec<f32> = (0..n).map(|_| number(&mut rng)).collect();
    let (stride, column) = (n + 5, 3);
    let mut out = vec![1f32; t * stride];
    let part = Part {
        weights,
        bias: Some(&bias),
        column,
    };
    multiply_dense(
        isa,
        &rows(&x, k),
        &[part],
        true,
        &mut out,
        stride,
        &Backwards,
    );
    let (mut error, mut size) = (0.0, 0.0);
    let mut row_of = vec![0f32; k];
    for i in 0..n {
        weights.row(i, &mut row_of);
        for row in 0..t {
            let terms = row_of.iter().zip(&x[row * k..]);
            let sum: f64 = terms.map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
            let want = sum + f64::from(bias[i]) + 1.0;
            error += (f64::from(out[row * stride + column + i]) - want).powi(2);
            size += want.powi(2);
        }
    }
    for row in out.chunks_exact(stride) {
        let beside = row[..column].iter().chain(&row[column + n..]);
        assert!(
            beside.into_iter().all(|&x| x == 1.0),
            "written past its columns"
        );
    }
    error / size
}

#[test]
fn products_equal_sums_in_f64_for_shapes_of_any_size() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut shapes: Vec<[usize; 3]> = (0..30)
        .map(|_| [70, 300, 20].map(|most| 1 + rng.next_u32() as usize % most))
        .collect();
    shapes.extend([[1, 1, 1], [16, 896, 8], [33, 4864, 7], [5, 8960, 60]]);
    for isa in Isa::all() {
        for &[n, k, t] in &shapes {
            let check = |weights: &DenseMatrix, what: String| {
                let error = nmse(isa, weights, t);
                assert!(
                    error < NMSE_MAX,
                    "{isa:?} {what} [{n}, {k}], {t} rows: {error:e}"
                );
            };
            for format in DenseFormat::ALL {
                check(&matrix(format, n, k, &mut rng), format!("{format:?}"));
            }
            // Blocks as published, one for each row, one for all, and odd ones.
            for block in [[128, 128], [1, k], [n, k], [3, 20]] {
                check(&e4m3(n, k, block, &mut rng), format!("E4M3 {block:?}"));
            }
        }
    }
}

#[test]
fn the_rows_beside_it_change_no_bit_of_a_row() {
    let (n, k, t) = (39, 203, 40);
    for isa in Isa::all() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut all = DenseFormat::ALL
            .map(|format| matrix(format, n, k, &mut rng))
            .into_iter()
            .collect::<Vec<_>>();
        all.extend([[16, 32], [3, 20]].map(|block| e4m3(n, k, block, &mut rng)));
        for (i, weights) in all.iter().enumerate() {
            let x: Vec<f32> = (0..t * k).map(|_| number(&mut rng)).collect();
            let all = product(isa, &x, weights);
            for first in 0..t {
                let few = product(isa, &x[first * k..], weights);
                assert_eq!(few, all[first * n..], "{isa:?} matrix {i} from row {first}");
            }
        }
    }
}

#[test]
fn every_number_of_both_formats_is_widened_exactly() {
    let numbers = (0..=u16::MAX).map(u16::to_le_bytes);
    for format in DenseFormat::ALL {
        let n = 1 << 16;
        let weights = DenseMatrix::copied(
            format,
            n,
            1,
            numbers.clone().collect::<Vec<_>>().into_iter(),
        );
        let stand_for: Vec<f32> = match format {
            DenseFormat::Bf16 => numbers
                .clone()
                .map(|b| half::bf16::from_le_bytes(b).to_f32())
                .collect(),
            DenseFormat::F16 => numbers
                .clone()
                .map(|b| half::f16::from_le_bytes(b).to_f32())
                .collect(),
        };
        let same = |a: &[f32]| {
            let pairs = a.iter().zip(&stand_for);
            pairs
                .into_iter()
                .all(|(a, b)| a == b || a.is_nan() && b.is_nan())
        };
        assert!(same(&weights.to_f32()), "{format:?}");
        for isa in Isa::all() {
            assert!(same(&product(isa, &[1.0], &weights)), "{isa:?} {format:?}");
        }
    }
}

#[test]
fn every_byte_of_e4m3_is_its_number_times_its_scale() {
    // Two rows of all bytes, in blocks of 128 columns.
    let mut bytes = AlignedBytes::zeroed(512);
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = i as u8;
    }
    let scales = vec![1.0, 0.5, 3.0, -0.25];
    let scales_of = BlockScales::new(256, 128, scales.clone(), vec![0, 1]);
    let weights = DenseMatrix::e4m3(2, 256, WeightBytes::Owned(bytes), scales_of);
    let widened = weights.to_f32();
    for (i, got) in widened.iter().enumerate() {
        // Sign, exponent of bias 7, mantissa (arXiv 2209.05433, table 1).
        let (byte, scale) = (i % 256, scales[i / 128]);
        let (exponent, mantissa) = ((byte / 8 % 16) as i32, (byte % 8) as f32 / 8.0);
        let size = match exponent {
            15 if byte % 8 == 7 => f32::NAN,
            0 => mantissa * 2f32.powi(-6),
            _ => (1.0 + mantissa) * 2f32.powi(exponent - 7),
        };
        let want = if byte < 128 {
            scale * size
        } else {
            -scale * size
        };
        assert!(
            *got == want || got.is_nan() && want.is_nan(),
            "{byte:#x}: {got} for {want}"
        );
    }
    // No number in a row is none in its products.
    for isa in Isa::all() {
        let got = product(isa, &[0.0; 256], &weights);
        assert!(got.iter().all(|got| got.is_nan()), "{isa:?}: {got:?}");
    }
}

#[test]
fn a_matrix_in_its_files_pages_gives_what_a_copy_gives_wherever_it_begins() {
    let (n, k) = (9, 48);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let numbers: Vec<[u8; 2]> = (0..n * k)
        .map(|_| encoded(DenseFormat::Bf16, number(&mut rng)))
        .collect();
    let x: Vec<f32> = (0..3 * k).map(|_| number(&mut rng)).collect();
    let copy = DenseMatrix::copied(DenseFormat::Bf16, n, k, numbers.clone().into_iter());
    assert!(!copy.is_mapped());
    let path = std::env::temp_dir().join(format!("egss-dense-{}", std::process::id()));
    // A header may leave the numbers at any byte.
    for header in [0, 1, 8] {
        let file = [vec![0; header], numbers.concat()].concat();
        std::fs::write(&path, file).unwrap();
        let bytes = MappedBytes::open(&std::fs::File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let whole = header..bytes.len();
        let mapped = DenseMatrix::new(DenseFormat::Bf16, n, k, bytes.gather(&[whole]));
        drop(bytes);
        assert!(mapped.is_mapped());
        for isa in Isa::all() {
            assert_eq!(
                product(isa, &x, &mapped),
                product(isa, &x, &copy),
                "{isa:?}"
            );
        }
    }
}

#[test]
#[should_panic(expected = "columns of the weights")]
fn rows_of_another_length_are_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let weights = matrix(DenseFormat::Bf16, 4, 32, &mut rng);
    let part = Part {
        weights: &weights,
        bias: None,
        column: 0,
    };
    let lhs = rows(&[0.0; 16], 16);
    multiply_dense(Isa::best(), &lhs, &[part], false, &mut [0.0; 4], 4, &Inline);
}
