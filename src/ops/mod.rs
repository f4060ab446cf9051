//! Shape-checked custom ops. Each has a CPU path, which is the reference; a
//! device's own kernel is an addition behind the same op.
mod attention;
mod blocks;
mod store;

pub use attention::{AttentionSpan, paged_attention};
pub use blocks::copy_blocks;
pub use store::store_kv;

/// Token positions of one KV block, S.
///
/// 16 positions of one head at D = 128 are 8 KiB of f32: two pages, so that a
/// block is read in one streak, while a copy-on-write still moves little.
pub const BLOCK_SIZE: usize = 16;
