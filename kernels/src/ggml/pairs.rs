//! 4-bit floats as safetensors have them: codes and scales in tensors of their own, two
//! neighbouring columns to a byte, the first in its lower half.
use super::{BlockMatrix, GgmlType};
use crate::executor::{Executor, Shared};
use crate::map::WeightBytes;
use crate::memory::AlignedBytes;

impl BlockMatrix {
    /// Weights `[n, k]` of `kind` (MXFP4 or NVFP4) from `codes`, `[n, k / 2]` bytes, and
    /// `scales`, a byte for each 32 or 16 weights of a row: in blocks, as large as both
    /// together. Cost: one pass, spread over the executor.
    ///
    /// Panics unless `k` is a multiple of the type's block and the bytes of the sizes that
    /// follow.
    pub fn of_pairs(
        kind: GgmlType,
        (n, k): (usize, usize),
        codes: &[u8],
        scales: &[u8],
        executor: &dyn Executor,
    ) -> Self {
        let group = kind.scaled_by();
        let group = group.unwrap_or_else(|| panic!("{} has no codes in pairs", kind.name()));
        assert!(k.is_multiple_of(kind.block()), "{k} columns of {kind:?}");
        let (row_codes, row_scales) = (k / 2, k / group);
        assert_eq!(codes.len(), n * row_codes, "codes of [{n}, {k}]");
        assert_eq!(scales.len(), n * row_scales, "scales of [{n}, {k}]");
        let row_bytes = row_codes + row_scales;
        let mut bytes = AlignedBytes::zeroed(n * row_bytes);
        let to = Shared(bytes.as_mut_ptr());
        executor.execute(n, &|rows| {
            for row in rows {
                // SAFETY: row `row` and no other, within the allocation.
                let to = unsafe {
                    std::slice::from_raw_parts_mut(to.get().add(row * row_bytes), row_bytes)
                };
                let codes = codes[row * row_codes..][..row_codes].chunks_exact(kind.block() / 2);
                let scales = &scales[row * row_scales..][..row_scales];
                let scales = scales.chunks_exact(kind.block() / group);
                let blocks = to.chunks_exact_mut(kind.block_bytes());
                for ((to, codes), scales) in blocks.zip(codes).zip(scales) {
                    let (of_scales, of_codes) = to.split_at_mut(scales.len());
                    of_scales.copy_from_slice(scales);
                    let groups = of_codes.chunks_exact_mut(group / 2);
                    for (to, codes) in groups.zip(codes.chunks_exact(group / 2)) {
                        halves(codes, to);
                    }
                }
            }
        });
        Self::new(kind, n, k, WeightBytes::Owned(bytes))
    }
}

/// A group's codes with column i beside column `i + group / 2`, as GGUF's blocks have them.
fn halves(pairs: &[u8], to: &mut [u8]) {
    let (low, high) = pairs.split_at(pairs.len() / 2);
    for ((to, low), high) in to.as_chunks_mut::<2>().0.iter_mut().zip(low).zip(high) {
        *to = [low & 15 | high << 4, low >> 4 | high & 0xf0];
    }
}
