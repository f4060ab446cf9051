//! Rows of activations, on whatever device they are.
#[cfg(feature = "cuda")]
use super::device::{DeviceRows, gpu_error};
use candle_core::{Device, Result, Tensor};
use std::ops::Range;

/// Activations of a batch, `[T, width]`: a tensor of candle's, f32, or memory that a GPU's
/// kernels work in.
pub enum Rows {
    Tensor(Tensor),
    #[cfg(feature = "cuda")]
    Device(DeviceRows),
}

impl From<Tensor> for Rows {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

impl Rows {
    /// `(T, width)`.
    pub fn dims2(&self) -> Result<(usize, usize)> {
        match self {
            Self::Tensor(tensor) => tensor.dims2(),
            #[cfg(feature = "cuda")]
            Self::Device(rows) => Ok((rows.t, rows.width)),
        }
    }

    /// The tensor, where it is one.
    pub fn tensor(&self) -> Result<&Tensor> {
        match self {
            Self::Tensor(tensor) => Ok(tensor),
            #[cfg(feature = "cuda")]
            Self::Device(rows) => candle_core::bail!(
                "rows [{}, {}] of a GPU's kernels where a tensor is needed",
                rows.t,
                rows.width
            ),
        }
    }

    /// A tensor of them on a device, f32. Cost: none where they are one there.
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        match self {
            Self::Tensor(tensor) => tensor.to_device(device),
            #[cfg(feature = "cuda")]
            Self::Device(rows) => Tensor::from_vec(rows.to_host()?, (rows.t, rows.width), device),
        }
    }

    /// A tensor's rows, f32, where these are.
    pub fn beside(&self, tensor: &Tensor) -> Result<Self> {
        match self {
            Self::Tensor(own) => Ok(tensor.to_device(own.device())?.into()),
            #[cfg(feature = "cuda")]
            Self::Device(own) => {
                let (_, width) = tensor.dims2()?;
                let values = tensor.flatten_all()?.to_vec1::<f32>()?;
                let values = own.gpu.upload(&values).map_err(gpu_error)?;
                Ok(Self::Device(DeviceRows::f32(&own.gpu, values, width)))
            }
        }
    }

    /// The sum with rows of the same sizes in the same place.
    pub fn plus(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Tensor(a), Self::Tensor(b)) => Ok((a + b)?.into()),
            #[cfg(feature = "cuda")]
            (Self::Device(a), Self::Device(b)) if (a.t, a.width) == (b.t, b.width) => {
                let sum = a
                    .gpu
                    .finish_product(a.floats()?, a.width, None, Some(b.floats()?));
                let sum = sum.map_err(gpu_error)?;
                Ok(Self::Device(DeviceRows::f32(&a.gpu, sum, a.width)))
            }
            #[cfg(feature = "cuda")]
            _ => candle_core::bail!("a sum of rows {:?} and {:?}", self.dims2()?, other.dims2()?),
        }
    }

    /// Some of the rows, by their numbers, ascending.
    pub fn take(self, numbers: &[u32]) -> Result<Self> {
        let (t, _) = self.dims2()?;
        if numbers.len() == t {
            return Ok(self); // all of them
        }
        match self {
            Self::Tensor(tensor) => {
                let numbers = Tensor::new(numbers, tensor.device())?;
                Ok(Self::Tensor(tensor.index_select(&numbers, 0)?))
            }
            #[cfg(feature = "cuda")]
            Self::Device(rows) => Ok(Self::Device(device_rows(&rows, numbers)?)),
        }
    }

    /// The rows of a range, `[range, width]`.
    pub fn part(&self, range: Range<usize>) -> Result<Self> {
        match self {
            Self::Tensor(tensor) => {
                let part = tensor.narrow(0, range.start, range.len())?;
                Ok(Self::Tensor(part))
            }
            #[cfg(feature = "cuda")]
            Self::Device(rows) => {
                let numbers: Vec<u32> = range.map(|row| row as u32).collect();
                Ok(Self::Device(device_rows(rows, &numbers)?))
            }
        }
    }

    /// Waits until they are computed.
    pub fn wait(&self) -> Result<()> {
        match self {
            Self::Tensor(tensor) => tensor.device().synchronize(),
            #[cfg(feature = "cuda")]
            Self::Device(rows) => rows.gpu.synchronize().map_err(gpu_error),
        }
    }

    /// A copy on the host, row after row, f32.
    pub fn to_host(&self) -> Result<Vec<f32>> {
        match self {
            Self::Tensor(tensor) => tensor.flatten_all()?.to_vec1(),
            #[cfg(feature = "cuda")]
            Self::Device(rows) => rows.to_host(),
        }
    }
}

/// A copy of some rows, by their numbers.
#[cfg(feature = "cuda")]
fn device_rows(rows: &DeviceRows, numbers: &[u32]) -> Result<DeviceRows> {
    if let Some(number) = numbers.iter().find(|&&n| n as usize >= rows.t) {
        candle_core::bail!("row {number} of {}", rows.t);
    }
    let taken = rows.gpu.take_rows(rows.floats()?, rows.width, numbers);
    let taken = taken.map_err(gpu_error)?;
    Ok(DeviceRows::f32(&rows.gpu, taken, rows.width))
}
