//! `egss`: a local-inference engine with entropy-aware decoding, and
//! Entropy-guided Stepwise Scaling (arXiv 2602.05242) on top of it.
//!
//! Data flows one way; each module imports only from those listed before it:
//! `base → record → checkpoint → decode → ops → kv → model → engine →
//! workspace → lang → index → agent → verify → select → search → eval → report → cli`.
//! `ARCHITECTURE.md` is the map.
//!
//! Letters in shape comments: `B` batch rows, `T` tokens, `H` query heads,
//! `K` key/value heads, `D` head dimension, `E` hidden size, `V` vocabulary,
//! `N` blocks, `S` block size.
#![forbid(unsafe_code)]
// They panic where nobody reads on or a disk is full: `cli/out.rs` writes.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod agent;
pub mod base;
pub mod checkpoint;
pub mod cli;
pub mod decode;
pub mod engine;
pub mod eval;
pub mod index;
pub mod kv;
pub mod lang;
pub mod model;
pub mod ops;
pub mod record;
pub mod report;
pub mod search;
pub mod select;
pub mod verify;
pub mod workspace;
