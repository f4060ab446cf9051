//! From logits on a device to rows with their figures.
use super::Rows;
#[cfg(feature = "cuda")]
use super::device::{DeviceRows, gpu_error};
use super::pool::Pool;
use super::slice::with_host;
use crate::base::TokenEntropy;
use crate::decode::{DecodeError, Mask, RowStats, drawn_entropy, logprob, token_entropy};
use candle_core::{Result, Tensor};
use egss_kernels::Executor;
#[cfg(feature = "cuda")]
use egss_kernels::cuda::{Buffer, Draw, Gpu};
use std::sync::{Arc, OnceLock};

/// How a token is to be drawn from a row that nothing masks or truncates: known before
/// the row is, so that a GPU can draw and send the token instead of the row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowDraw {
    /// 0 takes the most likely token.
    pub temperature: f32,
    /// Uniform in `[0, 1)`.
    pub uniform: f64,
}

impl RowDraw {
    /// The most likely token.
    pub const GREEDY: Self = Self {
        temperature: 0.0,
        uniform: 0.0,
    };
}

/// One row of raw logits and what it says. Cloning shares the row.
#[derive(Clone)]
pub struct LogitsRow {
    values: Values,
    /// Entropy, top token and normaliser of the row.
    pub stats: RowStats,
    /// The token that was drawn with the row, and its logit.
    drawn: Option<(RowDraw, u32, f32)>,
}

/// Where the numbers are, `[V]`.
#[derive(Clone)]
enum Values {
    Host(Arc<[f32]>),
    #[cfg(feature = "cuda")]
    Device(Arc<DeviceRow>),
}

/// A row that has not left the GPU, until it is asked for.
#[cfg(feature = "cuda")]
struct DeviceRow {
    gpu: Arc<Gpu>,
    /// Of one or several rows: this is the one at `index`.
    all: Arc<Buffer<f32>>,
    index: usize,
    vocabulary: usize,
    host: OnceLock<Arc<[f32]>>,
}

impl LogitsRow {
    /// The numbers, `[V]`. Cost: none on a host; a row that is on a GPU is fetched once,
    /// 0.6 MB for a vocabulary of 150,000.
    ///
    /// Errors: a device that has failed.
    pub fn logits(&self) -> Result<&[f32]> {
        match &self.values {
            Values::Host(values) => Ok(values),
            #[cfg(feature = "cuda")]
            Values::Device(row) => row.logits(),
        }
    }

    /// V.
    pub fn vocabulary(&self) -> usize {
        match &self.values {
            Values::Host(values) => values.len(),
            #[cfg(feature = "cuda")]
            Values::Device(row) => row.vocabulary,
        }
    }

    /// The token that was drawn with the row, where this is how it was to be drawn.
    pub fn drawn(&self, draw: &RowDraw) -> Option<u32> {
        self.drawn
            .filter(|(asked, ..)| asked == draw)
            .map(|(_, token, _)| token)
    }

    /// The figures of `token` under `mask`: see [`token_entropy`].
    pub fn token_entropy(&self, token: u32, mask: Option<&Mask>) -> Result<TokenEntropy> {
        match self.drawn {
            Some((_, drawn, logit)) if drawn == token && mask.is_none() => {
                Ok(drawn_entropy(logit, &self.stats, token))
            }
            _ => Ok(token_entropy(self.logits()?, &self.stats, token, mask)),
        }
    }

    /// A token's log-probability, nats.
    pub fn logprob(&self, token: u32) -> Result<f32> {
        Ok(logprob(self.logits()?, &self.stats, token))
    }

    /// The same row without those that it was read with: what is kept for long keeps
    /// no more memory than its own.
    pub fn alone(self) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if let Values::Device(row) = &self.values {
            let row = Arc::new(row.alone()?);
            return Ok(Self {
                values: Values::Device(row),
                ..self
            });
        }
        Ok(self)
    }
}

/// Reads the rows of `logits: [R, V]` f32, each with its figures, and draws where that is
/// asked for and the device can: `draws: [R]`.
///
/// A row with NaN or `+inf` is an error of its own. Cost on a host: three passes over a
/// row, rows side by side on all threads; a GPU sends 48 bytes a row, and no row.
pub fn read_rows(
    logits: Rows,
    draws: &[Option<RowDraw>],
) -> Result<Vec<std::result::Result<LogitsRow, DecodeError>>> {
    let (rows, _) = logits.dims2()?;
    if draws.len() != rows {
        candle_core::bail!("read_rows: {rows} rows and {} draws", draws.len());
    }
    match logits {
        Rows::Tensor(logits) => read_tensor(&logits),
        #[cfg(feature = "cuda")]
        Rows::Device(logits) => read_device(logits, draws),
    }
}

fn read_tensor(logits: &Tensor) -> Result<Vec<std::result::Result<LogitsRow, DecodeError>>> {
    let (rows, vocabulary) = logits.dims2()?;
    let read: Vec<OnceLock<_>> = (0..rows).map(|_| OnceLock::new()).collect();
    let logits = logits.to_device(&candle_core::Device::Cpu)?.contiguous()?;
    with_host(&logits, |values| {
        Pool.execute(rows, &|range| {
            for row in range {
                let logits: Arc<[f32]> = Arc::from(&values[row * vocabulary..][..vocabulary]);
                let row_of = |stats| LogitsRow {
                    values: Values::Host(logits.clone()),
                    stats,
                    drawn: None,
                };
                // Each row is taken once, so its place is empty.
                let _ = read[row].set(RowStats::of(&logits).map(row_of));
            }
        });
    })?;
    let rows = read.into_iter().map(OnceLock::into_inner);
    Ok(rows.map(|row| row.expect("every row was read")).collect())
}

#[cfg(feature = "cuda")]
fn read_device(
    logits: DeviceRows,
    draws: &[Option<RowDraw>],
) -> Result<Vec<std::result::Result<LogitsRow, DecodeError>>> {
    let (vocabulary, gpu) = (logits.width, logits.gpu.clone());
    let asked: Vec<Draw> = draws
        .iter()
        .map(|draw| device_draw(draw.as_ref()))
        .collect();
    let read = gpu.read_rows(logits.floats()?, vocabulary, &asked);
    let read = read.map_err(gpu_error)?;
    let super::device::Values::F32(all) = logits.values else {
        candle_core::bail!("logits of bf16")
    };
    let all = Arc::new(all);
    let row = |index: usize| {
        let figures = &read[index];
        let row = DeviceRow {
            gpu: gpu.clone(),
            all: all.clone(),
            index,
            vocabulary,
            host: OnceLock::new(),
        };
        if figures.bad != u32::MAX {
            let token = figures.bad as usize;
            let value = row.logits()?[token];
            return Ok(Err(DecodeError::BadLogit { token, value }));
        }
        let moments = egss_kernels::ExpMoments {
            e: figures.e,
            e_d: figures.e_d,
            e_d2: figures.e_d2,
        };
        let (first, second) = (figures.first, figures.second);
        let stats = match RowStats::from_moments(first, second, figures.index, &moments) {
            Ok(stats) => stats,
            Err(error) => return Ok(Err(error)),
        };
        let drawn = draws[index].and_then(|draw| match figures.drawn {
            u32::MAX if draw.temperature == 0.0 => Some((draw, stats.top1, first)),
            u32::MAX => None,
            token => Some((draw, token, figures.drawn_logit)),
        });
        Ok(Ok(LogitsRow {
            values: Values::Device(Arc::new(row)),
            stats,
            drawn,
        }))
    };
    (0..read.len()).map(row).collect()
}

#[cfg(feature = "cuda")]
fn device_draw(draw: Option<&RowDraw>) -> Draw {
    match draw {
        Some(draw) if draw.temperature > 0.0 => Draw {
            u: draw.uniform,
            beta: 1.0 / draw.temperature,
            unused: 0.0,
        },
        _ => Draw::default(),
    }
}

#[cfg(feature = "cuda")]
impl DeviceRow {
    fn logits(&self) -> Result<&[f32]> {
        if self.host.get().is_none() {
            let (start, v) = (self.index * self.vocabulary, self.vocabulary);
            let row = self.gpu.download(self.all.view().slice(start..start + v));
            // Two that fetch at once fetch the same.
            let _ = self.host.set(row.map_err(gpu_error)?.into());
        }
        Ok(self.host.get().expect("it was fetched"))
    }

    fn alone(&self) -> Result<Self> {
        let (start, v) = (self.index * self.vocabulary, self.vocabulary);
        let row = self.gpu.copied(self.all.view().slice(start..start + v));
        Ok(Self {
            gpu: self.gpu.clone(),
            all: Arc::new(row.map_err(gpu_error)?),
            index: 0,
            vocabulary: v,
            host: self.host.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn every_row_has_its_own_figures_and_a_bad_one_its_own_error() -> Result<()> {
        let rows = [[0.0f32, 3.0, 1.0], [2.0, f32::NAN, 0.0], [1.0, 1.0, 1.0]];
        let read = read_rows(Tensor::new(&rows, &Device::Cpu)?.into(), &[None; 3])?;
        let first = read[0].as_ref().expect("a good row");
        assert_eq!((first.logits()?, first.stats.top1), (&rows[0][..], 1));
        assert!(matches!(
            &read[1],
            Err(DecodeError::BadLogit { token: 1, .. })
        ));
        let even = read[2].as_ref().expect("a good row");
        assert!((even.stats.entropy_nats - 3f32.ln()).abs() < 1e-6);
        Ok(())
    }
}
