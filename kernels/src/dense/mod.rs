//! Matrices of floats as files have them, row after row: of 16 bits, or of 8 bits with a
//! scale for each block.
mod e4m3;
mod element;
mod product;
mod rows;

pub use e4m3::BlockScales;
pub use product::multiply_dense;
pub use rows::FloatRows;

use crate::map::WeightBytes;
use crate::memory::AlignedBytes;
use element::{Bf16, Element, F16};

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
            Self::Bf16 => Bf16::widen(&bytes),
            Self::F16 => F16::widen(&bytes),
        }
    }
}

/// How a matrix's numbers are written.
enum Numbers {
    /// 16-bit floats.
    Float16(DenseFormat),
    /// E4M3, each number times its block's scale.
    E4m3(BlockScales),
}

impl Numbers {
    /// Bytes of a number.
    fn bytes(&self) -> usize {
        match self {
            Self::Float16(_) => DenseFormat::BYTES,
            Self::E4m3(_) => e4m3::E4m3::BYTES,
        }
    }
}

/// Weights `[n, k]` of a product `x Wᵀ`, in the file's own pages where they lie there in
/// one piece.
pub struct DenseMatrix {
    numbers: Numbers,
    n: usize,
    k: usize,
    bytes: WeightBytes,
}

impl DenseMatrix {
    /// Takes numbers as a file has them, little-endian, row after row; the system is asked
    /// to read them in. Panics unless `bytes` is of the size that follows.
    pub fn new(format: DenseFormat, n: usize, k: usize, bytes: WeightBytes) -> Self {
        Self::of(Numbers::Float16(format), n, k, bytes)
    }

    /// Takes numbers of E4M3, as [`Self::new`] does. Panics unless `scales` are of `n` rows
    /// of `k`.
    pub fn e4m3(n: usize, k: usize, bytes: WeightBytes, scales: BlockScales) -> Self {
        assert_eq!(scales.dims(), (n, k), "scales of [{n}, {k}]");
        Self::of(Numbers::E4m3(scales), n, k, bytes)
    }

    fn of(numbers: Numbers, n: usize, k: usize, bytes: WeightBytes) -> Self {
        assert!(n > 0 && k > 0, "[{n}, {k}]");
        let len = n
            .checked_mul(k)
            .and_then(|n| n.checked_mul(numbers.bytes()));
        assert_eq!(Some(bytes.len()), len, "bytes of [{n}, {k}]");
        bytes.read_ahead();
        Self {
            numbers,
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

    /// Its 16-bit floats' format; `None` where it is of E4M3.
    pub fn format(&self) -> Option<DenseFormat> {
        match self.numbers {
            Numbers::Float16(format) => Some(format),
            Numbers::E4m3(_) => None,
        }
    }

    /// Bytes of its weights, scales left out.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Its numbers, little-endian, row after row; those of E4M3 without their scales.
    pub fn numbers(&self) -> &[u8] {
        &self.bytes
    }

    /// True where it has no memory of its own but the file's pages, scales left out.
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
        let row_bytes = self.k * self.numbers.bytes();
        let bytes = &self.bytes[row * row_bytes..][..row_bytes];
        match &self.numbers {
            Numbers::Float16(DenseFormat::Bf16) => element::widen::<Bf16>(bytes, out),
            Numbers::Float16(DenseFormat::F16) => element::widen::<F16>(bytes, out),
            Numbers::E4m3(scales) => scales.widen(row, bytes, out),
        }
    }

    /// All of it as f32, row after row.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0f32; self.n * self.k];
        for (row, out) in out.chunks_exact_mut(self.k).enumerate() {
            self.row(row, out);
        }
        out
    }

    /// Where row `row` begins.
    fn at(&self, row: usize) -> *const u8 {
        self.bytes[row * self.k * self.numbers.bytes()..].as_ptr()
    }
}
