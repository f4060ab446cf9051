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
    #[error("--experts {asked}: there is no such place; choose device or host")]
    UnknownPlace { asked: String },
    #[error("--dtype {asked}: there is no such width; choose auto, f32 or bf16")]
    UnknownDtype { asked: String },
    #[error(
        "--dtype {asked}: on {device} weights are {has} whatever their file has; take --dtype auto, or run on the CPU with --device cpu"
    )]
    Dtype {
        asked: String,
        device: &'static str,
        has: &'static str,
    },
}

/// How a CPU keeps matrices that a file has as floats. Quantised ones keep their format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatrixDtype {
    /// bf16 and f16 as they are, in the file's pages where they can be; others as f32.
    #[default]
    Auto,
    /// Widened, which changes no number and doubles what is read.
    F32,
    /// Wider ones rounded, and f16.
    Bf16,
}

/// A device, with the kernels of its own where it has such. Cloning shares them.
#[derive(Clone)]
pub struct Backend {
    device: Device,
    /// False where candle's operations alone are to do, whatever kernels there are.
    kernels: bool,
    matrix_dtype: MatrixDtype,
    /// True where a mixture's experts stay on the host.
    host_experts: bool,
    /// True where a GPU's decode steps are recorded.
    records_steps: bool,
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

    /// The same with float matrices of a width by its name on the command line: `auto`,
    /// `f32` or `bf16`.
    ///
    /// Errors: a name that is none, a width that the device does not take.
    pub fn with_dtype(self, name: &str) -> Result<Self, BackendError> {
        let matrix_dtype = match name {
            "auto" => MatrixDtype::Auto,
            "f32" => MatrixDtype::F32,
            "bf16" => MatrixDtype::Bf16,
            _ => {
                return Err(BackendError::UnknownDtype {
                    asked: name.to_owned(),
                });
            }
        };
        // A GPU has one width, which may be asked for by name.
        let (device, has, own) = match &self.device {
            Device::Cpu => {
                return Ok(Self {
                    matrix_dtype,
                    ..self
                });
            }
            Device::Cuda(_) => ("cuda", "bf16", MatrixDtype::Bf16),
            Device::Metal(_) => ("metal", "f32", MatrixDtype::F32),
        };
        match matrix_dtype == MatrixDtype::Auto || matrix_dtype == own {
            true => Ok(self),
            false => Err(BackendError::Dtype {
                asked: name.to_owned(),
                device,
                has,
            }),
        }
    }

    /// The same with a mixture's experts where a name on the command line says: `device`,
    /// or `host`, so that a model runs which is larger than a GPU's memory.
    ///
    /// Errors: a name that is none.
    pub fn with_experts(self, name: &str) -> Result<Self, BackendError> {
        let host_experts = match name {
            "device" => false,
            "host" => true,
            _ => {
                return Err(BackendError::UnknownPlace {
                    asked: name.to_owned(),
                });
            }
        };
        Ok(Self {
            host_experts,
            ..self
        })
    }

    /// True where a mixture's experts stay on the host, beside the device.
    pub fn has_host_experts(&self) -> bool {
        self.host_experts
    }

    /// The same with a GPU's decode steps launched kernel by kernel: to compare with.
    pub fn without_recordings(self) -> Self {
        Self {
            records_steps: false,
            ..self
        }
    }

    /// True where a GPU's decode steps are recorded once and launched as one.
    pub fn records_steps(&self) -> bool {
        self.records_steps
    }

    /// Decode steps so far that were launched as one.
    pub fn recorded_steps(&self) -> u64 {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            return gpu.graph_launches();
        }
        0
    }

    /// Where a mixture's experts are: here, or on the host by its own kernels.
    pub fn of_experts(&self) -> Self {
        match self.host_experts {
            false => self.clone(),
            true => Self {
                matrix_dtype: self.matrix_dtype,
                ..Self::cpu()
            },
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
            matrix_dtype: MatrixDtype::Auto,
            host_experts: false,
            records_steps: true,
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
            kernels: device.is_cpu() && !cfg!(feature = "composite"),
            matrix_dtype: MatrixDtype::Auto,
            host_experts: false,
            records_steps: true,
            device,
            #[cfg(feature = "cuda")]
            gpu: None,
        }
    }

    /// candle's name of it.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Where weights are read to before a matrix takes them: the host where a GPU's kernels
    /// want them in an order of their own, or as they lie in the file.
    pub fn reads_on(&self) -> &Device {
        match self.has_kernels() {
            true => &Device::Cpu,
            false => &self.device,
        }
    }

    /// Bytes of its own memory that are free; `None` where it shares the host's.
    pub fn free_bytes(&self) -> Option<u64> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            return gpu.memory().ok().map(|memory| memory.free);
        }
        None
    }

    /// How matrices are kept that a file has as floats, where no kernels of a GPU have
    /// them: candle's operations alone take f32.
    pub(super) fn matrix_dtype(&self) -> MatrixDtype {
        match self.is_composite() {
            true => MatrixDtype::F32,
            false => self.matrix_dtype,
        }
    }

    /// Bytes of one number in the cache, and in a matrix that a GPU's kernels have.
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
    #[cfg_attr(feature = "composite", ignore = "of the kernels")]
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

    #[test]
    #[cfg_attr(feature = "composite", ignore = "of the kernels")]
    fn a_width_is_taken_by_name_and_candles_operations_take_f32_alone() {
        let width = |name| Backend::cpu().with_dtype(name).map(|b| b.matrix_dtype());
        assert_eq!(width("auto").ok(), Some(MatrixDtype::Auto));
        assert_eq!(width("f32").ok(), Some(MatrixDtype::F32));
        assert_eq!(width("bf16").ok(), Some(MatrixDtype::Bf16));
        let refusal = width("q4").expect_err("refused").to_string();
        assert!(refusal.contains("choose auto, f32 or bf16"), "{refusal}");
        assert_eq!(Backend::composite().matrix_dtype(), MatrixDtype::F32);
    }
}
