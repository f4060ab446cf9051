//! Thresholds as quantiles.

/// The smallest value that at most a share `1 - q` of all is at or above, but for ties.
///
/// Panics without values.
pub fn quantile<T: Copy>(sorted: &[T], q: f64) -> T {
    sorted[((q * sorted.len() as f64) as usize).min(sorted.len() - 1)]
}
