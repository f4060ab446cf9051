//! The settings of an agent in one run.
use super::scope::Scope;
use super::tool::ToolSet;
use crate::base::{AgentLimits, AgentProfile, ToolName};
use crate::lang::{self, Language};
use crate::workspace::Limits;

/// Which first prompt a run starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Steps until it submits.
    Agent,
    /// One answer, which is the patch.
    OneTurn,
}

/// Settings of one agent. All limits are hard.
#[derive(Clone)]
pub struct AgentConfig {
    pub role: Role,
    /// As the run's context has it.
    pub profile: AgentProfile,
    /// Forms that are open in this run.
    pub tools: ToolSet,
    pub scope: Scope,
    /// The language of most of the repository's code, which prompts name.
    pub language: &'static dyn Language,
    /// Run the check given to the executor after an edit that compiles, and
    /// show its result: saves a model a step.
    pub check_after_edit: bool,
    /// How the repository's tests are run, as the model is told; empty where nothing is
    /// known that runs them.
    pub test_cmd: String,
    /// A test that was made of the issue fails on the base; else an agent with a map of the
    /// repository is asked to write one.
    pub is_reproduced: bool,
}

impl AgentConfig {
    /// An agent that steps until it submits, in a repository of which nothing is known.
    pub fn agent(profile: AgentProfile) -> Self {
        Self {
            role: Role::Agent,
            tools: ToolSet::of(&profile.tools),
            profile,
            scope: Scope::default(),
            language: lang::of_path(""),
            check_after_edit: true,
            test_cmd: String::new(),
            is_reproduced: true,
        }
    }

    /// The same files in one prompt and one answer: an agent of one step that
    /// may only change files.
    pub fn one_turn(profile: AgentProfile) -> Self {
        let agent = Self::agent(profile);
        Self {
            role: Role::OneTurn,
            tools: agent.tools.only(ToolName::changes_files),
            check_after_edit: false,
            ..Self::agent(agent.profile)
        }
    }

    pub fn limits(&self) -> &AgentLimits {
        &self.profile.limits
    }

    /// Limits of one command that the model runs.
    pub fn command_limits(&self) -> Limits {
        Limits {
            wall_s_max: self.limits().command_s_max,
            ..Limits::default()
        }
    }
}
