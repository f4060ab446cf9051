//! Memory for weights and caches: aligned, zeroed, in huge pages where the
//! system gives them.
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A huge page of x86-64 and AArch64. A stream of weights touches a new page of
/// 4 KiB every few hundred nanoseconds; with these the page tables stay cached.
const HUGE_PAGE: usize = 2 << 20;
/// A cache line, and a vector.
const ALIGN: usize = 64;

/// Bytes at an address that is a multiple of 64, zero at first.
pub struct AlignedBytes {
    start: NonNull<u8>,
    len: usize,
    layout: Layout,
}

// SAFETY: it owns its memory, as a `Box<[u8]>` does.
unsafe impl Send for AlignedBytes {}
// SAFETY: shared, it only gives out `&[u8]`.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    /// `len` zero bytes; of several huge pages if there are that many.
    pub fn zeroed(len: usize) -> Self {
        let align = if len >= HUGE_PAGE { HUGE_PAGE } else { ALIGN };
        let layout = Layout::from_size_align(len.max(1), align).expect("sizes below isize::MAX");
        // SAFETY: the layout is not of size zero.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        // Advice comes before the first write, which is what takes the pages.
        #[cfg(target_os = "linux")]
        if len >= HUGE_PAGE {
            // SAFETY: whole pages within the allocation. Advice may be refused,
            // which changes nothing but speed.
            unsafe {
                libc::madvise(
                    start.as_ptr().cast(),
                    len & !(HUGE_PAGE - 1),
                    libc::MADV_HUGEPAGE,
                )
            };
        }
        // SAFETY: `size` bytes from there on are this allocation's.
        unsafe { start.as_ptr().write_bytes(0, layout.size()) };
        Self { start, len, layout }
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` bytes, initialised, owned, live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for AlignedBytes {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, freed once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
