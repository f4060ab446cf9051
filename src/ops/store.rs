//! Scatters new keys or values into the paged cache.
use super::BLOCK_SIZE;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};

/// Writes row `t` of `rows` to slot `slots[t]` of `cache`.
///
/// Shapes: `cache: [N, K, S, D]` f32, `rows: [T, K, D]` f32; a slot is
/// `block * S + offset`. Errors: shapes that do not fit, a slot past the cache.
pub fn store_kv(cache: &Tensor, rows: &Tensor, slots: &[u32]) -> Result<()> {
    let (n, k, s, d) = cache.dims4()?;
    let (t, rk, rd) = rows.dims3()?;
    if (rk, rd) != (k, d) || s != BLOCK_SIZE || t != slots.len() {
        bail!(
            "store_kv: cache [{n}, {k}, {s}, {d}], rows [{t}, {rk}, {rd}], {} slots",
            slots.len()
        );
    }
    if let Some(slot) = slots.iter().find(|&&slot| slot as usize >= n * s) {
        bail!("store_kv: slot {slot} of a cache of {} slots", n * s);
    }
    cache.inplace_op2(&rows.contiguous()?, &StoreKv { slots })
}

struct StoreKv<'a> {
    slots: &'a [u32],
}

impl InplaceOp2 for StoreKv<'_> {
    fn name(&self) -> &'static str {
        "store_kv"
    }

    fn cpu_fwd(
        &self,
        cache: &mut CpuStorage,
        cache_layout: &Layout,
        rows: &CpuStorage,
        rows_layout: &Layout,
    ) -> Result<()> {
        let (_, k, s, d) = cache_layout.shape().dims4()?;
        let CpuStorage::F32(cache) = cache else {
            bail!("store_kv: the cache is not f32")
        };
        let cache = &mut cache[cache_layout.start_offset()..];
        let rows = &rows.as_slice::<f32>()?[rows_layout.start_offset()..];
        for (row, &slot) in rows.chunks_exact(k * d).zip(self.slots) {
            let (block, offset) = (slot as usize / s, slot as usize % s);
            for (head, values) in row.chunks_exact(d).enumerate() {
                let at = ((block * k + head) * s + offset) * d;
                cache[at..at + d].copy_from_slice(values);
            }
        }
        Ok(())
    }
}
