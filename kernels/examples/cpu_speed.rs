//! How fast one thread multiplies with each quantised format, as a Markdown table.
//!
//! `cargo run --release -p egss-kernels --example cpu_speed`. The formats take turns, so
//! that another program's work falls on all of them; the ratios to Q4_K are of one turn.
use egss_kernels::{
    Format, Inline, Isa, PackedMatrix, Part, QuantizedRows, multiply, read_bandwidth,
};
use std::time::Instant;

/// A feed-forward layer of a model of 7 billion weights.
const N: usize = 14_336;
const K: usize = 4096;
/// One row waits for memory, twelve fill a tile, 64 wait for arithmetic.
const ROWS: [usize; 3] = [1, 12, 64];
const TURNS: usize = 9;

fn weights(format: Format) -> PackedMatrix {
    let len = N * K / format.block() * format.block_bytes();
    let file: Vec<u8> = (0..len).map(|i| (i * 37 % 61) as u8).collect();
    PackedMatrix::pack(format, N, K, &file, &Inline)
}

fn seconds(weights: &PackedMatrix, rows: usize, out: &mut [f32]) -> f64 {
    let fill = |row: usize, to: &mut [f32]| {
        for (c, value) in to.iter_mut().enumerate() {
            *value = ((row * 37 + c * 11) % 101) as f32 / 50.0 - 1.0;
        }
    };
    let scales = weights.format().scales();
    let lhs = QuantizedRows::new(Isa::best(), rows, K, scales, &fill, &Inline);
    let part = Part {
        weights,
        bias: None,
        column: 0,
    };
    let started = Instant::now();
    multiply(Isa::best(), &lhs, &[part], false, out, N, &Inline);
    started.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let all = Format::ALL.map(weights);
    let of_q4_k = Format::ALL.iter().position(|&format| format == Format::Q4K);
    let of_q4_k = of_q4_k.expect("one of all");
    let bandwidth = read_bandwidth(Isa::best(), 256 << 20, TURNS, &Inline);
    println!(
        "{:?}, one thread, [{N}, {K}]; memory is read at {:.1} GB/s\n",
        Isa::best(),
        bandwidth / 1e9
    );
    println!("| format | rows | MB | ms | GB/s | of bandwidth | GMAC/s | time / Q4_K's |");
    println!("|---|---|---|---|---|---|---|---|");
    for rows in ROWS {
        let mut out = vec![0f32; rows * N];
        // [turn][format]
        let times: Vec<Vec<f64>> = (0..TURNS)
            .map(|_| all.iter().map(|w| seconds(w, rows, &mut out)).collect())
            .collect();
        for (i, weights) in all.iter().enumerate() {
            let best = times
                .iter()
                .map(|turn| turn[i])
                .fold(f64::INFINITY, f64::min);
            let ratio = median(times.iter().map(|turn| turn[i] / turn[of_q4_k]).collect());
            let rate = weights.bytes() as f64 / best;
            println!(
                "| {:?} | {rows} | {:.1} | {:.2} | {:.1} | {:.0} % | {:.0} | {ratio:.2} |",
                weights.format(),
                weights.bytes() as f64 / 1e6,
                best * 1e3,
                rate / 1e9,
                100.0 * rate / bandwidth,
                (rows * N * K) as f64 / best / 1e9,
            );
        }
    }
}
