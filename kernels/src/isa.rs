//! Which of a kernel's forms this processor runs.

/// A set of vector instructions that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Whatever the program was built for; runs everywhere.
    Portable,
    /// AVX-512 F, BW, VL and VNNI. Made by [`Isa::best`] alone, which has asked the
    /// processor.
    #[non_exhaustive]
    Avx512,
}

impl Isa {
    /// The fastest that this processor has.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
        {
            return Self::Avx512;
        }
        Self::Portable
    }

    /// All that this processor has, the portable one first.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        if Self::best() != Self::Portable {
            all.push(Self::best());
        }
        all
    }
}

/// Runs a kernel in the form for `$isa`: `dispatch!(isa, kernel(a: A, b: B) -> C)` calls
/// `kernel::<Portable>(a, b)` or, with its features on, `kernel::<Avx512>(a, b)`.
///
/// The call must stand in an unsafe block; that the processor has the features is
/// promised by [`Isa::best`].
macro_rules! dispatch {
    ($isa:expr, $kernel:ident ($($name:ident : $type:ty),* $(,)?) $(-> $out:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
        unsafe fn avx512($($name: $type),*) $(-> $out)? {
            // SAFETY: the caller's promise.
            unsafe { $kernel::<crate::simd::Avx512>($($name),*) }
        }
        match $isa {
            crate::Isa::Portable => $kernel::<crate::simd::Portable>($($name),*),
            #[cfg(target_arch = "x86_64")]
            crate::Isa::Avx512 => avx512($($name),*),
            #[cfg(not(target_arch = "x86_64"))]
            crate::Isa::Avx512 => unreachable!("no processor of this kind has it"),
        }
    }};
}
pub(crate) use dispatch;
