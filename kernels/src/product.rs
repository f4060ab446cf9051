//! `x Wᵀ` for rows of signed bytes and packed weights.
//!
//! Work is cut by panels of weights: a few at a time are read from memory once,
//! held in the second-level cache, and multiplied with all tiles of rows. Cost: a
//! weight's bits read once and one byte product for each row; at one row the
//! memory is the limit, from about eight rows on the arithmetic.
use crate::Isa;
use crate::executor::{Executor, Shared};
use crate::format::{PANEL_ROWS, PanelFormat, with_layout};
use crate::lhs::{QuantizedRows, Tile};
use crate::packed::PackedMatrix;
use crate::simd::LANES;
use crate::tile::{TILE_ROWS_MAX, with_tile_rows};
use std::ops::Range;

/// Bytes of rows that a second-level cache holds beside a panel of weights.
const ROWS_BYTES_MAX: usize = 768 << 10;

/// Panels that a tile is multiplied with in a row: each row of the output lies in a
/// page of its own, and one that is touched for 16 columns at a time costs more
/// than the products do (measured: 100 against 166 GMAC/s at 256 rows).
const GROUP_PANELS_MAX: usize = 8;
/// And their bytes, which stay in the second-level cache.
const GROUP_BYTES_MAX: usize = 256 << 10;

/// One matrix of a product, and where its columns go.
pub struct Part<'a, M = PackedMatrix> {
    /// `[n, k]`
    pub weights: &'a M,
    /// Added to each row, `[n]`.
    pub bias: Option<&'a [f32]>,
    /// First column in the output.
    pub column: usize,
}

impl<M> Clone for Part<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

// Whatever the matrix is, it is borrowed.
impl<M> Copy for Part<'_, M> {}

/// Panics unless the parts' columns stand side by side in rows of `stride`, each with a
/// bias of its own size if with any. `n` gives a matrix's rows.
pub(crate) fn check_places<M>(parts: &[Part<'_, M>], n: impl Fn(&M) -> usize, stride: usize) {
    let mut end = 0;
    for part in parts {
        let n = n(part.weights);
        assert!(
            part.bias.is_none_or(|bias| bias.len() == n),
            "a bias of [{n}]"
        );
        assert!(part.column >= end, "parts in order, side by side");
        let fits = part.column <= stride && n <= stride - part.column;
        assert!(fits, "{n} columns from {} of {stride}", part.column);
        end = part.column + n;
    }
}

/// Several products of the same rows: `out[row][part.column..] = x Wᵀ + bias`, or
/// that added to what is there.
///
/// `out` is `[rows, stride]`. Panics where a part does not fit the rows, the output,
/// or the others.
pub fn multiply(
    isa: Isa,
    lhs: &QuantizedRows,
    parts: &[Part<'_>],
    add: bool,
    out: &mut [f32],
    stride: usize,
    executor: &dyn Executor,
) {
    let len = lhs.rows().checked_mul(stride);
    assert_eq!(Some(out.len()), len, "[{}, {stride}]", lhs.rows());
    for part in parts {
        let w = part.weights;
        assert_eq!(w.k(), lhs.k(), "columns of the rows and of the weights");
        assert_eq!(
            w.format().scales(),
            lhs.scales(),
            "scales of the rows for {:?}",
            w.format()
        );
    }
    check_places(parts, PackedMatrix::n, stride);
    let n_panels = parts.iter().map(|part| part.weights.n_panels()).sum();
    let out = Shared(out.as_mut_ptr());
    let tiles_of_once = (ROWS_BYTES_MAX / (lhs.k() * lhs.tile_rows())).max(1);
    executor.execute(n_panels, &|panels: Range<usize>| {
        for first_tile in (0..lhs.n_tiles()).step_by(tiles_of_once) {
            let tiles = first_tile..lhs.n_tiles().min(first_tile + tiles_of_once);
            let mut before = 0;
            for part in parts {
                let own = before..before + part.weights.n_panels();
                let first = panels.start.max(own.start) - own.start;
                let end = panels.end.min(own.end).saturating_sub(own.start);
                let panel_bytes = part.weights.bytes() / part.weights.n_panels();
                let group = (GROUP_BYTES_MAX / panel_bytes).clamp(1, GROUP_PANELS_MAX);
                for first in (first..end).step_by(group) {
                    for tile in tiles.clone() {
                        for panel in first..end.min(first + group) {
                            // SAFETY: each item has columns of its own, within
                            // `[rows, stride]` by the asserts above.
                            unsafe {
                                multiply_panel(isa, lhs, part, panel, tile, add, out, stride)
                            };
                        }
                    }
                }
                before = own.end;
            }
        }
    });
}

/// One panel with one tile.
///
/// # Safety
/// `out` is `[rows, stride]`, and nobody else touches the panel's columns.
#[allow(clippy::too_many_arguments)] // the innermost call of one function
unsafe fn multiply_panel(
    isa: Isa,
    lhs: &QuantizedRows,
    part: &Part<'_>,
    panel: usize,
    tile: usize,
    add: bool,
    out: Shared<f32>,
    stride: usize,
) {
    let weights = part.weights;
    let columns = panel * PANEL_ROWS..weights.n().min((panel + 1) * PANEL_ROWS);
    let (rows, at) = (lhs.tile_rows(), lhs.tile(tile));
    let own_rows = tile * rows..lhs.rows().min((tile + 1) * rows);
    let place = |row: usize| row * stride + part.column + columns.start;
    for row in own_rows.clone() {
        // Each row's columns lie in a line, and mostly a page, of their own.
        prefetch_for_write(out.get().wrapping_add(place(row)));
    }
    let mut products = [[0f32; LANES]; TILE_ROWS_MAX];
    // SAFETY: a packed panel, and a tile of the same `k` and its scales.
    unsafe {
        with_layout!(weights.format(), F => {
            multiply_as::<F>(isa, weights, panel, at, rows, &mut products)
        });
    }
    for (row, products) in own_rows.zip(&mut products) {
        if weights.factor() != 1.0 {
            for product in products.iter_mut() {
                *product *= weights.factor();
            }
        }
        if let Some(bias) = part.bias {
            for (product, bias) in products.iter_mut().zip(&bias[columns.clone()]) {
                *product += bias;
            }
        }
        // SAFETY: the caller's promise.
        let to =
            unsafe { std::slice::from_raw_parts_mut(out.get().add(place(row)), columns.len()) };
        match add {
            true => to.iter_mut().zip(&*products).for_each(|(to, x)| *to += x),
            false => to.copy_from_slice(&products[..columns.len()]),
        }
    }
}

/// Asks for a cache line that will be written.
#[inline(always)]
fn prefetch_for_write(at: *mut f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is harmless, and every x86-64 has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_ET0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// # Safety
/// The tile has `rows` rows of the weights' `k`, scaled as `F` asks for.
unsafe fn multiply_as<F: PanelFormat>(
    isa: Isa,
    weights: &PackedMatrix,
    panel: usize,
    tile: Tile,
    rows: usize,
    out: &mut [[f32; LANES]; TILE_ROWS_MAX],
) {
    let bytes = weights.panel(panel).as_ptr();
    let n_blocks = weights.k() / F::BLOCK;
    with_tile_rows!(rows, ROWS => {
        let out = out.first_chunk_mut::<ROWS>().expect("no tile is higher");
        // SAFETY: the caller's promise; `Isa` says what there is.
        unsafe { run::<F, ROWS>(isa, bytes, n_blocks, tile, out) }
    });
}

/// # Safety
/// As [`PanelFormat::multiply`].
unsafe fn run<F: PanelFormat, const ROWS: usize>(
    isa: Isa,
    panel: *const u8,
    n_blocks: usize,
    tile: Tile,
    out: &mut [[f32; LANES]; ROWS],
) {
    // SAFETY: the caller's promise.
    unsafe {
        match isa {
            Isa::Portable => F::multiply::<crate::simd::Portable, ROWS>(panel, n_blocks, tile, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::<F, ROWS>(panel, n_blocks, tile, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::<F, ROWS>(panel, n_blocks, tile, out),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => unreachable!("no processor of this kind has it"),
        }
    }
}

/// # Safety
/// As [`PanelFormat::multiply`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<F: PanelFormat, const ROWS: usize>(
    panel: *const u8,
    n_blocks: usize,
    tile: Tile,
    out: &mut [[f32; LANES]; ROWS],
) {
    // SAFETY: the caller's promise.
    unsafe { F::multiply::<crate::simd::Avx2, ROWS>(panel, n_blocks, tile, out) }
}

/// # Safety
/// As [`PanelFormat::multiply`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn avx512<F: PanelFormat, const ROWS: usize>(
    panel: *const u8,
    n_blocks: usize,
    tile: Tile,
    out: &mut [[f32; LANES]; ROWS],
) {
    // SAFETY: the caller's promise.
    unsafe { F::multiply::<crate::simd::Avx512, ROWS>(panel, n_blocks, tile, out) }
}
