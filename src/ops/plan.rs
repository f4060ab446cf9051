//! Which rows look at the same blocks together.
//!
//! Spans whose block tables begin alike are one piece for as long as they are alike, down the
//! tree of branches. So a trunk under eight branches is read once. Runs of blocks are shared
//! by whole splits of 128 positions only, so that a row's sums do not depend on the batch. A
//! GPU cuts the pieces anew, of a size that fills it (`egss_kernels::cuda`), and shares a
//! trunk from two branches on, however short it is.
use super::BLOCK_SIZE;
use egss_kernels::{Piece, SPLIT_BLOCKS};
use std::ops::Range;

/// Consecutive batch rows of one sequence: a prefill chunk, or one decode row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttentionSpan {
    /// Rows `[rows.start, rows.end)` of the batch.
    pub rows: Range<usize>,
    /// Position of the first row in its sequence: row `r` sees positions
    /// `[0, start + (r - rows.start)]`.
    pub start: usize,
    /// Blocks of the sequence, in order, covering every position seen.
    pub blocks: Vec<u32>,
}

/// Splits of a group of rows whose blocks are shared, at most: each is kept until
/// all of its row are there, 6 kB for 12 heads of 128. Beyond, spans are read one
/// by one.
const SHARED_SPLITS_MAX: usize = 16_384;

/// Rows of one piece at most: their queries and sums stay in a cache.
const PIECE_ROWS_MAX: usize = 16;

/// Blocks of a piece of few rows at most, so that several threads share a long
/// trunk: 512 positions.
const PIECE_BLOCKS_MAX: usize = 4 * SPLIT_BLOCKS;

/// A batch's attention, cut into pieces: each is some rows and a run of blocks that
/// all of them look at. Made once a step, for all layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttentionPlan {
    pub(super) pieces: Vec<Piece>,
    /// Positions that each row sees, `[T]`.
    pub(super) seen: Vec<u32>,
}

impl AttentionPlan {
    /// Plans for spans that cover rows `0..T` in order.
    ///
    /// Panics where they do not, or where a span's blocks do not cover what it sees.
    pub fn new(spans: &[AttentionSpan]) -> Self {
        let mut plan = Self::default();
        for span in spans {
            assert_eq!(
                span.rows.start,
                plan.seen.len(),
                "spans cover the rows in order"
            );
            let seen = span.start + span.rows.len();
            assert!(
                !span.rows.is_empty() && span.blocks.len() * BLOCK_SIZE >= seen,
                "rows {:?} that see {seen} positions in {} blocks",
                span.rows,
                span.blocks.len()
            );
            plan.seen
                .extend((span.start..seen).map(|position| position as u32 + 1));
        }
        let all: Vec<&AttentionSpan> = spans.iter().collect();
        plan.split(&all, 0);
        // Long pieces first, so that no thread is left with one at the end.
        plan.pieces
            .sort_by_key(|piece| std::cmp::Reverse(piece.rows.len() * piece.blocks.len()));
        plan
    }

    /// Pieces for spans that share all blocks before `from`, from there on.
    fn split(&mut self, spans: &[&AttentionSpan], from: usize) {
        let mut waiting: Vec<&AttentionSpan> = spans.to_vec();
        while let Some(&first) = waiting.first() {
            // Those that go on with the same split; `first` itself only if it goes on.
            let common = next_split(first, from);
            let same = |span: &&AttentionSpan| common.is_some() && next_split(span, from) == common;
            let (group, others): (Vec<_>, Vec<_>) = waiting.iter().copied().partition(same);
            if group.len() > 1 && n_splits(&group) <= SHARED_SPLITS_MAX {
                let shared = shared_blocks(&group, from);
                let rows: Vec<u32> = group.iter().flat_map(|s| rows_of(s)).collect();
                self.add(&rows, from, &first.blocks[from..from + shared], false);
                self.split(&group, from + shared);
                waiting = others;
            } else {
                let rows: Vec<u32> = rows_of(first).collect();
                let seen = (first.start + first.rows.len()).div_ceil(BLOCK_SIZE);
                self.add(&rows, from, &first.blocks[from..seen], true);
                waiting.remove(0);
            }
        }
    }

    /// One run of blocks under some rows, as pieces of a size that caches hold.
    fn add(&mut self, rows: &[u32], from: usize, blocks: &[u32], is_one_span: bool) {
        for rows in rows.chunks(PIECE_ROWS_MAX) {
            // A prefill has pieces enough, and uncut it has nothing to merge.
            let run = match is_one_span && from == 0 && rows.len() == PIECE_ROWS_MAX {
                true => blocks.len(),
                false => PIECE_BLOCKS_MAX,
            };
            for (i, blocks) in blocks.chunks(run.max(1)).enumerate() {
                self.pieces.push(Piece {
                    rows: rows.to_vec(),
                    first: (from + i * run) * BLOCK_SIZE,
                    blocks: blocks.to_vec(),
                });
            }
        }
    }
}

/// The blocks of the split from `from` on, if all of the span's rows see it whole.
fn next_split(span: &AttentionSpan, from: usize) -> Option<&[u32]> {
    let end = from + SPLIT_BLOCKS;
    (span.start / BLOCK_SIZE >= end).then(|| &span.blocks[from..end])
}

fn rows_of(span: &AttentionSpan) -> impl Iterator<Item = u32> {
    span.rows.clone().map(|row| row as u32)
}

/// Splits of all rows of some spans.
fn n_splits(spans: &[&AttentionSpan]) -> usize {
    let of = |span: &&AttentionSpan| span.rows.len() * span.blocks.len().div_ceil(SPLIT_BLOCKS);
    spans.iter().map(of).sum()
}

/// Blocks from `from` on that all spans share, each seen whole by all their rows:
/// whole splits.
fn shared_blocks(spans: &[&AttentionSpan], from: usize) -> usize {
    let whole = spans
        .iter()
        .map(|span| span.start / BLOCK_SIZE)
        .min()
        .unwrap_or(0);
    let first = spans[0].blocks.get(from..whole).unwrap_or_default();
    let common = |span: &&AttentionSpan| {
        let pairs = first.iter().zip(&span.blocks[from..]);
        pairs.take_while(|(a, b)| a == b).count()
    };
    let shared = spans.iter().map(common).min().unwrap_or(0);
    shared / SPLIT_BLOCKS * SPLIT_BLOCKS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(rows: Range<usize>, start: usize, blocks: &[u32]) -> AttentionSpan {
        AttentionSpan {
            rows,
            start,
            blocks: blocks.to_vec(),
        }
    }

    /// Every row's blocks, in order of position, as the pieces have them.
    fn covered(plan: &AttentionPlan, row: u32) -> Vec<u32> {
        let mut runs: Vec<&Piece> = plan
            .pieces
            .iter()
            .filter(|p| p.rows.contains(&row))
            .collect();
        runs.sort_by_key(|piece| piece.first);
        let mut position = 0;
        for run in &runs {
            assert_eq!(run.first, position, "row {row}: runs follow each other");
            position += run.blocks.len() * BLOCK_SIZE;
        }
        runs.iter().flat_map(|run| run.blocks.clone()).collect()
    }

    #[test]
    fn branches_share_whole_splits_of_their_trunk_and_keep_their_tails() {
        // Three branches off 9 blocks; two of them share 9 more.
        let blocks =
            |shared: Range<u32>, own: Range<u32>| -> Vec<u32> { shared.chain(own).collect() };
        let spans = [
            span(0..1, 150, &blocks(0..9, 100..101)),
            span(1..2, 300, &blocks(0..18, 200..201)),
            span(2..3, 310, &blocks(0..18, 300..302)),
        ];
        let plan = AttentionPlan::new(&spans);
        let piece = |rows: &[u32], first, blocks: Vec<u32>| Piece {
            rows: rows.to_vec(),
            first,
            blocks,
        };
        assert_eq!(plan.pieces.len(), 5);
        for want in [
            piece(&[0, 1, 2], 0, (0..8).collect()),
            piece(&[1, 2], 128, (8..16).collect()),
            piece(&[0], 128, vec![8, 100]),
            piece(&[1], 256, vec![16, 17, 200]),
            piece(&[2], 256, vec![16, 17, 300, 301]),
        ] {
            assert!(plan.pieces.contains(&want), "{want:?} of {:?}", plan.pieces);
        }
        assert_eq!(plan.seen, [151, 301, 311]);
    }

    #[test]
    fn what_is_shared_does_not_depend_on_the_order_of_spans() {
        // Two branches share 200 blocks, a third shares the first 62 of them.
        let long = |own: u32| -> Vec<u32> { (0..200).chain(own..own + 2).collect() };
        let short: Vec<u32> = (0..62).chain(900..902).collect();
        for order in [[0, 1, 2], [0, 2, 1], [2, 0, 1]] {
            let spans: Vec<AttentionSpan> = order
                .iter()
                .enumerate()
                .map(|(row, branch)| match branch {
                    0 => span(row..row + 1, 3_210, &long(300)),
                    1 => span(row..row + 1, 3_210, &long(400)),
                    _ => span(row..row + 1, 1_000, &short),
                })
                .collect();
            let plan = AttentionPlan::new(&spans);
            let read: usize = plan.pieces.iter().map(|piece| piece.blocks.len()).sum();
            // 56 for all, then 144 for two and what each sees behind, 7 for the third.
            assert_eq!(read, 56 + 144 + 2 + 7, "{order:?}");
        }
    }

    #[test]
    fn a_split_that_a_row_sees_in_part_is_shared_with_nobody() {
        // The same sixteen blocks, the last of them seen to different ends.
        let blocks: Vec<u32> = (0..16).collect();
        let spans = [span(0..1, 250, &blocks), span(1..3, 253, &blocks)];
        let plan = AttentionPlan::new(&spans);
        for row in 0..3 {
            assert_eq!(covered(&plan, row), blocks);
        }
        let shared = plan.pieces.iter().filter(|piece| piece.rows.len() == 3);
        assert_eq!(
            shared.map(|piece| piece.blocks.len()).collect::<Vec<_>>(),
            [8]
        );
    }

    #[test]
    fn every_row_is_covered_once_whatever_is_shared() {
        let mut spans = Vec::new();
        let mut row = 0;
        for branch in 0..40u32 {
            let blocks: Vec<u32> = (0..100)
                .map(|i| match i {
                    0..60 => i,
                    60..80 => 1_000 + 100 * (branch / 4) + i,
                    _ => 10_000 + 100 * branch + i,
                })
                .collect();
            let (rows, start) = match branch % 3 {
                0 => (30, 1_000 + branch as usize),
                1 => (1, 1_599),
                _ => (1, 300),
            };
            spans.push(span(row..row + rows, start, &blocks));
            row += rows;
        }
        let plan = AttentionPlan::new(&spans);
        for span in &spans {
            for row in span.rows.clone() {
                let seen = plan.seen[row] as usize;
                let covered = covered(&plan, row as u32);
                assert!(covered.len() * BLOCK_SIZE >= seen, "row {row} sees {seen}");
                assert_eq!(covered, span.blocks[..covered.len()], "row {row}");
            }
        }
    }
}
