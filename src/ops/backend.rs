//! Where a model runs.
use super::Heads;
use candle_core::Device;
#[cfg(feature = "cuda")]
use egss_kernels::cuda::{Gpu, HeadCounts};
#[cfg(feature = "cuda")]
use std::sync::Arc;

/// What keeps a device from being used.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    #[error("--device {asked}: there is no such device; choose cpu, cuda or metal")]
    Unknown { asked: String },
    #[error(
        "--device {asked}: this build has no support for it; build with `cargo build --release --features {asked}`, or run on the CPU with --device cpu"
    )]
    NotBuilt { asked: &'static str },
    #[error(
        "--device {asked}: no such GPU can be used ({reason}); see whether `nvidia-smi` lists one, or run on the CPU with --device cpu"
    )]
    Missing { asked: &'static str, reason: String },
    #[error(
        "--device cuda: {name} is too old (compute capability {major}.{minor}); 8.0 or newer is needed, or run on the CPU with --device cpu"
    )]
    TooOld {
        name: String,
        major: i32,
        minor: i32,
    },
}

/// A device, with the kernels of its own where it has such. Cloning shares them.
#[derive(Clone)]
pub struct Backend {
    device: Device,
    /// False where candle's operations alone are to do, whatever kernels there are.
    kernels: bool,
    #[cfg(feature = "cuda")]
    gpu: Option<Arc<Gpu>>,
}

impl Backend {
    /// The host.
    pub fn cpu() -> Self {
        Self::plain(Device::Cpu)
    }

    /// The host by candle's operations alone: what devices without kernels of their own
    /// run, here where it can be tested.
    pub fn composite() -> Self {
        Self {
            kernels: false,
            ..Self::cpu()
        }
    }

    /// The same device for a model of such heads, whose matrices have so many inputs, and
    /// whose layers are plain or not: with its kernels if they take them, else by candle's
    /// operations alone.
    pub fn for_model(&self, heads: Heads, inputs: &[usize], plain: bool) -> Self {
        #[cfg(feature = "cuda")]
        if self.has_kernels() {
            let takes_all = inputs.iter().all(|&k| Gpu::takes_inputs(k));
            let turns_all = heads.rotary_dims == heads.head_dim;
            return Self {
                kernels: plain && takes_all && turns_all && HeadCounts::from(heads).is_supported(),
                ..self.clone()
            };
        }
        let _ = (heads, inputs, plain); // a CPU's kernels choose matrix by matrix
        self.clone()
    }

    /// A device by its name on the command line: `cpu`, `cuda` or `metal`.
    ///
    /// Errors: a name that is none, a device that this build or this machine lacks.
    pub fn open(name: &str) -> Result<Self, BackendError> {
        match name {
            "cpu" => Ok(Self::cpu()),
            "cuda" => Self::cuda(),
            "metal" => Self::metal(),
            _ => Err(BackendError::Unknown {
                asked: name.to_owned(),
            }),
        }
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda() -> Result<Self, BackendError> {
        Err(BackendError::NotBuilt { asked: "cuda" })
    }

    #[cfg(feature = "cuda")]
    fn cuda() -> Result<Self, BackendError> {
        // candle's messages may go on with a backtrace.
        let missing = |reason: String| BackendError::Missing {
            asked: "cuda",
            reason: reason.lines().next().unwrap_or_default().to_owned(),
        };
        let device = candle_core::CudaDevice::new_with_stream(0);
        let device = device.map_err(|error| missing(error.to_string()))?;
        let (stream, blas) = (device.cuda_stream(), device.cublas_handle());
        let context = stream.context();
        let capability = context.compute_capability();
        let (major, minor) = capability.map_err(|error| missing(error.to_string()))?;
        if (major, minor) < Gpu::CAPABILITY_MIN {
            return Err(BackendError::TooOld {
                name: context.name().unwrap_or_default(),
                major,
                minor,
            });
        }
        let gpu = Gpu::new(stream, blas).map_err(|error| missing(error.to_string()))?;
        Ok(Self {
            device: Device::Cuda(device),
            kernels: true,
            gpu: Some(Arc::new(gpu)),
        })
    }

    fn metal() -> Result<Self, BackendError> {
        if !cfg!(feature = "metal") {
            return Err(BackendError::NotBuilt { asked: "metal" });
        }
        match Device::new_metal(0) {
            Ok(device) => Ok(Self::plain(device)),
            Err(error) => Err(BackendError::Missing {
                asked: "metal",
                reason: error.to_string(),
            }),
        }
    }

    fn plain(device: Device) -> Self {
        Self {
            kernels: device.is_cpu(),
            device,
            #[cfg(feature = "cuda")]
            gpu: None,
        }
    }

    /// candle's name of it.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes of its own memory that are free; `None` where it shares the host's.
    pub fn free_bytes(&self) -> Option<u64> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            return gpu.memory().ok().map(|memory| memory.free);
        }
        None
    }

    /// Bytes of one number in the cache and in a matrix that a file has unquantised.
    pub fn number_bytes(&self) -> usize {
        match self.has_kernels() {
            true => 2, // bf16
            false => size_of::<f32>(),
        }
    }

    /// True where candle's operations alone do the work.
    pub fn is_composite(&self) -> bool {
        !self.kernels
    }

    /// True where a GPU's kernels do the work.
    pub fn has_kernels(&self) -> bool {
        #[cfg(feature = "cuda")]
        {
            self.gpu().is_some()
        }
        #[cfg(not(feature = "cuda"))]
        {
            false
        }
    }

    /// What the device is called, for tables.
    pub fn describe(&self) -> String {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            return gpu.name().unwrap_or_else(|_| "a GPU".into());
        }
        format!("{:?}", self.device.location()).to_lowercase()
    }

    /// Bytes a second that it reads from its memory: the best of a few passes over
    /// 1 GiB. Takes about a second.
    pub fn read_bandwidth(&self) -> candle_core::Result<f64> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            let memory = gpu.zeros(1 << 29).map_err(super::device::gpu_error)?;
            let memory = gpu.view(&memory.as_view());
            return gpu.read_bandwidth(memory).map_err(super::device::gpu_error);
        }
        Ok(super::pool::read_bandwidth())
    }

    #[cfg(feature = "cuda")]
    pub(super) fn gpu(&self) -> Option<&Arc<Gpu>> {
        self.gpu.as_ref().filter(|_| self.kernels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_refused_with_what_to_do() {
        let refusal = |name| Backend::open(name).err().expect("refused").to_string();
        assert!(refusal("tpu").contains("choose cpu, cuda or metal"));
        if !cfg!(feature = "cuda") {
            assert!(refusal("cuda").contains("--features cuda"));
        }
        if !cfg!(feature = "metal") {
            assert!(refusal("metal").contains("--device cpu"));
        }
        assert!(!Backend::open("cpu").expect("always there").is_composite());
    }
}
