//! The threads that the kernels run on.
use candle_core::utils::barrier_pool;
use egss_kernels::Executor;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// candle's pool: its own products run there, and a second pool whose idle
/// workers spin would fight it for the cores.
pub struct Pool;

/// Parts that a thread's fair share of what is left is taken in: whoever is slower than the
/// others leaves them little to wait for at the end.
const PARTS_OF_SHARE: usize = 4;

impl Executor for Pool {
    fn execute(&self, n_items: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        // Waking the others costs more than they could help.
        if n_items <= 1 {
            return work(0..n_items);
        }
        let pool = barrier_pool();
        let n_parts = PARTS_OF_SHARE * (pool.n_workers() + 1);
        let next = AtomicUsize::new(0);
        pool.execute(|_| {
            let end_of = |start: usize| start + ((n_items - start) / n_parts).max(1);
            let taken = |start: usize| (start < n_items).then(|| end_of(start));
            // Nothing but the work itself is handed over, by the pool.
            let take = || next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
            while let Ok(start) = take() {
                work(start..end_of(start));
            }
        });
    }
}
