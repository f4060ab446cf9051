//! Entropy-guided stepwise scaling: the controller, its strategies, and the
//! pipeline from an issue to a selected patch.
mod carry_out;
mod check;
mod controller;
mod finish;
mod forkpoint;
mod judge;
mod patch;
mod propose;
mod recorder;
mod sequences;
mod solve;
mod state;
mod strategy;
mod watch;

pub use controller::{Controller, SearchError};
pub use recorder::Recorder;
pub use solve::{SolveRequest, Tools, resume, solve};
pub use state::{BranchState, RunState};
pub use strategy::{STRATEGY_NAMES, Strategy};
pub use watch::{NoWatcher, Watcher};
