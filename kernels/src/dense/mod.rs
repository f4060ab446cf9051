//! Matrices of 16-bit floats, as files have them: row after row, at two bytes a weight.
mod product;
mod rows;

pub use product::multiply_dense;
pub use rows::FloatRows;

use crate::map::WeightBytes;
use crate::memory::AlignedBytes;
use crate::simd::Simd;

/// A 16-bit float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DenseFormat {
    /// The upper half of an f32.
    Bf16,
    /// IEEE 754's half.
    F16,
}

impl DenseFormat {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Bf16, Self::F16];

    /// Bytes of a number.
    pub const BYTES: usize = 2;

    /// A number rounded to the nearest that the format has, little-endian.
    pub(crate) fn narrow(self, number: f32) -> [u8; Self::BYTES] {
        match self {
            Self::Bf16 => half::bf16::from_f32(number).to_le_bytes(),
            Self::F16 => half::f16::from_f32(number).to_le_bytes(),
        }
    }

    /// The number that two bytes stand for.
    pub(crate) fn widen(self, bytes: [u8; Self::BYTES]) -> f32 {
        match self {
            Self::Bf16 => Bf16::widen(bytes),
            Self::F16 => F16::widen(bytes),
        }
    }
}

/// Weights `[n, k]` of a product `x Wᵀ`, in the file's own pages where they lie there in
/// one piece.
pub struct DenseMatrix {
    format: DenseFormat,
    n: usize,
    k: usize,
    bytes: WeightBytes,
}

impl DenseMatrix {
    /// Takes numbers as a file has them, little-endian, row after row; the system is asked
    /// to read them in. Panics unless `bytes` is of the size that follows.
    pub fn new(format: DenseFormat, n: usize, k: usize, bytes: WeightBytes) -> Self {
        assert!(n > 0 && k > 0, "[{n}, {k}]");
        let len = n
            .checked_mul(k)
            .and_then(|n| n.checked_mul(DenseFormat::BYTES));
        assert_eq!(Some(bytes.len()), len, "bytes of [{n}, {k}]");
        bytes.read_ahead();
        Self {
            format,
            n,
            k,
            bytes,
        }
    }

    /// Copies numbers, little-endian, row after row. Panics unless there are `n k`.
    pub fn copied(
        format: DenseFormat,
        n: usize,
        k: usize,
        numbers: impl ExactSizeIterator<Item = [u8; DenseFormat::BYTES]>,
    ) -> Self {
        let mut bytes = AlignedBytes::zeroed(DenseFormat::BYTES * numbers.len());
        for (to, number) in bytes.chunks_exact_mut(DenseFormat::BYTES).zip(numbers) {
            to.copy_from_slice(&number);
        }
        Self::new(format, n, k, WeightBytes::Owned(bytes))
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
    pub fn format(&self) -> DenseFormat {
        self.format
    }

    /// Bytes of its weights.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Its numbers, little-endian, row after row.
    pub fn numbers(&self) -> &[u8] {
        &self.bytes
    }

    /// True where it has no memory of its own but the file's pages.
    pub fn is_mapped(&self) -> bool {
        matches!(self.bytes, WeightBytes::Mapped(_))
    }

    /// Row `row` as f32, `[k]`.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        assert!(
            row < self.n && out.len() == self.k,
            "row {row} of [{}, {}]",
            self.n,
            self.k
        );
        let row_bytes = self.k * DenseFormat::BYTES;
        self.widen(&self.bytes[row * row_bytes..][..row_bytes], out);
    }

    /// All of it as f32, row after row.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0f32; self.n * self.k];
        self.widen(&self.bytes, &mut out);
        out
    }

    fn widen(&self, bytes: &[u8], out: &mut [f32]) {
        match self.format {
            DenseFormat::Bf16 => widen::<Bf16>(bytes, out),
            DenseFormat::F16 => widen::<F16>(bytes, out),
        }
    }

    /// Where row `row` begins.
    fn at(&self, row: usize) -> *const u8 {
        self.bytes[row * self.k * DenseFormat::BYTES..].as_ptr()
    }
}

fn widen<F: Float16>(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes
        .as_chunks::<{ DenseFormat::BYTES }>()
        .0
        .iter()
        .zip(out)
    {
        *out = F::widen(*bytes);
    }
}

/// How a format becomes f32, which every number of it does exactly.
trait Float16: 'static {
    fn widen(bytes: [u8; DenseFormat::BYTES]) -> f32;

    /// Sixteen numbers, 32 bytes.
    ///
    /// # Safety
    /// The processor has what `S` stands for; the bytes are there.
    unsafe fn load<S: Simd>(from: *const u8) -> S::Float;
}

struct Bf16;

impl Float16 for Bf16 {
    fn widen(bytes: [u8; DenseFormat::BYTES]) -> f32 {
        half::bf16::from_le_bytes(bytes).to_f32()
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u8) -> S::Float {
        // SAFETY: the caller's promises.
        unsafe { S::load_bf16(from) }
    }
}

struct F16;

impl Float16 for F16 {
    fn widen(bytes: [u8; DenseFormat::BYTES]) -> f32 {
        half::f16::from_le_bytes(bytes).to_f32()
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u8) -> S::Float {
        // SAFETY: the caller's promises.
        unsafe { S::load_half(from) }
    }
}
