//! Shape-checked custom ops. Each has a CPU path, which is the reference; a
//! device's own kernel is an addition behind the same op.
mod attention;
mod backend;
mod blocks;
mod cache;
mod composite;
#[cfg(feature = "cuda")]
mod device;
mod feed_forward;
mod full;
mod heads;
mod latent;
mod matrix;
mod mix;
mod mixture;
mod norm;
mod plan;
mod projection;
mod recordings;
mod rotary;
mod router;
mod row;
mod rows;
mod slice;
mod step;
mod store;

pub use attention::paged_attention;
pub use backend::{Backend, BackendError, ExpertsPlace, Launches, MatrixDtype, Operations};
pub use blocks::{copy_blocks, zeroed_cache};
pub use cache::{Cache, CacheShape, LayerCache};
pub use feed_forward::feed_forward;
pub use full::is_out_of_memory;
pub use heads::Heads;
pub use latent::LatentAttention;
pub use matrix::Matrix;
pub use mix::mix;
pub use mixture::{Expert, Mixture};
pub use norm::{HeadNorms, RmsNorm, normalise_heads};
pub use plan::{AttentionPlan, AttentionSpan};
pub use projection::{Input, Projection};
pub use recordings::Recordings;
pub use rotary::rotate;
pub use row::{LogitsRow, RowDraw, read_rows};
pub use rows::Rows;
pub use step::{Angles, Step};
pub use store::store_kv;

pub use egss_kernels::value_dim;

/// Token positions of one KV block, S.
///
/// A vector of the CPU's kernels holds one dimension of 16 positions; 16 positions
/// of one head at D = 128 are 8 KiB of f32: two pages, so that a block is read in
/// one streak, while a copy-on-write still moves little.
pub const BLOCK_SIZE: usize = egss_kernels::BLOCK_SIZE;
