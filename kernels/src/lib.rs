//! The only crate of the project where `unsafe` may stand: SIMD, memory maps,
//! and the sources of device kernels. Nothing has needed it yet: the reference
//! paths of `egss::ops` are safe Rust, and weights are read, not mapped.
#![deny(unsafe_op_in_unsafe_fn)]
