//! A step's attention on the device: pieces of a size that fills it.
use super::{Buffer, Gpu, PRODUCT_ROWS_MAX, Result, View};
use crate::Piece;
use std::ops::Range;

/// Sizes of one layer's attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadCounts {
    /// Query heads, H.
    pub n_heads: usize,
    /// Key/value heads, K; divides H.
    pub n_kv_heads: usize,
    /// D: 32, 64 or 128.
    pub head_dim: usize,
}

impl HeadCounts {
    /// True for what the kernels are compiled for.
    pub fn is_supported(&self) -> bool {
        matches!(self.head_dim, 32 | 64 | 128)
            && self.n_kv_heads > 0
            && self.n_heads.is_multiple_of(self.n_kv_heads)
            && self.group() <= TILES_MAX * TILE
    }

    /// Query heads of a key/value head.
    pub(super) fn group(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }
}

/// Query rows of a tile, and tiles of a piece at most.
const TILE: usize = 16;
const TILES_MAX: usize = 4;

/// Figures of a piece in the plan; as in `cuda/attention.cu`.
const PIECE: usize = 8;

/// Blocks of a piece, the longest tried first: four warps share them, so that below 4
/// some have nothing to do.
const RUNS: [usize; 4] = [32, 16, 8, 4];

/// Lengths of a plan's lists: plans of one layout differ in numbers only, so that work
/// which was recorded over one runs over another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanLayout {
    /// T.
    pub rows: usize,
    pieces: usize,
    blocks: usize,
    slots: usize,
}

impl PlanLayout {
    /// Room for a plan of `exact` lengths: a decode step's lists are filled up, so that
    /// few layouts come up while sequences grow.
    fn with_room(exact: Self) -> Self {
        const LEN_MIN: usize = 32;
        if exact.rows > PRODUCT_ROWS_MAX {
            return exact;
        }
        let room = |len: usize| len.max(LEN_MIN).next_power_of_two();
        Self {
            pieces: room(exact.pieces),
            blocks: room(exact.blocks),
            slots: room(exact.slots),
            ..exact
        }
    }
}

/// The plan of a step in device memory, with the rest of what all its layers read: one
/// upload.
pub struct GpuPlan {
    pub(super) data: Buffer<u32>,
    pub(super) pieces: Range<usize>,
    pub(super) blocks: Range<usize>,
    pub(super) rows: Range<usize>,
    pub(super) seen: Range<usize>,
    /// Of row `t`: `slots[of[t]..of[t + 1]]`.
    pub(super) of: Range<usize>,
    pub(super) slots: Range<usize>,
    positions: Range<usize>,
    kv_slots: Range<usize>,
    pub(super) n_slots: usize,
    pub(super) shape: HeadCounts,
    layout: PlanLayout,
    largest_block: u32,
}

impl GpuPlan {
    /// Lays out `pieces` over rows that see `seen` positions each, for heads of
    /// `shape`; `positions` and `kv_slots` of the rows go with them.
    ///
    /// Panics where a piece names a row that is not there.
    pub fn new(
        gpu: &Gpu,
        shape: HeadCounts,
        pieces: &[Piece],
        seen: &[u32],
        positions: &[u32],
        kv_slots: &[u32],
    ) -> Result<Self> {
        assert!(shape.is_supported(), "attention of {shape:?}");
        assert!(positions.len() == seen.len() && kv_slots.len() == seen.len());
        let rows_max = TILES_MAX * TILE / shape.group();
        let n_pieces = |run: usize| -> usize {
            let of = |piece: &Piece| {
                piece.rows.len().div_ceil(rows_max) * piece.blocks.len().div_ceil(run)
            };
            pieces.iter().map(of).sum::<usize>() * shape.n_kv_heads
        };
        let enough = gpu.n_processors * 3 / 2;
        let whole = pieces.iter().map(|piece| piece.blocks.len()).max();
        let run = std::iter::once(whole.unwrap_or(1).max(1))
            .chain(RUNS)
            .find(|&run| n_pieces(run) >= enough)
            .unwrap_or(RUNS[RUNS.len() - 1]);
        let mut cut = Cut::default();
        for piece in pieces {
            for rows in piece.rows.chunks(rows_max) {
                for (i, blocks) in piece.blocks.chunks(run).enumerate() {
                    let first = piece.first + i * run * crate::BLOCK_SIZE;
                    cut.add(rows, first, blocks, shape.group());
                }
            }
        }
        let (of, mut slots) = cut.by_row(seen.len());
        let largest_block = cut.blocks.iter().copied().max().unwrap_or(0);
        let layout = PlanLayout::with_room(PlanLayout {
            rows: seen.len(),
            pieces: cut.pieces.len() / PIECE,
            blocks: cut.blocks.len(),
            slots: slots.len(),
        });
        cut.fill(layout);
        slots.resize(layout.slots, 0);
        let mut data = Vec::new();
        let mut put = |part: &[u32]| {
            let start = data.len();
            data.extend_from_slice(part);
            start..data.len()
        };
        let (pieces, blocks) = (put(&cut.pieces), put(&cut.blocks));
        let (rows, seen) = (put(&cut.rows), put(seen));
        let (of, slots) = (put(&of), put(&slots));
        let (positions, kv_slots) = (put(positions), put(kv_slots));
        Ok(Self {
            data: gpu.upload(&data)?,
            largest_block,
            layout,
            pieces,
            blocks,
            rows,
            seen,
            of,
            slots,
            positions,
            kv_slots,
            n_slots: cut.n_slots,
            shape,
        })
    }

    /// The lengths of its lists.
    pub fn layout(&self) -> PlanLayout {
        self.layout
    }

    /// True where its lists were filled up, as a decode step's are.
    pub fn has_room(&self) -> bool {
        self.layout.rows <= PRODUCT_ROWS_MAX
    }

    /// The same in memory of its own.
    pub fn copied(&self, gpu: &Gpu) -> Result<Self> {
        Ok(Self {
            data: gpu.copied(self.data.view())?,
            pieces: self.pieces.clone(),
            blocks: self.blocks.clone(),
            rows: self.rows.clone(),
            seen: self.seen.clone(),
            of: self.of.clone(),
            slots: self.slots.clone(),
            positions: self.positions.clone(),
            kv_slots: self.kv_slots.clone(),
            ..*self
        })
    }

    /// Makes this what `other` is, in the memory where this is. Panics unless both have
    /// one layout and one shape of heads.
    pub fn refill(&mut self, gpu: &Gpu, other: &Self) -> Result<()> {
        assert_eq!((self.layout, self.shape), (other.layout, other.shape));
        self.largest_block = other.largest_block;
        gpu.copy(other.data.view(), self.data.view())
    }

    /// Positions of the rows, `[T]`.
    pub fn positions(&self) -> View<'_, u32> {
        self.data.view().slice(self.positions.clone())
    }

    /// Slots of the rows, `[T]`.
    pub fn kv_slots(&self) -> View<'_, u32> {
        self.data.view().slice(self.kv_slots.clone())
    }

    pub(super) fn n_pieces(&self) -> usize {
        self.pieces.len() / PIECE
    }

    pub(super) fn n_rows(&self) -> usize {
        self.seen.len()
    }

    /// True where every block is one of `n_blocks`.
    pub fn is_within(&self, n_blocks: usize) -> bool {
        self.blocks.is_empty() || (self.largest_block as usize) < n_blocks
    }
}

/// Pieces as the kernel reads them.
#[derive(Default)]
struct Cut {
    pieces: Vec<u32>,
    blocks: Vec<u32>,
    rows: Vec<u32>,
    n_slots: usize,
}

impl Cut {
    fn add(&mut self, rows: &[u32], first: usize, blocks: &[u32], group: usize) {
        let tiles = (rows.len() * group).div_ceil(TILE).next_power_of_two();
        debug_assert!(tiles <= TILES_MAX, "{} rows of {group} heads", rows.len());
        let figures = [
            first,
            blocks.len(),
            self.blocks.len(),
            self.rows.len(),
            rows.len(),
            self.n_slots,
            tiles,
            0,
        ];
        self.pieces.extend(figures.map(|figure| figure as u32));
        self.blocks.extend_from_slice(blocks);
        self.rows.extend_from_slice(rows);
        self.n_slots += rows.len();
    }

    /// Fills the lists up to a layout's lengths, with pieces of no rows.
    fn fill(&mut self, layout: PlanLayout) {
        // A tile, so that a piece's threads can share it out.
        let empty = [0, 0, 0, 0, 0, 0, 1, 0];
        while self.pieces.len() < layout.pieces * PIECE {
            self.pieces.extend_from_slice(&empty);
        }
        self.blocks.resize(layout.blocks, 0);
        self.rows.resize(layout.slots, 0);
        self.n_slots = layout.slots;
    }

    /// Each row's slots, and where they begin.
    fn by_row(&self, n_rows: usize) -> (Vec<u32>, Vec<u32>) {
        // Slots are numbered as rows are listed.
        let mut of = vec![0u32; n_rows + 1];
        for &row in &self.rows {
            of[row as usize + 1] += 1;
        }
        for row in 0..n_rows {
            of[row + 1] += of[row];
        }
        let mut next = of.clone();
        let mut slots = vec![0; self.rows.len()];
        for (slot, &row) in self.rows.iter().enumerate() {
            let at = &mut next[row as usize];
            slots[*at as usize] = slot as u32;
            *at += 1;
        }
        (of, slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_finds_the_slots_of_its_pieces_and_no_other() {
        let mut cut = Cut::default();
        cut.add(&[0, 1, 2], 0, &[5, 6], 4);
        cut.add(&[2], 32, &[7], 4);
        cut.add(&[0], 32, &[8], 4);
        let (of, slots) = cut.by_row(3);
        assert_eq!(of, [0, 2, 3, 5]);
        assert_eq!(slots, [0, 4, 1, 2, 3]);
        // Three rows of four heads fill one tile; slots follow the rows.
        assert_eq!(cut.pieces[..8], [0, 2, 0, 0, 3, 0, 1, 0]);
        assert_eq!(cut.pieces[8..16], [32, 1, 2, 3, 1, 3, 1, 0]);
    }
}
