//! Arguments that limit a run.
use super::{heading, values};
use crate::base::{AgentProfile, Budget};
use crate::checkpoint::find_profile;
use anyhow::bail;
use clap::Args;

/// The agent's profile, and limits of a run.
#[derive(Args, Clone, Debug)]
pub struct BudgetArgs {
    /// Agent's profile: small (below 3B), standard, or your own [default: the model's]
    ///
    /// It sets the prompts, tools and limits; one of your own is agents/NAME.toml in the
    /// configuration folder of egss.
    #[arg(long, value_name = "NAME", help_heading = heading::MODEL)]
    profile: Option<String>,
    /// Seconds of the run at most.
    #[arg(
        long,
        value_name = "S",
        help_heading = heading::BUDGET,
        default_value_t = Budget::default().wall_s_max,
        value_parser = values::positive::<u64>
    )]
    wall_s_max: u64,
    /// Decoded and computed tokens at most [default: the profile's: small 200000, standard
    /// 2000000].
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::BUDGET,
        value_parser = values::positive::<u64>
    )]
    tokens_max: Option<u64>,
    /// Steps of one branch at most [default: the profile's: small 12, standard 100].
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::BUDGET,
        value_parser = values::positive::<u32>
    )]
    steps_max: Option<u32>,
    /// Seconds of the tests after an edit at most [default: 60]
    ///
    /// The tests nearest to the change run first; the limit holds on the base before the search too,
    /// and is --verify-s-max at most.
    #[arg(
        long,
        value_name = "S",
        help_heading = heading::TESTS,
        value_parser = values::positive::<u64>
    )]
    check_s_max: Option<u64>,
    /// Seconds of the tests of a final patch at most [default: wall-s-max / 4, up to 600]
    ///
    /// Tests that do not run in this time count neither as passed nor as failed.
    #[arg(
        long,
        value_name = "S",
        help_heading = heading::TESTS,
        value_parser = values::positive::<u64>
    )]
    verify_s_max: Option<u64>,
    /// Branches of the run at most.
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::ADVANCED,
        default_value_t = Budget::default().branches_max,
        value_parser = values::positive::<u32>
    )]
    branches_max: u32,
    /// Tokens of one action at most [default: the profile's: small 512, standard 4096].
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::ADVANCED,
        value_parser = values::positive::<usize>
    )]
    action_tokens_max: Option<usize>,
    /// Tokens of a thinking model's reasoning before an action, beside the action's own; 0: none
    /// [default: the profile's in `solve`: small 0, standard 4096; 0 elsewhere].
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::ADVANCED,
        value_parser = values::whole::<usize>
    )]
    reasoning_tokens_max: Option<usize>,
    /// Seconds of one test, or of one test file's import, at most; a test that takes longer is an
    /// error. Python tests of the suite that egss puts together have four times as many.
    #[arg(
        long,
        value_name = "S",
        help_heading = heading::ADVANCED,
        default_value_t = Budget::default().test_s_max,
        value_parser = values::positive::<u64>
    )]
    test_s_max: u64,
}

impl BudgetArgs {
    /// True where the user says how long a model may reason.
    pub fn limits_reasoning(&self) -> bool {
        self.reasoning_tokens_max.is_some()
    }

    /// The agent's profile for `model`.
    pub fn profile(&self, model: &str) -> anyhow::Result<AgentProfile> {
        Ok(find_profile(self.profile.as_deref(), model)?)
    }

    /// Limits of a run: those asked for, else the profile's. Reasoning is as asked for.
    pub fn budget(&self, profile: &AgentProfile) -> anyhow::Result<Budget> {
        let limits = &profile.limits;
        let budget = Budget {
            tokens_max: self.tokens_max.unwrap_or(limits.tokens_max),
            steps_max: self.steps_max.unwrap_or(limits.steps_max),
            branches_max: self.branches_max,
            action_tokens_max: self.action_tokens_max.unwrap_or(limits.action_tokens_max),
            reasoning_tokens_max: self.reasoning_tokens_max.unwrap_or(0),
            wall_s_max: self.wall_s_max,
            test_s_max: self.test_s_max,
            verify_s_max: self.verify_s_max,
            check_s_max: self.check_s_max,
        };
        let limits = [
            budget.tokens_max,
            budget.steps_max.into(),
            budget.branches_max.into(),
            budget.action_tokens_max as u64,
            budget.wall_s_max,
            budget.test_s_max,
        ];
        if limits.contains(&0) {
            bail!("a budget of 0 leaves nothing to do; every limit must be at least 1");
        }
        Ok(budget)
    }
}
