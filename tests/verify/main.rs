//! Verification with real pytest and cargo-nextest in the real sandbox.
mod augment;
mod comparison;
mod evaluate;
mod judge;
mod nextest;
mod runner;
mod suite;
mod support;
mod trace;
