//! Decode steps that a GPU's driver has recorded: all layers in one launch.
//!
//! A layer is some nine kernels of a few microseconds each, so that a small model's step
//! costs the host more than the GPU. What differs between two steps of as many rows lies
//! in the rows and in the plan, both of which are copied to where the recorded kernels
//! read them.
//!
//! A decode step of up to 32 rows is recorded the third time that its layout comes up, and
//! launched as one CUDA graph from then on. The lists of a step's plan are padded to powers
//! of two, with pieces of no rows, so that few layouts come up while sequences grow. A thread
//! that records has its launches and its memory elsewhere, so that other engines of the model
//! go on. A step that a driver cannot record is launched kernel by kernel.
use super::{Backend, LayerCache, Rows, Step};
use candle_core::Result;

#[cfg(feature = "cuda")]
pub use device::Recordings;

/// Steps of this device are not recorded.
#[cfg(not(feature = "cuda"))]
pub struct Recordings;

#[cfg(not(feature = "cuda"))]
impl Recordings {
    /// For a model on a device, whose layers may be recorded or not.
    pub fn new(_: &Backend, _recordable: bool) -> Self {
        Self
    }

    /// `layers` over rows.
    pub fn run(
        &self,
        x: &Rows,
        step: &Step,
        _cache: LayerCache<'_>,
        layers: &dyn Fn(&Rows, &Step) -> Result<Rows>,
    ) -> Result<Rows> {
        layers(x, step)
    }
}

#[cfg(feature = "cuda")]
mod device {
    use super::super::device::{DeviceRows, gpu_error};
    use super::super::step::On;
    use super::super::{BLOCK_SIZE, Launches, is_out_of_memory};
    use super::{Backend, LayerCache, Result, Rows, Step};
    use candle_core::bail;
    use egss_kernels::cuda::{GpuError, Graph, GraphMemory, PlanLayout, View, bf16};
    use std::collections::VecDeque;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// Recordings kept, the least lately used thrown away: about a MB each.
    const KEPT_MAX: usize = 128;

    /// How often a layout has to come up: recording takes as long as some three steps, and
    /// a tokeniser's forced runs give batches of many sizes.
    const TIMES_MIN: u32 = 3;

    /// Layouts whose times are counted, the least lately seen forgotten.
    const COUNTED_MAX: usize = 256;

    /// Steps of one model by the layout of their plans.
    pub struct Recordings {
        kept: Mutex<Kept>,
    }

    #[derive(Default)]
    struct Kept {
        /// True where nothing is to be recorded, or the driver cannot.
        is_off: bool,
        memory: GraphMemory,
        /// The least lately used first.
        recordings: VecDeque<Recording>,
        /// Layouts that are not recorded yet, and how often they came up.
        counted: VecDeque<(Key, u32)>,
    }

    /// What has to be the same for one recording to serve.
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct Key {
        layout: PlanLayout,
        /// Where the cache lies, and its length.
        cache: (u64, usize),
    }

    struct Recording {
        key: Key,
        graph: Graph,
        /// What the recorded kernels read.
        input: Rows,
        step: Step,
        /// What they write.
        output: DeviceRows,
    }

    impl Recordings {
        /// For a model on a device, whose layers may be recorded or not.
        pub fn new(backend: &Backend, recordable: bool) -> Self {
            Self {
                kept: Mutex::new(Kept {
                    is_off: !recordable || backend.launches() == Launches::Single,
                    ..Kept::default()
                }),
            }
        }

        /// `layers` over rows: by one launch where such a step has been recorded. `layers`
        /// does nothing but launch kernels, the same for every step of as many rows.
        pub fn run(
            &self,
            x: &Rows,
            step: &Step,
            cache: LayerCache<'_>,
            layers: &dyn Fn(&Rows, &Step) -> Result<Rows>,
        ) -> Result<Rows> {
            let recorded = match (x, cache) {
                (Rows::Device(rows), LayerCache::Device(keys, _)) => {
                    self.recorded(rows, step, keys, layers)?
                }
                _ => None,
            };
            let ran = recorded.map_or_else(|| layers(x, step), Ok);
            if ran.as_ref().is_err_and(is_out_of_memory) {
                self.lock().forget();
            }
            ran
        }

        fn lock(&self) -> MutexGuard<'_, Kept> {
            // Nothing panics between two changes that belong together.
            self.kept.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn recorded(
            &self,
            x: &DeviceRows,
            step: &Step,
            keys: View<'_, bf16>,
            layers: &dyn Fn(&Rows, &Step) -> Result<Rows>,
        ) -> Result<Option<Rows>> {
            let On::Device { plan, .. } = &step.on else {
                return Ok(None);
            };
            let mut kept = self.lock();
            if kept.is_off || !plan.has_room() {
                return Ok(None);
            }
            let key = Key {
                layout: plan.layout(),
                cache: (keys.address(), keys.len()),
            };
            if let Some(at) = kept.recordings.iter().position(|r| r.key == key) {
                let mut recording = kept.recordings.remove(at).expect("it is there");
                let ran = recording.run(x, step, keys);
                return Ok(kept.after(ran, recording));
            }
            let at = kept.counted.iter().position(|(counted, _)| *counted == key);
            let before = at.and_then(|at| kept.counted.remove(at));
            let times = before.map_or(1, |(_, times)| times + 1);
            if times < TIMES_MIN {
                kept.counted.push_back((key, times));
                if kept.counted.len() > COUNTED_MAX {
                    kept.counted.pop_front();
                }
                return Ok(None);
            }
            match Recording::new(key, x, step, &kept.memory, layers) {
                Ok(mut recording) => {
                    let ran = recording.run(x, step, keys);
                    Ok(kept.after(ran, recording))
                }
                Err(error) => {
                    kept.forget();
                    // An old driver will not do better the next time, a device may have
                    // more memory then.
                    kept.is_off = !is_out_of_memory(&error);
                    Ok(None)
                }
            }
        }
    }

    impl Kept {
        /// Keeps a recording that ran, and gives its rows. One that could not be launched is
        /// thrown away: the layers can still run, a launch a kernel.
        fn after(&mut self, ran: Result<Rows>, recording: Recording) -> Option<Rows> {
            let rows = ran.ok()?;
            self.recordings.push_back(recording);
            if self.recordings.len() > KEPT_MAX {
                self.recordings.pop_front();
            }
            Some(rows)
        }

        /// Gives back the memory of all recordings.
        fn forget(&mut self) {
            self.recordings.clear();
            self.counted.clear();
            self.memory = GraphMemory::default();
        }
    }

    impl Recording {
        fn new(
            key: Key,
            x: &DeviceRows,
            step: &Step,
            memory: &GraphMemory,
            layers: &dyn Fn(&Rows, &Step) -> Result<Rows>,
        ) -> Result<Self> {
            let gpu = &x.gpu;
            let input = gpu.copied(x.floats()?).map_err(gpu_error)?;
            let input = Rows::Device(DeviceRows::f32(gpu, input, x.width));
            let step = step.copied(gpu)?;
            // A layer's own error says more than that nothing came of recording it.
            let mut failed = None;
            let work = || match layers(&input, &step) {
                Ok(Rows::Device(rows)) => Ok(rows),
                Ok(Rows::Tensor(_)) => Err(GpuError::Recording("its rows left the GPU")),
                Err(error) => {
                    failed = Some(error);
                    Err(GpuError::Recording("a layer failed"))
                }
            };
            // Rows, plan and output are kept with the graph; weights live as long as the
            // model that keeps it, and the key says where the cache is.
            let recorded = gpu.record(memory, work);
            let (graph, output) =
                recorded.map_err(|error| failed.unwrap_or_else(|| gpu_error(error)))?;
            Ok(Self {
                key,
                graph,
                input,
                step,
                output,
            })
        }

        /// The layers over `x`, for a step of the same layout.
        fn run(&mut self, x: &DeviceRows, step: &Step, keys: View<'_, bf16>) -> Result<Rows> {
            let gpu = &x.gpu;
            let (On::Device { plan: own, .. }, On::Device { plan, .. }) =
                (&mut self.step.on, &step.on)
            else {
                bail!("a recorded step of another device")
            };
            let block = step.heads.n_kv_heads * BLOCK_SIZE * step.heads.head_dim;
            let n_blocks = keys.len() / block;
            let past = |&&slot: &&u32| slot as usize >= n_blocks * BLOCK_SIZE;
            if let Some(slot) = step.slots.iter().find(past) {
                bail!("slot {slot} of a cache of {n_blocks} blocks");
            }
            assert!(plan.is_within(n_blocks), "a plan past the cache");
            let Rows::Device(input) = &self.input else {
                bail!("recorded rows of another device")
            };
            let (from, input, output) = (x.floats()?, input.floats()?, self.output.floats()?);
            let mut run = || {
                gpu.copy(from, input)?;
                own.refill(gpu, plan)?;
                gpu.launch_graph(&mut self.graph)?;
                gpu.copied(output)
            };
            let values = run().map_err(gpu_error)?;
            Ok(Rows::Device(DeviceRows::f32(
                gpu,
                values,
                self.output.width,
            )))
        }
    }
}
