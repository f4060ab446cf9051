//! How fast one thread multiplies with each format of weights, as a Markdown table.
//!
//! `cargo run --release -p egss-kernels --example cpu_speed`. On a machine that is shared
//! too: a matrix is multiplied in pieces, each shorter than a scheduler's time slice, the
//! formats take turns, and the least time of each piece counts.
use egss_kernels::{
    AlignedBytes, BlockScales, DenseFormat, DenseMatrix, FloatRows, Format, Inline, Isa,
    PackedMatrix, Part, QuantizedRows, WeightBytes, multiply, multiply_dense, read_bandwidth,
};
use std::time::Instant;

/// A feed-forward layer of a model of 7 billion weights, in pieces of some of its outputs.
const N: usize = 14_336;
const K: usize = 4096;
const PIECE: usize = 128;
/// One row waits for memory, twelve fill a tile, 64 wait for arithmetic.
const ROWS: [usize; 3] = [1, 12, 64];
const TURNS: usize = 15;
/// More than a third-level cache holds.
const MEMORY_BYTES: usize = 96 << 20;

/// Some outputs of a layer.
enum Piece {
    Packed(PackedMatrix),
    Dense(DenseMatrix),
}

/// Rows for one kind of piece or the other.
enum Lhs {
    Quantized(QuantizedRows),
    Floats(FloatRows),
}

/// A format, its name and a layer in it.
struct Subject {
    name: String,
    pieces: Vec<Piece>,
}

impl Subject {
    fn new(name: String, piece: impl Fn() -> Piece) -> Self {
        let pieces = (0..N / PIECE).map(|_| piece()).collect();
        Self { name, pieces }
    }

    fn packed(format: Format) -> Self {
        let len = PIECE * K / format.block() * format.block_bytes();
        let file: Vec<u8> = (0..len).map(|i| (i * 37 % 61) as u8).collect();
        Self::new(format!("{format:?}"), || {
            Piece::Packed(PackedMatrix::pack(format, PIECE, K, &file, &Inline))
        })
    }

    fn float16(format: DenseFormat) -> Self {
        Self::new(format!("{format:?}"), || {
            let numbers = (0..PIECE * K).map(|i| ((i * 37 % 0x3c00) as u16 + 0x400).to_le_bytes());
            Piece::Dense(DenseMatrix::copied(format, PIECE, K, numbers))
        })
    }

    /// With a scale for each block of 128 x 128.
    fn e4m3() -> Self {
        Self::new("E4M3".into(), || {
            let mut bytes = AlignedBytes::zeroed(PIECE * K);
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte = 0x08 + (i * 37 % 0x38) as u8;
            }
            let scales = BlockScales::new(K, 128, vec![0.01; K / 128], vec![0; PIECE]);
            Piece::Dense(DenseMatrix::e4m3(
                PIECE,
                K,
                WeightBytes::Owned(bytes),
                scales,
            ))
        })
    }

    fn bytes(&self) -> usize {
        let bytes = |piece: &Piece| match piece {
            Piece::Packed(matrix) => matrix.bytes(),
            Piece::Dense(matrix) => matrix.bytes(),
        };
        self.pieces.iter().map(bytes).sum()
    }

    fn lhs(&self, rows: usize) -> Lhs {
        let fill = |row: usize, to: &mut [f32]| {
            for (c, value) in to.iter_mut().enumerate() {
                *value = ((row * 37 + c * 11) % 101) as f32 / 50.0 - 1.0;
            }
        };
        match &self.pieces[0] {
            Piece::Packed(matrix) => {
                let scales = matrix.format().scales();
                let isa = Isa::best();
                Lhs::Quantized(QuantizedRows::new(isa, rows, K, scales, &fill, &Inline))
            }
            Piece::Dense(_) => Lhs::Floats(FloatRows::new(rows, K, &fill, &Inline)),
        }
    }

    /// Multiplies with all pieces, and keeps each one's least time, seconds.
    fn turn(&self, lhs: &Lhs, rows: usize, best: &mut [f64]) {
        let mut out = vec![0f32; rows * PIECE];
        for (piece, best) in self.pieces.iter().zip(best) {
            let started = Instant::now();
            match (piece, lhs) {
                (Piece::Packed(weights), Lhs::Quantized(lhs)) => {
                    let parts = [part(weights)];
                    multiply(Isa::best(), lhs, &parts, false, &mut out, PIECE, &Inline);
                }
                (Piece::Dense(weights), Lhs::Floats(lhs)) => {
                    let parts = [part(weights)];
                    multiply_dense(Isa::best(), lhs, &parts, false, &mut out, PIECE, &Inline);
                }
                _ => unreachable!("rows are made for the pieces"),
            }
            *best = best.min(started.elapsed().as_secs_f64());
        }
    }
}

fn part<M>(weights: &M) -> Part<'_, M> {
    Part {
        weights,
        bias: None,
        column: 0,
    }
}

fn main() {
    let mut all: Vec<Subject> = Format::ALL.into_iter().map(Subject::packed).collect();
    all.push(Subject::e4m3());
    all.extend(DenseFormat::ALL.into_iter().map(Subject::float16));
    let bandwidth = read_bandwidth(Isa::best(), MEMORY_BYTES, 4 * TURNS, &Inline);
    println!(
        "{:?}, one thread, [{N}, {K}]; memory is read at {:.1} GB/s\n",
        Isa::best(),
        bandwidth / 1e9
    );
    println!("| format | rows | MB | ms | GB/s | of bandwidth | GMAC/s | time / Q4_K's |");
    println!("|---|---|---|---|---|---|---|---|");
    let q4k = format!("{:?}", Format::Q4K);
    for rows in ROWS {
        let lhs: Vec<Lhs> = all.iter().map(|subject| subject.lhs(rows)).collect();
        let mut best = vec![vec![f64::INFINITY; N / PIECE]; all.len()];
        for _ in 0..TURNS {
            for ((subject, lhs), best) in all.iter().zip(&lhs).zip(&mut best) {
                subject.turn(lhs, rows, best);
            }
        }
        let seconds: Vec<f64> = best.iter().map(|pieces| pieces.iter().sum()).collect();
        let of_q4k = all.iter().position(|subject| subject.name == q4k);
        let of_q4k = of_q4k.map_or(f64::NAN, |i| seconds[i]);
        for (subject, seconds) in all.iter().zip(seconds) {
            let rate = subject.bytes() as f64 / seconds;
            println!(
                "| {} | {rows} | {:.1} | {:.2} | {:.1} | {:.0} % | {:.0} | {:.2} |",
                subject.name,
                subject.bytes() as f64 / 1e6,
                seconds * 1e3,
                rate / 1e9,
                100.0 * rate / bandwidth,
                (rows * N * K) as f64 / seconds / 1e9,
                seconds / of_q4k,
            );
        }
    }
}
