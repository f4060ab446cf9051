//! Products of many rows, by cuBLAS.
use super::{Buffer, Gpu, Result, View, Weights};
use cudarc::cublas::result::gemm_ex;
use cudarc::cublas::sys::{cublasComputeType_t, cublasGemmAlgo_t, cublasOperation_t, cudaDataType};
use half::bf16;
use std::ffi::c_void;

impl Gpu {
    /// `x Wᵀ`: `x: [T, k]` to `[T, n]` f32, for any number of rows.
    pub fn product_by_library(
        &self,
        weights: Weights<'_>,
        x: View<'_, bf16>,
        rows: usize,
    ) -> Result<Buffer<f32>> {
        let Weights { values, n, k } = weights;
        assert!(
            rows > 0 && values.len() == n * k && x.len() == rows * k,
            "a product of [{rows}, {k}] with [{n}, {k}]"
        );
        let int = |n: usize| i32::try_from(n).expect("sizes of a step are below 2^31");
        let (alpha, beta) = (1f32, 0f32);
        let scalar = |value: &f32| std::ptr::from_ref(value).cast::<c_void>();
        // SAFETY: row-major [rows, n] = [rows, k] [n, k]ᵀ is, by columns, n x rows =
        // (k x n)ᵀ (k x rows); all of `y` is written, and the lengths were checked.
        unsafe {
            let y = self.uninit::<f32>(rows * n)?;
            self.stream.context().bind_to_thread()?;
            gemm_ex(
                *self.blas.handle(),
                cublasOperation_t::CUBLAS_OP_T,
                cublasOperation_t::CUBLAS_OP_N,
                int(n),
                int(rows),
                int(k),
                scalar(&alpha),
                values.pointer as *const c_void,
                cudaDataType::CUDA_R_16BF,
                int(k),
                x.pointer as *const c_void,
                cudaDataType::CUDA_R_16BF,
                int(k),
                scalar(&beta),
                y.view().pointer as *mut c_void,
                cudaDataType::CUDA_R_32F,
                int(n),
                cublasComputeType_t::CUBLAS_COMPUTE_32F,
                cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )?;
            Ok(y)
        }
    }
}
