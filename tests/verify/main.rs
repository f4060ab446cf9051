//! Verification with real pytest in the real sandbox.
mod comparison;
mod evaluate;
mod judge;
mod runner;
mod suite;
mod support;
mod trace;
