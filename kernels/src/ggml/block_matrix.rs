//! A matrix of weights in GGUF's blocks.
use super::GgmlType;
use crate::coded::CodedMatrix;
use crate::dense::{DenseFormat, DenseMatrix};
use crate::executor::{Executor, Shared};
use crate::format::Format;
use crate::map::WeightBytes;
use crate::memory::AlignedBytes;
use crate::packed::PackedMatrix;

/// Weights `[n, k]` as a file has them, row after row of blocks, in the file's own pages
/// where they lie there in one piece.
pub struct BlockMatrix {
    kind: GgmlType,
    n: usize,
    k: usize,
    bytes: WeightBytes,
    /// The factor of all its numbers.
    factor: f32,
}

impl BlockMatrix {
    /// Takes blocks as a file has them. Panics unless `k` is a multiple of the type's
    /// block and `bytes` of the size that follows.
    pub fn new(kind: GgmlType, n: usize, k: usize, bytes: WeightBytes) -> Self {
        assert!(
            n > 0 && k > 0 && k.is_multiple_of(kind.block()),
            "[{n}, {k}] of {}",
            kind.name()
        );
        let len = n.checked_mul(k / kind.block() * kind.block_bytes());
        assert_eq!(Some(bytes.len()), len, "bytes of [{n}, {k}]");
        Self {
            kind,
            n,
            k,
            bytes,
            factor: 1.0,
        }
    }

    /// The same with all numbers times `factor`, as files of NVFP4 have it beside the blocks.
    #[must_use]
    pub fn times(self, factor: f32) -> Self {
        Self {
            factor: self.factor * factor,
            ..self
        }
    }

    /// How the kernels multiply it at its own width, where they do.
    pub fn format(&self) -> Option<Format> {
        self.kind.format(self.k)
    }

    /// The same for the kernels, in `format`. Panics unless that is [`Self::format`]'s.
    pub fn packed(&self, format: Format, executor: &dyn Executor) -> PackedMatrix {
        assert_eq!(self.format(), Some(format), "{}", self.kind.name());
        PackedMatrix::pack(format, self.n, self.k, &self.bytes, executor).times(self.factor)
    }

    /// The same for a GPU's kernels. Panics unless `format` is [`Self::format`]'s, and has a
    /// coding for its rows.
    pub fn coded(&self, format: Format, executor: &dyn Executor) -> CodedMatrix {
        assert_eq!(self.format(), Some(format), "{}", self.kind.name());
        CodedMatrix::new(format, self.n, self.k, &self.bytes, executor).times(self.factor)
    }

    /// The type of its blocks.
    pub fn kind(&self) -> GgmlType {
        self.kind
    }

    /// Its blocks, row after row, without the factor.
    pub fn blocks(&self) -> &[u8] {
        &self.bytes
    }

    /// Rows, the columns of a product.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Columns, the length of the inner products.
    pub fn k(&self) -> usize {
        self.k
    }

    /// All of it as f32, row after row. Cost: one pass, spread over the executor.
    pub fn to_f32(&self, executor: &dyn Executor) -> Vec<f32> {
        let mut out = vec![0f32; self.n * self.k];
        let to = Shared(out.as_mut_ptr());
        executor.execute(self.n, &|rows| {
            for row in rows {
                // SAFETY: row `row` and no other, within the `n k` numbers of `out`.
                let to =
                    unsafe { std::slice::from_raw_parts_mut(to.get().add(row * self.k), self.k) };
                self.row(row, to);
            }
        });
        out
    }

    /// All of it as 16-bit floats, rounded to the nearest; `None` where a number is too
    /// large for them (a half holds up to 65,504). Cost: one pass, spread over the executor.
    pub fn to_dense(&self, format: DenseFormat, executor: &dyn Executor) -> Option<DenseMatrix> {
        let mut bytes = AlignedBytes::zeroed(DenseFormat::BYTES * self.n * self.k);
        let to = Shared(bytes.as_mut_ptr());
        let is_too_large = std::sync::atomic::AtomicBool::new(false);
        executor.execute(self.n, &|rows| {
            let mut numbers = vec![0f32; self.k];
            for row in rows {
                self.row(row, &mut numbers);
                let row_bytes = DenseFormat::BYTES * self.k;
                // SAFETY: row `row` and no other, within the allocation.
                let to = unsafe {
                    std::slice::from_raw_parts_mut(to.get().add(row * row_bytes), row_bytes)
                };
                for (to, &number) in to.as_chunks_mut().0.iter_mut().zip(&numbers) {
                    *to = format.narrow(number);
                    if number.is_finite() && !format.widen(*to).is_finite() {
                        is_too_large.store(true, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            }
        });
        if is_too_large.into_inner() {
            return None;
        }
        let bytes = WeightBytes::Owned(bytes);
        Some(DenseMatrix::new(format, self.n, self.k, bytes))
    }

    /// Row `row` as f32, `[k]`.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        assert!(
            row < self.n && out.len() == self.k,
            "row {row} of [{}, {}]",
            self.n,
            self.k
        );
        let row_bytes = self.k / self.kind.block() * self.kind.block_bytes();
        let blocks = &self.bytes[row * row_bytes..][..row_bytes];
        self.kind.dequantize(blocks, out);
        if self.factor != 1.0 {
            out.iter_mut().for_each(|number| *number *= self.factor);
        }
    }
}
