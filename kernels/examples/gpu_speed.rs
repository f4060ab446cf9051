//! What each kernel reaches of the GPU's memory bandwidth, as a Markdown table.
//!
//! `cargo run --release -p egss-kernels --features cuda --example gpu_speed`
#[cfg(not(feature = "cuda"))]
fn main() {
    eprintln!("gpu_speed: this build has no GPU kernels; build with --features cuda");
}

#[cfg(feature = "cuda")]
fn main() {
    if let Err(error) = speed::run() {
        eprintln!("gpu_speed: {error}");
        std::process::exit(1);
    }
}

#[cfg(feature = "cuda")]
mod speed {
    use egss_kernels::cuda::{Draw, Gpu, GpuPlan, HeadCounts, Result, Weights};
    use egss_kernels::{BLOCK_SIZE, Piece};
    use half::bf16;
    use std::time::Instant;

    /// Far more than any second-level cache.
    const WEIGHTS: usize = 1 << 30;

    /// The median time of a launch over many, seconds.
    fn time(
        gpu: &Gpu,
        launches: usize,
        mut launch: impl FnMut(usize) -> Result<()>,
    ) -> Result<f64> {
        for i in 0..launches.min(8) {
            launch(i)?;
        }
        let mut times = Vec::new();
        for _ in 0..5 {
            gpu.synchronize()?;
            let started = Instant::now();
            for i in 0..launches {
                launch(i)?;
            }
            gpu.synchronize()?;
            times.push(started.elapsed().as_secs_f64() / launches as f64);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[2])
    }

    struct Table {
        peak: f64,
    }

    impl Table {
        fn row(&self, what: &str, bytes: usize, seconds: f64) {
            let rate = bytes as f64 / seconds;
            println!(
                "| {what} | {:.2} | {:.1} | {:.0} | {:.0} % |",
                bytes as f64 / 1e6,
                seconds * 1e6,
                rate / 1e9,
                100.0 * rate / self.peak
            );
        }
    }

    pub fn run() -> Result<()> {
        let gpu = Gpu::open(0)?;
        let memory = gpu.memory()?;
        println!(
            "{}, compute capability {:?}, {} MiB ({} free)\n",
            gpu.name()?,
            gpu.capability(),
            memory.total >> 20,
            memory.free >> 20
        );
        let weights = gpu.zeros::<bf16>(WEIGHTS)?;
        let weights = gpu.view(&weights.as_view());
        // A copy reads and writes: both count. 64 planes of one block, copied over another.
        let half = WEIGHTS / 2;
        let copied = time(&gpu, 10, |_| gpu.copy_blocks(weights, 1024, 2, &[(0, 1)]))?;
        let peak = gpu.read_bandwidth(weights.slice(0..half))?;
        println!(
            "copy {:.0} GB/s (read and written), read {:.0} GB/s\n",
            2.0 * WEIGHTS as f64 / copied / 1e9,
            peak / 1e9
        );
        println!("| kernel | MB read | us | GB/s | of the read bandwidth |");
        println!("|---|---:|---:|---:|---:|");
        let table = Table { peak };
        products(&gpu, &table, weights)?;
        attention(&gpu, &table)?;
        rows(&gpu, &table)
    }

    fn products(gpu: &Gpu, table: &Table, all: egss_kernels::cuda::View<'_, bf16>) -> Result<()> {
        let shapes = [
            ("8B qkv", 6_144, 4_096),
            ("8B o", 4_096, 4_096),
            ("8B gate_up", 24_576, 4_096),
            ("8B down", 4_096, 12_288),
            ("8B head", 151_936, 4_096),
            ("0.5B qkv", 1_152, 896),
            ("0.5B o", 896, 896),
            ("0.5B gate_up", 9_728, 896),
            ("0.5B down", 896, 4_864),
            ("0.5B head", 151_936, 896),
        ];
        for (name, n, k) in shapes {
            let copies = all.len() / (n * k);
            let launches = copies.clamp(20, 200);
            for rows in [1, 8, 32] {
                let x = gpu.upload(&vec![bf16::ONE; rows * k])?;
                let pick = |i: usize| {
                    let at = i % copies * n * k;
                    Weights {
                        values: all.slice(at..at + n * k),
                        n,
                        k,
                    }
                };
                let seconds = match name.ends_with("gate_up") {
                    true => time(gpu, launches, |i| {
                        gpu.product_gated(pick(i), x.view(), rows).map(drop)
                    })?,
                    false => time(gpu, launches, |i| {
                        gpu.product(pick(i), x.view(), rows, None, None).map(drop)
                    })?,
                };
                table.row(&format!("{name}, {rows} rows"), 2 * n * k, seconds);
            }
            let x = gpu.upload(&vec![bf16::ONE; k])?;
            let seconds = time(gpu, launches, |i| {
                let at = i % copies * n * k;
                let weights = Weights {
                    values: all.slice(at..at + n * k),
                    n,
                    k,
                };
                gpu.product_by_library(weights, x.view(), 1).map(drop)
            })?;
            table.row(&format!("{name}, 1 row, cuBLAS"), 2 * n * k, seconds);
        }
        Ok(())
    }

    fn attention(gpu: &Gpu, table: &Table) -> Result<()> {
        let shapes = [
            (
                "8B",
                HeadCounts {
                    n_heads: 32,
                    n_kv_heads: 8,
                    head_dim: 128,
                },
            ),
            (
                "0.5B",
                HeadCounts {
                    n_heads: 14,
                    n_kv_heads: 2,
                    head_dim: 64,
                },
            ),
        ];
        for (name, counts) in shapes {
            let block = counts.n_kv_heads * BLOCK_SIZE * counts.head_dim;
            let trunk = 256;
            let n_blocks = 33 * trunk;
            let keys = gpu.zeros::<bf16>(n_blocks * block)?;
            let values = gpu.zeros::<bf16>(n_blocks * block)?;
            let (keys, values) = (gpu.view(&keys.as_view()), gpu.view(&values.as_view()));
            for (branches, shared) in [(1, true), (8, true), (8, false), (32, true), (32, false)] {
                let rows: Vec<u32> = (0..branches as u32).collect();
                let blocks = |i: usize| (i * trunk..(i + 1) * trunk).map(|b| b as u32).collect();
                let pieces: Vec<Piece> = match shared {
                    true => vec![Piece {
                        rows,
                        first: 0,
                        blocks: blocks(0),
                    }],
                    false => (0..branches)
                        .map(|i| Piece {
                            rows: vec![i as u32],
                            first: 0,
                            blocks: blocks(i),
                        })
                        .collect(),
                };
                let seen = vec![(trunk * BLOCK_SIZE) as u32; branches];
                let zeros = vec![0; branches];
                let plan = GpuPlan::new(gpu, counts, &pieces, &seen, &zeros, &zeros)?;
                let q = vec![bf16::ONE; branches * counts.n_heads * counts.head_dim];
                let q = gpu.upload(&q)?;
                let seconds = time(gpu, 50, |_| {
                    gpu.attend(&plan, q.view(), keys, values).map(drop)
                })?;
                let copies = if shared { 1 } else { branches };
                let what = if shared { "one trunk" } else { "own caches" };
                table.row(
                    &format!("{name} attention, {branches} rows, {what} of 4,096"),
                    copies * trunk * block * 4,
                    seconds,
                );
            }
        }
        Ok(())
    }

    fn rows(gpu: &Gpu, table: &Table) -> Result<()> {
        let v = 151_936usize;
        for rows in [1, 8, 32] {
            let logits: Vec<f32> = (0..rows * v)
                .map(|i| (i * 37 % 1009) as f32 / 50.0)
                .collect();
            let logits = gpu.upload(&logits)?;
            let mask: Vec<u32> = vec![0x5555_5555; v.div_ceil(32)];
            let free = Draw {
                u: 0.5,
                beta: 1.0,
                ..Draw::GREEDY
            };
            let kinds = [
                ("draw", free),
                ("draw under a mask", Draw { mask: 0, ..free }),
                ("draw of the top 20", Draw { top_k: 20, ..free }),
            ];
            for (kind, draw) in kinds {
                let draws = vec![draw; rows];
                let masks = vec![mask.as_slice(); rows];
                let seconds = time(gpu, 50, |_| {
                    let masks = if draw.mask == 0 {
                        masks.as_slice()
                    } else {
                        &[]
                    };
                    gpu.read_rows(logits.view(), v, &draws, masks).map(drop)
                })?;
                table.row(
                    &format!("entropy and {kind}, {rows} rows, waited for"),
                    4 * rows * v,
                    seconds,
                );
            }
            let (x, weight) = (
                gpu.upload(&vec![0.5f32; rows * 4_096])?,
                gpu.upload(&[1f32; 4_096])?,
            );
            let seconds = time(gpu, 200, |_| {
                gpu.rms_norm_bf16(x.view(), weight.view(), 1e-6).map(drop)
            })?;
            table.row(&format!("norm, {rows} rows"), 6 * rows * 4_096, seconds);
        }
        Ok(())
    }
}
