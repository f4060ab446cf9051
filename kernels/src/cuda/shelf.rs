//! Device memory that was handed back.
use cudarc::driver::CudaSlice;
use std::collections::HashMap;
use std::sync::Mutex;

/// Memory by the binary logarithm of its bytes, free to take.
pub(super) type Shelf = Mutex<HashMap<u32, Vec<CudaSlice<u8>>>>;
