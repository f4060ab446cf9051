//! What is done to rows of activations between products.
use super::launch::{Arg, Grid};
use super::{Buffer, Gpu, Result, View};
use half::bf16;

/// Threads that share a row.
const ROW_THREADS: usize = 512;

impl Gpu {
    /// `x * weight / sqrt(mean(x²) + eps)`: `[T, E]` to bf16. Panics unless E is a
    /// multiple of 4.
    pub fn rms_norm_bf16(
        &self,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        eps: f32,
    ) -> Result<Buffer<bf16>> {
        // SAFETY: the kernel writes the whole of it.
        let y = unsafe { self.uninit(x.len())? };
        self.norm("rms_norm_bf16", x, weight, eps, (&y).into())?;
        Ok(y)
    }

    /// The same to f32.
    pub fn rms_norm(
        &self,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        eps: f32,
    ) -> Result<Buffer<f32>> {
        // SAFETY: the kernel writes the whole of it.
        let y = unsafe { self.uninit(x.len())? };
        self.norm("rms_norm_f32", x, weight, eps, (&y).into())?;
        Ok(y)
    }

    fn norm(
        &self,
        kernel: &str,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        eps: f32,
        y: Arg,
    ) -> Result<()> {
        let e = weight.len();
        assert!(
            e > 0 && e.is_multiple_of(4) && x.len().is_multiple_of(e),
            "a norm of {e} over {} values",
            x.len()
        );
        let args = [x.into(), weight.into(), y, Arg::int(e), Arg::Float(eps)];
        let grid = Grid {
            blocks: (x.len() / e, 1),
            threads: ROW_THREADS,
        };
        // SAFETY: whole rows of `e`, and `y` is as long as `x`.
        unsafe { self.launch(kernel, grid, &args) }
    }

    /// The nearest bf16 of each value.
    pub fn to_bf16(&self, x: View<'_, f32>) -> Result<Buffer<bf16>> {
        // SAFETY: the kernel writes all of `y`, and reads as much of `x`.
        unsafe {
            let y = self.uninit(x.len())?;
            let args = [x.into(), (&y).into(), Arg::int(x.len())];
            self.launch("to_bf16", all_of(x.len()), &args)?;
            Ok(y)
        }
    }

    /// `silu(gate) * up` of `x: [T, 2 F]`, gate before up, to `[T, F]`.
    pub fn silu_gate(&self, x: View<'_, f32>, f: usize) -> Result<Buffer<bf16>> {
        assert!(f > 0 && x.len().is_multiple_of(2 * f), "rows of 2 x {f}");
        let n = x.len() / 2;
        // SAFETY: as above.
        unsafe {
            let y = self.uninit(n)?;
            let args = [x.into(), (&y).into(), Arg::int(f), Arg::int(n)];
            self.launch("silu_gate", all_of(n), &args)?;
            Ok(y)
        }
    }

    /// `x + bias + onto`: `x: [T, n]` behind a library's product.
    pub fn finish_product(
        &self,
        x: View<'_, f32>,
        n: usize,
        bias: Option<View<'_, f32>>,
        onto: Option<View<'_, f32>>,
    ) -> Result<Buffer<f32>> {
        let total = x.len();
        assert!(
            n > 0
                && total.is_multiple_of(n)
                && bias.is_none_or(|bias| bias.len() == n)
                && onto.is_none_or(|onto| onto.len() == total),
            "rows of {n} in {total} values"
        );
        // SAFETY: as above.
        unsafe {
            let y = self.uninit(total)?;
            let args = [
                x.into(),
                Arg::optional(bias),
                Arg::optional(onto),
                (&y).into(),
                Arg::int(n),
                Arg::int(total),
            ];
            self.launch("finish_product", all_of(total), &args)?;
            Ok(y)
        }
    }

    /// Rows of `weights: [V, E]` by `ids: [T]`, to `[T, E]` f32. That ids are below V is
    /// the caller's to check.
    pub fn embed(
        &self,
        weights: View<'_, bf16>,
        e: usize,
        ids: View<'_, u32>,
    ) -> Result<Buffer<f32>> {
        assert!(e > 0 && weights.len().is_multiple_of(e), "rows of {e}");
        // SAFETY: as above; the ids are the caller's promise.
        unsafe {
            let y = self.uninit(ids.len() * e)?;
            let args = [weights.into(), ids.into(), (&y).into(), Arg::int(e)];
            let grid = Grid {
                blocks: (ids.len(), 1),
                threads: 256,
            };
            self.launch("embed", grid, &args)?;
            Ok(y)
        }
    }

    /// Rows `ids` of `x: [T, E]`. Panics where there is no such row.
    pub fn take_rows(&self, x: View<'_, f32>, e: usize, ids: &[u32]) -> Result<Buffer<f32>> {
        let t = x.len() / e;
        assert!(
            x.len() == t * e && ids.iter().all(|&id| (id as usize) < t),
            "rows {ids:?} of {t}"
        );
        let on_device = self.upload(ids)?;
        // SAFETY: as above.
        unsafe {
            let y = self.uninit(ids.len() * e)?;
            let args = [x.into(), (&on_device).into(), (&y).into(), Arg::int(e)];
            let grid = Grid {
                blocks: (ids.len(), 1),
                threads: 256,
            };
            self.launch("take_rows", grid, &args)?;
            Ok(y)
        }
    }
}

/// A grid for one value a thread, or a few.
fn all_of(n: usize) -> Grid {
    const THREADS: usize = 256;
    const BLOCKS_MAX: usize = 4_096;
    Grid {
        blocks: (n.div_ceil(THREADS).min(BLOCKS_MAX), 1),
        threads: THREADS,
    }
}
