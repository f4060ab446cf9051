//! Matrices of quantised weights, at about the width of their files.
use super::launch::{Arg, Grid};
use super::product::{PRODUCT_ROWS_MAX, TILE};
use super::{Buffer, Gpu, Result, View};
use crate::coded::{CodedMatrix, Coding};
use cudarc::driver::CudaSlice;
use half::bf16;

/// A coded matrix `[n, k]` in device memory.
pub struct CodedWeights {
    coding: Coding,
    n: usize,
    k: usize,
    codes: CudaSlice<u8>,
    scales: CudaSlice<u8>,
    factors: CudaSlice<f32>,
}

impl CodedWeights {
    /// `(n, k)`.
    pub fn dims(&self) -> (usize, usize) {
        (self.n, self.k)
    }

    /// Bytes of device memory.
    pub fn bytes(&self) -> usize {
        self.coding.bytes(self.n, self.k)
    }

    fn kernel(&self, nibbles: &'static str, bytes: &'static str) -> &'static str {
        match self.coding {
            Coding::Nibbles => nibbles,
            Coding::Bytes => bytes,
        }
    }
}

impl Gpu {
    /// Copies a matrix.
    pub fn upload_coded(&self, matrix: &CodedMatrix) -> Result<CodedWeights> {
        Ok(CodedWeights {
            coding: matrix.coding,
            n: matrix.n,
            k: matrix.k,
            codes: self.held(&matrix.codes)?,
            scales: self.held(&matrix.scales)?,
            factors: self.held(&matrix.factors)?,
        })
    }

    /// Matrices of as many inputs under one another: neighbours of one coding become one.
    pub fn stack_coded(&self, parts: Vec<CodedWeights>) -> Result<Vec<CodedWeights>> {
        let is_alike = |a: &CodedWeights, b: &CodedWeights| a.coding == b.coding;
        let lengths: Vec<usize> = parts.chunk_by(is_alike).map(<[_]>::len).collect();
        let mut parts = parts.into_iter();
        let mut stacked = Vec::with_capacity(lengths.len());
        for length in lengths {
            let run: Vec<CodedWeights> = parts.by_ref().take(length).collect();
            stacked.push(self.joined_coded(run)?);
        }
        Ok(stacked)
    }

    fn joined_coded(&self, mut run: Vec<CodedWeights>) -> Result<CodedWeights> {
        if run.len() == 1 {
            return Ok(run.remove(0));
        }
        let (coding, k) = (run[0].coding, run[0].k);
        assert!(run.iter().all(|part| part.k == k), "several widths");
        Ok(CodedWeights {
            coding,
            n: run.iter().map(|part| part.n).sum(),
            k,
            codes: self.joined(run.iter().map(|part| &part.codes))?,
            scales: self.joined(run.iter().map(|part| &part.scales))?,
            factors: self.joined(run.iter().map(|part| &part.factors))?,
        })
    }

    /// `x Wᵀ + bias + onto` for `parts` under one another: `x: [rows, k]` to `[rows, n]` f32,
    /// for any number of rows.
    ///
    /// Panics unless everything fits. Cost: each weight is read once for each 32 rows.
    pub fn product_coded(
        &self,
        parts: &[&CodedWeights],
        x: View<'_, bf16>,
        rows: usize,
        bias: Option<View<'_, f32>>,
        onto: Option<View<'_, f32>>,
    ) -> Result<Buffer<f32>> {
        let (k, n) = (parts[0].k, parts.iter().map(|part| part.n).sum::<usize>());
        assert!(
            parts.iter().all(|part| part.k == k)
                && x.len() == rows * k
                && bias.is_none_or(|bias| bias.len() == n)
                && onto.is_none_or(|onto| onto.len() == rows * n),
            "a product of [{rows}, {k}] with {} matrices, [{n}, {k}]",
            parts.len()
        );
        // SAFETY: each part's kernels write its columns of all rows, and together they are
        // all of `y`; lengths were checked.
        unsafe {
            let y = self.uninit(rows * n)?;
            let mut column = 0;
            for part in parts {
                let columns = column..column + part.n;
                for first in (0..rows).step_by(PRODUCT_ROWS_MAX) {
                    let t = PRODUCT_ROWS_MAX.min(rows - first);
                    let kernel = match t {
                        0..=8 => part.kernel("nibbles_8", "bytes_8"),
                        9..=16 => part.kernel("nibbles_16", "bytes_16"),
                        _ => part.kernel("nibbles_32", "bytes_32"),
                    };
                    // From the first row's first output to the last one's last.
                    let outputs = first * n + columns.start..(first + t - 1) * n + columns.end;
                    let tail = [
                        x.slice(first * k..(first + t) * k).into(),
                        Arg::optional(bias.map(|bias| bias.slice(columns.clone()))),
                        Arg::optional(onto.map(|onto| onto.slice(outputs.clone()))),
                        y.view().slice(outputs).into(),
                    ];
                    self.launch_coded(kernel, part.n.div_ceil(TILE), part, tail, t, n)?;
                }
                column = columns.end;
            }
            Ok(y)
        }
    }

    /// `silu(x Gᵀ) * (x Uᵀ)` for `weights` of G over U: `x: [rows, k]` to `[rows, n / 2]`.
    ///
    /// Panics unless there are at most [`PRODUCT_ROWS_MAX`] rows and everything fits.
    pub fn product_gated_coded(
        &self,
        weights: &CodedWeights,
        x: View<'_, bf16>,
        rows: usize,
    ) -> Result<Buffer<bf16>> {
        let (n, k) = weights.dims();
        assert!(
            (1..=PRODUCT_ROWS_MAX).contains(&rows) && x.len() == rows * k && n.is_multiple_of(2),
            "a gated product of [{rows}, {k}] with [{n}, {k}]"
        );
        let kernel = match rows {
            0..=8 => weights.kernel("nibbles_gated_8", "bytes_gated_8"),
            9..=16 => weights.kernel("nibbles_gated_16", "bytes_gated_16"),
            _ => weights.kernel("nibbles_gated_32", "bytes_gated_32"),
        };
        let blocks = (n / 2).div_ceil(TILE);
        let none = || Arg::optional(None::<View<'_, f32>>);
        // SAFETY: the kernel writes the whole of `y`.
        unsafe {
            let y = self.uninit(rows * n / 2)?;
            let tail = [x.into(), none(), none(), (&y).into()];
            self.launch_coded(kernel, blocks, weights, tail, rows, n / 2)?;
            Ok(y)
        }
    }

    /// All weights of `parts`, under one another, as bf16: `[n, k]`.
    pub fn unpack(&self, parts: &[&CodedWeights]) -> Result<Buffer<bf16>> {
        let k = parts[0].k;
        assert!(parts.iter().all(|part| part.k == k), "several widths");
        let n: usize = parts.iter().map(|part| part.n).sum();
        // SAFETY: each part writes its rows, and together they are all.
        unsafe {
            let all = self.uninit::<bf16>(n * k)?;
            let mut row = 0;
            for part in parts {
                let kernel = part.kernel("unpack_nibbles", "unpack_bytes");
                let to = all.view().slice(row * k..(row + part.n) * k);
                let every = Arg::optional(None::<View<'_, u32>>);
                self.launch_unpack(kernel, part, every, to.into(), part.n)?;
                row += part.n;
            }
            Ok(all)
        }
    }

    /// Rows by `ids: [T]`, `[T, k]`. That ids are below n is the caller's to check.
    pub fn embed_coded(&self, weights: &CodedWeights, ids: View<'_, u32>) -> Result<Buffer<f32>> {
        let kernel = weights.kernel("embed_nibbles", "embed_bytes");
        // SAFETY: the kernel writes the whole of `y`; the ids are the caller's promise.
        unsafe {
            let y = self.uninit::<f32>(ids.len() * weights.k)?;
            self.launch_unpack(kernel, weights, ids.into(), (&y).into(), ids.len())?;
            Ok(y)
        }
    }

    /// # Safety
    /// `tail` is x, bias, onto and y of this product, as long as the kernel takes them.
    unsafe fn launch_coded(
        &self,
        kernel: &str,
        blocks: usize,
        weights: &CodedWeights,
        [x, bias, onto, y]: [Arg; 4],
        rows: usize,
        stride: usize,
    ) -> Result<()> {
        let [codes, scales, factors] = self.arrays(weights);
        let sizes = [weights.n, weights.k, rows, stride].map(Arg::int);
        let [n, k, t, stride] = sizes;
        let args = [codes, scales, factors, x, bias, onto, y, n, k, t, stride];
        let grid = Grid {
            blocks: (blocks, 1),
            threads: 256,
        };
        // SAFETY: the caller's promise.
        unsafe { self.launch(kernel, grid, &args) }
    }

    /// # Safety
    /// `to` has room for `rows` rows, which `ids` names where it is there.
    unsafe fn launch_unpack(
        &self,
        kernel: &str,
        weights: &CodedWeights,
        ids: Arg,
        to: Arg,
        rows: usize,
    ) -> Result<()> {
        const THREADS: usize = 256;
        const BLOCKS_MAX: usize = 8_192;
        let units = rows * (weights.k / weights.coding.run()) * 4;
        let [codes, scales, factors] = self.arrays(weights);
        let (k, n_units) = (Arg::int(weights.k), Arg::Size(units));
        let args = [codes, scales, factors, ids, to, k, n_units];
        let grid = Grid {
            blocks: (units.div_ceil(THREADS).min(BLOCKS_MAX), 1),
            threads: THREADS,
        };
        // SAFETY: the caller's promise.
        unsafe { self.launch(kernel, grid, &args) }
    }

    fn arrays(&self, weights: &CodedWeights) -> [Arg; 3] {
        [
            self.view(&weights.codes.as_view()).into(),
            self.view(&weights.scales.as_view()).into(),
            self.view(&weights.factors.as_view()).into(),
        ]
    }
}
