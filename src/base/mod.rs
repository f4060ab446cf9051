//! Ids, units, randomness, and the plain data that later modules hand over.
mod cache;
mod date;
mod deadline;
mod decision;
mod entropy;
mod fixed;
mod gate;
mod ids;
mod location;
mod manifest;
mod names;
mod pool;
mod profile;
mod quantile;
mod rng;
mod settings;
mod signal;
mod strategy;
mod tool;
mod usage;
mod user_dir;
mod utf8;

pub use cache::keep_newest;
pub use date::{day, second};
pub use deadline::Deadline;
pub use decision::{BranchDecision, BranchPolicy};
pub use entropy::{ChoiceEntropy, TokenEntropy};
pub use fixed::FixedPatch;
pub use gate::{GATE_QUANTILE, Gate, Gates, RUNNING_STEPS_MIN, RunningGate};
pub use ids::{BlockId, BranchId, SeqId, StepId};
pub use location::Location;
pub use manifest::{ModelFile, ModelManifest, ModelSource, PackageSource};
pub use pool::Pool;
pub use profile::{AgentLimits, AgentProfile, ContextShares, LimitHit, PromptStyle, Thought};
pub use quantile::quantile;
pub use rng::RngKey;
pub use settings::{AugmentSettings, Budget, SamplerSettings};
pub use signal::{ActionEntropy, GateSignal, SignalSpan};
pub use strategy::{
    ForkAt, JudgeMethod, JudgeSettings, JudgeWhen, PointWeights, Recovery, SelectBy,
    SiblingSettings, StopRule, Strategy, Voter, VoterPrompt,
};
pub use tool::{ToolForm, ToolName};
pub use usage::{Purpose, Usage, UsageByPurpose};
pub use user_dir::user_dir;
pub use utf8::Utf8Decoder;
