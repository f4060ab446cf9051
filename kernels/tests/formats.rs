//! The weights of packed matrices, against plain readings of the files' blocks.
use egss_kernels::{Format, Inline, PANEL_ROWS, PackedMatrix};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// ggml's `kvalues_iq4nl` and `kvalues_mxfp4`.
const IQ4: [i32; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];
const E2M1_TWICE: [i32; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

fn half(bytes: &[u8]) -> f32 {
    half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// A block's weights, written down in the order in which the file has its bytes.
fn dequantised(format: Format, block: &[u8]) -> Vec<f32> {
    let mut weights = vec![f32::NAN; format.block()];
    match format {
        Format::Q4K | Format::Q5K => {
            let (d, dmin) = (half(block), half(&block[2..]));
            // As bits, least first: eight scales' six low bits and eight minima's are woven
            // into 12 bytes, whose last four hold both's low nibbles of the upper four.
            let s = &block[4..16];
            let (mut scales, mut minima) = ([0u8; 8], [0u8; 8]);
            for j in 0..4 {
                scales[j] = s[j] % 64;
                minima[j] = s[4 + j] % 64;
                scales[4 + j] = s[8 + j] % 16 + s[j] / 64 * 16;
                minima[4 + j] = s[8 + j] / 16 + s[4 + j] / 64 * 16;
            }
            let (fifths, nibbles) = match format {
                Format::Q5K => (Some(&block[16..48]), &block[48..176]),
                _ => (None, &block[16..144]),
            };
            for (j, &byte) in nibbles.iter().enumerate() {
                for (upper, nibble) in [byte % 16, byte / 16].into_iter().enumerate() {
                    let sub = j / 32 * 2 + upper;
                    let fifth = fifths.map_or(0, |bits| bits[j % 32] >> sub & 1);
                    let (scale, minimum) = (f32::from(scales[sub]), f32::from(minima[sub]));
                    let q = f32::from(nibble + 16 * fifth);
                    weights[32 * sub + j % 32] = d * scale * q - dmin * minimum;
                }
            }
        }
        Format::Q3K => {
            let (thirds, lows, packed) = (&block[..32], &block[32..96], &block[96..108]);
            let mut scales = [0i32; 16];
            for j in 0..8 {
                scales[j] = i32::from(packed[j] % 16);
                scales[8 + j] = i32::from(packed[j] / 16);
            }
            for (j, scale) in scales.iter_mut().enumerate() {
                *scale += i32::from(packed[8 + j % 4] >> (j / 4 * 2) & 3) * 16 - 32;
            }
            for (j, &byte) in lows.iter().enumerate() {
                for two in 0..4 {
                    let plane = j / 32 * 4 + two;
                    let at = plane * 32 + j % 32;
                    let low = i32::from(byte >> (2 * two) & 3);
                    let is_set = thirds[j % 32] & 1 << plane != 0;
                    let q = if is_set { low } else { low - 4 };
                    weights[at] = half(&block[108..]) * scales[at / 16] as f32 * q as f32;
                }
            }
        }
        Format::Q6K => {
            let (lows, highs, scales) = (&block[..128], &block[128..192], &block[192..208]);
            for (j, &byte) in lows.iter().enumerate() {
                for (upper, low) in [byte % 16, byte / 16].into_iter().enumerate() {
                    let (half_of, l) = (j / 64, j % 64);
                    let at = 128 * half_of + 64 * upper + l;
                    let high = highs[32 * half_of + l % 32] >> (4 * upper + l / 32 * 2) & 3;
                    let q = i32::from(low) + 16 * i32::from(high) - 32;
                    let scale = f32::from(scales[at / 16] as i8);
                    weights[at] = half(&block[208..]) * scale * q as f32;
                }
            }
        }
        Format::Q5_0 => {
            for (j, &byte) in block[6..].iter().enumerate() {
                for (at, low) in [(j, byte % 16), (j + 16, byte / 16)] {
                    let fifth = block[2 + at / 8] >> (at % 8) & 1;
                    weights[at] = half(block) * (i32::from(low + 16 * fifth) - 16) as f32;
                }
            }
        }
        Format::Q8_0 => {
            for (weight, &q) in weights.iter_mut().zip(&block[2..]) {
                *weight = half(block) * f32::from(q as i8);
            }
        }
        Format::Iq4Nl => {
            for (j, &byte) in block[2..].iter().enumerate() {
                weights[j] = half(block) * IQ4[usize::from(byte % 16)] as f32;
                weights[j + 16] = half(block) * IQ4[usize::from(byte / 16)] as f32;
            }
        }
        Format::Iq4Xs => {
            let highs = u16::from_le_bytes([block[2], block[3]]);
            for (j, &byte) in block[8..].iter().enumerate() {
                let sub = j / 16;
                let low = match sub % 2 {
                    0 => block[4 + sub / 2] % 16,
                    _ => block[4 + sub / 2] / 16,
                };
                let scale = i32::from(low) + 16 * i32::from(highs >> (2 * sub) & 3) - 32;
                let d = half(block) * scale as f32;
                weights[32 * sub + j % 16] = d * IQ4[usize::from(byte % 16)] as f32;
                weights[32 * sub + j % 16 + 16] = d * IQ4[usize::from(byte / 16)] as f32;
            }
        }
        Format::Mxfp4 => {
            // Exact in f64; an f32 rounds none that is not too large for it.
            let d = 2f64.powi(i32::from(block[0]) - 128);
            for (j, &byte) in block[1..].iter().enumerate() {
                let value = |index: u8| (d * f64::from(E2M1_TWICE[usize::from(index)])) as f32;
                weights[j] = value(byte % 16);
                weights[j + 16] = value(byte / 16);
            }
        }
        Format::Nvfp4 => {
            for (group, weights) in weights.chunks_exact_mut(16).enumerate() {
                let file = &block[group / 4 * 36..][..36];
                let (scale, codes) = (file[group % 4], &file[4 + group % 4 * 8..][..8]);
                // Any half of a quarter of the exponents, without a sign; none for NaN's code.
                let scale = match scale & 0x7f {
                    0x7f => 0.0,
                    scale => half::f16::from_bits(u16::from(scale) << 7).to_f32() * 256.0,
                };
                for (j, &byte) in codes.iter().enumerate() {
                    let value = |code: u8| 0.5 * scale * E2M1_TWICE[usize::from(code)] as f32;
                    weights[j] = value(byte % 16);
                    weights[j + 8] = value(byte / 16);
                }
            }
        }
    }
    weights
}

/// The halves of a block.
fn halves(format: Format) -> &'static [usize] {
    match format {
        Format::Q3K => &[108],
        Format::Q4K | Format::Q5K => &[0, 2],
        Format::Q6K => &[208],
        Format::Q5_0 | Format::Q8_0 | Format::Iq4Nl | Format::Iq4Xs => &[0],
        Format::Mxfp4 | Format::Nvfp4 => &[],
    }
}

#[test]
fn packed_weights_are_those_of_the_file_bit_by_bit() {
    // More rows than a panel, and no multiple of one.
    let (n, k) = (PANEL_ROWS + 5, 768);
    for format in Format::ALL {
        let mut rng = ChaCha8Rng::seed_from_u64(17);
        let mut file = vec![0; n * k / format.block() * format.block_bytes()];
        rng.fill_bytes(&mut file);
        for block in file.chunks_exact_mut(format.block_bytes()) {
            for &at in halves(format) {
                // Any half of either sign that is a number.
                let bits = (rng.next_u32() as u16) & 0xbfff;
                block[at..at + 2].copy_from_slice(&bits.to_le_bytes());
            }
        }
        let packed = PackedMatrix::pack(format, n, k, &file, &Inline);
        let panels = n.next_multiple_of(PANEL_ROWS);
        assert_eq!(packed.bytes(), file.len() / n * panels, "{format:?}");
        let want: Vec<f32> = file
            .chunks_exact(format.block_bytes())
            .flat_map(|block| dequantised(format, block))
            .collect();
        let mut row = vec![0f32; k];
        for (i, want) in want.chunks_exact(k).enumerate() {
            packed.row(i, &mut row);
            for (c, (got, want)) in row.iter().zip(want).enumerate() {
                let is_same = got == want || got.is_nan() && want.is_nan();
                assert!(is_same, "{format:?} [{i}, {c}]: {got} for {want}");
            }
        }
    }
}

/// Three blocks: bytes `(7 i² + 37 i + 101 j) mod 251`, with halves `(1 + j + at) / 512` at
/// their places and MXFP4's exponents 0, 122 and 200.
fn made(format: Format) -> Vec<u8> {
    let mut file = Vec::new();
    for j in 0..3 {
        let start = file.len();
        file.extend(
            (0..format.block_bytes()).map(|i| ((i * i * 7 + i * 37 + 101 * j) % 251) as u8),
        );
        let block = &mut file[start..];
        for &at in halves(format) {
            let value = half::f16::from_f32((1 + j + at) as f32 / 512.0);
            block[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        if format == Format::Mxfp4 {
            block[0] = [0, 122, 200][j];
        }
    }
    file
}

/// FNV-1a of 64 bits over the weights' bits, and some of the weights, as gguf-py 0.19 gives
/// them: `gguf.quants.dequantize` of [`made`].
#[allow(clippy::excessive_precision)] // every digit of what was printed
const OF_GGUF_PY: [(Format, u64, [f32; 7]); Format::ALL.len()] = [
    (
        Format::Q3K,
        0xbb1139d1f627380d,
        [
            13.412109375,
            -0.0,
            0.0,
            -3.83203125,
            13.625,
            -0.0,
            -25.1484375,
        ],
    ),
    (
        Format::Q4K,
        0xfbb725779882917f,
        [
            -0.064453125,
            -0.099609375,
            -0.1875,
            -0.29296875,
            -0.068359375,
            1.21875,
            -0.455078125,
        ],
    ),
    (
        Format::Q5_0,
        0x1488c27349b0015b,
        [
            -0.001953125,
            -0.01953125,
            -0.01953125,
            -0.01953125,
            -0.01953125,
            -0.046875,
            -0.01171875,
        ],
    ),
    (
        Format::Q5K,
        0xb2ae3e25718e85c6,
        [
            0.041015625,
            0.111328125,
            -0.029296875,
            -0.3515625,
            1.150390625,
            1.7578125,
            0.96875,
        ],
    ),
    (
        Format::Q6K,
        0x26039d232001d807,
        [
            627.0,
            820.48828125,
            355.544921875,
            14.287109375,
            414.734375,
            -48.3984375,
            64.2890625,
        ],
    ),
    (
        Format::Q8_0,
        0x66c682ce6714be21,
        [
            0.19921875,
            -0.07421875,
            0.115234375,
            -0.07421875,
            0.115234375,
            -0.21484375,
            0.1171875,
        ],
    ),
    (
        Format::Iq4Nl,
        0x21cb631d742cbe24,
        [
            -0.04296875,
            0.048828125,
            0.001953125,
            0.048828125,
            0.001953125,
            0.05078125,
            -0.287109375,
        ],
    ),
    (
        Format::Iq4Xs,
        0x338e2ecb98057c50,
        [
            -1.458984375,
            0.228515625,
            -1.458984375,
            3.310546875,
            -0.97265625,
            0.1171875,
            2.666015625,
        ],
    ),
    (
        Format::Mxfp4,
        0x87377efcdcedc2ec,
        [
            -1.1754943508222875e-38,
            2.350988701644575e-38,
            3.5264830524668625e-38,
            2.350988701644575e-38,
            3.5264830524668625e-38,
            -0.015625,
            1.888946593147858e+22,
        ],
    ),
    (
        Format::Nvfp4,
        0xa864520959c3f94e,
        [-0.0, -1.5, -1.125, 0.0, 624.0, 0.0, 1.5],
    ),
];

#[test]
fn packed_weights_are_those_of_gguf_py() {
    for (format, hash, some) in OF_GGUF_PY {
        let k = 3 * format.block();
        let packed = PackedMatrix::pack(format, 1, k, &made(format), &Inline);
        let mut row = vec![0f32; k];
        packed.row(0, &mut row);
        let block = format.block();
        let at = [0, 17, 31, block / 2 + 1, block - 1, block + 5, k - 2];
        assert_eq!(at.map(|at| row[at]), some, "{format:?}");
        let bytes = row.iter().flat_map(|weight| weight.to_le_bytes());
        let got = bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(got, hash, "{format:?}");
    }
}

/// FNV-1a, 64 bits.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Packed weights are kept in files. A change of a layout raises [`PackedMatrix::LAYOUT`],
/// and the new digests stand here.
#[test]
fn a_layout_that_changes_has_another_version() {
    let digests = Format::ALL.map(|format| {
        let (n, k) = (PANEL_ROWS + 3, 2 * 256);
        let len = n * k / format.block() * format.block_bytes();
        let mut file = vec![0; len];
        ChaCha8Rng::seed_from_u64(7).fill_bytes(&mut file);
        let packed = PackedMatrix::pack(format, n, k, &file, &Inline);
        assert_eq!(
            PackedMatrix::bytes_of(format, n, k),
            Some(packed.packed_bytes().len())
        );
        (format.name(), digest(packed.packed_bytes()))
    });
    let digests = digests
        .each_ref()
        .map(|(name, digest)| (name.as_str(), *digest));
    assert_eq!((PackedMatrix::LAYOUT, digests), (1, DIGESTS));
}

const DIGESTS: [(&str, u64); Format::ALL.len()] = [
    ("q3k", 0xbfc3_2265_ceaa_9e50),
    ("q4k", 0x8de4_365a_a416_3343),
    ("q5_0", 0x97ee_e3f2_0b72_9bed),
    ("q5k", 0x9f27_e47d_f0ff_2287),
    ("q6k", 0x5d11_73dc_a0b4_9af8),
    ("q8_0", 0xb66f_bfef_34d1_c839),
    ("iq4nl", 0xf6f9_5410_c05f_bd0d),
    ("iq4xs", 0x166c_798f_fa38_07a0),
    ("mxfp4", 0x1262_d648_15f1_c998),
    ("nvfp4", 0x017b_dffb_5321_4bbe),
];
