//! The KV cache: a pool of blocks (integers), block tables that share them
//! copy-on-write, the prefix cache that finds full blocks by their tokens, and
//! the tensors that hold the numbers.
mod integrity;
mod pool;
mod prefix;
mod storage;
mod table;

pub use pool::{BlockPool, PoolFull, PoolUse};
pub use storage::KvStorage;
pub use table::{AppendPlan, Attached, BlockTable};

pub use crate::ops::BLOCK_SIZE;
