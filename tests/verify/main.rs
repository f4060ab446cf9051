//! Verification with real runners of tests in the real sandbox.
mod augment;
mod collect;
mod comparison;
mod cut;
mod evaluate;
mod go;
mod judge;
mod modules;
mod nextest;
mod node;
mod runner;
mod suite;
mod support;
mod trace;
