//! Memory for weights and caches: aligned, zeroed, in huge pages where the
//! system gives them.
use memmap2::MmapMut;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
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
    owner: Owner,
}

/// Who gives the memory back.
enum Owner {
    Heap(Layout),
    /// Pages of the system's, which are zero until they are written to.
    Pages(#[expect(dead_code, reason = "kept for its drop")] MmapMut),
}

// SAFETY: it owns its memory, as a `Box<[u8]>` does.
unsafe impl Send for AlignedBytes {}
// SAFETY: shared, it only gives out `&[u8]`.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    /// `len` zero bytes; of huge pages if there are that many. Cost: none for such, as the
    /// system clears a page when it is first touched, on the thread that touches it.
    pub fn zeroed(len: usize) -> Self {
        if len >= HUGE_PAGE
            && let Ok(mut pages) = MmapMut::map_anon(len + HUGE_PAGE)
        {
            let skipped = pages.as_ptr().align_offset(HUGE_PAGE);
            let start = NonNull::from(&mut pages[skipped..][..len]).cast();
            // SAFETY: the map's own bytes.
            unsafe { advise_huge_pages(start.as_ptr(), len) };
            let owner = Owner::Pages(pages);
            return Self { start, len, owner };
        }
        let layout = Layout::from_size_align(len.max(1), ALIGN).expect("sizes below isize::MAX");
        // SAFETY: the layout is not of size zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        let owner = Owner::Heap(layout);
        Self { start, len, owner }
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

impl From<&[u8]> for AlignedBytes {
    fn from(from: &[u8]) -> Self {
        let mut bytes = Self::zeroed(from.len());
        bytes.copy_from_slice(from);
        bytes
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
        if let Owner::Heap(layout) = self.owner {
            // SAFETY: allocated with this layout, freed once.
            unsafe { dealloc(self.start.as_ptr(), layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_aligned_zero_and_as_many_as_asked_for() {
        for len in [0, 1, 63, 4096, HUGE_PAGE - 1, HUGE_PAGE, 3 * HUGE_PAGE + 5] {
            let mut bytes = AlignedBytes::zeroed(len);
            assert_eq!(bytes.len(), len);
            let align = if len < HUGE_PAGE { ALIGN } else { HUGE_PAGE };
            assert_eq!(bytes.as_ptr().align_offset(align), 0, "{len}");
            assert!(bytes.iter().all(|&byte| byte == 0), "{len}");
            bytes.fill(7);
            let copy = AlignedBytes::from(&*bytes);
            drop(bytes);
            assert!(copy.len() == len && copy.iter().all(|&byte| byte == 7));
        }
    }
}
