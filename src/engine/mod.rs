//! Sequences, the scheduler, the step, and the fork, behind a plain trait.
mod api;
mod batch_rows;
pub mod bench;
pub mod bench_drafts;
mod broken;
mod drafted;
mod drafts;
mod generate;
mod grammars;
mod known;
mod lane;
mod local;
mod memory;
mod open;
mod pace;
mod replay;
mod score;
pub mod scripted;
mod sequence;
mod step;

pub use api::{
    Engine, EngineError, Finish, GenerateJob, Generated, PrefixCache, Progress, ScoreJob,
    Vocabulary,
};
pub use local::LocalEngine;
pub use memory::{MemoryPlan, WeightSizes, context_held, memory_available_bytes};
pub use open::{EngineSettings, OpenError, Opened, kv_bytes_that_fit, open, open_checkpoint};
