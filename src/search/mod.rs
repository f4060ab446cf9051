//! Entropy-guided stepwise scaling: from an issue to a selected patch.
//!
//! A run is its record. [`RunState`] folds the record's events; [`next`] decides from it, and from
//! the [`Round`] of steps that are being decided, what is done next: a [`Command`], plain data. The
//! search carries it out by its hands (`decoder`: models and KV caches; `workspaces`: copies of the
//! repository) and writes what happened to the record. Behind the search, `finish` tests the
//! patches, judges, votes and selects.
mod additions;
mod base;
mod beam;
mod check;
mod check_patch;
mod clock;
mod command;
mod deciding;
mod decoder;
mod draft;
mod end_anew;
mod error;
mod finish;
mod fitted;
mod fold;
mod forkpoint;
mod found;
mod memory;
mod next;
#[cfg(test)]
mod next_tests;
mod parts;
mod patch;
mod places;
mod recorder;
mod round;
mod run;
mod settle;
mod solve;
mod state;
mod step;
mod strategy;
mod views;
mod watch;
mod workspaces;

pub use base::{BaseRequest, test_runner};
pub use check_patch::{PatchCheck, check_patch};
pub use command::{Command, Rollout, RolloutKind};
pub use deciding::{Facts, Rules};
pub use decoder::{JUDGE_CALL, OtherModel, Others, judge};
pub use draft::Draft;
pub use end_anew::end_anew;
pub use error::SearchError;
pub use next::next;
pub use places::WORK_DIR;
pub use recorder::Recorder;
pub use round::{Proposal, Round};
pub use run::Search;
pub use solve::{SolveRequest, Tools, resume, solve};
pub use state::{BranchState, EarlierSuite, RunState};
pub use strategy::{BEAM_MAX, STRATEGY_NAMES, default_voters, strategy_named};
pub use watch::{NoWatcher, Watcher};
