//! What happens to one row between products.
use crate::Isa;
use crate::isa::dispatch;
use crate::simd::{LANES, Simd, exp};

/// `out = x * weight / sqrt(mean(x²) + eps)`; lengths are equal multiples of 16.
///
/// Source: Zhang and Sennrich 2019 (arXiv 1910.07467).
pub fn rms_norm(isa: Isa, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    check(x.len(), weight.len(), out.len());
    // SAFETY: equal lengths, whole vectors.
    unsafe { dispatch!(isa, rms_norm_as(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32])) }
}

/// `out = gate * sigmoid(gate) * up`; lengths are equal multiples of 16.
pub fn silu_gate(isa: Isa, gate: &[f32], up: &[f32], out: &mut [f32]) {
    check(gate.len(), up.len(), out.len());
    // SAFETY: equal lengths, whole vectors.
    unsafe { dispatch!(isa, silu_gate_as(gate: &[f32], up: &[f32], out: &mut [f32])) }
}

fn check(a: usize, b: usize, out: usize) {
    assert!(
        a == b && b == out && a.is_multiple_of(LANES),
        "rows of {a}, {b} and {out} values"
    );
}

/// # Safety
/// The processor has what `S` stands for; lengths are equal multiples of 16.
#[inline(always)]
unsafe fn rms_norm_as<S: Simd>(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut squares = S::zero_f();
        for x in x.chunks_exact(LANES) {
            let x = S::load_f(x.as_ptr());
            squares = S::mul_add(x, x, squares);
        }
        let mean = S::sum(squares) / x.len() as f32;
        let scale = S::splat_f(1.0 / (mean + eps).sqrt());
        for i in (0..x.len()).step_by(LANES) {
            let x = S::mul(S::load_f(x.as_ptr().add(i)), scale);
            S::store_f(
                out.as_mut_ptr().add(i),
                S::mul(x, S::load_f(weight.as_ptr().add(i))),
            );
        }
    }
}

/// # Safety
/// The processor has what `S` stands for; lengths are equal multiples of 16.
#[inline(always)]
unsafe fn silu_gate_as<S: Simd>(gate: &[f32], up: &[f32], out: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe {
        let one = S::splat_f(1.0);
        for i in (0..gate.len()).step_by(LANES) {
            let g = S::load_f(gate.as_ptr().add(i));
            let sigmoid = S::div(one, S::add(one, exp::<S>(S::sub(S::zero_f(), g))));
            let gated = S::mul(S::mul(g, sigmoid), S::load_f(up.as_ptr().add(i)));
            S::store_f(out.as_mut_ptr().add(i), gated);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few roundings of f32.
    const TOLERANCE: f64 = 1e-6;

    fn values(n: usize, seed: usize) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * 37 + seed * 101) % 211) as f32 / 13.0 - 8.0)
            .collect()
    }

    #[test]
    fn rms_norm_equals_its_formula_in_f64() {
        let (x, weight) = (values(96, 1), values(96, 2));
        let mean = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 96.0;
        for isa in Isa::all() {
            let mut out = vec![0.0; 96];
            rms_norm(isa, &x, &weight, 1e-6, &mut out);
            for i in 0..96 {
                let want = f64::from(x[i]) * f64::from(weight[i]) / (mean + 1e-6).sqrt();
                assert!((f64::from(out[i]) - want).abs() < TOLERANCE * (1.0 + want.abs()));
            }
        }
    }

    #[test]
    fn silu_gate_equals_its_formula_in_f64_even_far_out() {
        let mut gate = values(64, 3);
        gate[..4].copy_from_slice(&[-300.0, 300.0, 0.0, -90.0]);
        let up = values(64, 4);
        for isa in Isa::all() {
            let mut out = vec![0.0; 64];
            silu_gate(isa, &gate, &up, &mut out);
            for i in 0..64 {
                let g = f64::from(gate[i]);
                let want = g / (1.0 + (-g).exp()) * f64::from(up[i]);
                let off = (f64::from(out[i]) - want).abs();
                assert!(
                    off < TOLERANCE * (1.0 + want.abs()),
                    "{g}: {} for {want}",
                    out[i]
                );
            }
        }
    }
}
