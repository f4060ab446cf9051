//! What the device's memory gives.
use super::launch::{Arg, Grid};
use super::{Gpu, Result, View};
use half::bf16;
use std::time::Instant;

impl Gpu {
    /// Bytes a second that the device reads of `memory`, the best of five passes. Give a
    /// gigabyte: less lies in its cache.
    pub fn read_bandwidth(&self, memory: View<'_, bf16>) -> Result<f64> {
        let vectors = memory.len() / 8; // of 16 bytes
        let out = self.upload(&[0u32])?;
        let args = [memory.into(), (&out).into(), Arg::Size(vectors)];
        let grid = Grid {
            blocks: (8 * self.n_processors, 1),
            threads: 256,
        };
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            self.synchronize()?;
            let started = Instant::now();
            // SAFETY: as many vectors as there are; `out` holds one number.
            unsafe { self.launch("read_all", grid, &args)? };
            self.synchronize()?;
            best = best.min(started.elapsed().as_secs_f64());
        }
        Ok(16.0 * vectors as f64 / best)
    }
}
