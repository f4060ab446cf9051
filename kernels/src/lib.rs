//! The only crate of the project where `unsafe` may stand: SIMD kernels, memory,
//! and the sources of device kernels with what launches them (feature `cuda`).
//!
//! What is asked of a caller is checked at the doors, by asserts; behind them
//! everything goes by pointers. A kernel is one generic function over vectors of
//! sixteen lanes ([`simd`]), compiled for each [`Isa`]; which one runs is chosen
//! when the program runs.
//!
//! On a CPU nothing else in a batch changes a bit of a row: a product takes its sums in one
//! order for any number of rows, and attention merges its splits in order of position. Memory
//! is asked for before it is wanted, because a processor's own prefetching stops at pages and
//! does not follow a block table. Weights and caches lie in huge pages.
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]

mod attention;
mod bandwidth;
mod coded;
#[cfg(feature = "cuda")]
pub mod cuda;
mod dense;
mod executor;
mod format;
pub mod ggml;
mod isa;
mod lhs;
mod logits;
mod map;
mod memory;
mod packed;
mod product;
mod row;
mod scales;
mod simd;
mod tile;

pub use attention::{Attention, BLOCK_SIZE, HeadShape, Piece, SPLIT_BLOCKS, attend, value_dim};
pub use bandwidth::read_bandwidth;
pub use coded::{CodedMatrix, Coding};
pub use dense::{BlockScales, DenseFormat, DenseMatrix, FloatRows, multiply_dense};
pub use executor::{Executor, Inline};
pub use format::{Format, PANEL_ROWS};
pub use ggml::{BlockMatrix, GgmlType};
pub use isa::Isa;
pub use lhs::QuantizedRows;
pub use logits::{ExpMoments, exp_moments, exp_sum, top_two};
pub use map::{MappedBytes, WeightBytes};
pub use memory::{AlignedBytes, prefer_huge_pages};
pub use packed::PackedMatrix;
pub use product::{Part, multiply};
pub use row::{rms_norm, silu_gate};
pub use scales::Scales;
