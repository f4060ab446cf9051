//! Where a model runs.
//!
//! A [`Backend`] is an argument of whatever makes weights, a cache or a step. There is no
//! global device. `model` calls the same five operations whatever the device: rows of the
//! embedding, projection, mix, feed-forward, norm. It knows no feature.
//!
//! A device runs a model with its own kernels if they take its heads, widths and layers
//! ([`Backend::for_model`]), else by candle's operations alone (`composite.rs`). On a CPU
//! that is decided matrix by matrix: a format without a kernel goes by candle's product,
//! beside packed matrices of the same projection.
use super::Heads;
use crate::base::Pool;
use crate::checkpoint::LayerKind;
use candle_core::Device;
use egss_kernels::Isa;
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
    /// bf16, f16 and FP8 as they are, in the file's pages where they can be; others as f32.
    #[default]
    Auto,
    /// Widened, which changes no number and doubles what is read.
    F32,
    /// Wider ones rounded, and f16.
    Bf16,
}

/// The operations that compute a model on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operations {
    /// candle's operations alone.
    Candle,
    /// The CPU's kernels, matrix by matrix; candle's operations for what they do not take.
    CpuKernels,
    /// A GPU's kernels, for all layers.
    GpuKernels,
}

/// Where a mixture's experts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpertsPlace {
    /// On the device, by candle's operations where it is a GPU: its kernels have no mixture.
    Device,
    /// On the host, by its own kernels, beside the device.
    Host,
}

/// How a GPU's decode steps are launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launches {
    /// Recorded once, and launched as one.
    Recorded,
    /// Kernel by kernel.
    Single,
}

/// A device, with the kernels of its own where it has such. Cloning shares them.
#[derive(Clone)]
pub struct Backend {
    device: Device,
    operations: Operations,
    matrix_dtype: MatrixDtype,
    experts: ExpertsPlace,
    launches: Launches,
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
            operations: Operations::Candle,
            ..Self::cpu()
        }
    }

    /// The same device for a model of such heads, whose matrices have so many inputs, and
    /// whose layers are of such a kind: with its kernels if they take them, else by candle's
    /// operations alone.
    pub fn for_model(&self, heads: Heads, inputs: &[usize], layers: LayerKind) -> Self {
        let operations = match self.operations {
            // They choose matrix by matrix.
            Operations::Candle | Operations::CpuKernels => self.operations,
            Operations::GpuKernels => match (layers, self.experts) {
                (LayerKind::Plain, _) | (LayerKind::Mixture, ExpertsPlace::Host)
                    if gpu_takes(heads, inputs) =>
                {
                    Operations::GpuKernels
                }
                (LayerKind::Plain | LayerKind::Mixture | LayerKind::Other, _) => Operations::Candle,
            },
        };
        Self {
            operations,
            ..self.clone()
        }
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
        let experts = match name {
            "device" => ExpertsPlace::Device,
            "host" => ExpertsPlace::Host,
            _ => {
                return Err(BackendError::UnknownPlace {
                    asked: name.to_owned(),
                });
            }
        };
        Ok(Self { experts, ..self })
    }

    /// Where a mixture's experts are.
    pub fn experts_place(&self) -> ExpertsPlace {
        self.experts
    }

    /// The same with a GPU's decode steps launched kernel by kernel: to compare with.
    pub fn without_recordings(self) -> Self {
        Self {
            launches: Launches::Single,
            ..self
        }
    }

    /// How a GPU's decode steps are launched.
    pub fn launches(&self) -> Launches {
        self.launches
    }

    /// Decode steps so far that were launched as one.
    pub fn recorded_steps(&self) -> u64 {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            return gpu.graph_launches();
        }
        0
    }

    /// The backend of a mixture's experts: this, or the host by its own kernels.
    pub fn of_experts(&self) -> Self {
        match self.experts {
            ExpertsPlace::Device => self.clone(),
            ExpertsPlace::Host => Self {
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
            operations: Operations::GpuKernels,
            matrix_dtype: MatrixDtype::Auto,
            experts: ExpertsPlace::Device,
            launches: Launches::Recorded,
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
            operations: match device {
                Device::Cpu if !cfg!(feature = "composite") => Operations::CpuKernels,
                Device::Cpu | Device::Cuda(_) | Device::Metal(_) => Operations::Candle,
            },
            matrix_dtype: MatrixDtype::Auto,
            experts: ExpertsPlace::Device,
            launches: Launches::Recorded,
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
        match self.operations {
            Operations::GpuKernels => &Device::Cpu,
            Operations::Candle | Operations::CpuKernels => &self.device,
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
        match self.operations {
            Operations::Candle => MatrixDtype::F32,
            Operations::CpuKernels | Operations::GpuKernels => self.matrix_dtype,
        }
    }

    /// Bytes of one number in the cache, and in a matrix that a GPU's kernels have.
    pub fn number_bytes(&self) -> usize {
        match self.operations {
            Operations::GpuKernels => 2, // bf16
            Operations::Candle | Operations::CpuKernels => size_of::<f32>(),
        }
    }

    /// The operations that compute a model here.
    pub fn operations(&self) -> Operations {
        self.operations
    }

    /// What the device is called, for records and tables: `cpu`, a GPU's name, `metal`.
    pub fn describe(&self) -> String {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.gpu {
            return gpu.name().unwrap_or_else(|_| "a GPU".into());
        }
        match &self.device {
            Device::Cpu => "cpu".into(),
            Device::Cuda(_) => "cuda".into(),
            Device::Metal(_) => "metal".into(),
        }
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
        // The best of three passes over 1 GiB, by all threads together: about a second.
        Ok(egss_kernels::read_bandwidth(Isa::best(), 1 << 30, 3, &Pool))
    }

    #[cfg(feature = "cuda")]
    pub(super) fn gpu(&self) -> Option<&Arc<Gpu>> {
        match self.operations {
            Operations::GpuKernels => self.gpu.as_ref(),
            Operations::Candle | Operations::CpuKernels => None,
        }
    }
}

/// Whether a GPU's kernels take such heads and matrices.
#[cfg(feature = "cuda")]
fn gpu_takes(heads: Heads, inputs: &[usize]) -> bool {
    heads.rotary_dims == heads.head_dim
        && inputs.iter().all(|&k| Gpu::takes_inputs(k))
        && HeadCounts::from(heads).is_supported()
}

/// No build without them has a GPU's kernels.
#[cfg(not(feature = "cuda"))]
fn gpu_takes(_: Heads, _: &[usize]) -> bool {
    false
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
        let cpu = Backend::open("cpu").expect("always there");
        assert_eq!(cpu.operations(), Operations::CpuKernels);
        assert_eq!(cpu.describe(), "cpu");
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
