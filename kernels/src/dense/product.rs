//! `x Wᵀ` for rows of f32 and matrices of floats of 16 or 8 bits.
//!
//! Both sides lie row after row, so a vector holds sixteen columns: a tile of weights'
//! rows and activations' rows is multiplied in registers, a sum for each pair of them,
//! and the sums' lanes are added up at the end of the rows. Weights are widened as they
//! are loaded, and multiplied with their block's scale if they have one. Cost: a weight's
//! bytes read once for each [`TILE_ROWS_MAX`] rows, all but the first time from a cache;
//! few rows wait for memory, many for arithmetic.
//!
//! A pair's products are added in one order whatever tile it is in, so what else is in a
//! batch changes no bit of a row.
use super::e4m3::E4m3;
use super::element::{Bf16, Element, F16, F32};
use super::{DenseFormat, DenseMatrix, FloatRows, Numbers};
use crate::Isa;
use crate::executor::{Executor, Shared};
use crate::isa::dispatch;
use crate::product::{Part, check_places};
use crate::simd::{LANES, Simd};
use crate::tile::with_tile_rows;
use std::ops::Range;

/// Weights' rows of a tile: with six rows of activations 24 sums, which leaves eight of
/// 32 registers for what is multiplied.
const BLOCK_ROWS: usize = 4;

/// Activations' rows of a tile at most.
const TILE_ROWS_MAX: usize = 6;

/// The same with 16 registers of half a vector each, and where the compiler chooses.
const TILE_ROWS_MAX_NARROW: usize = 2;

/// Weights' rows that a thread takes at a time at least, a multiple of [`BLOCK_ROWS`].
const ITEM_ROWS: usize = 16;

/// Bytes of activations that a second-level cache holds beside some weights.
const ROWS_BYTES_MAX: usize = 512 << 10;

/// Bytes of weights that are multiplied with a tile of activations in a row, while those
/// are in the first-level cache; the weights stay in the second.
const GROUP_BYTES_MAX: usize = 256 << 10;

/// How much further than a block ahead memory is asked for, bytes. Measured with 272 MB of
/// bf16 in rows of 896 on two cores of an EPYC of 2024 that read 74 GB/s: one row goes at
/// 39 GB/s without asking, at 60 with a block ahead in the order of memory, at 65 with
/// this on top of it; asking along each row of the block instead costs a fifth of one
/// core's speed (28 against 35 GB/s).
const AHEAD: usize = 1024;

/// Rows of a tile up to which that is so. With more, arithmetic is the limit, and asking
/// along each row into the second-level cache costs less of it (twelve rows on one core:
/// 108 against 68 GMAC/s).
const IN_ORDER_ROWS_MAX: usize = 4;

/// Several products of the same rows: `out[row][part.column..] = x Wᵀ + bias`, or that
/// added to what is there.
///
/// `out` is `[rows, stride]`. Panics where a part does not fit the rows, the output, or
/// the others.
pub fn multiply_dense(
    isa: Isa,
    lhs: &FloatRows,
    parts: &[Part<'_, DenseMatrix>],
    add: bool,
    out: &mut [f32],
    stride: usize,
    executor: &dyn Executor,
) {
    let len = lhs.rows().checked_mul(stride);
    assert_eq!(Some(out.len()), len, "[{}, {stride}]", lhs.rows());
    for part in parts {
        let k = part.weights.k();
        assert_eq!(k, lhs.k(), "columns of the weights and of the rows");
    }
    check_places(parts, DenseMatrix::n, stride);
    let product = Product {
        isa,
        lhs,
        add,
        out: Shared(out.as_mut_ptr()),
        stride,
    };
    let items_of = |part: &Part<'_, DenseMatrix>| part.weights.n().div_ceil(ITEM_ROWS);
    let tiles = product.tiles();
    executor.execute(parts.iter().map(items_of).sum(), &|items: Range<usize>| {
        for tiles in tiles.chunks(product.tiles_of_once(&tiles)) {
            let mut before = 0;
            for part in parts {
                let own = before..before + items_of(part);
                let row = |item: usize| {
                    let item = item.clamp(own.start, own.end) - own.start;
                    part.weights.n().min(item * ITEM_ROWS)
                };
                // SAFETY: each item has columns of its own, within `[rows, stride]` by the
                // asserts above.
                unsafe { product.run(part, row(items.start)..row(items.end), tiles) };
                before = own.end;
            }
        }
    });
}

/// What all parts of one product share.
struct Product<'a> {
    isa: Isa,
    lhs: &'a FloatRows,
    add: bool,
    out: Shared<f32>,
    stride: usize,
}

impl Product<'_> {
    /// The rows of activations, cut into as few tiles as there can be, of heights that
    /// differ by one at most.
    fn tiles(&self) -> Vec<Range<usize>> {
        let highest = match self.isa {
            Isa::Avx512 => TILE_ROWS_MAX,
            Isa::Avx2 | Isa::Portable => TILE_ROWS_MAX_NARROW,
        };
        let rows = self.lhs.rows();
        let n_tiles = rows.div_ceil(highest);
        let start = |tile: usize| tile * rows / n_tiles;
        (0..n_tiles).map(|i| start(i)..start(i + 1)).collect()
    }

    /// How many tiles are multiplied with all weights before the next ones.
    fn tiles_of_once(&self, tiles: &[Range<usize>]) -> usize {
        let tile_bytes = size_of::<f32>() * self.lhs.k() * tiles[0].len();
        (ROWS_BYTES_MAX / tile_bytes).max(1)
    }

    /// Rows `rows` of a part's weights with some tiles.
    ///
    /// # Safety
    /// `out` is `[lhs.rows, stride]`, and nobody else touches the rows' columns.
    unsafe fn run(&self, part: &Part<'_, DenseMatrix>, rows: Range<usize>, tiles: &[Range<usize>]) {
        if let (Numbers::E4m3(_), [_, _, ..]) = (&part.weights.numbers, tiles) {
            // SAFETY: the caller's promise.
            return unsafe { self.run_widened(part, rows, tiles) };
        }
        let row_bytes = part.weights.numbers.bytes() * self.lhs.k();
        let group_rows = (GROUP_BYTES_MAX / row_bytes)
            .max(1)
            .next_multiple_of(BLOCK_ROWS);
        for first in rows.clone().step_by(group_rows) {
            let group = first..rows.end.min(first + group_rows);
            for tile in tiles {
                for first in group.clone().step_by(BLOCK_ROWS) {
                    let block = first..group.end.min(first + BLOCK_ROWS);
                    let weights = Rows::of(part.weights, &block);
                    // SAFETY: the caller's promise.
                    unsafe { self.multiply_block(part, weights, block, tile.clone()) };
                }
            }
        }
    }

    /// The same where each weight is worth widening once for all tiles: to the very f32 that
    /// a tile alone is multiplied with.
    ///
    /// # Safety
    /// As [`Product::run`].
    unsafe fn run_widened(
        &self,
        part: &Part<'_, DenseMatrix>,
        rows: Range<usize>,
        tiles: &[Range<usize>],
    ) {
        let k = self.lhs.k();
        let mut widened = vec![0f32; BLOCK_ROWS * k];
        for first in rows.clone().step_by(BLOCK_ROWS) {
            let block = first..rows.end.min(first + BLOCK_ROWS);
            let (weights, to) = (Rows::of(part.weights, &block), widened.as_mut_ptr());
            // SAFETY: rows of `k` on both sides; `Isa` says what there is.
            unsafe { dispatch!(self.isa, widen(weights: Rows<'_>, k: usize, to: *mut f32)) };
            let weights = Rows {
                elements: Elements::F32,
                at: std::array::from_fn(|i| widened[i * k..].as_ptr().cast()),
                scales: [&[]; BLOCK_ROWS],
                // Sums are taken in the order in which a tile alone takes them.
                scaled_columns: weights.scaled_columns,
            };
            for tile in tiles {
                // SAFETY: the caller's promise.
                unsafe { self.multiply_block(part, weights, block.clone(), tile.clone()) };
            }
        }
    }

    /// A block of weights' rows with a tile of activations' rows.
    ///
    /// # Safety
    /// As [`Product::run`]; the rows are the block's.
    unsafe fn multiply_block(
        &self,
        part: &Part<'_, DenseMatrix>,
        rows: Rows<'_>,
        block: Range<usize>,
        tile: Range<usize>,
    ) {
        let (x, k) = (self.lhs.at(tile.start), self.lhs.k());
        let mut products = [[0f32; BLOCK_ROWS]; TILE_ROWS_MAX];
        with_tile_rows!(@ 1 2 3 4 5 6; tile.len(), ROWS => {
            let out = products.first_chunk_mut::<ROWS>().expect("no tile is higher");
            // SAFETY: rows of `k` on both sides; `Isa` says what there is.
            unsafe {
                match rows.elements {
                    Elements::Bf16 => run::<Bf16, ROWS>(self.isa, rows, x, k, out),
                    Elements::F16 => run::<F16, ROWS>(self.isa, rows, x, k, out),
                    Elements::E4m3 => run::<E4m3, ROWS>(self.isa, rows, x, k, out),
                    Elements::F32 => run::<F32, ROWS>(self.isa, rows, x, k, out),
                }
            }
        });
        for (row, products) in tile.zip(&mut products) {
            if let Some(bias) = part.bias {
                for (product, bias) in products.iter_mut().zip(&bias[block.clone()]) {
                    *product += bias;
                }
            }
            let at = row * self.stride + part.column + block.start;
            // SAFETY: the caller's promise.
            let to = unsafe { std::slice::from_raw_parts_mut(self.out.get().add(at), block.len()) };
            match self.add {
                true => to.iter_mut().zip(&*products).for_each(|(to, x)| *to += x),
                false => to.copy_from_slice(&products[..block.len()]),
            }
        }
    }
}

/// How the numbers of a block of rows are written.
#[derive(Clone, Copy)]
enum Elements {
    Bf16,
    F16,
    E4m3,
    F32,
}

/// A block of weights' rows.
#[derive(Clone, Copy)]
struct Rows<'a> {
    elements: Elements,
    /// Where each begins.
    at: [*const u8; BLOCK_ROWS],
    /// 256 times the scales of each, one for each `scaled_columns` columns; none where
    /// numbers have no scale.
    scales: [&'a [f32]; BLOCK_ROWS],
    /// Columns that share a scale; all where there is none.
    scaled_columns: usize,
}

impl<'a> Rows<'a> {
    /// Some rows of a matrix; where they are fewer than a block, the last one fills it up.
    fn of(weights: &'a DenseMatrix, block: &Range<usize>) -> Self {
        let row = |i: usize| block.end.min(block.start + i + 1) - 1;
        let at = std::array::from_fn(|i| weights.at(row(i)));
        let (elements, scales, scaled_columns) = match &weights.numbers {
            Numbers::Float16(DenseFormat::Bf16) => (Elements::Bf16, None, weights.k()),
            Numbers::Float16(DenseFormat::F16) => (Elements::F16, None, weights.k()),
            Numbers::E4m3(scales) => (Elements::E4m3, Some(scales), scales.block_columns()),
        };
        Self {
            elements,
            at,
            scales: std::array::from_fn(|i| scales.map_or(&[][..], |all| all.of_row(row(i)))),
            scaled_columns,
        }
    }
}

/// A block of E4M3 rows as f32, `[BLOCK_ROWS, k]`, each number times its scale.
///
/// # Safety
/// The processor has what `S` stands for; rows have `k` numbers, `to` has room for them.
#[inline(always)]
unsafe fn widen<S: Simd>(weights: Rows<'_>, k: usize, to: *mut f32) {
    for (i, (row, scales)) in weights.at.into_iter().zip(weights.scales).enumerate() {
        for (block, first) in (0..k).step_by(weights.scaled_columns).enumerate() {
            let end = k.min(first + weights.scaled_columns);
            // SAFETY: the caller's promises.
            unsafe {
                let scale = S::splat_f(scales[block]);
                for column in (first..end).step_by(LANES) {
                    let n = LANES.min(end - column);
                    let (from, to) = (row.add(column), to.add(i * k + column));
                    if n == LANES {
                        // The next block lies behind this one.
                        S::prefetch_l2(from.wrapping_add(BLOCK_ROWS * k));
                        S::store_f(to, load::<E4m3, S>(from, scale));
                        continue;
                    }
                    let (mut last, mut widened) = ([0u8; LANES], [0f32; LANES]);
                    from.copy_to_nonoverlapping(last.as_mut_ptr(), n);
                    S::store_f(widened.as_mut_ptr(), load::<E4m3, S>(last.as_ptr(), scale));
                    widened.as_ptr().copy_to_nonoverlapping(to, n);
                }
            }
        }
    }
}

/// # Safety
/// As [`multiply`]; the processor has what `isa` says.
unsafe fn run<E: Element, const ROWS: usize>(
    isa: Isa,
    weights: Rows<'_>,
    x: *const f32,
    k: usize,
    out: &mut [[f32; BLOCK_ROWS]; ROWS],
) {
    // SAFETY: the caller's promise.
    unsafe {
        match isa {
            Isa::Portable => multiply::<E, crate::simd::Portable, ROWS>(weights, x, k, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::<E, ROWS>(weights, x, k, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::<E, ROWS>(weights, x, k, out),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => unreachable!("no processor of this kind has it"),
        }
    }
}

/// # Safety
/// As [`multiply`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<E: Element, const ROWS: usize>(
    weights: Rows<'_>,
    x: *const f32,
    k: usize,
    out: &mut [[f32; BLOCK_ROWS]; ROWS],
) {
    // SAFETY: the caller's promise.
    unsafe { multiply::<E, crate::simd::Avx2, ROWS>(weights, x, k, out) }
}

/// # Safety
/// As [`multiply`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn avx512<E: Element, const ROWS: usize>(
    weights: Rows<'_>,
    x: *const f32,
    k: usize,
    out: &mut [[f32; BLOCK_ROWS]; ROWS],
) {
    // SAFETY: the caller's promise.
    unsafe { multiply::<E, crate::simd::Avx512, ROWS>(weights, x, k, out) }
}

/// The inner products of rows of weights with `ROWS` rows of activations, one behind the
/// other from `x` on.
///
/// # Safety
/// The processor has what `S` stands for; all rows have `k` numbers.
#[inline(always)]
unsafe fn multiply<E: Element, S: Simd, const ROWS: usize>(
    weights: Rows<'_>,
    x: *const f32,
    k: usize,
    out: &mut [[f32; BLOCK_ROWS]; ROWS],
) {
    // Columns of a row in a cache line.
    let line_columns: usize = 64 / E::BYTES;
    // The next block lies behind this one.
    let block_bytes = BLOCK_ROWS * k * E::BYTES;
    let next = weights.at[0].wrapping_add(block_bytes + AHEAD);
    // SAFETY: the caller's promises; a prefetch of any address is harmless.
    unsafe {
        let mut sums = [[S::zero_f(); BLOCK_ROWS]; ROWS];
        for (block, first) in (0..k).step_by(weights.scaled_columns).enumerate() {
            let end = k.min(first + weights.scaled_columns);
            let whole = end - (end - first) % LANES;
            let mut scales = [S::zero_f(); BLOCK_ROWS];
            if E::IS_SCALED {
                scales = weights.scales.map(|scales| S::splat_f(scales[block]));
            }
            for column in (first..whole).step_by(LANES) {
                if E::IS_FAR && ROWS <= IN_ORDER_ROWS_MAX {
                    // As many lines as are done with, in the order of memory.
                    let done = column * BLOCK_ROWS * E::BYTES;
                    for line in (0..LANES * BLOCK_ROWS * E::BYTES).step_by(64) {
                        S::prefetch(next.wrapping_add(done + line));
                    }
                }
                let mut xs = [S::zero_f(); ROWS];
                for (r, to) in xs.iter_mut().enumerate() {
                    *to = S::load_f(x.add(r * k + column));
                }
                for (i, (row, scale)) in weights.at.into_iter().zip(scales).enumerate() {
                    let from = row.add(column * E::BYTES);
                    if E::IS_FAR && ROWS > IN_ORDER_ROWS_MAX && column.is_multiple_of(line_columns)
                    {
                        S::prefetch_l2(from.wrapping_add(block_bytes));
                    }
                    let w = load::<E, S>(from, scale);
                    for (sums, x) in sums.iter_mut().zip(xs) {
                        sums[i] = S::mul_add(w, x, sums[i]);
                    }
                }
            }
            if whole < end {
                let mut w = [S::zero_f(); BLOCK_ROWS];
                for ((w, row), scale) in w.iter_mut().zip(weights.at).zip(scales) {
                    // As many as the widest have.
                    let mut last = [0u8; LANES * size_of::<f32>()];
                    let from = row.add(whole * E::BYTES);
                    from.copy_to_nonoverlapping(last.as_mut_ptr(), (end - whole) * E::BYTES);
                    *w = load::<E, S>(last.as_ptr(), scale);
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let mut last = [0f32; LANES];
                    let from = x.add(r * k + whole);
                    from.copy_to_nonoverlapping(last.as_mut_ptr(), end - whole);
                    let x = S::load_f(last.as_ptr());
                    for (sum, w) in sums.iter_mut().zip(w) {
                        *sum = S::mul_add(w, x, *sum);
                    }
                }
            }
        }
        for (sums, out) in sums.iter().zip(out) {
            for (sum, out) in sums.iter().zip(out) {
                *out = S::sum(*sum);
            }
        }
    }
}

/// Sixteen weights, times their scale if they have one.
///
/// # Safety
/// As [`Element::load`].
#[inline(always)]
unsafe fn load<E: Element, S: Simd>(from: *const u8, scale: S::Float) -> S::Float {
    // SAFETY: the caller's promises.
    unsafe {
        match E::IS_SCALED {
            true => S::mul(E::load::<S>(from), scale),
            false => E::load::<S>(from),
        }
    }
}
