//! Shape-checked custom ops. Each has a CPU path, which is the reference; a
//! device's own kernel is an addition behind the same op.
mod attention;
mod blocks;
mod matrix;
mod norm;
mod plan;
mod pool;
mod projection;
mod rotary;
mod row;
mod slice;
mod store;

pub use attention::paged_attention;
pub use blocks::{copy_blocks, zeroed_cache};
pub use matrix::Matrix;
pub use norm::RmsNorm;
pub use plan::{AttentionPlan, AttentionSpan};
pub use pool::{Pool, read_bandwidth};
pub use projection::{Input, Projection};
pub use rotary::rotate;
pub use row::{LogitsRow, read_rows};
pub use store::store_kv;

pub use egss_kernels::value_dim;

/// Token positions of one KV block, S.
///
/// A vector of the CPU's kernels holds one dimension of 16 positions; 16 positions
/// of one head at D = 128 are 8 KiB of f32: two pages, so that a block is read in
/// one streak, while a copy-on-write still moves little.
pub const BLOCK_SIZE: usize = egss_kernels::BLOCK_SIZE;
