//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864), split-half form.
use super::slice::host;
use candle_core::{CpuStorage, InplaceOp3, Layout, Result, Tensor, bail};

/// Turns `n_heads` heads of D from column 0 of `rows` on by each row's position,
/// in place: `(a, b) -> (a cos - b sin, b cos + a sin)` for the halves a, b of a head's
/// first R numbers.
///
/// Shapes: `rows: [T, width]` f32, `cos` and `sin: [T, R/2]`.
pub fn rotate(
    rows: &Tensor,
    n_heads: usize,
    head_dim: usize,
    cos: &Tensor,
    sin: &Tensor,
) -> Result<()> {
    let (t, width) = rows.dims2()?;
    let (ct, half) = cos.dims2()?;
    if ct != t || sin.dims() != cos.dims() || 2 * half > head_dim || n_heads * head_dim > width {
        bail!(
            "rotate: {n_heads} heads of {head_dim} of rows [{t}, {width}], cos {:?}, sin {:?}",
            cos.dims(),
            sin.dims()
        );
    }
    rows.inplace_op3(cos, sin, &Rotate { n_heads, head_dim })
}

struct Rotate {
    n_heads: usize,
    head_dim: usize,
}

impl InplaceOp3 for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn cpu_fwd(
        &self,
        rows: &mut CpuStorage,
        layout: &Layout,
        cos: &CpuStorage,
        cos_layout: &Layout,
        sin: &CpuStorage,
        sin_layout: &Layout,
    ) -> Result<()> {
        let (_, width) = layout.shape().dims2()?;
        let half = cos_layout.dims()[1];
        let (CpuStorage::F32(values), Some((start, end))) = (rows, layout.contiguous_offsets())
        else {
            bail!("rotate: rows that are not contiguous f32")
        };
        let angles = host(cos, cos_layout)?
            .chunks_exact(half)
            .zip(host(sin, sin_layout)?.chunks_exact(half));
        for (row, (cos, sin)) in values[start..end].chunks_exact_mut(width).zip(angles) {
            for head in row[..self.n_heads * self.head_dim].chunks_exact_mut(self.head_dim) {
                let (first, second) = head[..2 * half].split_at_mut(half);
                for i in 0..half {
                    let (a, b) = (first[i], second[i]);
                    first[i] = a * cos[i] - b * sin[i];
                    second[i] = b * cos[i] + a * sin[i];
                }
            }
        }
        Ok(())
    }
}
