//! Formats whose four bits are an index into sixteen signed values.
//!
//! The products take weights without a sign, so the tables hold a value plus what the
//! format stores for 0.
use super::PANEL_ROWS;
use crate::simd::Simd;

/// The values of IQ4_NL and IQ4_XS (ggml's `kvalues_iq4nl`).
pub(super) const IQ4: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// The values of MXFP4 (ggml's `kvalues_mxfp4`), E2M1 times 2.
pub(super) const E2M1_TWICE: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Bytes of two quads of all rows.
const QUADS: usize = 4 * PANEL_ROWS;

/// A table as [`Simd::lookup`] takes it: `zero` more than each value, four times over.
pub(super) const fn table(values: [i8; 16], zero: i32) -> [u8; 64] {
    let mut table = [0; 64];
    let mut i = 0;
    while i < table.len() {
        table[i] = (values[i % 16] as i32 + zero) as u8;
        i += 1;
    }
    table
}

/// The largest number of [`table`].
pub(super) const fn largest(values: [i8; 16], zero: i32) -> usize {
    let table = table(values, zero);
    let (mut largest, mut i) = (0, 0);
    while i < 16 {
        if table[i] > largest {
            largest = table[i];
        }
        i += 1;
    }
    largest as usize
}

/// Index of column `column` of 32 in the file, where a byte holds columns i and i + 16.
pub(super) fn index(file: &[u8], column: usize) -> u8 {
    file[column % 16] >> (column / 16 * 4) & 15
}

/// Lays out the file's 16 bytes of row `row`: `[4 quads][16 rows][4 columns]`, a byte's low
/// half of quad i, its high half of quad `i + 4`.
pub(super) fn pack(row: usize, file: &[u8], to: &mut [u8]) {
    for (quad, four) in file.chunks_exact(4).enumerate() {
        to[quad * QUADS + 4 * row..][..4].copy_from_slice(four);
    }
}

/// Index of column `column` of row `row` of what [`pack`] laid out.
pub(super) fn packed_index(quants: &[u8], row: usize, column: usize) -> u8 {
    let quad = column / 4;
    quants[quad % 4 * QUADS + 4 * row + column % 4] >> (quad / 4 * 4) & 15
}

/// The table's values for four columns of all rows, `[16 rows][4 columns]`.
///
/// # Safety
/// The processor has what `S` stands for; quants that [`pack`] laid out are at `quants`.
#[inline(always)]
pub(super) unsafe fn quad<S: Simd>(quants: *const u8, table: &[u8; 64], quad: usize) -> S::Int {
    // SAFETY: the caller's promises.
    unsafe {
        let both = S::load(quants.add(quad % 4 * QUADS));
        let index = match quad / 4 {
            0 => both,
            _ => S::shr::<4>(both),
        };
        let index = S::and(index, S::splat(0x0f0f_0f0f));
        S::lookup(S::load(table.as_ptr()), index)
    }
}
