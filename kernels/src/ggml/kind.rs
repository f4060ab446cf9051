//! The types by number and name.

use crate::format::Format;

/// A type of tensor in a GGUF file, as ggml numbers them.
#[allow(non_camel_case_types)] // The names are ggml's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GgmlType {
    F32,
    F16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q8_1,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    Q8_K,
    IQ2_XXS,
    IQ2_XS,
    IQ3_XXS,
    IQ1_S,
    IQ4_NL,
    IQ3_S,
    IQ2_S,
    IQ4_XS,
    I8,
    I16,
    I32,
    I64,
    F64,
    IQ1_M,
    BF16,
    TQ1_0,
    TQ2_0,
    MXFP4,
    NVFP4,
    Q1_0,
    Q2_0,
}

use GgmlType as T;

/// Each type's number in a file, name, weights of a block and bytes of a block.
///
/// Source: llama.cpp's `ggml.h` and `ggml-common.h`, and gguf-py's `constants.py`, which
/// gives Q8_1 the 40 bytes that it had before its scales were halves.
const TYPES: [(GgmlType, u32, &str, usize, usize); 35] = [
    (T::F32, 0, "F32", 1, 4),
    (T::F16, 1, "F16", 1, 2),
    (T::Q4_0, 2, "Q4_0", 32, 18),
    (T::Q4_1, 3, "Q4_1", 32, 20),
    (T::Q5_0, 6, "Q5_0", 32, 22),
    (T::Q5_1, 7, "Q5_1", 32, 24),
    (T::Q8_0, 8, "Q8_0", 32, 34),
    (T::Q8_1, 9, "Q8_1", 32, 36),
    (T::Q2_K, 10, "Q2_K", 256, 84),
    (T::Q3_K, 11, "Q3_K", 256, 110),
    (T::Q4_K, 12, "Q4_K", 256, 144),
    (T::Q5_K, 13, "Q5_K", 256, 176),
    (T::Q6_K, 14, "Q6_K", 256, 210),
    (T::Q8_K, 15, "Q8_K", 256, 292),
    (T::IQ2_XXS, 16, "IQ2_XXS", 256, 66),
    (T::IQ2_XS, 17, "IQ2_XS", 256, 74),
    (T::IQ3_XXS, 18, "IQ3_XXS", 256, 98),
    (T::IQ1_S, 19, "IQ1_S", 256, 50),
    (T::IQ4_NL, 20, "IQ4_NL", 32, 18),
    (T::IQ3_S, 21, "IQ3_S", 256, 110),
    (T::IQ2_S, 22, "IQ2_S", 256, 82),
    (T::IQ4_XS, 23, "IQ4_XS", 256, 136),
    (T::I8, 24, "I8", 1, 1),
    (T::I16, 25, "I16", 1, 2),
    (T::I32, 26, "I32", 1, 4),
    (T::I64, 27, "I64", 1, 8),
    (T::F64, 28, "F64", 1, 8),
    (T::IQ1_M, 29, "IQ1_M", 256, 56),
    (T::BF16, 30, "BF16", 1, 2),
    (T::TQ1_0, 34, "TQ1_0", 256, 54),
    (T::TQ2_0, 35, "TQ2_0", 256, 66),
    (T::MXFP4, 39, "MXFP4", 32, 17),
    (T::NVFP4, 40, "NVFP4", 64, 36),
    (T::Q1_0, 41, "Q1_0", 128, 18),
    (T::Q2_0, 42, "Q2_0", 64, 18),
];

/// Numbers that llama.cpp gave to types which it no longer reads.
const RETIRED: [(u32, &str); 8] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (36, "IQ4_NL_4_4"),
    (37, "IQ4_NL_4_8"),
    (38, "IQ4_NL_8_8"),
];

impl GgmlType {
    /// Every one, by ascending number.
    pub const ALL: [Self; TYPES.len()] = {
        let mut all = [T::F32; TYPES.len()];
        let mut i = 0;
        while i < all.len() {
            all[i] = TYPES[i].0;
            // A type's place in the table is its discriminant.
            assert!(TYPES[i].0 as usize == i);
            i += 1;
        }
        all
    };

    /// By its number in a file; `None` for one that is unknown or no longer in use.
    pub fn of_id(id: u32) -> Option<Self> {
        let found = TYPES.iter().find(|(_, known, ..)| *known == id);
        found.map(|(kind, ..)| *kind)
    }

    /// The name of a type that llama.cpp no longer reads, by its number.
    pub fn retired_name(id: u32) -> Option<&'static str> {
        let found = RETIRED.iter().find(|(known, _)| *known == id);
        found.map(|(_, name)| *name)
    }

    /// Its number in a file.
    pub fn id(self) -> u32 {
        TYPES[self as usize].1
    }

    /// Its name in llama.cpp: `Q4_K`.
    pub fn name(self) -> &'static str {
        TYPES[self as usize].2
    }

    /// Numbers of a block.
    pub fn block(self) -> usize {
        TYPES[self as usize].3
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        TYPES[self as usize].4
    }

    /// Weights that share a scale's byte in the 4-bit floats that safetensors have too.
    pub fn scaled_by(self) -> Option<usize> {
        match self {
            T::MXFP4 => Some(32),
            T::NVFP4 => Some(16),
            _ => None,
        }
    }

    /// How the kernels multiply rows of `k` of it at their own width, where they do.
    pub fn format(self, k: usize) -> Option<Format> {
        let format = match self {
            T::Q3_K => Format::Q3K,
            T::Q4_K => Format::Q4K,
            T::Q5_K => Format::Q5K,
            T::Q5_0 => Format::Q5_0,
            T::Q6_K => Format::Q6K,
            T::Q8_0 => Format::Q8_0,
            T::IQ4_NL => Format::Iq4Nl,
            T::IQ4_XS => Format::Iq4Xs,
            T::MXFP4 => Format::Mxfp4,
            T::NVFP4 => Format::Nvfp4,
            _ => return None,
        };
        // Several blocks of the file may be one of the format.
        k.is_multiple_of(format.block()).then_some(format)
    }
}
