//! From logits on a device to rows with their figures.
//!
//! On a GPU the rows of logits stay on the device, and 64 bytes a row come back: the
//! entropy's moments over all tokens and over the allowed ones, the two largest logits, and
//! the token that was drawn. The engine says how to draw ([`RowDraw`]) once a step's kernels
//! are on their way; masks go up as a bit a token. Filters keep up to 2,048 tokens on the
//! device; with more the host draws. Forks that draw anew from a kept row, and forks that
//! have to differ in their first token, fetch the row once ([`LogitsRow::logits`]).
use super::Rows;
#[cfg(feature = "cuda")]
use super::device::{DeviceRows, gpu_error};
#[cfg(feature = "cuda")]
use super::is_out_of_memory;
use super::slice::with_host;
use crate::base::Pool;
use crate::base::{SamplerSettings, TokenEntropy};
#[cfg(feature = "cuda")]
use crate::decode::drawn_entropy;
use crate::decode::{DecodeError, Mask, RowStats, forced_entropy, logprob, token_entropy};
use candle_core::{Result, Tensor};
use egss_kernels::Executor;
#[cfg(feature = "cuda")]
use egss_kernels::cuda::{Buffer, Draw, Gpu, RowFigures};
use std::sync::{Arc, OnceLock};

/// How a token is to be taken from a row: known before the row is, so that a GPU can take
/// it and send the token instead of the row.
#[derive(Clone, Debug, PartialEq)]
pub enum RowDraw {
    /// There is no choice: its figures are wanted.
    Forced(u32),
    /// As [`crate::decode::sample`] draws it, with nothing excluded.
    Sampled {
        sampler: SamplerSettings,
        /// Tokens that may be drawn; `None`: all.
        mask: Option<Arc<Mask>>,
        /// True where the mask is a grammar's, over which there is an entropy; false where
        /// it only keeps out rows behind which no token stands.
        of_grammar: bool,
        /// Uniform in `[0, 1)`.
        uniform: f64,
    },
}

/// One row of raw logits and what it says. Cloning shares the row.
#[derive(Clone)]
pub struct LogitsRow {
    values: Values,
    /// Entropy, top token and normaliser of the row.
    pub stats: RowStats,
    /// How a token was taken with the row, and its figures.
    drawn: Option<(RowDraw, TokenEntropy)>,
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

    /// The figures of the token that was taken with the row, where this is how it was to
    /// be taken.
    pub fn drawn(&self, draw: &RowDraw) -> Option<TokenEntropy> {
        let (asked, figures) = self.drawn.as_ref()?;
        (asked == draw).then_some(*figures)
    }

    /// The figures of `token` under `mask`: see [`token_entropy`].
    pub fn token_entropy(&self, token: u32, mask: Option<&Mask>) -> Result<TokenEntropy> {
        Ok(token_entropy(self.logits()?, &self.stats, token, mask))
    }

    /// The figures of a token that the grammar spelled out.
    pub fn forced_entropy(&self, token: u32) -> Result<TokenEntropy> {
        if let Some(figures) = self.drawn(&RowDraw::Forced(token)) {
            return Ok(figures);
        }
        let logit = self.logits()?.get(token as usize);
        let logit = logit.copied().unwrap_or(f32::NEG_INFINITY);
        Ok(forced_entropy(logit, &self.stats, token))
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
            let values = match row.alone() {
                Ok(row) => Values::Device(Arc::new(row)),
                // The host has room for it.
                Err(error) if is_out_of_memory(&error) => Values::Host(row.logits()?.into()),
                Err(error) => return Err(error),
            };
            return Ok(Self { values, ..self });
        }
        Ok(self)
    }
}

/// Reads the rows of `logits: [R, V]` f32, each with its figures, and takes tokens where
/// that is asked for and the device can: `draws: [R]`.
///
/// A row with NaN or `+inf` is an error of its own. Cost on a host: three passes over a
/// row, rows side by side on all threads; a GPU is sent a bit a token of each mask, and
/// sends 64 bytes a row, and no row.
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
    let mut masks = Vec::new();
    let asked: Vec<Draw> = draws
        .iter()
        .map(|draw| device_draw(draw.as_ref(), &mut masks))
        .collect();
    let read = gpu.read_rows(logits.floats()?, vocabulary, &asked, &masks);
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
        let drawn = draws[index].as_ref().and_then(|draw| {
            let figures = device_drawn(draw, figures, &stats)?;
            Some((draw.clone(), figures))
        });
        Ok(Ok(LogitsRow {
            values: Values::Device(Arc::new(row)),
            stats,
            drawn,
        }))
    };
    (0..read.len()).map(row).collect()
}

/// A draw as the device takes it; its mask goes behind the others.
#[cfg(feature = "cuda")]
fn device_draw<'a>(draw: Option<&'a RowDraw>, masks: &mut Vec<&'a [u32]>) -> Draw {
    match draw {
        None => Draw::GREEDY,
        Some(&RowDraw::Forced(token)) => Draw {
            token,
            ..Draw::GREEDY
        },
        Some(RowDraw::Sampled {
            sampler,
            mask,
            of_grammar: _,
            uniform,
        }) => {
            let mask = mask.as_ref().map_or(u32::MAX, |mask| {
                let words = mask.words();
                // The rows of a model with padding share one mask.
                let sent = masks.iter().position(|sent| std::ptr::eq(*sent, words));
                sent.unwrap_or_else(|| {
                    masks.push(words);
                    masks.len() - 1
                }) as u32
            });
            if sampler.is_greedy() {
                return Draw {
                    mask,
                    ..Draw::GREEDY
                };
            }
            // Whole: a filter that the kernels lack is an error here.
            let &SamplerSettings {
                temperature,
                top_p,
                top_k,
                min_p,
            } = sampler;
            Draw {
                u: *uniform,
                beta: 1.0 / temperature,
                top_p,
                min_p,
                top_k: u32::try_from(top_k).unwrap_or(u32::MAX),
                mask,
                token: u32::MAX,
            }
        }
    }
}

/// What the device took; `None` where it left that to the host.
#[cfg(feature = "cuda")]
fn device_drawn(draw: &RowDraw, row: &RowFigures, stats: &RowStats) -> Option<TokenEntropy> {
    let (token, logit) = (row.drawn, row.drawn_logit);
    match draw {
        RowDraw::Forced(_) => Some(forced_entropy(logit, stats, token)),
        _ if token == u32::MAX => None,
        RowDraw::Sampled {
            mask: Some(mask),
            of_grammar: true,
            ..
        } => {
            let entropy = row.allowed_e.ln() - row.allowed_e_d / row.allowed_e;
            let is_forced = mask.only().is_some();
            let entropy = if is_forced {
                0.0
            } else {
                entropy.max(0.0) as f32
            };
            Some(drawn_entropy(logit, stats, token, Some(entropy), is_forced))
        }
        RowDraw::Sampled { .. } => Some(drawn_entropy(logit, stats, token, None, false)),
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
        let read = read_rows(
            Tensor::new(&rows, &Device::Cpu)?.into(),
            &[const { None }; 3],
        )?;
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
