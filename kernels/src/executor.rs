//! Who runs a kernel's parts.
use std::ops::Range;

/// Something that runs independent items, perhaps on several threads.
pub trait Executor: Sync {
    /// Calls `work` on ranges that cover `0..n_items` once each, and returns when
    /// all of them are done.
    fn execute(&self, n_items: usize, work: &(dyn Fn(Range<usize>) + Sync));
}

/// Everything in one go on the calling thread.
pub struct Inline;

impl Executor for Inline {
    fn execute(&self, n_items: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        work(0..n_items);
    }
}

/// A pointer that parts of one kernel write through, each to places of its own.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T>(pub(crate) *mut T);

// SAFETY: whoever makes one sees to it that no two parts touch one place.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The pointer. A method, so that closures capture the whole and not the field.
    pub(crate) fn get(&self) -> *mut T {
        self.0
    }
}
