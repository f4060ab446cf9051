//! The threads that the kernels run on.
use egss_kernels::Executor;
use std::ops::Range;

/// candle's pool: its own products run there, and a second pool whose idle
/// workers spin would fight it for the cores.
pub struct Pool;

impl Executor for Pool {
    fn execute(&self, n_items: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        match n_items {
            // Waking the others costs more than they could help.
            1 => work(0..1),
            n => candle_core::utils::barrier_pool().execute_chunked(n, work),
        }
    }
}
