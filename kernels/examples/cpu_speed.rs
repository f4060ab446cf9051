//! How fast one thread multiplies with each quantised format, as a Markdown table.
//!
//! `cargo run --release -p egss-kernels --example cpu_speed`. On a machine that is shared
//! too: a matrix is multiplied in pieces, each shorter than a scheduler's time slice, the
//! formats take turns, and the least time of each piece counts.
use egss_kernels::{
    Format, Inline, Isa, PackedMatrix, Part, QuantizedRows, multiply, read_bandwidth,
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

fn pieces(format: Format) -> Vec<PackedMatrix> {
    let len = PIECE * K / format.block() * format.block_bytes();
    let file: Vec<u8> = (0..len).map(|i| (i * 37 % 61) as u8).collect();
    let piece = || PackedMatrix::pack(format, PIECE, K, &file, &Inline);
    (0..N / PIECE).map(|_| piece()).collect()
}

fn quantised(format: Format, rows: usize) -> QuantizedRows {
    let fill = |row: usize, to: &mut [f32]| {
        for (c, value) in to.iter_mut().enumerate() {
            *value = ((row * 37 + c * 11) % 101) as f32 / 50.0 - 1.0;
        }
    };
    QuantizedRows::new(Isa::best(), rows, K, format.scales(), &fill, &Inline)
}

/// Multiplies with all pieces, and keeps each one's least time, seconds.
fn turn(pieces: &[PackedMatrix], lhs: &QuantizedRows, best: &mut [f64]) {
    let mut out = vec![0f32; lhs.rows() * PIECE];
    for (weights, best) in pieces.iter().zip(best) {
        let part = Part {
            weights,
            bias: None,
            column: 0,
        };
        let started = Instant::now();
        multiply(Isa::best(), lhs, &[part], false, &mut out, PIECE, &Inline);
        *best = best.min(started.elapsed().as_secs_f64());
    }
}

fn main() {
    let all = Format::ALL.map(pieces);
    let bandwidth = read_bandwidth(Isa::best(), MEMORY_BYTES, 4 * TURNS, &Inline);
    println!(
        "{:?}, one thread, [{N}, {K}]; memory is read at {:.1} GB/s\n",
        Isa::best(),
        bandwidth / 1e9
    );
    println!("| format | rows | MB | ms | GB/s | of bandwidth | GMAC/s | time / Q4_K's |");
    println!("|---|---|---|---|---|---|---|---|");
    for rows in ROWS {
        let lhs = Format::ALL.map(|format| quantised(format, rows));
        let mut best = Format::ALL.map(|_| vec![f64::INFINITY; N / PIECE]);
        for _ in 0..TURNS {
            for ((pieces, lhs), best) in all.iter().zip(&lhs).zip(&mut best) {
                turn(pieces, lhs, best);
            }
        }
        let seconds = best.map(|pieces| pieces.iter().sum::<f64>());
        let of = |wanted: Format| {
            let all = Format::ALL.into_iter().zip(seconds);
            let mut found = all.filter(|(format, _)| *format == wanted);
            found.next().map_or(f64::NAN, |(_, seconds)| seconds)
        };
        for (format, pieces) in Format::ALL.into_iter().zip(&all) {
            let bytes: usize = pieces.iter().map(PackedMatrix::bytes).sum();
            let rate = bytes as f64 / of(format);
            println!(
                "| {format:?} | {rows} | {:.1} | {:.2} | {:.1} | {:.0} % | {:.0} | {:.2} |",
                bytes as f64 / 1e6,
                of(format) * 1e3,
                rate / 1e9,
                100.0 * rate / bandwidth,
                (rows * N * K) as f64 / of(format) / 1e9,
                of(format) / of(Format::Q4K),
            );
        }
    }
}
