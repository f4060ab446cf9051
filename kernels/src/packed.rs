//! A matrix of quantised weights, laid out for the products.
use crate::executor::{Executor, Shared};
use crate::format::{Format, PANEL_ROWS, PanelFormat, with_layout};
use crate::map::{MappedBytes, WeightBytes};
use crate::memory::AlignedBytes;
use std::sync::Arc;

/// Weights `[n, k]` of a product `x Wᵀ`, sixteen rows interleaved.
///
/// It takes as much memory as in the file; where 16 does not divide `n`, the last
/// panel is filled up with zeros. Cloning shares the memory.
#[derive(Clone)]
pub struct PackedMatrix {
    format: Format,
    n: usize,
    k: usize,
    bytes: Arc<WeightBytes>,
    /// The factor of all its numbers.
    factor: f32,
}

impl PackedMatrix {
    /// Version of the layouts: another one wherever a format is packed otherwise than
    /// before. What was kept of an older one is of no use.
    pub const LAYOUT: u32 = 1;

    /// Bytes that begin at a multiple of this many are read as fast as can be.
    pub const ALIGN: usize = 64;

    /// Bytes of `[n, k]` in a format; `None` for sizes that no matrix has.
    pub fn bytes_of(format: Format, n: usize, k: usize) -> Option<usize> {
        let whole = n > 0 && k > 0 && k.is_multiple_of(format.block());
        let row_bytes = (k / format.block()).checked_mul(format.block_bytes())?;
        let rows = n.checked_next_multiple_of(PANEL_ROWS)?;
        rows.checked_mul(row_bytes).filter(|_| whole)
    }

    /// A matrix that was packed before, where it lies. Panics unless there are
    /// [`Self::bytes_of`] bytes.
    pub fn mapped(format: Format, n: usize, k: usize, factor: f32, bytes: MappedBytes) -> Self {
        let len = Self::bytes_of(format, n, k);
        assert_eq!(Some(bytes.len()), len, "bytes of [{n}, {k}] of {format:?}");
        Self {
            format,
            n,
            k,
            bytes: Arc::new(WeightBytes::Mapped(bytes)),
            factor,
        }
    }

    /// Packs a matrix as GGUF has it, row after row.
    ///
    /// Panics unless `k` is a multiple of the format's block and `file` of the
    /// size that follows. Cost: one pass over the weights.
    pub fn pack(format: Format, n: usize, k: usize, file: &[u8], executor: &dyn Executor) -> Self {
        assert!(
            n > 0 && k > 0 && k.is_multiple_of(format.block()),
            "[{n}, {k}] of {format:?}"
        );
        let row_bytes = k / format.block() * format.block_bytes();
        assert_eq!(
            Some(file.len()),
            n.checked_mul(row_bytes),
            "bytes of [{n}, {k}] of {format:?}"
        );
        let panel_bytes = PANEL_ROWS * row_bytes;
        let n_panels = n.div_ceil(PANEL_ROWS);
        let mut bytes = AlignedBytes::zeroed(n_panels * panel_bytes);
        let to = Shared(bytes.as_mut_ptr());
        executor.execute(n_panels, &|panels| {
            for panel in panels {
                // SAFETY: panel `panel` and no other, within the allocation.
                let to = unsafe {
                    std::slice::from_raw_parts_mut(to.get().add(panel * panel_bytes), panel_bytes)
                };
                let first = panel * PANEL_ROWS;
                with_layout!(format, F => pack_panel::<F>(file, row_bytes, first, n, to));
            }
        });
        Self {
            format,
            n,
            k,
            bytes: Arc::new(WeightBytes::Owned(bytes)),
            factor: 1.0,
        }
    }

    /// The same with all numbers times `factor`, as NVFP4 has it beside the blocks.
    #[must_use]
    pub fn times(self, factor: f32) -> Self {
        Self {
            factor: self.factor * factor,
            ..self
        }
    }

    /// The factor of all its numbers.
    pub fn factor(&self) -> f32 {
        self.factor
    }

    /// Rows, the columns of a product.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Columns, the length of the inner products.
    pub fn k(&self) -> usize {
        self.k
    }

    /// How its weights are stored.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes that [`Self::mapped`] takes.
    pub fn packed_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Row `row` as f32, `[k]`.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        assert!(
            row < self.n && out.len() == self.k,
            "row {row} of [{}, {}]",
            self.n,
            self.k
        );
        with_layout!(self.format, F => self.row_as::<F>(row, out));
        if self.factor != 1.0 {
            out.iter_mut().for_each(|number| *number *= self.factor);
        }
    }

    fn row_as<F: PanelFormat>(&self, row: usize, out: &mut [f32]) {
        let block_bytes = PANEL_ROWS * F::BLOCK_BYTES;
        let panel = &self.bytes[row / PANEL_ROWS * (self.k / F::BLOCK) * block_bytes..];
        let blocks = panel.chunks_exact(block_bytes);
        for (block, out) in blocks.zip(out.chunks_exact_mut(F::BLOCK)) {
            for (column, out) in out.iter_mut().enumerate() {
                *out = F::weight(block, row % PANEL_ROWS, column);
            }
        }
    }

    pub(crate) fn n_panels(&self) -> usize {
        self.n.div_ceil(PANEL_ROWS)
    }

    /// Bytes of panel `panel`.
    pub(crate) fn panel(&self, panel: usize) -> &[u8] {
        let panel_bytes = PANEL_ROWS * self.k / self.format.block() * self.format.block_bytes();
        &self.bytes[panel * panel_bytes..][..panel_bytes]
    }
}

fn pack_panel<F: PanelFormat>(
    file: &[u8],
    row_bytes: usize,
    first: usize,
    n: usize,
    to: &mut [u8],
) {
    // A block of zero bytes is a block of zero weights in every format.
    let zeros = vec![0u8; F::BLOCK_BYTES];
    let blocks = to.chunks_exact_mut(PANEL_ROWS * F::BLOCK_BYTES);
    for (b, to) in blocks.enumerate() {
        let rows: [&[u8]; PANEL_ROWS] = std::array::from_fn(|r| match first + r < n {
            true => &file[(first + r) * row_bytes + b * F::BLOCK_BYTES..][..F::BLOCK_BYTES],
            false => &zeros,
        });
        F::pack(&rows, to);
    }
}
