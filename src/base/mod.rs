//! Ids, units, randomness, and the plain data that later modules hand over.
mod decision;
mod entropy;
mod ids;
mod manifest;
mod names;
mod profile;
mod rng;
mod settings;
mod strategy;
mod tool;
mod usage;

pub use decision::{BranchDecision, BranchPolicy, Gate, GateSignal};
pub use entropy::{ActionEntropy, TokenEntropy, ToolEntropy};
pub use ids::{BlockId, BranchId, SeqId, StepId};
pub use manifest::{ModelFile, ModelManifest, ModelSource, PackageSource};
pub use profile::{AgentLimits, AgentProfile, ContextShares, LimitHit, PromptStyle, Thought};
pub use rng::RngKey;
pub use settings::{AugmentSettings, Budget, SamplerSettings};
pub use strategy::{
    ForkAt, JudgeContext, JudgeMethod, JudgeSettings, JudgeWhen, PointWeights, Recovery, SelectBy,
    SiblingSettings, StopRule, Strategy, Voter, VoterPrompt,
};
pub use tool::{ToolForm, ToolName};
pub use usage::{Purpose, Usage, UsageByPurpose};
