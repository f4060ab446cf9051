//! Runs of weights whose products are summed up times a scale for each row of the panel.
use crate::simd::{Run, Simd};

/// The weights of a run.
pub(super) trait Pairs<S: Simd> {
    /// As [`Run::pair`].
    ///
    /// # Safety
    /// The processor has what `S` stands for, and the weights are in place.
    unsafe fn pair(&self, pair: usize) -> [S::Int; 2];
}

/// A run whose inner products are added to `sums` times `scale`.
pub(super) struct Scaled<'a, S: Simd, P, const ROWS: usize> {
    pub(super) weights: P,
    /// First value of the inner product with each row of the left side, `[ROWS]`; null for 0.
    pub(super) starts: *const i32,
    pub(super) scale: S::Float,
    pub(super) sums: &'a mut [S::Float; ROWS],
}

impl<S: Simd, P: Pairs<S>, const ROWS: usize> Run<S> for Scaled<'_, S, P, ROWS> {
    #[inline(always)]
    unsafe fn start(&self, row: usize) -> S::Int {
        // SAFETY: the caller's promises.
        unsafe {
            match self.starts.is_null() {
                true => S::zero(),
                false => S::splat(*self.starts.add(row)),
            }
        }
    }

    #[inline(always)]
    unsafe fn pair(&self, pair: usize) -> [S::Int; 2] {
        // SAFETY: the caller's promises.
        unsafe { self.weights.pair(pair) }
    }

    #[inline(always)]
    unsafe fn done(&mut self, row: usize, dot: S::Int) {
        let sum = &mut self.sums[row];
        // SAFETY: the caller's promise.
        *sum = unsafe { S::mul_add(S::to_float(dot), self.scale, *sum) };
    }
}
