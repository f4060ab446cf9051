//! Attention of one layer, from projected rows to mixed values: heads normalised where
//! the model has that, turned, stored, then looked at.
#[cfg(feature = "cuda")]
use super::Heads;
use super::composite::mix_composite;
#[cfg(feature = "cuda")]
use super::device::{DeviceRows, gpu_error, with_view};
use super::norm::HeadNorms;
#[cfg(feature = "cuda")]
use super::step::Angles;
use super::step::On;
use super::{LayerCache, Rows, Step, normalise_heads, paged_attention, rotate, store_kv};
use candle_core::Result;
#[cfg(feature = "cuda")]
use egss_kernels::cuda::{GpuPlan, HeadNorms as DeviceNorms, Turn, View, bf16};

/// Writes keys and values of `qkv: [T, (H + 2 K) D]`, queries before keys before values,
/// to their slots, and attends: `[T, H D]`. `qkv` is changed or not, as suits the device.
pub fn mix(
    qkv: &Rows,
    step: &Step,
    norms: Option<&HeadNorms>,
    cache: LayerCache<'_>,
) -> Result<Rows> {
    let heads = step.heads;
    match (qkv, &step.on, cache) {
        (Rows::Tensor(qkv), On::Tensors { cos, sin }, LayerCache::Tensors(keys, values)) => {
            if let Some(norms) = norms {
                normalise_heads(qkv, 0, heads.n_heads, &norms.queries)?;
                normalise_heads(qkv, heads.n_heads, heads.n_kv_heads, &norms.keys)?;
            }
            let n_turned = heads.n_heads + heads.n_kv_heads;
            rotate(qkv, n_turned, heads.head_dim, cos, sin)?;
            let first_key = heads.n_heads * heads.head_dim;
            store_kv(keys, values, qkv, first_key, &step.slots)?;
            let mixed = paged_attention(qkv, heads.n_heads, keys, values, &step.plan)?;
            Ok(mixed.into())
        }
        (
            Rows::Tensor(qkv),
            On::Composite { cos, sin, step },
            LayerCache::Tensors(keys, values),
        ) => {
            let mixed = mix_composite(qkv, heads, step, (cos, sin), norms, (keys, values));
            Ok(mixed?.into())
        }
        #[cfg(feature = "cuda")]
        (Rows::Device(qkv), On::Device { plan, angles }, LayerCache::Device(keys, values)) => {
            let block = heads.n_kv_heads * super::BLOCK_SIZE * heads.head_dim;
            let n_slots = keys.len() / block.max(1) * super::BLOCK_SIZE;
            if let Some(slot) = step.slots.iter().find(|&&slot| slot as usize >= n_slots) {
                candle_core::bail!("slot {slot} of a cache of {n_slots} slots");
            }
            on_device(qkv, heads, (plan, angles), norms, (keys, values))
        }
        #[cfg(feature = "cuda")]
        _ => candle_core::bail!("rows, a step and a cache of different devices"),
    }
}

#[cfg(feature = "cuda")]
fn on_device(
    qkv: &DeviceRows,
    heads: Heads,
    (plan, angles): (&GpuPlan, &Angles),
    norms: Option<&HeadNorms>,
    (keys, values): (View<'_, bf16>, View<'_, bf16>),
) -> Result<Rows> {
    let gpu = &qkv.gpu;
    let turned = |norms: Option<DeviceNorms<'_>>| {
        with_view(gpu, &angles.cos, |cos| {
            with_view(gpu, &angles.sin, |sin| {
                let turn = Turn {
                    cos,
                    sin,
                    positions: plan.positions(),
                    slots: plan.kv_slots(),
                    norms,
                };
                let q = gpu.turn_and_store(heads.into(), qkv.floats()?, turn, keys, values);
                q.map_err(gpu_error)
            })
        })??
    };
    let q = match norms {
        None => turned(None)?,
        Some(HeadNorms { queries, keys }) => with_view(gpu, queries.weight(), |q| {
            with_view(gpu, keys.weight(), |k| {
                turned(Some(DeviceNorms {
                    queries: q,
                    keys: k,
                    eps: queries.eps(),
                }))
            })
        })???,
    };
    let mixed = gpu
        .attend(plan, q.view(), keys, values)
        .map_err(gpu_error)?;
    let width = heads.n_heads * heads.head_dim;
    Ok(Rows::Device(DeviceRows::bf16(gpu, mixed, width)))
}
