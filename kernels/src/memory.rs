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
        // SAFETY: the allocation's own bytes.
        unsafe { advise_huge_pages(start.as_ptr(), len) };
        // SAFETY: `size` bytes from there on are this allocation's.
        unsafe { start.as_ptr().write_bytes(0, layout.size()) };
        Self { start, len, layout }
    }
}

/// Asks for huge pages under memory that nothing was written to yet: writing is what
/// takes the pages. Memory of less than a few of them stays as it is; so does all of it
/// where the system has none to give, which changes nothing but speed.
pub fn prefer_huge_pages(memory: &[f32]) {
    // SAFETY: a slice's own bytes.
    unsafe { advise_huge_pages(memory.as_ptr().cast(), size_of_val(memory)) };
}

/// # Safety
/// `len` bytes at `start` are allocated.
unsafe fn advise_huge_pages(start: *const u8, len: usize) {
    #[cfg(target_os = "linux")]
    {
        let skipped = start.align_offset(HUGE_PAGE);
        let len = len.saturating_sub(skipped) & !(HUGE_PAGE - 1);
        if len > 0 {
            // SAFETY: whole huge pages within the allocation; the advice changes no byte.
            unsafe {
                libc::madvise(
                    start.add(skipped).cast_mut().cast(),
                    len,
                    libc::MADV_HUGEPAGE,
                )
            };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, len);
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
