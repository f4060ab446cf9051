//! Scatters new keys and values into the paged cache.
use super::BLOCK_SIZE;
use super::slice::host;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};

/// Writes each row's keys and values to its slot, `block * S + offset`.
///
/// Shapes: `keys: [N, K, D, S]`, `values: [N, K, S, Dv]` with Dv at least D, f32;
/// `rows: [T, width]` f32 with a row's K * D keys from `column` on and its values
/// behind them. Errors: shapes that do not fit, a slot past the cache.
pub fn store_kv(
    keys: &Tensor,
    values: &Tensor,
    rows: &Tensor,
    column: usize,
    slots: &[u32],
) -> Result<()> {
    let (n, k, d, s) = keys.dims4()?;
    let (vn, vk, vs, vd) = values.dims4()?;
    let (t, width) = rows.dims2()?;
    if (n, k, s) != (vn, vk, vs)
        || vd < d
        || s != BLOCK_SIZE
        || t != slots.len()
        || column + 2 * k * d > width
    {
        bail!(
            "store_kv: keys [{n}, {k}, {d}, {s}], values [{vn}, {vk}, {vs}, {vd}], rows \
             [{t}, {width}] from column {column}, {} slots",
            slots.len()
        );
    }
    if let Some(slot) = slots.iter().find(|&&slot| slot as usize >= n * s) {
        bail!("store_kv: slot {slot} of a cache of {} slots", n * s);
    }
    keys.inplace_op2(
        rows,
        &Store {
            slots,
            column,
            d,
            part: Part::Keys,
        },
    )?;
    let column = column + k * d;
    values.inplace_op2(
        rows,
        &Store {
            slots,
            column,
            d,
            part: Part::Values,
        },
    )
}

#[derive(Clone, Copy)]
enum Part {
    Keys,
    Values,
}

struct Store<'a> {
    slots: &'a [u32],
    column: usize,
    d: usize,
    part: Part,
}

impl InplaceOp2 for Store<'_> {
    fn name(&self) -> &'static str {
        "store_kv"
    }

    fn cpu_fwd(
        &self,
        cache: &mut CpuStorage,
        layout: &Layout,
        rows: &CpuStorage,
        rows_layout: &Layout,
    ) -> Result<()> {
        let (n, k, a, b) = layout.shape().dims4()?;
        let CpuStorage::F32(cache) = cache else {
            bail!("store_kv: the cache is not f32")
        };
        let cache = &mut cache[layout.start_offset()..][..n * k * a * b];
        let width = rows_layout.dims()[1];
        let rows = host(rows, rows_layout)?.chunks_exact(width);
        for (row, &slot) in rows.zip(self.slots) {
            let (block, offset) = (slot as usize / BLOCK_SIZE, slot as usize % BLOCK_SIZE);
            let row = &row[self.column..][..k * self.d];
            for (head, from) in row.chunks_exact(self.d).enumerate() {
                let to = &mut cache[(block * k + head) * a * b..][..a * b];
                match self.part {
                    Part::Values => to[offset * b..][..self.d].copy_from_slice(from),
                    Part::Keys => {
                        for (to, &from) in to[offset..].iter_mut().step_by(BLOCK_SIZE).zip(from) {
                            *to = from;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
