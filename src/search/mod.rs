//! Entropy-guided stepwise scaling: the controller, its strategies, and the
//! pipeline from an issue to a selected patch.
mod additions;
mod beam;
mod carry_out;
mod check;
mod choose;
mod clock;
mod controller;
mod draft;
mod end_anew;
mod finish;
mod fitted;
mod fold;
mod forkpoint;
mod judge;
mod others;
mod parts;
mod patch;
mod propose;
mod recorder;
mod rollout;
mod sequences;
mod solve;
mod start;
mod state;
mod strategy;
mod watch;

pub use controller::{Controller, SearchError};
pub use end_anew::end_anew;
pub use judge::{JUDGE_CALL, judge};
pub use others::{OtherModel, Others};
pub use recorder::Recorder;
pub use solve::{SolveRequest, Tools, WORK_DIR, resume, solve, test_runner};
pub use state::{BranchState, RunState};
pub use strategy::{STRATEGY_NAMES, default_voters, strategy_named};
pub use watch::{NoWatcher, Watcher};
