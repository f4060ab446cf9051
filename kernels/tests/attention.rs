//! Attention over pieces against dense softmax in f64.
use egss_kernels::{Attention, BLOCK_SIZE, Executor, HeadShape, Inline, Isa, Piece, attend};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::ops::Range;

/// f32 sums of some hundred terms of order 1.
const TOLERANCE: f64 = 5e-6;

struct OneByOne;

impl Executor for OneByOne {
    fn execute(&self, n_items: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        (0..n_items).rev().for_each(|item| work(item..item + 1));
    }
}

struct Case {
    shape: HeadShape,
    /// Blocks of each row, whole.
    tables: Vec<Vec<u32>>,
    seen: Vec<u32>,
    pieces: Vec<Piece>,
}

/// A case with random numbers, and what came out.
struct Ran {
    queries: Vec<f32>,
    query_stride: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
    out: Vec<f32>,
}

fn run(isa: Isa, case: &Case, executor: &dyn Executor) -> Ran {
    let HeadShape {
        n_heads,
        n_kv_heads,
        head_dim: d,
    } = case.shape;
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut random = |n: usize| -> Vec<f32> {
        (0..n)
            .map(|_| (rng.next_u32() % 4001) as f32 / 1000.0 - 2.0)
            .collect()
    };
    let n_blocks = 1 + *case.tables.iter().flatten().max().expect("a block") as usize;
    let vd = case.shape.value_dim();
    let len = n_blocks * n_kv_heads * BLOCK_SIZE;
    let (keys, values) = (random(len * d), random(len * vd));
    let (n_rows, query_stride) = (case.seen.len(), n_heads * d + 7);
    let queries = random(n_rows * query_stride);
    let mut out = vec![f32::NAN; n_rows * n_heads * d];
    let attention = Attention {
        shape: case.shape,
        queries: &queries,
        query_stride,
        keys: &keys,
        values: &values,
        seen: &case.seen,
        pieces: &case.pieces,
    };
    attend(isa, &attention, &mut out, executor);
    Ran {
        queries,
        query_stride,
        keys,
        values,
        out,
    }
}

fn largest_error(isa: Isa, case: &Case, executor: &dyn Executor) -> f64 {
    let HeadShape {
        n_heads,
        n_kv_heads,
        head_dim: d,
    } = case.shape;
    let vd = case.shape.value_dim();
    let Ran {
        queries,
        query_stride,
        keys,
        values,
        out,
    } = run(isa, case, executor);
    let n_rows = case.seen.len();
    let mut largest = 0f64;
    for row in 0..n_rows {
        for head in 0..n_heads {
            let kv_head = head / (n_heads / n_kv_heads);
            let q = &queries[row * query_stride + head * d..][..d];
            let block = |p: usize| {
                (case.tables[row][p / BLOCK_SIZE] as usize * n_kv_heads + kv_head) * BLOCK_SIZE
            };
            let key = |p: usize, i: usize| {
                f64::from(keys[block(p) * d + i * BLOCK_SIZE + p % BLOCK_SIZE])
            };
            let value =
                |p: usize, i: usize| f64::from(values[(block(p) + p % BLOCK_SIZE) * vd + i]);
            let scores: Vec<f64> = (0..case.seen[row] as usize)
                .map(|p| {
                    (0..d).map(|i| f64::from(q[i]) * key(p, i)).sum::<f64>() / (d as f64).sqrt()
                })
                .collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for i in 0..d {
                let want: f64 = (0..weights.len())
                    .map(|p| weights[p] / sum * value(p, i))
                    .sum();
                let got = f64::from(out[(row * n_heads + head) * d + i]);
                assert!(!got.is_nan(), "row {row} head {head} was not written");
                largest = largest.max((got - want).abs());
            }
        }
    }
    largest
}

fn check(case: &Case) {
    for isa in Isa::all() {
        for executor in [&Inline as &dyn Executor, &OneByOne] {
            let error = largest_error(isa, case, executor);
            assert!(error < TOLERANCE, "{isa:?}: {error}");
        }
    }
}

fn shape(n_heads: usize, n_kv_heads: usize, head_dim: usize) -> HeadShape {
    HeadShape {
        n_heads,
        n_kv_heads,
        head_dim,
    }
}

#[test]
fn a_prefill_chunk_sees_what_stands_before_each_of_its_rows() {
    for (shape, start, n) in [
        (shape(6, 2, 8), 0, 5),
        (shape(4, 4, 80), 70, 40),
        (shape(12, 2, 128), 129, 3),
    ] {
        let n_blocks = (start + n as usize).div_ceil(BLOCK_SIZE) as u32;
        let table: Vec<u32> = (0..n_blocks).rev().collect();
        check(&Case {
            shape,
            tables: vec![table.clone(); n as usize],
            seen: (0..n).map(|row| start as u32 + row + 1).collect(),
            pieces: vec![Piece {
                rows: (0..n).collect(),
                first: 0,
                blocks: table,
            }],
        });
    }
}

/// Nine branches off a trunk of 24 blocks, with tails of their own, and a row that
/// shares nothing; the trunk in two pieces, in one, or read by each branch.
fn branches(trunk_in: usize) -> Case {
    let trunk: Vec<u32> = (40..64).collect();
    let n = 9;
    let tail = |row: u32| vec![row, row + n];
    let mut tables: Vec<Vec<u32>> = (0..n)
        .map(|row| [trunk.clone(), tail(row)].concat())
        .collect();
    let all: Vec<u32> = (0..n).collect();
    let piece = |rows: &[u32], first, blocks: Vec<u32>| Piece {
        rows: rows.to_vec(),
        first,
        blocks,
    };
    let mut pieces = match trunk_in {
        2 => vec![
            piece(&all, 0, trunk[..16].to_vec()),
            piece(&all, 256, trunk[16..].to_vec()),
        ],
        1 => vec![piece(&all, 0, trunk.clone())],
        _ => Vec::new(),
    };
    pieces.extend((0..n).map(|row| match trunk_in {
        0 => piece(&[row], 0, tables[row as usize].clone()),
        _ => piece(&[row], 384, tail(row)),
    }));
    tables.push(vec![31]);
    pieces.push(piece(&[n], 0, vec![31]));
    let mut seen: Vec<u32> = (0..n).map(|row| 385 + 3 * row).collect();
    seen.push(1);
    Case {
        shape: shape(14, 2, 64),
        tables,
        seen,
        pieces,
    }
}

#[test]
fn branches_that_share_a_trunk_get_dense_attention() {
    for trunk_in in [0, 1, 2] {
        check(&branches(trunk_in));
    }
}

#[test]
fn what_else_is_in_the_batch_changes_no_bit_of_a_row() {
    for isa in Isa::all() {
        let alone = run(isa, &branches(0), &Inline).out;
        for trunk_in in [1, 2] {
            for executor in [&Inline as &dyn Executor, &OneByOne] {
                assert!(
                    run(isa, &branches(trunk_in), executor).out == alone,
                    "{isa:?}"
                );
            }
        }
    }
}

#[test]
fn what_others_left_behind_a_row_does_not_reach_it() {
    // The values of the positions behind the third are not numbers.
    let (d, seen) = (16, 3);
    let keys = vec![0.5f32; d * BLOCK_SIZE];
    let mut values = vec![2f32; d * BLOCK_SIZE];
    values[seen * d..].fill(f32::NAN);
    let attention = Attention {
        shape: shape(1, 1, d),
        queries: &vec![1.0; d],
        query_stride: d,
        keys: &keys,
        values: &values,
        seen: &[seen as u32],
        pieces: &[Piece {
            rows: vec![0],
            first: 0,
            blocks: vec![0],
        }],
    };
    for isa in Isa::all() {
        let mut out = vec![0f32; d];
        attend(isa, &attention, &mut out, &Inline);
        assert!(out.iter().all(|x| (x - 2.0).abs() < 1e-6), "{out:?}");
    }
}

/// Attention of one row that sees one position, over a cache of one block.
fn run_pieces(pieces: &[Piece]) {
    let attention = Attention {
        shape: shape(1, 1, 16),
        queries: &[0.0; 16],
        query_stride: 16,
        keys: &[0.0; 256],
        values: &[0.0; 256],
        seen: &[1],
        pieces,
    };
    attend(Isa::best(), &attention, &mut [0.0; 16], &Inline);
}

#[test]
#[should_panic(expected = "a row that pieces do not cover")]
fn a_row_in_no_piece_is_refused() {
    run_pieces(&[]);
}

#[test]
#[should_panic(expected = "a piece's blocks")]
fn a_block_past_the_cache_is_refused() {
    run_pieces(&[Piece {
        rows: vec![0],
        first: 0,
        blocks: vec![1],
    }]);
}
