//! Figures of rows of logits, and tokens drawn from them: 48 bytes a row come back.
use super::launch::{Arg, Grid};
use super::{Gpu, Result, View};
use cudarc::driver::DeviceRepr;

/// How to draw a token from a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Draw {
    /// Uniform in `[0, 1)`: the first token at which the running sum of weights passes
    /// this share of the whole is drawn.
    pub u: f64,
    /// `1 / temperature`; 0 draws nothing.
    pub beta: f32,
    pub unused: f32,
}

// SAFETY: numbers only, no padding, as `Draw` in `cuda/logits.cu`.
unsafe impl DeviceRepr for Draw {}

/// What a row says. `d` is a logit minus the row's largest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct RowFigures {
    /// `sum e^d`
    pub e: f64,
    /// `sum d e^d`
    pub e_d: f64,
    /// `sum d² e^d`
    pub e_d2: f64,
    /// The largest logit.
    pub first: f32,
    /// The second largest.
    pub second: f32,
    /// Where the largest is, the lowest of several.
    pub index: u32,
    /// Where the first NaN or `+inf` is; `u32::MAX` where there is none.
    pub bad: u32,
    /// The token drawn; `u32::MAX` where none was.
    pub drawn: u32,
    pub drawn_logit: f32,
}

// SAFETY: numbers only, no padding, as `Row` in `cuda/logits.cu`.
unsafe impl DeviceRepr for RowFigures {}

/// Parts of a row and bytes of each; as in `cuda/logits.cu`.
const PARTS: usize = 32;
const PART_BYTES: usize = 32;

const THREADS: usize = 256;

impl Gpu {
    /// Reads each row of `logits: [R, V]`, one draw for each. Waits for the device.
    pub fn read_rows(
        &self,
        logits: View<'_, f32>,
        v: usize,
        draws: &[Draw],
    ) -> Result<Vec<RowFigures>> {
        let r = draws.len();
        assert!(v > 0 && logits.len() == r * v, "{r} rows of {v}");
        let draws = self.upload(draws)?;
        // SAFETY: the kernels write every part and every row before it is read.
        unsafe {
            let parts = self.uninit::<u8>(r * PARTS * PART_BYTES)?;
            let rows = self.uninit::<RowFigures>(r)?;
            let args = [logits.into(), (&draws).into(), (&parts).into(), Arg::int(v)];
            let grid = Grid {
                blocks: (PARTS, r),
                threads: THREADS,
            };
            self.launch("read_parts", grid, &args)?;
            let args = [
                logits.into(),
                (&draws).into(),
                (&parts).into(),
                (&rows).into(),
                Arg::int(v),
            ];
            let grid = Grid {
                blocks: (r, 1),
                threads: THREADS,
            };
            self.launch("finish_rows", grid, &args)?;
            self.download(rows.view())
        }
    }
}
