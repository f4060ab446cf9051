//! Sizes of one layer's attention.
#[cfg(feature = "cuda")]
use egss_kernels::cuda::HeadCounts;

/// H, K, D and R.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    /// Numbers of a head that are turned.
    pub rotary_dims: usize,
}

#[cfg(feature = "cuda")]
impl From<Heads> for HeadCounts {
    fn from(heads: Heads) -> Self {
        Self {
            n_heads: heads.n_heads,
            n_kv_heads: heads.n_kv_heads,
            head_dim: heads.head_dim,
        }
    }
}
