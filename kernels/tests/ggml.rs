//! GGUF's types against gguf-py, on random blocks that scripts/dump_gguf_types.py wrote.
use egss_kernels::{AlignedBytes, BlockMatrix, DenseFormat, GgmlType, Inline, WeightBytes};

/// Blocks of a type and the numbers that they stand for.
struct Reference {
    kind: GgmlType,
    blocks: Vec<u8>,
    numbers: Vec<f32>,
}

fn references() -> Vec<Reference> {
    let file = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/ggml_types.bin"
    ));
    let file = file.unwrap();
    let mut rest = file.as_slice();
    let mut take = |len: usize| rest.split_off(..len);
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let mut references = Vec::new();
    while let Some(id) = take(4).map(word) {
        let kind = GgmlType::of_id(id).unwrap();
        let n_blocks = word(take(4).unwrap()) as usize;
        let n_numbers = word(take(4).unwrap()) as usize;
        assert_eq!(n_numbers, n_blocks * kind.block(), "{}", kind.name());
        let blocks = take(n_blocks * kind.block_bytes()).unwrap().to_vec();
        let numbers = take(4 * n_numbers).unwrap().as_chunks().0;
        references.push(Reference {
            kind,
            blocks,
            numbers: numbers.iter().map(|v| f32::from_le_bytes(*v)).collect(),
        });
    }
    references
}

/// The bits of a number; the same for all that are none.
fn bits(number: f32) -> u32 {
    if number.is_nan() {
        f32::NAN.to_bits()
    } else {
        number.to_bits()
    }
}

#[test]
fn every_type_has_the_numbers_of_gguf_py_bit_for_bit() {
    let references = references();
    let kinds: Vec<GgmlType> = references.iter().map(|reference| reference.kind).collect();
    assert_eq!(kinds, GgmlType::ALL, "a type has no reference");
    for Reference {
        kind,
        blocks,
        numbers,
    } in references
    {
        let mut got = vec![0f32; numbers.len()];
        kind.dequantize(&blocks, &mut got);
        let differs = (0..got.len()).find(|&i| bits(got[i]) != bits(numbers[i]));
        let shown = differs.map(|i| (i, got[i], numbers[i]));
        assert_eq!(shown, None, "{}: index, ours, gguf-py's", kind.name());
    }
}

#[test]
fn types_go_by_the_numbers_and_names_of_ggml() {
    for kind in GgmlType::ALL {
        assert_eq!(GgmlType::of_id(kind.id()), Some(kind));
        assert_eq!(format!("{kind:?}"), kind.name());
        assert_eq!(GgmlType::retired_name(kind.id()), None);
    }
    let unknown = |id| (GgmlType::of_id(id), GgmlType::retired_name(id));
    assert_eq!(unknown(31), (None, Some("Q4_0_4_4")));
    assert_eq!(unknown(4), (None, Some("Q4_2")));
    assert_eq!(unknown(43), (None, None));
    assert_eq!(unknown(u32::MAX), (None, None));
}

fn matrix(kind: GgmlType, n: usize, k: usize, blocks: &[u8]) -> BlockMatrix {
    let mut bytes = AlignedBytes::zeroed(blocks.len());
    bytes.copy_from_slice(blocks);
    BlockMatrix::new(kind, n, k, WeightBytes::Owned(bytes))
}

#[test]
fn a_matrix_of_blocks_widens_row_by_row() {
    // Q8_0: a scale of 1/4 and codes that count up.
    let mut blocks = Vec::new();
    for row in 0..3u8 {
        blocks.extend(0x3400u16.to_le_bytes());
        blocks.extend((0..32).map(|i| 32 * row + i));
    }
    let weights = matrix(GgmlType::Q8_0, 3, 32, &blocks);
    let want: Vec<f32> = (0..96).map(|i| i as f32 / 4.0).collect();
    assert_eq!(weights.to_f32(&Inline), want);
    let mut row = [0f32; 32];
    weights.row(2, &mut row);
    assert_eq!(row, want[64..]);
    for format in DenseFormat::ALL {
        let dense = weights.to_dense(format, &Inline).unwrap();
        assert_eq!(
            (dense.n(), dense.k(), dense.format()),
            (3, 32, Some(format))
        );
        assert_eq!(dense.to_f32(), want);
    }
}

#[test]
fn what_is_too_large_for_a_half_is_said() {
    // MXFP4: 6 times two to the power of 20.
    let mut blocks = [0x77u8; 17];
    blocks[0] = 127 + 20;
    let weights = matrix(GgmlType::MXFP4, 1, 32, &blocks);
    assert!(weights.to_dense(DenseFormat::F16, &Inline).is_none());
    let wide = weights.to_dense(DenseFormat::Bf16, &Inline).unwrap();
    assert_eq!(wide.to_f32(), [6.0 * 1_048_576.0; 32]);
}

#[test]
#[should_panic(expected = "17 bytes for 32 numbers of Q4_0")]
fn blocks_of_another_size_are_refused() {
    GgmlType::Q4_0.dequantize(&[0; 17], &mut [0.0; 32]);
}

/// Codes and scales as safetensors have them against what they stand for by their formats'
/// definitions (OCP Microscaling Formats v1.0; NVFP4: E4M3 for each 16).
#[test]
fn codes_in_pairs_become_the_blocks_of_a_file() {
    const E2M1: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let (n, k) = (3, 256);
    let codes: Vec<u8> = (0..n * k / 2).map(|i| (i * 37 + i / 64) as u8).collect();
    for (kind, group) in [(GgmlType::MXFP4, 32), (GgmlType::NVFP4, 16)] {
        let scales: Vec<u8> = (0..n * k / group).map(|i| (100 + i % 20) as u8).collect();
        let worth = |scale: u8| match kind {
            GgmlType::MXFP4 => 2f32.powi(i32::from(scale) - 127),
            _ => half::f16::from_bits(u16::from(scale) << 7).to_f32() * 256.0,
        };
        let blocks = BlockMatrix::of_pairs(kind, (n, k), &codes, &scales, &Inline).times(0.25);
        let packed = blocks.packed(blocks.format().unwrap(), &Inline);
        let widened = blocks.to_f32(&Inline);
        let mut row = vec![0f32; k];
        for (i, &got) in widened.iter().enumerate() {
            let code = codes[i / 2] >> (4 * (i % 2)) & 15;
            let value = E2M1[usize::from(code & 7)] * worth(scales[i / group]) * 0.25;
            let want = if code < 8 { value } else { -value };
            assert_eq!(got, want, "{kind:?} {i}");
            if i % k == 0 {
                packed.row(i / k, &mut row);
            }
            assert_eq!(row[i % k], want, "{kind:?} {i}, packed");
        }
    }
    // 64 columns are a block of the file, but none of the kernels'.
    let few = BlockMatrix::of_pairs(GgmlType::NVFP4, (1, 64), &codes[..32], &[56; 4], &Inline);
    assert_eq!(few.format(), None);
}
