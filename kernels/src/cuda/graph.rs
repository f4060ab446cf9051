//! Launches that are recorded once, and launched again as one: a CUDA graph.
use super::shelf::Shelf;
use super::{Gpu, GpuError, Result};
use cudarc::driver::sys::{
    CUgraph, CUgraphExec, CUstream, CUstream_flags, CUstreamCaptureMode, cuGraphDestroy,
    cuGraphExecDestroy, cuGraphInstantiateWithFlags, cuGraphLaunch, cuStreamBeginCapture_v2,
    cuStreamCreate, cuStreamDestroy_v2, cuStreamEndCapture,
};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

thread_local! {
    /// Where this thread's launches and memory go, where that is not as usual. Other
    /// threads go on as usual meanwhile.
    static INSTEAD: RefCell<Option<Instead>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Instead {
    shelf: Arc<Shelf>,
    /// The stream that records; `None` while the work is run to find what it needs.
    records: Option<CUstream>,
}

/// Memory that graphs work in, one after the other: what one of them has given is to be
/// copied before the next is launched.
#[derive(Clone, Default)]
pub struct GraphMemory(Arc<Shelf>);

/// Launches in the order of a stream.
pub struct Graph {
    graph: CUgraph,
    exec: CUgraphExec,
    /// What they work in.
    _memory: GraphMemory,
}

// SAFETY: handles of the driver, for whatever thread has the graph.
unsafe impl Send for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: both are valid and nobody else's; what they say is of no use here.
        unsafe {
            let _ = cuGraphExecDestroy(self.exec);
            let _ = cuGraphDestroy(self.graph);
        }
    }
}

impl Gpu {
    /// Runs `work` as it is, then records what it launches, with what it gave: the graph
    /// writes there, and other graphs of the same memory may. Nothing that `work` does but
    /// launching is recorded.
    ///
    /// Errors: `work`'s own, and those of a driver that cannot record this; everything can
    /// go on without a graph then.
    ///
    /// Memory that `work` reads and writes, other than what it takes from this GPU while it
    /// runs, has to live as long as the graph is launched, and so has what `work` gave: the
    /// caller's to see to, as are indices in the device's memory.
    pub fn record<T>(
        &self,
        memory: &GraphMemory,
        mut work: impl FnMut() -> Result<T>,
    ) -> Result<(Graph, T)> {
        let shelf = memory.0.clone();
        // First as it is, so that all the memory is at hand: nothing may be taken from the
        // driver while it records.
        let gave = instead(
            Instead {
                shelf: shelf.clone(),
                records: None,
            },
            &mut work,
        )?;
        drop(gave);
        self.stream.context().bind_to_thread()?;
        let stream = Recorder::new()?;
        let gave = instead(
            Instead {
                shelf,
                records: Some(stream.0),
            },
            &mut work,
        );
        let graph = stream.end()?;
        // Without an executable one it must go again.
        let destroyed = |error| {
            // SAFETY: the graph is valid and nobody else's.
            unsafe { cuGraphDestroy(graph) }.result().ok();
            error
        };
        let gave = gave.map_err(destroyed)?;
        let mut exec = std::ptr::null_mut();
        // SAFETY: a graph of kernels, whose arguments are the caller's promise.
        let made = unsafe { cuGraphInstantiateWithFlags(&raw mut exec, graph, 0) };
        made.result().map_err(|error| destroyed(error.into()))?;
        let graph = Graph {
            graph,
            exec,
            _memory: memory.clone(),
        };
        Ok((graph, gave))
    }

    /// Launches all of a graph behind everything that was launched before.
    pub fn launch_graph(&self, graph: &mut Graph) -> Result<()> {
        self.stream.context().bind_to_thread()?;
        // SAFETY: who recorded it promised that its memory lives.
        let launched = unsafe { cuGraphLaunch(graph.exec, self.stream.cu_stream()) };
        launched.result()?;
        self.graph_launches.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Graphs launched so far.
    pub fn graph_launches(&self) -> u64 {
        self.graph_launches.load(Ordering::Relaxed)
    }

    /// The stream that this thread launches on.
    pub(super) fn launches_on(&self) -> CUstream {
        let records = INSTEAD.with_borrow(|instead| instead.as_ref()?.records);
        records.unwrap_or(self.stream.cu_stream())
    }

    /// Where this thread takes memory from.
    pub(super) fn shelf(&self) -> Arc<Shelf> {
        let instead = INSTEAD.with_borrow(|instead| Some(instead.as_ref()?.shelf.clone()));
        instead.unwrap_or_else(|| self.shelf.clone())
    }

    /// True where this thread records, so that the driver may not be asked for memory.
    pub(super) fn is_recording(&self) -> bool {
        INSTEAD.with_borrow(|instead| instead.as_ref().is_some_and(|i| i.records.is_some()))
    }
}

fn instead<T>(of: Instead, work: &mut impl FnMut() -> Result<T>) -> Result<T> {
    struct AsUsual;
    impl Drop for AsUsual {
        fn drop(&mut self) {
            INSTEAD.set(None);
        }
    }
    if INSTEAD.with_borrow(Option::is_some) {
        return Err(GpuError::Recording("one graph within another"));
    }
    INSTEAD.set(Some(of));
    let _as_usual = AsUsual;
    work()
}

/// A stream that records what is launched on it.
struct Recorder(CUstream);

impl Recorder {
    fn new() -> Result<Self> {
        let mut stream = std::ptr::null_mut();
        let flags = CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: a stream of its own, which nothing else launches on.
        unsafe {
            cuStreamCreate(&raw mut stream, flags).result()?;
            let recorder = Self(stream);
            let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
            cuStreamBeginCapture_v2(stream, mode).result()?;
            Ok(recorder)
        }
    }

    fn end(self) -> Result<CUgraph> {
        let mut graph = std::ptr::null_mut();
        // SAFETY: it records since it was made.
        unsafe { cuStreamEndCapture(self.0, &raw mut graph) }.result()?;
        match graph.is_null() {
            true => Err(GpuError::Recording("the driver gave no graph")),
            false => Ok(graph),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // SAFETY: it is valid and nobody else's; what it still records is thrown away.
        let _ = unsafe { cuStreamDestroy_v2(self.0) };
    }
}
