//! Projections of the kernels' own matrices against plain ones.
use super::*;
use crate::checkpoint::{Weight, candle_type};
use crate::ops::Backend;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device};
use egss_kernels::{AlignedBytes, BlockMatrix, GgmlType, WeightBytes};
use std::sync::Arc;

/// A share of the largest product: the left side is rounded to 8 bits of the
/// largest value in its block.
const TOLERANCE: f32 = 0.02;

/// Numbers in `[-1, 1)` that look random, the same each time.
fn numbers<S: Into<Shape>>(seed: u32, shape: S) -> Result<Tensor> {
    let shape = shape.into();
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let numbers: Vec<f32> = (0..shape.elem_count()).map(|_| next()).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu)
}

/// Weights as a file has them, and what they stand for.
fn weights(n: usize, k: usize, dtype: GgmlDType) -> Result<(Matrix, Tensor)> {
    let plain = numbers(dtype as u32, (n, k))?;
    let quantised = QTensor::quantize(&plain, dtype)?;
    let stands_for = quantised.dequantize(&Device::Cpu)?;
    let mut kinds = GgmlType::ALL.into_iter();
    let kind = kinds.find(|kind| candle_type(*kind) == Some(dtype));
    let kind = kind.expect("a type of GGUF's");
    let blocks = WeightBytes::Owned(AlignedBytes::from(&*quantised.data()?));
    let weight = Weight::Blocks(Arc::new(BlockMatrix::new(kind, n, k, blocks)));
    Ok((Matrix::new(weight, &Backend::cpu())?, stands_for))
}

#[test]
#[cfg_attr(feature = "composite", ignore = "of the kernels")]
fn packed_matrices_of_two_kinds_of_scales_give_what_plain_ones_give() -> Result<()> {
    let (k, n, t) = (256, 24, 5);
    let (mut packed, mut plain) = (Vec::new(), Vec::new());
    for dtype in [
        GgmlDType::Q4K,
        GgmlDType::Q8_0,
        GgmlDType::Q6K,
        GgmlDType::Q5_0,
        GgmlDType::Q3K,
        GgmlDType::Q5K,
    ] {
        let (matrix, stands_for) = weights(n, k, dtype)?;
        assert!(matches!(matrix, Matrix::Packed(_)));
        let bias = numbers(1, n)?;
        packed.push((matrix, Some(bias.clone())));
        let stands_for = Matrix::new(Weight::Plain(stands_for), &Backend::cpu())?;
        plain.push((stands_for, Some(bias)));
    }
    let (packed, plain) = (Projection::new(packed)?, Projection::new(plain)?);
    let norm = RmsNorm::new(numbers(2, k)?, 1e-6);
    let onto = numbers(3, (t, 6 * n))?;
    for (input, width) in [
        (Input::Plain, k),
        (Input::Normed(&norm), k),
        (Input::Gated, 2 * k),
    ] {
        let x = numbers(4, (t, width))?;
        for onto in [None, Some(&onto)] {
            let want = plain.forward_tensor(&x, input, onto)?;
            let off = (packed.forward_tensor(&x, input, onto)? - &want)?.abs()?;
            let size = want.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
            let off = off.flatten_all()?.max(0)?.to_scalar::<f32>()? / size;
            assert!(off < TOLERANCE, "{off}");
        }
    }
    Ok(())
}

#[test]
#[cfg_attr(feature = "composite", ignore = "of the kernels")]
fn matrices_of_16_bit_floats_beside_others_give_what_plain_ones_give() -> Result<()> {
    // No whole vectors in the last: norm and gate go another way there.
    for (k, n, t) in [(256, 24, 5), (64, 9, 1), (40, 7, 3)] {
        let (mut kept, mut widened) = (Vec::new(), Vec::new());
        for (seed, dtype) in [(5, DType::BF16), (6, DType::F16)] {
            let weight = Weight::Plain(numbers(seed, (n, k))?.to_dtype(dtype)?);
            let matrix = Matrix::new(weight.clone(), &Backend::cpu())?;
            assert!(matches!(matrix, Matrix::Dense(_)));
            assert_eq!(matrix.bytes(), 2 * n * k);
            let bias = numbers(seed + 2, n)?;
            kept.push((matrix, Some(bias.clone())));
            widened.push((Matrix::new(weight, &Backend::composite())?, Some(bias)));
        }
        if k.is_multiple_of(256) {
            let (matrix, stands_for) = weights(n, k, GgmlDType::Q6K)?;
            kept.push((matrix, None));
            let stands_for = Weight::Plain(stands_for);
            widened.push((Matrix::new(stands_for, &Backend::cpu())?, None));
        }
        let n_all: usize = n * kept.len();
        let (kept, widened) = (Projection::new(kept)?, Projection::new(widened)?);
        let norm = RmsNorm::new(numbers(2, k)?, 1e-6);
        let onto = numbers(3, (t, n_all))?;
        for (input, width) in [
            (Input::Plain, k),
            (Input::Normed(&norm), k),
            (Input::Gated, 2 * k),
        ] {
            let x = numbers(4, (t, width))?;
            for onto in [None, Some(&onto)] {
                let want = widened.forward_tensor(&x, input, onto)?;
                let off = (kept.forward_tensor(&x, input, onto)? - &want)?.abs()?;
                let size = want.abs()?.max_all()?.to_scalar::<f32>()?;
                let of_floats = off.narrow(1, 0, 2 * n)?.max_all()?.to_scalar::<f32>()?;
                assert!(of_floats / size < 1e-5, "{of_floats} of {size} over {k}");
                let all = off.max_all()?.to_scalar::<f32>()?;
                assert!(all / size < TOLERANCE, "{all} of {size} over {k}");
            }
        }
    }
    Ok(())
}

#[test]
fn rows_of_16_bit_floats_are_those_of_the_file() -> Result<()> {
    for dtype in [DType::BF16, DType::F16] {
        let stored = numbers(9, (24, 33))?.to_dtype(dtype)?;
        let matrix = Matrix::new(Weight::Plain(stored.clone()), &Backend::cpu())?;
        let rows = matrix.rows(&[23, 0, 7], &Device::Cpu)?;
        let want = stored.index_select(&Tensor::new(&[23u32, 0, 7], &Device::Cpu)?, 0)?;
        let want = want.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        assert_eq!(rows.tensor()?.to_vec2::<f32>()?, want);
        assert!(matrix.rows(&[24], &Device::Cpu).is_err());
    }
    Ok(())
}

#[test]
#[cfg_attr(feature = "composite", ignore = "of the kernels")]
fn a_width_that_is_asked_for_is_kept() -> Result<()> {
    let bytes = |dtype: DType, asked: &str| -> Result<usize> {
        let weight = Weight::Plain(numbers(1, (4, 16))?.to_dtype(dtype)?);
        let backend = Backend::cpu()
            .with_dtype(asked)
            .map_err(candle_core::Error::wrap)?;
        Ok(Matrix::new(weight, &backend)?.bytes() / 64)
    };
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        assert_eq!(bytes(dtype, "f32")?, 4);
        assert_eq!(bytes(dtype, "bf16")?, 2);
        assert_eq!(bytes(dtype, "auto")?, dtype.size_in_bytes());
    }
    Ok(())
}

#[test]
fn rows_of_packed_matrices_are_those_of_the_file() -> Result<()> {
    for dtype in [
        GgmlDType::Q4K,
        GgmlDType::Q8_0,
        GgmlDType::Q6K,
        GgmlDType::Q5_0,
        GgmlDType::Q3K,
        GgmlDType::Q5K,
    ] {
        let (matrix, stands_for) = weights(24, 256, dtype)?;
        let rows = matrix.rows(&[23, 0, 7], &Device::Cpu)?;
        let rows = rows.tensor()?;
        let want = stands_for.index_select(&Tensor::new(&[23u32, 0, 7], &Device::Cpu)?, 0)?;
        let off = (rows - want)?
            .abs()?
            .flatten_all()?
            .max(0)?
            .to_scalar::<f32>()?;
        assert!(off < 1e-6, "{dtype:?}: {off}");
        assert!(matrix.rows(&[24], &Device::Cpu).is_err());
    }
    Ok(())
}
