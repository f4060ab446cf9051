//! From logits on a device to rows with their figures.
use super::pool::Pool;
use super::slice::with_host;
use crate::decode::{DecodeError, RowStats};
use candle_core::{Result, Tensor};
use egss_kernels::Executor;
use std::sync::{Arc, OnceLock};

/// One row of raw logits and what it says. Cloning shares the row.
#[derive(Clone, Debug)]
pub struct LogitsRow {
    /// `[V]`
    pub logits: Arc<[f32]>,
    /// Entropy, top token and normaliser of the row.
    pub stats: RowStats,
}

/// Takes the rows of `logits: [R, V]` f32 off the device, each with its figures.
///
/// A row with NaN or `+inf` is an error of its own. Cost: three passes over a row,
/// rows side by side on all threads.
pub fn read_rows(logits: &Tensor) -> Result<Vec<std::result::Result<LogitsRow, DecodeError>>> {
    let (rows, vocabulary) = logits.dims2()?;
    let read: Vec<OnceLock<_>> = (0..rows).map(|_| OnceLock::new()).collect();
    let logits = logits.to_device(&candle_core::Device::Cpu)?.contiguous()?;
    with_host(&logits, |values| {
        Pool.execute(rows, &|range| {
            for row in range {
                let logits: Arc<[f32]> = Arc::from(&values[row * vocabulary..][..vocabulary]);
                let stats = RowStats::of(&logits);
                // Each row is taken once, so its place is empty.
                let _ = read[row].set(stats.map(|stats| LogitsRow { logits, stats }));
            }
        });
    })?;
    let rows = read.into_iter().map(OnceLock::into_inner);
    Ok(rows.map(|row| row.expect("every row was read")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn every_row_has_its_own_figures_and_a_bad_one_its_own_error() -> Result<()> {
        let rows = [[0.0f32, 3.0, 1.0], [2.0, f32::NAN, 0.0], [1.0, 1.0, 1.0]];
        let read = read_rows(&Tensor::new(&rows, &Device::Cpu)?)?;
        let first = read[0].as_ref().expect("a good row");
        assert_eq!((&*first.logits, first.stats.top1), (&rows[0][..], 1));
        assert!(matches!(
            &read[1],
            Err(DecodeError::BadLogit { token: 1, .. })
        ));
        let even = read[2].as_ref().expect("a good row").stats.entropy_nats;
        assert!((even - 3f32.ln()).abs() < 1e-6);
        Ok(())
    }
}
