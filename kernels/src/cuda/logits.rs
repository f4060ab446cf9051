//! Figures of rows of logits, and tokens drawn from them: 64 bytes a row come back.
use super::launch::{Arg, Grid};
use super::{Gpu, Result, View};
use cudarc::driver::DeviceRepr;

/// How to draw a token from a row: temperature, then top-k, top-p and min-p, each on what
/// the one before left of the allowed tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Draw {
    /// Uniform in `[0, 1)`: the first token at which the running sum of weights passes
    /// this share of the whole is drawn.
    pub u: f64,
    /// `1 / temperature`; 0 takes the most likely token.
    pub beta: f32,
    /// Keeps the smallest set of this share; 1 keeps all.
    pub top_p: f32,
    /// Drops what is below this fraction of the most likely token; 0 keeps all.
    pub min_p: f32,
    /// Keeps so many tokens; 0 keeps all.
    pub top_k: u32,
    /// Which of the masks says what is allowed; `u32::MAX` where all is.
    pub mask: u32,
    /// The token to take where there is no choice, else `u32::MAX`.
    pub token: u32,
}

impl Draw {
    /// The most likely token of all.
    pub const GREEDY: Self = Self {
        u: 0.0,
        beta: 0.0,
        top_p: 1.0,
        min_p: 0.0,
        top_k: 0,
        mask: u32::MAX,
        token: u32::MAX,
    };

    fn truncates(&self) -> bool {
        let Self {
            u: _,
            beta: _,
            top_p,
            min_p,
            top_k,
            mask: _,
            token: _,
        } = *self;
        top_k > 0 || top_p < 1.0 || min_p > 0.0
    }
}

// SAFETY: numbers only, no padding, as `Draw` in `cuda/logits.cu`.
unsafe impl DeviceRepr for Draw {}

/// What a row says. `d` is a logit minus the row's largest, of all or of the allowed ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct RowFigures {
    /// `sum e^d`
    pub e: f64,
    /// `sum d e^d`
    pub e_d: f64,
    /// `sum d² e^d`
    pub e_d2: f64,
    /// `sum e^d` over the allowed tokens.
    pub allowed_e: f64,
    /// `sum d e^d` over them.
    pub allowed_e_d: f64,
    /// The largest logit.
    pub first: f32,
    /// The second largest.
    pub second: f32,
    /// Where the largest is, the lowest of several.
    pub index: u32,
    /// Where the first NaN or `+inf` is; `u32::MAX` where there is none.
    pub bad: u32,
    /// The token drawn; `u32::MAX` in a bad row, where nothing is allowed, or where the
    /// filters keep more tokens than the kernel gathers.
    pub drawn: u32,
    pub drawn_logit: f32,
}

// SAFETY: numbers only, no padding, as `Row` in `cuda/logits.cu`.
unsafe impl DeviceRepr for RowFigures {}

/// Parts of a row and bytes of each; as in `cuda/logits.cu`.
const PARTS: usize = 32;
const PART_BYTES: usize = 48;

const THREADS: usize = 256;
/// Threads of a row that is drawn from under filters.
const DRAWERS: usize = 1024;

impl Gpu {
    /// Reads each row of `logits: [R, V]`, one draw for each; of the masks bit `i % 32` of
    /// word `i / 32` is token `i`, and what they lack is not allowed. Waits for the device.
    pub fn read_rows(
        &self,
        logits: View<'_, f32>,
        v: usize,
        draws: &[Draw],
        masks: &[&[u32]],
    ) -> Result<Vec<RowFigures>> {
        let r = draws.len();
        assert!(v > 0 && logits.len() == r * v, "{r} rows of {v}");
        let words = v.div_ceil(32);
        let mut bits = vec![0; words * masks.len()];
        for (to, mask) in bits.chunks_exact_mut(words).zip(masks) {
            let n = words.min(mask.len());
            to[..n].copy_from_slice(&mask[..n]);
        }
        let is_there = |mask: u32| mask == u32::MAX || (mask as usize) < masks.len();
        assert!(draws.iter().all(|draw| is_there(draw.mask)), "no such mask");
        let truncates = draws.iter().any(Draw::truncates);
        let bits = match bits.is_empty() {
            true => None,
            false => Some(self.upload(&bits)?),
        };
        let draws = self.upload(draws)?;
        let grid = |blocks, threads| Grid { blocks, threads };
        // SAFETY: the kernels write every part and every row before it is read.
        unsafe {
            let parts = self.uninit::<u8>(r * PARTS * PART_BYTES)?;
            let rows = self.uninit::<RowFigures>(r)?;
            let masks = || Arg::optional(bits.as_ref().map(|bits| bits.view()));
            let args = [
                logits.into(),
                (&draws).into(),
                masks(),
                (&parts).into(),
                Arg::int(v),
            ];
            self.launch("read_parts", grid((PARTS, r), THREADS), &args)?;
            let args = [
                logits.into(),
                (&draws).into(),
                masks(),
                (&parts).into(),
                (&rows).into(),
                Arg::int(v),
            ];
            self.launch("finish_rows", grid((r, 1), THREADS), &args)?;
            if truncates {
                self.launch("draw_truncated", grid((r, 1), DRAWERS), &args)?;
            }
            self.download(rows.view())
        }
    }
}
