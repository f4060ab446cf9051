//! Rows of activations as signed bytes, laid out for the products.
//!
//! A scale covers 256 values with K-quants and NVFP4, and 32 with the other formats, as ggml
//! pairs them. Zero points and minima are taken off in whole numbers: a dot product starts at
//! minus what the zero point adds, and minima are multiplied with the sums of the bytes that
//! they belong to.
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
    /// `[tile][k / run][row]`: where the dot products of a run of bytes start, minus
    /// their sum times what is stored for a weight of 0.
    starts: Vec<i32>,
    /// `[tile][k / 256][row][16]` where scales are of 256: the sums of 32 bytes each,
    /// for formats with minima.
    split_sums: Vec<i8>,
}

/// Bytes of the eight sums of a block of 256: of the even ones what is below
/// [`SPLIT_BITS`] bits, of the odd ones, and the same of what is above.
pub(crate) const SPLIT_SUMS: usize = 16;
pub(crate) const SPLIT_BITS: u32 = 7;

/// One tile as the products read it.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    pub(crate) q: *const i8,
    pub(crate) scales: *const f32,
    pub(crate) starts: *const i32,
    pub(crate) split_sums: *const i8,
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
            starts: vec![0; padded * k / scales.run()],
            split_sums: vec![0; padded * split_sums_of(k, scales)],
        };
        let q = Shared(quantized.q.as_mut_ptr());
        let scale = Shared(quantized.scales.as_mut_ptr());
        let starts = Shared(quantized.starts.as_mut_ptr());
        let split_sums = Shared(quantized.split_sums.as_mut_ptr());
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
                        starts: starts
                            .get()
                            .add(tile * tile_rows * (k / scales.run()) + within),
                        split_sums: split_sums
                            .get()
                            .add(tile * tile_rows * split_sums_of(k, scales) + within * SPLIT_SUMS),
                        stride: tile_rows,
                    };
                    let values = values.as_slice();
                    dispatch!(isa, quantize_row(values: &[f32], scales: Scales, to: RowPlaces));
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
            starts: self.starts[first * (self.k / self.scales_of.run())..].as_ptr(),
            split_sums: self.split_sums[first * split_sums_of(self.k, self.scales_of)..].as_ptr(),
        }
    }
}

/// Split sums of a row of `k`.
fn split_sums_of(k: usize, scales: Scales) -> usize {
    match scales {
        Scales::EachBlock32 => 0,
        Scales::EachBlock256 => k / 256 * SPLIT_SUMS,
    }
}

/// Where one row of a tile goes; each next place is `stride` further.
#[derive(Clone, Copy)]
struct RowPlaces {
    q: *mut i8,
    scales: *mut f32,
    starts: *mut i32,
    split_sums: *mut i8,
    stride: usize,
}

/// # Safety
/// The processor has what `S` stands for; `values` is whole blocks, and `to` has
/// room for them.
#[inline(always)]
unsafe fn quantize_row<S: Simd>(values: &[f32], scales: Scales, to: RowPlaces) {
    let (block, run) = (scales.block(), scales.run());
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
            let mut sums = [0i32; 256 / LANES];
            for (i, v) in values.chunks_exact(LANES).enumerate() {
                let mut q = [0i8; LANES];
                S::store_i8(q.as_mut_ptr(), S::mul(S::load_f(v.as_ptr()), inverse));
                sums[i] = q.iter().map(|&q| i32::from(q)).sum();
                for (quad, four) in q.as_chunks::<4>().0.iter().enumerate() {
                    let quad = (b * block + i * LANES) / 4 + quad;
                    to.q.add(4 * quad * to.stride)
                        .cast::<[i8; 4]>()
                        .write(*four);
                }
            }
            let sums = &sums[..block / LANES];
            for (i, sums) in sums.chunks_exact(run / LANES).enumerate() {
                let start = -scales.zero() * sums.iter().sum::<i32>();
                to.starts
                    .add((b * block / run + i) * to.stride)
                    .write(start);
            }
            if scales == Scales::EachBlock256 {
                let split = to.split_sums.add(b * SPLIT_SUMS * to.stride);
                split.cast::<[i8; SPLIT_SUMS]>().write(split_sums(sums));
            }
        }
    }
}

/// The sums of 32 bytes each of a block, from those of 16, in bytes: `low + (upper
/// << SPLIT_BITS)`, at most 4,064 by size.
fn split_sums(sums_of_16: &[i32]) -> [i8; SPLIT_SUMS] {
    const HALF: i32 = 1 << (SPLIT_BITS - 1);
    let mut split = [0; SPLIT_SUMS];
    for (sub, pair) in sums_of_16.as_chunks::<2>().0.iter().enumerate() {
        let sum = pair[0] + pair[1];
        let upper = (sum + HALF) >> SPLIT_BITS;
        let at = sub % 2 * 4 + sub / 2;
        split[at] = (sum - (upper << SPLIT_BITS)) as i8;
        split[8 + at] = upper as i8;
    }
    split
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
    fn split_sums_are_the_sums() {
        for size in [-127i32, -64, -63, -2, -1, 0, 1, 2, 63, 64, 127] {
            let sums: Vec<i32> = (0..16)
                .map(|i| 16 * size + if size.abs() < 127 { i } else { 0 })
                .collect();
            let split = split_sums(&sums);
            for sub in 0..8 {
                let at = sub % 2 * 4 + sub / 2;
                let sum = i32::from(split[at]) + (i32::from(split[8 + at]) << SPLIT_BITS);
                assert_eq!(sum, sums[2 * sub] + sums[2 * sub + 1], "{size}: {split:?}");
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
