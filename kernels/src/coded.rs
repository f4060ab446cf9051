//! Quantised weights in the order in which a GPU's kernels read them.
//!
//! A row is a run of 64 bytes after another; four lanes read a run, 16 bytes each. What a
//! weight is worth is said by the row's factor (f32, so that halves are enough for the
//! rest), and a scale, with 4-bit codes also a minimum, for a few weights side by side:
//! `factor (scale code - minimum)`. Codes are the file's own; scales and minima, products
//! of two numbers there, are rounded to halves: a relative error of 2^-12, where weights
//! as bf16 have one of 2^-9.
use crate::executor::{Executor, Shared};
use crate::format::{Format, PanelFormat, with_layout};
use half::f16;

/// How codes lie in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// 4 bits without a sign, 128 to a run: of lane q the inputs `32 c + 8 q + j`, input j
    /// in nibble `j / 2 + 4 (j % 2)` of word c. A scale and a minimum for each 32.
    Nibbles,
    /// 8 bits with a sign, 64 to a run: of lane q the inputs `16 g + 4 q + j`, byte j of
    /// word g. A scale for each 16.
    Bytes,
}

/// Lanes that read a run, and bytes of each.
const LANES: usize = 4;
const LANE_BYTES: usize = 16;

/// Weights for which [`PanelFormat::codes`] gives a scale.
pub(crate) const GROUP: usize = 16;

impl Coding {
    /// How a matrix of this format with `k` inputs is coded; `None` where its rows make no
    /// whole runs, and for a format that no coding holds: five bits with a minimum are too
    /// many for nibbles, and bytes have no minimum.
    pub fn of(format: Format, k: usize) -> Option<Self> {
        let coding = match format {
            Format::Q4K => Self::Nibbles,
            Format::Q3K
            | Format::Q5_0
            | Format::Q6K
            | Format::Q8_0
            | Format::Iq4Nl
            | Format::Iq4Xs
            | Format::Mxfp4
            | Format::Nvfp4 => Self::Bytes,
            Format::Q5K => return None,
        };
        let fits = k > 0 && k.is_multiple_of(coding.run()) && k.is_multiple_of(format.block());
        fits.then_some(coding)
    }

    /// Weights of a run.
    pub fn run(self) -> usize {
        match self {
            Self::Nibbles => 128,
            Self::Bytes => 64,
        }
    }

    /// Bytes of a run's codes.
    pub(crate) fn code_bytes(self) -> usize {
        LANES * LANE_BYTES
    }

    /// Bytes of a run's scales, and minima.
    pub(crate) fn scale_bytes(self) -> usize {
        match self {
            Self::Nibbles => 16,
            Self::Bytes => 8,
        }
    }

    /// Bytes of a matrix `[n, k]`.
    pub fn bytes(self, n: usize, k: usize) -> usize {
        n * (k / self.run() * (self.code_bytes() + self.scale_bytes()) + size_of::<f32>())
    }
}

/// Weights `[n, k]`, coded.
pub struct CodedMatrix {
    pub(crate) coding: Coding,
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// `[n][k / run][lane][16]`
    pub(crate) codes: Vec<u8>,
    /// `[n][k / run]`, halves: four pairs of scale and minimum, or four scales.
    pub(crate) scales: Vec<u8>,
    /// `[n]`
    pub(crate) factors: Vec<f32>,
}

impl CodedMatrix {
    /// Codes a matrix as GGUF has it, row after row.
    ///
    /// Panics unless [`Coding::of`] knows it and `file` is of the size that follows. Cost:
    /// one pass over the weights.
    pub fn new(format: Format, n: usize, k: usize, file: &[u8], executor: &dyn Executor) -> Self {
        let coding = Coding::of(format, k);
        let coding = coding.unwrap_or_else(|| panic!("{format:?} of {k} inputs has no coding"));
        let row_bytes = k / format.block() * format.block_bytes();
        assert_eq!(
            Some(file.len()),
            n.checked_mul(row_bytes),
            "bytes of [{n}, {k}] of {format:?}"
        );
        let runs = k / coding.run();
        let (row_codes, row_scales) = (runs * coding.code_bytes(), runs * coding.scale_bytes());
        let mut coded = Self {
            coding,
            n,
            k,
            codes: vec![0; n * row_codes],
            scales: vec![0; n * row_scales],
            factors: vec![0.0; n],
        };
        let codes = Shared(coded.codes.as_mut_ptr());
        let scales = Shared(coded.scales.as_mut_ptr());
        let factors = Shared(coded.factors.as_mut_ptr());
        executor.execute(n, &|rows| {
            let mut row_of = Row::new(k);
            for row in rows {
                let file = &file[row * row_bytes..][..row_bytes];
                with_layout!(format, F => row_of.read::<F>(file));
                // SAFETY: row `row` of each and no other, within the allocations.
                unsafe {
                    let codes = codes.get().add(row * row_codes);
                    let scales = scales.get().add(row * row_scales);
                    *factors.get().add(row) = row_of.write(
                        coding,
                        std::slice::from_raw_parts_mut(codes, row_codes),
                        std::slice::from_raw_parts_mut(scales, row_scales),
                    );
                }
            }
        });
        coded
    }

    /// The same with all numbers times `factor`, as NVFP4 has it beside the blocks.
    #[must_use]
    pub fn times(mut self, factor: f32) -> Self {
        self.factors.iter_mut().for_each(|own| *own *= factor);
        self
    }

    /// Rows, the columns of a product.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Columns, the length of the inner products.
    pub fn k(&self) -> usize {
        self.k
    }

    /// How its codes lie.
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// One weight: what the kernels' products are held against.
    pub fn weight(&self, row: usize, column: usize) -> f32 {
        let run = row * (self.k / self.coding.run()) + column / self.coding.run();
        let at = column % self.coding.run();
        let codes = &self.codes[run * self.coding.code_bytes()..];
        let scales = &self.scales[run * self.coding.scale_bytes()..];
        let half =
            |index: usize| f16::from_le_bytes([scales[2 * index], scales[2 * index + 1]]).to_f32();
        let value = match self.coding {
            Coding::Nibbles => {
                let (byte, shift) = nibble_place(at);
                let code = codes[byte] >> shift & 15;
                half(at / 32 * 2) * f32::from(code) - half(at / 32 * 2 + 1)
            }
            Coding::Bytes => half(at / GROUP) * f32::from(codes[byte_place(at)] as i8),
        };
        self.factors[row] * value
    }
}

/// Byte of a run, and the code's place in it.
fn nibble_place(at: usize) -> (usize, usize) {
    let (chunk, lane, j) = (at / 32, at % 32 / 8, at % 8);
    let nibble = j / 2 + 4 * (j % 2);
    (lane * LANE_BYTES + 4 * chunk + nibble / 2, nibble % 2 * 4)
}

/// Byte of a run.
fn byte_place(at: usize) -> usize {
    let (group, lane, j) = (at / GROUP, at % GROUP / 4, at % 4);
    lane * LANE_BYTES + 4 * group + j
}

/// A row on its way: its codes, and scale and minimum of each group.
struct Row {
    codes: Vec<i8>,
    scales: Vec<(f32, f32)>,
}

impl Row {
    fn new(k: usize) -> Self {
        Self {
            codes: vec![0; k],
            scales: vec![(0.0, 0.0); k / GROUP],
        }
    }

    fn read<F: PanelFormat>(&mut self, file: &[u8]) {
        let blocks = file.chunks_exact(F::BLOCK_BYTES);
        let codes = self.codes.chunks_exact_mut(F::BLOCK);
        let scales = self.scales.chunks_exact_mut(F::BLOCK / GROUP);
        for ((block, codes), scales) in blocks.zip(codes).zip(scales) {
            F::codes(block, codes, scales);
        }
    }

    /// Gives the row's factor.
    fn write(&self, coding: Coding, codes: &mut [u8], scales: &mut [u8]) -> f32 {
        // Every half is at most 1: none overflows, and one too small for a half is
        // nothing beside the largest.
        let sizes = self
            .scales
            .iter()
            .map(|(scale, minimum)| scale.abs().max(minimum.abs()));
        let factor = sizes.fold(0f32, f32::max);
        let factor = if factor > 0.0 { factor } else { 1.0 };
        let groups_a_scale = match coding {
            Coding::Nibbles => 2,
            Coding::Bytes => 1,
        };
        let halves = self
            .scales
            .iter()
            .step_by(groups_a_scale)
            .flat_map(|&(scale, minimum)| {
                let minimum = (coding == Coding::Nibbles).then_some(minimum);
                [Some(scale), minimum].into_iter().flatten()
            });
        for (to, half) in scales.chunks_exact_mut(2).zip(halves) {
            to.copy_from_slice(&f16::from_f32(half / factor).to_le_bytes());
        }
        let runs = self.codes.chunks_exact(coding.run());
        for (run, to) in runs.zip(codes.chunks_exact_mut(coding.code_bytes())) {
            for (at, &code) in run.iter().enumerate() {
                match coding {
                    Coding::Nibbles => {
                        let (byte, shift) = nibble_place(at);
                        to[byte] |= (code as u8 & 15) << shift;
                    }
                    Coding::Bytes => to[byte_place(at)] = code as u8,
                }
            }
        }
        factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::Inline;
    use crate::packed::PackedMatrix;

    /// A scale rounded to a half.
    const TOLERANCE: f32 = 1.0 / 2048.0;

    #[test]
    fn codes_stand_for_the_weights_of_the_file() {
        let (n, k) = (3, 512);
        for format in Format::ALL {
            if Coding::of(format, k).is_none() {
                assert_eq!(format, Format::Q5K, "which has no coding");
                continue;
            }
            let row_bytes = k / format.block() * format.block_bytes();
            let mut file: Vec<u8> = (0..n * row_bytes).map(|i| (i * 37 % 251) as u8).collect();
            let halves: &[usize] = match format {
                Format::Q3K => &[108],
                Format::Q4K | Format::Q5K => &[0, 2],
                Format::Q6K => &[208],
                Format::Q5_0 | Format::Q8_0 | Format::Iq4Nl | Format::Iq4Xs => &[0],
                Format::Mxfp4 | Format::Nvfp4 => &[],
            };
            for (i, block) in file.chunks_exact_mut(format.block_bytes()).enumerate() {
                for &at in halves {
                    let scale = f16::from_f32(0.001 * (1 + i % 7) as f32);
                    block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
                }
                if format == Format::Mxfp4 {
                    block[0] = 118 + (i % 7) as u8;
                }
            }
            let coded = CodedMatrix::new(format, n, k, &file, &Inline).times(3.0);
            let packed = PackedMatrix::pack(format, n, k, &file, &Inline).times(3.0);
            let mut row = vec![0f32; k];
            for r in 0..n {
                packed.row(r, &mut row);
                let largest = row.iter().fold(0f32, |most, w| most.max(w.abs()));
                for (c, &want) in row.iter().enumerate() {
                    let off = (coded.weight(r, c) - want).abs();
                    assert!(off <= TOLERANCE * largest, "{format:?} [{r}, {c}]: {off}");
                }
            }
            let bytes = coded.codes.len() + coded.scales.len() + 4 * coded.factors.len();
            assert_eq!(bytes, coded.coding().bytes(n, k));
        }
        assert_eq!(Coding::of(Format::Q8_0, 96), None);
    }
}
