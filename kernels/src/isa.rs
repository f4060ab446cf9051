//! Which of a kernel's forms this processor runs.

/// A set of vector instructions that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Whatever the program was built for; runs everywhere.
    Portable,
    /// AVX2, FMA and F16C. Made by [`Isa::all`] and [`Isa::best`] alone, which have asked
    /// the processor.
    #[non_exhaustive]
    Avx2,
    /// AVX-512 F, BW, VL and VNNI. Made as [`Isa::Avx2`] is.
    #[non_exhaustive]
    Avx512,
}

impl Isa {
    /// The fastest that this processor has.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx512() {
                return Self::Avx512;
            }
            if has_avx2() {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// All that this processor has, the portable one first.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(has_avx2().then_some(Self::Avx2));
            all.extend(has_avx512().then_some(Self::Avx512));
        }
        all
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

/// Runs a kernel in the form for `$isa`: `dispatch!(isa, kernel(a: A, b: B) -> C)` calls
/// `kernel::<Portable>(a, b)` or, with their features on, `kernel::<Avx2>(a, b)` or
/// `kernel::<Avx512>(a, b)`.
///
/// The call must stand in an unsafe block; that the processor has the features is
/// promised by [`Isa::best`].
macro_rules! dispatch {
    ($isa:expr, $kernel:ident ($($name:ident : $type:ty),* $(,)?) $(-> $out:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn avx2($($name: $type),*) $(-> $out)? {
            // SAFETY: the caller's promise.
            unsafe { $kernel::<crate::simd::Avx2>($($name),*) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
        unsafe fn avx512($($name: $type),*) $(-> $out)? {
            // SAFETY: the caller's promise.
            unsafe { $kernel::<crate::simd::Avx512>($($name),*) }
        }
        match $isa {
            crate::Isa::Portable => $kernel::<crate::simd::Portable>($($name),*),
            #[cfg(target_arch = "x86_64")]
            crate::Isa::Avx2 => avx2($($name),*),
            #[cfg(target_arch = "x86_64")]
            crate::Isa::Avx512 => avx512($($name),*),
            #[cfg(not(target_arch = "x86_64"))]
            crate::Isa::Avx2 | crate::Isa::Avx512 => unreachable!("no processor of this kind has it"),
        }
    }};
}
pub(crate) use dispatch;
