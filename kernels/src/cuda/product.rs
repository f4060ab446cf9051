//! Products of few rows with a matrix.
use super::launch::{Arg, Grid};
use super::{Buffer, Gpu, Result, View};
use half::bf16;

/// Rows of one product at most; from there on a library's product is as good.
pub const PRODUCT_ROWS_MAX: usize = 32;

/// Outputs of a tile.
pub(super) const TILE: usize = 16;

/// Inputs come in multiples of this.
const CHUNK: usize = 32;

/// A matrix `[n, k]` in device memory.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// Row after row.
    pub values: View<'a, bf16>,
    pub n: usize,
    /// A multiple of 32.
    pub k: usize,
}

impl Gpu {
    /// True where the kernels can take a matrix of `k` inputs.
    pub fn takes_inputs(k: usize) -> bool {
        k > 0 && k.is_multiple_of(CHUNK)
    }

    /// `x Wᵀ + bias + onto`: `x: [T, k]` to `[T, n]` f32.
    ///
    /// Panics unless T is at most [`PRODUCT_ROWS_MAX`] and everything fits.
    /// Cost: each weight is read once for all rows.
    pub fn product(
        &self,
        weights: Weights<'_>,
        x: View<'_, bf16>,
        rows: usize,
        bias: Option<View<'_, f32>>,
        onto: Option<View<'_, f32>>,
    ) -> Result<Buffer<f32>> {
        let Weights { n, k, .. } = weights;
        assert!(
            fits(weights, x, rows)
                && bias.is_none_or(|bias| bias.len() == n)
                && onto.is_none_or(|onto| onto.len() == rows * n),
            "a product of [{rows}, {k}] with [{n}, {k}]"
        );
        // Two tiles a thread block read x half as often; one fills the device sooner.
        let wide = n >= 4 * TILE * self.n_processors;
        let kernel = match (wide, rows) {
            (false, 0..=8) => "product_8",
            (false, 9..=16) => "product_16",
            (false, _) => "product_32",
            (true, 0..=8) => "product_wide_8",
            (true, 9..=16) => "product_wide_16",
            (true, _) => "product_wide_32",
        };
        let tiles = if wide { 2 } else { 1 };
        let blocks = n.div_ceil(tiles * TILE);
        // SAFETY: the kernel writes the whole of `y`; lengths were checked above.
        unsafe {
            let y = self.uninit(rows * n)?;
            self.launch_product(kernel, blocks, weights, x, rows, bias, onto, (&y).into())?;
            Ok(y)
        }
    }

    /// `silu(x Gᵀ) * (x Uᵀ)` for `weights` of G over U: `x: [T, k]` to `[T, n / 2]`.
    ///
    /// Panics and cost: as [`Gpu::product`]; n is even.
    pub fn product_gated(
        &self,
        weights: Weights<'_>,
        x: View<'_, bf16>,
        rows: usize,
    ) -> Result<Buffer<bf16>> {
        let Weights { n, k, .. } = weights;
        assert!(
            fits(weights, x, rows) && n.is_multiple_of(2),
            "a gated product of [{rows}, {k}] with [{n}, {k}]"
        );
        let kernel = match rows {
            0..=8 => "product_gated_8",
            9..=16 => "product_gated_16",
            _ => "product_gated_32",
        };
        let blocks = (n / 2).div_ceil(TILE);
        // SAFETY: as above.
        unsafe {
            let y = self.uninit(rows * n / 2)?;
            self.launch_product(kernel, blocks, weights, x, rows, None, None, (&y).into())?;
            Ok(y)
        }
    }

    /// # Safety
    /// Lengths fit, and `y` is what the kernel writes.
    #[allow(clippy::too_many_arguments)]
    unsafe fn launch_product(
        &self,
        kernel: &str,
        blocks: usize,
        weights: Weights<'_>,
        x: View<'_, bf16>,
        rows: usize,
        bias: Option<View<'_, f32>>,
        onto: Option<View<'_, f32>>,
        y: Arg,
    ) -> Result<()> {
        let args = [
            weights.values.into(),
            x.into(),
            Arg::optional(bias),
            Arg::optional(onto),
            y,
            Arg::int(weights.n),
            Arg::int(weights.k),
            Arg::int(rows),
        ];
        let grid = Grid {
            blocks: (blocks, 1),
            threads: 256,
        };
        // SAFETY: the caller's promise.
        unsafe { self.launch(kernel, grid, &args) }
    }
}

fn fits(weights: Weights<'_>, x: View<'_, bf16>, rows: usize) -> bool {
    let Weights { values, n, k } = weights;
    (1..=PRODUCT_ROWS_MAX).contains(&rows)
        && Gpu::takes_inputs(k)
        && values.len() == n * k
        && x.len() == rows * k
}
