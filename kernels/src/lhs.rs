//! Rows of activations as signed bytes, laid out for the products.
use crate::executor::{Executor, Shared};
use crate::isa::dispatch;
use crate::simd::{LANES, Simd};
use crate::tile::tiles;
use crate::{Isa, Scales};

/// Rows quantised to signed bytes with a scale a block: the left side of a
/// product with packed weights.
///
/// A tile holds up to 12 rows interleaved by fours of columns, so that a product
/// walks it with one pointer: `q: [tile][k / 4][row][4]`. All tiles are of one
/// height; the rows past the last are zero.
pub struct QuantizedRows {
    rows: usize,
    k: usize,
    scales_of: Scales,
    tile_rows: usize,
    /// `[tile][k / 4][row][4]`
    q: Vec<i8>,
    /// `[tile][block][row]`: what a byte of the block stands for.
    scales: Vec<f32>,
    /// `[tile][k / 16][row]`: the sum of 16 bytes.
    sums_of_16: Vec<f32>,
    /// `[tile][k / 32][row]`: the sum of 32 bytes.
    sums_of_32: Vec<f32>,
}

/// One tile as the products read it.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    pub(crate) q: *const i8,
    pub(crate) scales: *const f32,
    pub(crate) sums_of_16: *const f32,
    pub(crate) sums_of_32: *const f32,
}

impl QuantizedRows {
    /// Quantises `rows` rows of `k` values, scaled as weights with `scales` ask
    /// for; `fill(row, values)` gives each row.
    ///
    /// `k` is a multiple of the scales' block. A value that is not finite makes all
    /// products of its row NaN.
    pub fn new(
        isa: Isa,
        rows: usize,
        k: usize,
        scales: Scales,
        fill: &(dyn Fn(usize, &mut [f32]) + Sync),
        executor: &dyn Executor,
    ) -> Self {
        let block = scales.block();
        assert!(
            rows > 0 && k > 0 && k.is_multiple_of(block),
            "{rows} rows of {k} in blocks of {block}"
        );
        let (n_tiles, tile_rows) = tiles(rows);
        let padded = n_tiles * tile_rows;
        assert!(padded.checked_mul(k).is_some(), "{rows} rows of {k}");
        let mut quantized = Self {
            rows,
            k,
            scales_of: scales,
            tile_rows,
            q: vec![0; padded * k],
            scales: vec![0.0; padded * k / block],
            sums_of_16: vec![0.0; padded * k / 16],
            sums_of_32: vec![0.0; padded * k / 32],
        };
        let q = Shared(quantized.q.as_mut_ptr());
        let scale = Shared(quantized.scales.as_mut_ptr());
        let sums_of_16 = Shared(quantized.sums_of_16.as_mut_ptr());
        let sums_of_32 = Shared(quantized.sums_of_32.as_mut_ptr());
        executor.execute(rows, &|range| {
            let mut values = vec![0f32; k];
            for row in range {
                fill(row, &mut values);
                let (tile, within) = (row / tile_rows, row % tile_rows);
                // SAFETY: places of row `within` of tile `tile` and of no other
                // row; each vector holds `padded` times its length of a row.
                unsafe {
                    let to = RowPlaces {
                        q: q.get().add(tile * tile_rows * k + 4 * within),
                        scales: scale.get().add(tile * tile_rows * (k / block) + within),
                        sums_of_16: sums_of_16.get().add(tile * tile_rows * (k / 16) + within),
                        sums_of_32: sums_of_32.get().add(tile * tile_rows * (k / 32) + within),
                        stride: tile_rows,
                    };
                    let values = values.as_slice();
                    dispatch!(isa, quantize_row(values: &[f32], block: usize, to: RowPlaces));
                }
            }
        });
        quantized
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn k(&self) -> usize {
        self.k
    }

    /// How they are scaled.
    pub fn scales(&self) -> Scales {
        self.scales_of
    }

    /// The value that column `column` of row `row` stands for.
    pub fn value(&self, row: usize, column: usize) -> f32 {
        let (tile, within, h) = (row / self.tile_rows, row % self.tile_rows, self.tile_rows);
        let q = self.q[(tile * self.k / 4 + column / 4) * 4 * h + 4 * within + column % 4];
        let block = self.scales_of.block();
        let scale = self.scales[(tile * (self.k / block) + column / block) * h + within];
        f32::from(q) * scale
    }

    pub(crate) fn tile_rows(&self) -> usize {
        self.tile_rows
    }

    pub(crate) fn n_tiles(&self) -> usize {
        self.rows.div_ceil(self.tile_rows)
    }

    pub(crate) fn tile(&self, tile: usize) -> Tile {
        let first = tile * self.tile_rows;
        Tile {
            q: self.q[first * self.k..].as_ptr(),
            scales: self.scales[first * (self.k / self.scales_of.block())..].as_ptr(),
            sums_of_16: self.sums_of_16[first * (self.k / 16)..].as_ptr(),
            sums_of_32: self.sums_of_32[first * (self.k / 32)..].as_ptr(),
        }
    }
}

/// Where one row of a tile goes; each next place is `stride` further.
#[derive(Clone, Copy)]
struct RowPlaces {
    q: *mut i8,
    scales: *mut f32,
    sums_of_16: *mut f32,
    sums_of_32: *mut f32,
    stride: usize,
}

/// # Safety
/// The processor has what `S` stands for; `values` is whole blocks, `block` a
/// multiple of 32, and `to` has room for them.
#[inline(always)]
unsafe fn quantize_row<S: Simd>(values: &[f32], block: usize, to: RowPlaces) {
    for (b, values) in values.chunks_exact(block).enumerate() {
        // SAFETY: the caller's promises; vectors of 16 within a block.
        unsafe {
            let (mut largest, mut poison) = (S::zero_f(), S::zero_f());
            for v in values.chunks_exact(LANES) {
                let v = S::load_f(v.as_ptr());
                largest = S::max(largest, S::abs(v));
                // 0 for what is finite, else NaN, which a maximum may pass over.
                poison = S::mul_add(v, S::zero_f(), poison);
            }
            let (largest, poison) = (S::largest(largest), S::sum(poison));
            let inverse = S::splat_f(if largest > 0.0 { 127.0 / largest } else { 0.0 });
            to.scales.add(b * to.stride).write(largest / 127.0 + poison);
            for (i, v) in values.chunks_exact(LANES).enumerate() {
                let mut q = [0i8; LANES];
                S::store_i8(q.as_mut_ptr(), S::mul(S::load_f(v.as_ptr()), inverse));
                let at = b * block / 16 + i;
                let sum = q.iter().map(|&q| i32::from(q)).sum::<i32>() as f32;
                to.sums_of_16.add(at * to.stride).write(sum);
                let sum_of_32 = to.sums_of_32.add(at / 2 * to.stride);
                sum_of_32.write(if at.is_multiple_of(2) {
                    sum
                } else {
                    *sum_of_32 + sum
                });
                for (quad, four) in q.as_chunks::<4>().0.iter().enumerate() {
                    let quad = at * 4 + quad;
                    to.q.add(4 * quad * to.stride)
                        .cast::<[i8; 4]>()
                        .write(*four);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::Inline;

    #[test]
    fn quantised_rows_stand_for_their_values_within_half_a_step() {
        for isa in Isa::all() {
            for scales in [Scales::EachBlock32, Scales::EachBlock256] {
                for rows in [1, 5, 12, 13, 31] {
                    let k = 512;
                    let value = |row: usize, c: usize| ((row * 37 + c * 11) % 101) as f32 - 50.5;
                    let fill = |row: usize, values: &mut [f32]| {
                        for (c, v) in values.iter_mut().enumerate() {
                            *v = value(row, c);
                        }
                    };
                    let q = QuantizedRows::new(isa, rows, k, scales, &fill, &Inline);
                    for row in 0..rows {
                        for c in 0..k {
                            let off = (q.value(row, c) - value(row, c)).abs();
                            assert!(
                                off <= 0.5 * 50.5 / 127.0 + 1e-4,
                                "row {row} column {c}: {off}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_not_lost() {
        for isa in Isa::all() {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for place in [0, 17, 255] {
                    let fill = |_: usize, v: &mut [f32]| {
                        v.fill(1.0);
                        v[place] = bad;
                    };
                    let q = QuantizedRows::new(isa, 1, 256, Scales::EachBlock256, &fill, &Inline);
                    assert!(q.value(0, 3).is_nan(), "{isa:?} {bad} at {place}");
                }
            }
        }
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        for isa in Isa::all() {
            let q = QuantizedRows::new(
                isa,
                1,
                256,
                Scales::EachBlock256,
                &|_, v| v.fill(0.0),
                &Inline,
            );
            assert!((0..256).all(|c| q.value(0, c) == 0.0));
        }
    }
}
