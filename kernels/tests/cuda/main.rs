//! The GPU's kernels against their twins on a CPU. Needs a GPU to run.
#![cfg(feature = "cuda")]
mod logits;

use egss_kernels::cuda::{
    Buffer, Gpu, GpuPlan, HeadCounts, HeadNorms, PRODUCT_ROWS_MAX, Turn, Weights,
};
use egss_kernels::{
    Attention, BLOCK_SIZE, CodedMatrix, Format, HeadShape, Inline, Isa, Piece, attend,
};
use half::bf16;
use std::sync::OnceLock;

/// Squared error over squared size where only the order of f32 sums differs.
const ORDER_NMSE: f64 = 1e-10;

/// The same where results, or queries, keys and values on the way, are rounded to bf16:
/// a relative error of 2^-9 each, squared and taken a few times.
const ROUNDED_NMSE: f64 = 3e-5;

fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(0).expect("a GPU"))
}

/// Numbers in `[-1, 1)` that look random, the same each time.
fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn rounded(values: &[f32]) -> Vec<bf16> {
    values.iter().map(|&v| bf16::from_f32(v)).collect()
}

fn floats(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|v| v.to_f32()).collect()
}

fn nmse(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let error: f64 = got.iter().zip(want).map(|(a, b)| square(a - b)).sum();
    error / want.iter().map(|&x| square(x)).sum::<f64>().max(1e-30)
}

/// `x Wᵀ` in f64.
fn product(w: &[bf16], x: &[bf16], n: usize, k: usize) -> Vec<f32> {
    let dot = |a: &[bf16], b: &[bf16]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(a, b)| a.to_f64() * b.to_f64()).sum()
    };
    let rows = x.chunks_exact(k);
    rows.flat_map(|x| {
        (0..n)
            .map(|o| dot(&w[o * k..][..k], x) as f32)
            .collect::<Vec<_>>()
    })
    .collect()
}

fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

#[test]
fn products_of_few_rows_equal_those_in_f64() {
    let gpu = gpu();
    // One tile and two a thread block, outputs and inputs that fill no whole round.
    for (n, k) in [(896, 896), (1_000, 96), (40_000, 128)] {
        let w = rounded(&numbers(1, n * k));
        let on_device = gpu.upload(&w).unwrap();
        let weights = Weights {
            values: on_device.view(),
            n,
            k,
        };
        for rows in [1, 3, 8, 9, 16, 17, 32] {
            let x = rounded(&numbers(rows as u64, rows * k));
            let (bias, onto) = (numbers(3, n), numbers(4, rows * n));
            let plain = product(&w, &x, n, k);
            let want: Vec<f32> = plain
                .iter()
                .zip(&onto)
                .enumerate()
                .map(|(i, (y, onto))| y + bias[i % n] + onto)
                .collect();
            let x = gpu.upload(&x).unwrap();
            let (bias, onto) = (gpu.upload(&bias).unwrap(), gpu.upload(&onto).unwrap());
            let got = gpu
                .product(
                    weights,
                    x.view(),
                    rows,
                    Some(bias.view()),
                    Some(onto.view()),
                )
                .unwrap();
            let error = nmse(&gpu.download(got.view()).unwrap(), &want);
            assert!(error < ORDER_NMSE, "{n} x {k}, {rows} rows: {error:e}");

            let got = gpu.product_by_library(weights, x.view(), rows).unwrap();
            let error = nmse(&gpu.download(got.view()).unwrap(), &plain);
            assert!(
                error < ORDER_NMSE,
                "library, {n} x {k}, {rows} rows: {error:e}"
            );

            let got = gpu.product_gated(weights, x.view(), rows).unwrap();
            let got = floats(&gpu.download(got.view()).unwrap());
            let want: Vec<f32> = plain
                .chunks_exact(n)
                .flat_map(|y| {
                    let (gate, up) = y.split_at(n / 2);
                    gate.iter()
                        .zip(up)
                        .map(|(g, u)| silu(*g) * u)
                        .collect::<Vec<_>>()
                })
                .collect();
            let error = nmse(&got, &want);
            assert!(
                error < ROUNDED_NMSE,
                "gated, {n} x {k}, {rows} rows: {error:e}"
            );
        }
    }
}

/// A matrix as a file has it: random bits, with scales of ordinary size.
fn file_of(format: Format, n: usize, k: usize) -> Vec<u8> {
    let halves: &[usize] = match format {
        Format::Q3K => &[108],
        Format::Q4K | Format::Q5K => &[0, 2],
        Format::Q6K => &[208],
        Format::Q5_0 | Format::Q8_0 | Format::Iq4Nl | Format::Iq4Xs => &[0],
        Format::Mxfp4 | Format::Nvfp4 => &[],
    };
    let len = n * k / format.block() * format.block_bytes();
    let random = numbers(len as u64, len).into_iter();
    let mut file: Vec<u8> = random.map(|v| ((v + 1.0) * 127.9) as u8).collect();
    for (i, block) in file.chunks_exact_mut(format.block_bytes()).enumerate() {
        for &at in halves {
            let scale = half::f16::from_f32(0.001 * (1 + i % 9) as f32);
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
        if format == Format::Mxfp4 {
            block[0] = 118 + (i % 9) as u8;
        }
    }
    file
}

#[test]
fn products_with_coded_weights_equal_those_in_f64() {
    let gpu = gpu();
    let (k, rows_of_values) = (512, 40);
    for (first, second) in [
        (Format::Q4K, Format::Q6K),
        (Format::Q8_0, Format::Q8_0),
        (Format::Q5_0, Format::Q4K),
        (Format::Iq4Xs, Format::Q3K),
        (Format::Iq4Nl, Format::Mxfp4),
        (Format::Nvfp4, Format::Q8_0),
    ] {
        let host = [(first, 96), (second, 72)]
            .map(|(format, n)| CodedMatrix::new(format, n, k, &file_of(format, n, k), &Inline));
        let n = 96 + 72;
        let weight = |o: usize, c: usize| match o < 96 {
            true => host[0].weight(o, c),
            false => host[1].weight(o - 96, c),
        };
        let on_device = host.iter().map(|part| gpu.upload_coded(part).unwrap());
        let parts = gpu.stack_coded(on_device.collect()).unwrap();
        assert_eq!(parts.len() == 1, host[0].coding() == host[1].coding());
        let parts: Vec<_> = parts.iter().collect();

        let unpacked = floats(&gpu.download(gpu.unpack(&parts).unwrap().view()).unwrap());
        let want: Vec<f32> = (0..n * k).map(|i| weight(i / k, i % k)).collect();
        assert!(nmse(&unpacked, &want) < ROUNDED_NMSE);
        let ids = gpu.upload(&[95u32, 0, 3]).unwrap();
        let rows = gpu.embed_coded(parts[0], ids.view()).unwrap();
        let chosen: Vec<f32> = [95, 0, 3]
            .into_iter()
            .flat_map(|o| want[o * k..][..k].to_vec())
            .collect();
        assert!(nmse(&gpu.download(rows.view()).unwrap(), &chosen) < ORDER_NMSE);

        let (bias, onto) = (numbers(3, n), numbers(4, rows_of_values * n));
        let (bias_there, x_all) = (gpu.upload(&bias).unwrap(), numbers(5, rows_of_values * k));
        // One kernel for each width, and more rows than one of them takes.
        for rows in [1, 8, 11, 27, rows_of_values] {
            let x = rounded(&x_all[..rows * k]);
            let dot = |row: usize, o: usize| -> f64 {
                let x = &x[row * k..][..k];
                (0..k)
                    .map(|c| x[c].to_f64() * f64::from(want[o * k + c]))
                    .sum()
            };
            let plain: Vec<f32> = (0..rows * n).map(|i| dot(i / n, i % n) as f32).collect();
            let sum: Vec<f32> = (0..rows * n)
                .map(|i| plain[i] + bias[i % n] + onto[i])
                .collect();
            let x = gpu.upload(&x).unwrap();
            let onto = gpu.upload(&onto[..rows * n]).unwrap();
            let y = gpu
                .product_coded(
                    &parts,
                    x.view(),
                    rows,
                    Some(bias_there.view()),
                    Some(onto.view()),
                )
                .unwrap();
            let error = nmse(&gpu.download(y.view()).unwrap(), &sum);
            assert!(
                error < ORDER_NMSE,
                "{first:?}, {second:?}, {rows} rows: {error:e}"
            );
            if let ([both], true) = (parts.as_slice(), rows <= PRODUCT_ROWS_MAX) {
                let gated = gpu.product_gated_coded(both, x.view(), rows).unwrap();
                let gated = floats(&gpu.download(gated.view()).unwrap());
                let want: Vec<f32> = (0..rows * n / 2)
                    .map(|i| (i / (n / 2) * n, i % (n / 2)))
                    .map(|(row, o)| silu(plain[row + o]) * plain[row + n / 2 + o])
                    .collect();
                let error = nmse(&gated, &want);
                assert!(
                    error < ROUNDED_NMSE,
                    "{first:?}, gated, {rows} rows: {error:e}"
                );
            }
        }
    }
}

#[test]
fn rows_are_normalised_gated_and_looked_up_as_on_a_cpu() {
    let gpu = gpu();
    let (t, e) = (5, 896);
    let (x, weight) = (numbers(1, t * e), numbers(2, e));
    let mut want = vec![0f32; t * e];
    for (x, y) in x.chunks_exact(e).zip(want.chunks_exact_mut(e)) {
        egss_kernels::rms_norm(Isa::best(), x, &weight, 1e-6, y);
    }
    let (on_device, weight) = (gpu.upload(&x).unwrap(), gpu.upload(&weight).unwrap());
    let got = gpu.rms_norm(on_device.view(), weight.view(), 1e-6).unwrap();
    assert!(nmse(&gpu.download(got.view()).unwrap(), &want) < ORDER_NMSE);
    let got = gpu
        .rms_norm_bf16(on_device.view(), weight.view(), 1e-6)
        .unwrap();
    let got = floats(&gpu.download(got.view()).unwrap());
    assert!(nmse(&got, &want) < ROUNDED_NMSE);

    let f = e / 2;
    let want: Vec<f32> = x
        .chunks_exact(e)
        .flat_map(|row| {
            let (gate, up) = row.split_at(f);
            gate.iter()
                .zip(up)
                .map(|(g, u)| silu(*g) * u)
                .collect::<Vec<_>>()
        })
        .collect();
    let got = gpu.silu_gate(on_device.view(), f).unwrap();
    assert!(nmse(&floats(&gpu.download(got.view()).unwrap()), &want) < ROUNDED_NMSE);

    let rows = rounded(&x);
    let (table, ids) = (
        gpu.upload(&rows).unwrap(),
        gpu.upload(&[4u32, 0, 4]).unwrap(),
    );
    let got = gpu.embed(table.view(), e, ids.view()).unwrap();
    let want: Vec<f32> = [4, 0, 4]
        .iter()
        .flat_map(|&id| floats(&rows[id * e..][..e]))
        .collect();
    assert_eq!(gpu.download(got.view()).unwrap(), want);
}

/// A cache on both sides, filled through the same rows.
struct Caches {
    counts: HeadCounts,
    keys: Vec<f32>,
    values: Vec<f32>,
    on_device: [Buffer<bf16>; 2],
    cos: Vec<f32>,
    sin: Vec<f32>,
    tables: [Buffer<f32>; 2],
    norms: Option<[Vec<f32>; 2]>,
}

const CONTEXT: usize = 4_096;
const EPS: f32 = 1e-6;

impl Caches {
    fn new(counts: HeadCounts, n_blocks: usize, normed: bool) -> Self {
        let d = counts.head_dim;
        let len = n_blocks * counts.n_kv_heads * BLOCK_SIZE * d;
        let angle = |i: usize| {
            let (p, i) = (i / (d / 2), i % (d / 2));
            p as f64 * 10_000f64.powf(-2.0 * i as f64 / d as f64)
        };
        let angles: Vec<f64> = (0..CONTEXT * d / 2).map(angle).collect();
        let cos: Vec<f32> = angles.iter().map(|a| a.cos() as f32).collect();
        let sin: Vec<f32> = angles.iter().map(|a| a.sin() as f32).collect();
        let zeros = vec![bf16::ZERO; len];
        Self {
            counts,
            keys: vec![0.0; len],
            values: vec![0.0; len],
            on_device: [gpu().upload(&zeros).unwrap(), gpu().upload(&zeros).unwrap()],
            tables: [gpu().upload(&cos).unwrap(), gpu().upload(&sin).unwrap()],
            cos,
            sin,
            norms: normed.then(|| [numbers(8, d), numbers(9, d)]),
        }
    }

    /// Writes rows and attends; gives both sides' results.
    fn step(
        &mut self,
        rows: &[f32],
        positions: &[u32],
        slots: &[u32],
        pieces: &[Piece],
    ) -> [Vec<f32>; 2] {
        let HeadCounts {
            n_heads: h,
            n_kv_heads: k,
            head_dim: d,
        } = self.counts;
        let (gpu, width) = (gpu(), (h + 2 * k) * d);
        let seen: Vec<u32> = positions.iter().map(|p| p + 1).collect();
        let mut turned = rows.to_vec();
        for (row, (&position, &slot)) in turned
            .chunks_exact_mut(width)
            .zip(positions.iter().zip(slots))
        {
            for (i, head) in row[..(h + k) * d].chunks_exact_mut(d).enumerate() {
                if let Some(norms) = &self.norms {
                    let mean = head.iter().map(|x| x * x).sum::<f32>() / d as f32;
                    let weights = &norms[usize::from(i >= h)];
                    for (x, w) in head.iter_mut().zip(weights) {
                        *x *= w / (mean + EPS).sqrt();
                    }
                }
                for i in 0..d / 2 {
                    let at = position as usize * (d / 2) + i;
                    let (a, b, c, s) = (head[i], head[i + d / 2], self.cos[at], self.sin[at]);
                    head[i] = a * c - b * s;
                    head[i + d / 2] = b * c + a * s;
                }
            }
            let (block, offset) = (slot as usize / BLOCK_SIZE, slot as usize % BLOCK_SIZE);
            for head in 0..k {
                let base = (block * k + head) * BLOCK_SIZE * d;
                for i in 0..d {
                    self.keys[base + i * BLOCK_SIZE + offset] = row[(h + head) * d + i];
                    self.values[base + offset * d + i] = row[(h + k + head) * d + i];
                }
            }
        }
        let attention = Attention {
            shape: HeadShape {
                n_heads: h,
                n_kv_heads: k,
                head_dim: d,
            },
            queries: &turned,
            query_stride: width,
            keys: &self.keys,
            values: &self.values,
            seen: &seen,
            pieces,
        };
        let mut want = vec![0f32; positions.len() * h * d];
        attend(Isa::best(), &attention, &mut want, &Inline);

        let plan = GpuPlan::new(gpu, self.counts, pieces, &seen, positions, slots).unwrap();
        let rows = gpu.upload(rows).unwrap();
        let norms = self.norms.as_ref();
        let norms = norms.map(|[q, k]| [gpu.upload(q).unwrap(), gpu.upload(k).unwrap()]);
        let (positions, slots) = (plan.positions(), plan.kv_slots());
        let turn = Turn {
            cos: self.tables[0].view(),
            sin: self.tables[1].view(),
            positions,
            slots,
            norms: norms.as_ref().map(|[queries, keys]| HeadNorms {
                queries: queries.view(),
                keys: keys.view(),
                eps: EPS,
            }),
        };
        let [keys, values] = [self.on_device[0].view(), self.on_device[1].view()];
        let q = gpu
            .turn_and_store(self.counts, rows.view(), turn, keys, values)
            .unwrap();
        let got = gpu.attend(&plan, q.view(), keys, values).unwrap();
        [floats(&gpu.download(got.view()).unwrap()), want]
    }
}

/// Rows `0..n` of one sequence that starts empty, in `blocks`.
fn prefill(caches: &mut Caches, seed: u64, start: usize, n: usize, blocks: &[u32]) -> f64 {
    let HeadCounts {
        n_heads,
        n_kv_heads,
        head_dim,
    } = caches.counts;
    let positions: Vec<u32> = (start..start + n).map(|p| p as u32).collect();
    let slots: Vec<u32> = positions
        .iter()
        .map(|&p| slot(blocks, p as usize))
        .collect();
    let rows = numbers(seed, n * (n_heads + 2 * n_kv_heads) * head_dim);
    let all: Vec<u32> = (0..n as u32).collect();
    let seen_blocks = (start + n).div_ceil(BLOCK_SIZE);
    let pieces: Vec<Piece> = all
        .chunks(16)
        .map(|rows| Piece {
            rows: rows.to_vec(),
            first: 0,
            blocks: blocks[..seen_blocks].to_vec(),
        })
        .collect();
    let [got, want] = caches.step(&rows, &positions, &slots, &pieces);
    nmse(&got, &want)
}

fn slot(blocks: &[u32], position: usize) -> u32 {
    blocks[position / BLOCK_SIZE] * BLOCK_SIZE as u32 + (position % BLOCK_SIZE) as u32
}

#[test]
fn attention_of_prefills_branches_and_tails_equals_the_cpus() {
    for (n_heads, n_kv_heads, head_dim, normed) in [
        (14, 2, 64, false),
        (32, 8, 128, true),
        (8, 8, 32, false),
        (12, 2, 128, false),
    ] {
        let counts = HeadCounts {
            n_heads,
            n_kv_heads,
            head_dim,
        };
        let n_blocks = 160;
        let mut caches = Caches::new(counts, n_blocks, normed);
        // A trunk of 1,037 tokens in blocks that lie about, in two chunks.
        let scattered: Vec<u32> = (0..n_blocks as u32).map(|b| b * 37 % 160).collect();
        let (trunk, rest) = scattered.split_at(70);
        for (seed, start, n) in [(1, 0, 500), (2, 500, 537)] {
            let error = prefill(&mut caches, seed, start, n, trunk);
            assert!(
                error < ROUNDED_NMSE,
                "{counts:?}, prefill from {start}: {error:e}"
            );
        }
        // Branches off its first 1,024 tokens, each with a block and a token of its own.
        for branches in [1, 2, 5, 8, 32] {
            let tail = 64 * BLOCK_SIZE;
            let tables: Vec<u32> = (0..branches).map(|b| rest[b]).collect();
            let positions = vec![tail as u32; branches];
            let slots: Vec<u32> = tables.iter().map(|b| b * BLOCK_SIZE as u32).collect();
            let rows = numbers(
                10 + branches as u64,
                branches * (n_heads + 2 * n_kv_heads) * head_dim,
            );
            let all: Vec<u32> = (0..branches as u32).collect();
            let mut shared = vec![Piece {
                rows: all,
                first: 0,
                blocks: trunk[..64].to_vec(),
            }];
            let mut apart = Vec::new();
            for (row, &block) in tables.iter().enumerate() {
                let rows = vec![row as u32];
                shared.push(Piece {
                    rows: rows.clone(),
                    first: tail,
                    blocks: vec![block],
                });
                let blocks = [&trunk[..64], &[block]].concat();
                apart.push(Piece {
                    rows,
                    first: 0,
                    blocks,
                });
            }
            for pieces in [shared, apart] {
                let [got, want] = caches.step(&rows, &positions, &slots, &pieces);
                let error = nmse(&got, &want);
                assert!(
                    error < ROUNDED_NMSE,
                    "{counts:?}, {branches} branches in {} pieces: {error:e}",
                    pieces.len()
                );
            }
        }
    }
}

#[test]
fn copies_reach_every_plane_and_nothing_else() {
    let gpu = gpu();
    let (planes, n_blocks, block) = (3, 7, 32 * 16);
    let before = rounded(&numbers(1, planes * n_blocks * block));
    let cache = gpu.upload(&before).unwrap();
    gpu.copy_blocks(cache.view(), planes, n_blocks, &[(0, 3), (6, 1)])
        .unwrap();
    let mut want = before;
    for plane in want.chunks_exact_mut(n_blocks * block) {
        plane.copy_within(0..block, 3 * block);
        plane.copy_within(6 * block..7 * block, block);
    }
    assert_eq!(gpu.download(cache.view()).unwrap(), want);
}
