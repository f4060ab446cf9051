//! Sequences, the scheduler, the step, and the fork, behind a plain trait.
mod api;
pub mod scripted;

pub use api::{
    Engine, EngineError, Finish, GenerateJob, Generated, Progress, ScoreJob, Vocabulary,
};
