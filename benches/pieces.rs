//! The pieces of a step, each alone on one thread (f32 by candle on all): products by
//! format and rows, attention of branches off a trunk, entropy of a row of logits.
//!
//! `cargo bench --bench pieces`; what counts are ratios within one run.
use candle_core::quantized::QMatMul;
use candle_core::{Device, Module, Tensor};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use egss::decode::RowStats;
use egss_kernels::{
    AlignedBytes, Attention, BLOCK_SIZE, BlockScales, DenseFormat, DenseMatrix, FloatRows, Format,
    HeadShape, Inline, Isa, PackedMatrix, Part, Piece, QuantizedRows, WeightBytes, attend,
    multiply, multiply_dense,
};

fn main() {
    divan::main();
}

/// Qwen2.5-Coder-1.5B's gate and up projection.
const N: usize = 8960;
const K: usize = 1536;

/// Numbers that look random, of order 1.
fn values(n: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn weights(format: Format) -> PackedMatrix {
    let len = N * K / format.block() * format.block_bytes();
    let file: Vec<u8> = (0..len).map(|i| (i * 37 % 61) as u8).collect();
    PackedMatrix::pack(format, N, K, &file, &Inline)
}

fn quantised(rows: usize, format: Format) -> QuantizedRows {
    let values = values(rows * K);
    let fill = |row: usize, to: &mut [f32]| to.copy_from_slice(&values[row * K..][..K]);
    QuantizedRows::new(Isa::best(), rows, K, format.scales(), &fill, &Inline)
}

const ROWS: [usize; 4] = [1, 8, 12, 128];

/// The same by what f32 weights go by.
#[divan::bench(args = ROWS)]
fn product_f32_of_candle(bencher: Bencher<'_, '_>, rows: usize) {
    let weights = Tensor::from_vec(values(N * K), (N, K), &Device::Cpu).unwrap();
    let weights = QMatMul::Tensor(weights);
    let x = Tensor::from_vec(values(rows * K), (rows, K), &Device::Cpu).unwrap();
    bencher
        .counter(ItemsCount::new(rows * N * K))
        .counter(BytesCount::new(4 * N * K))
        .bench_local(|| black_box(weights.forward(&x).unwrap()));
}

/// Each quantised format with each number of rows.
fn of_formats() -> impl Iterator<Item = (Format, usize)> {
    let of = |format| ROWS.map(|rows| (format, rows));
    Format::ALL.into_iter().flat_map(of)
}

#[divan::bench(args = of_formats())]
fn product_quantised(bencher: Bencher<'_, '_>, (format, rows): (Format, usize)) {
    let (weights, lhs) = (weights(format), quantised(rows, format));
    let mut out = vec![0f32; rows * N];
    let part = Part {
        weights: &weights,
        bias: None,
        column: 0,
    };
    bencher
        .counter(ItemsCount::new(rows * N * K))
        .counter(BytesCount::new(weights.bytes()))
        .bench_local(|| {
            multiply(Isa::best(), &lhs, &[part], false, &mut out, N, &Inline);
            black_box(&out);
        });
}

fn float16(format: DenseFormat) -> DenseMatrix {
    // Of both formats numbers between 2^-14 and 2.
    let numbers = (0..N * K).map(|i| ((i * 37 % 0x3c00) as u16 + 0x400).to_le_bytes());
    DenseMatrix::copied(format, N, K, numbers)
}

/// Numbers between 2^-6 and 2, with scales of blocks of 128 x 128.
fn e4m3() -> DenseMatrix {
    let mut bytes = AlignedBytes::zeroed(N * K);
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = 0x08 + (i * 37 % 0x38) as u8;
    }
    let blocks = N.div_ceil(128) * K.div_ceil(128);
    let block_of_row = (0..N).map(|row| (row / 128) as u32).collect();
    let scales = BlockScales::new(K, 128, vec![0.01; blocks], block_of_row);
    DenseMatrix::e4m3(N, K, WeightBytes::Owned(bytes), scales)
}

fn product_dense(bencher: Bencher<'_, '_>, weights: &DenseMatrix, rows: usize) {
    let values = values(rows * K);
    let fill = |row: usize, to: &mut [f32]| to.copy_from_slice(&values[row * K..][..K]);
    let lhs = FloatRows::new(rows, K, &fill, &Inline);
    let mut out = vec![0f32; rows * N];
    let part = Part {
        weights,
        bias: None,
        column: 0,
    };
    bencher
        .counter(ItemsCount::new(rows * N * K))
        .counter(BytesCount::new(weights.bytes()))
        .bench_local(|| {
            multiply_dense(Isa::best(), &lhs, &[part], false, &mut out, N, &Inline);
            black_box(&out);
        });
}

#[divan::bench(args = ROWS)]
fn product_bf16(bencher: Bencher<'_, '_>, rows: usize) {
    product_dense(bencher, &float16(DenseFormat::Bf16), rows);
}

#[divan::bench(args = ROWS)]
fn product_f16(bencher: Bencher<'_, '_>, rows: usize) {
    product_dense(bencher, &float16(DenseFormat::F16), rows);
}

#[divan::bench(args = ROWS)]
fn product_e4m3(bencher: Bencher<'_, '_>, rows: usize) {
    product_dense(bencher, &e4m3(), rows);
}

#[divan::bench(args = [1, 12, 128])]
fn quantise_rows(bencher: Bencher<'_, '_>, rows: usize) {
    let values = values(rows * K);
    let fill = |row: usize, to: &mut [f32]| to.copy_from_slice(&values[row * K..][..K]);
    bencher.counter(ItemsCount::new(rows * K)).bench_local(|| {
        let scales = Format::Q4K.scales();
        black_box(QuantizedRows::new(
            Isa::best(),
            rows,
            K,
            scales,
            &fill,
            &Inline,
        ))
    });
}

/// Branches off a trunk of 1,024 tokens, one layer of the 1.5B model: the trunk
/// read once for all, or by each branch on its own.
fn attention(bencher: Bencher<'_, '_>, branches: u32, shared: bool) {
    let shape = HeadShape {
        n_heads: 12,
        n_kv_heads: 2,
        head_dim: 128,
    };
    let trunk: Vec<u32> = (0..64).collect();
    let n = trunk.len() * shape.n_kv_heads * shape.head_dim * BLOCK_SIZE;
    let (keys, cached) = (values(n), values(n));
    let query_stride = shape.n_heads * shape.head_dim;
    let queries = values(branches as usize * query_stride);
    let rows: Vec<u32> = (0..branches).collect();
    let piece = |rows: &[u32]| Piece {
        rows: rows.to_vec(),
        first: 0,
        blocks: trunk.clone(),
    };
    let pieces: Vec<Piece> = match shared {
        true => vec![piece(&rows)],
        false => rows.chunks(1).map(piece).collect(),
    };
    let seen = vec![1024; branches as usize];
    let mut out = vec![0f32; queries.len()];
    let attention = Attention {
        shape,
        queries: &queries,
        query_stride,
        keys: &keys,
        values: &cached,
        seen: &seen,
        pieces: &pieces,
    };
    bencher.bench_local(|| {
        attend(Isa::best(), &attention, &mut out, &Inline);
        black_box(&out);
    });
}

#[divan::bench(args = [1, 8, 32])]
fn attention_shared(bencher: Bencher<'_, '_>, branches: u32) {
    attention(bencher, branches, true);
}

#[divan::bench(args = [1, 8, 32])]
fn attention_apart(bencher: Bencher<'_, '_>, branches: u32) {
    attention(bencher, branches, false);
}

/// Entropy, varentropy, top-1 and margin of a row of Qwen's vocabulary.
#[divan::bench]
fn row_stats(bencher: Bencher<'_, '_>) {
    let row = values(151_936);
    bencher
        .counter(ItemsCount::new(row.len()))
        .bench_local(|| black_box(RowStats::of(&row)));
}
