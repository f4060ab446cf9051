//! How fast this machine reads memory.
use crate::Isa;
use crate::executor::Executor;
use crate::isa::dispatch;
use crate::memory::AlignedBytes;
use crate::simd::{LANES, Simd};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Bytes of one item of work.
const ITEM: usize = 4 << 20;

/// Bytes a second that all threads together read from memory: the best of
/// `passes` over `bytes` bytes, which should be far more than the caches hold.
pub fn read_bandwidth(isa: Isa, bytes: usize, passes: usize, executor: &dyn Executor) -> f64 {
    let mut memory = AlignedBytes::zeroed(bytes.next_multiple_of(ITEM));
    // Pages that nothing was written to are all one page.
    memory.fill(1);
    let seen = AtomicU64::new(0);
    let mut best = 0f64;
    for _ in 0..passes {
        let started = Instant::now();
        executor.execute(memory.len() / ITEM, &|items| {
            for item in items {
                let bytes = &memory[item * ITEM..(item + 1) * ITEM];
                // SAFETY: whole vectors.
                let largest = unsafe { dispatch!(isa, read(bytes: &[u8]) -> f32) };
                seen.fetch_add(u64::from(largest.to_bits()), Ordering::Relaxed);
            }
        });
        best = best.max(memory.len() as f64 / started.elapsed().as_secs_f64());
    }
    black_box(seen.into_inner());
    best
}

/// # Safety
/// The processor has what `S` stands for; `bytes` is a multiple of 256.
#[inline(always)]
unsafe fn read<S: Simd>(bytes: &[u8]) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let mut all = [S::zero(); 4];
        for line in bytes.chunks_exact(4 * 4 * LANES) {
            for (i, all) in all.iter_mut().enumerate() {
                *all = S::or(*all, S::load(line.as_ptr().add(i * 4 * LANES)));
            }
        }
        let [a, b, c, d] = all;
        S::sum(S::to_float(S::or(S::or(a, b), S::or(c, d))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::Inline;

    #[test]
    fn memory_is_read_at_some_speed() {
        for isa in Isa::all() {
            let speed = read_bandwidth(isa, 8 << 20, 2, &Inline);
            assert!(speed > 1e6 && speed < 1e13, "{speed} bytes/s");
        }
    }
}
