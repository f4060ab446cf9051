//! Rows of activations as they are, for products with dense weights.
use crate::executor::{Executor, Shared};

/// f32 of a cache line, where a vector best begins.
const LINE: usize = 16;

/// Rows `[rows, k]` of f32: the left side of a product with dense weights.
pub struct FloatRows {
    rows: usize,
    k: usize,
    /// As many numbers as there are, from `first` on, which lies at a multiple of 64 bytes.
    numbers: Vec<f32>,
    first: usize,
}

impl FloatRows {
    /// `rows` rows of `k` values; `fill(row, values)` gives each row.
    pub fn new(
        rows: usize,
        k: usize,
        fill: &(dyn Fn(usize, &mut [f32]) + Sync),
        executor: &dyn Executor,
    ) -> Self {
        assert!(rows > 0 && k > 0, "{rows} rows of {k}");
        let n = rows.checked_mul(k).expect("rows that fit into memory");
        let mut numbers = vec![0f32; n + LINE];
        let first = numbers
            .as_ptr()
            .align_offset(size_of::<f32>() * LINE)
            .min(LINE);
        let to = Shared(numbers[first..].as_mut_ptr());
        executor.execute(rows, &|range| {
            for row in range {
                // SAFETY: row `row` and no other, within the `n` numbers from `first` on.
                let values = unsafe { std::slice::from_raw_parts_mut(to.get().add(row * k), k) };
                fill(row, values);
            }
        });
        Self {
            rows,
            k,
            numbers,
            first,
        }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Where row `row` begins; the others follow it.
    pub(super) fn at(&self, row: usize) -> *const f32 {
        self.numbers[self.first + row * self.k..].as_ptr()
    }
}
