//! Settings as plain data.
use serde::{Deserialize, Serialize};

/// How a token is drawn from a row of logits.
///
/// Order: temperature, then top-k, top-p, min-p on the tempered distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplerSettings {
    /// 0 takes the most likely token.
    pub temperature: f32,
    /// Keep the smallest set of tokens whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Keep the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Drop tokens below this fraction of the top token's probability; 0 keeps all.
    pub min_p: f32,
}

impl SamplerSettings {
    /// The most likely token, always.
    pub const GREEDY: Self = Self {
        temperature: 0.0,
        top_p: 1.0,
        top_k: 0,
        min_p: 0.0,
    };

    /// Plain sampling at a temperature.
    pub const fn at(temperature: f32) -> Self {
        Self {
            temperature,
            ..Self::GREEDY
        }
    }

    /// Refuses numbers that no draw can go by. Errors: a clause that names the number.
    pub fn check(&self) -> Result<(), String> {
        let Self {
            temperature,
            top_p,
            top_k: _,
            min_p,
        } = *self;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return Err(format!("temperature {temperature} is no number from 0 on"));
        }
        for (name, fraction) in [("top_p", top_p), ("min_p", min_p)] {
            if !(0.0..=1.0).contains(&fraction) {
                return Err(format!("{name} {fraction} does not lie between 0 and 1"));
            }
        }
        Ok(())
    }

    /// True where the most likely token is taken.
    pub fn is_greedy(&self) -> bool {
        let Self {
            temperature,
            top_p: _,
            top_k: _,
            min_p: _,
        } = *self;
        temperature.is_nan() || temperature < TEMPERATURE_MIN
    }

    /// True where some tokens are kept from being drawn.
    pub fn truncates(&self) -> bool {
        let Self {
            temperature: _,
            top_p,
            top_k,
            min_p,
        } = *self;
        top_k > 0 || top_p < 1.0 || min_p > 0.0
    }
}

/// Below this a temperature is 0: logits a millionth apart would already
/// differ in weight by a factor e, and `1 / temperature` must stay finite.
const TEMPERATURE_MIN: f32 = 1e-6;

/// Hard limits of a run. Running out of one ends a branch with a named status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Decoded + computed tokens over the whole run.
    pub tokens_max: u64,
    /// Agent steps of one branch.
    pub steps_max: u32,
    /// Branches over the whole run.
    pub branches_max: u32,
    /// Tokens of one action.
    pub action_tokens_max: usize,
    /// Tokens that a thinking model may reason with before each action, beside
    /// the action's own; 0: it answers at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning_tokens_max: usize,
    /// Wall time over the whole run, seconds.
    pub wall_s_max: u64,
    /// One test with its set-up and tear-down, or one test file's import, seconds.
    #[serde(default = "test_s_max")]
    pub test_s_max: u64,
    /// One run of the tests on a patch that may be chosen, and on the base beside it, seconds.
    /// `None`: a quarter of `wall_s_max`, 600 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_s_max: Option<u64>,
    /// One run of the tests after an edit, and on the base before the search, seconds. `None`:
    /// 60, no more than `verify_s_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_s_max: Option<u64>,
}

/// Seconds of one test, where nothing else is said.
fn test_s_max() -> u64 {
    5
}

/// A limit of 0 is left out of a record: it is what older ones mean.
fn is_zero(limit: &usize) -> bool {
    *limit == 0
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            tokens_max: 200_000,
            steps_max: 12,
            branches_max: 32,
            action_tokens_max: 512,
            reasoning_tokens_max: 0,
            wall_s_max: 3_600,
            test_s_max: test_s_max(),
            verify_s_max: None,
            check_s_max: None,
        }
    }
}

/// How many tests a model adds to the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AugmentSettings {
    /// Sources of tests that a model writes at most; 0: none is asked for.
    pub cases_max: u32,
    /// How often it may repair one that cannot be collected.
    pub repairs_max: u32,
}

impl AugmentSettings {
    /// No tests are asked for.
    pub const OFF: Self = Self::of(0);

    /// At most `cases_max` sources, each repaired at most 3 times.
    pub const fn of(cases_max: u32) -> Self {
        Self {
            cases_max,
            repairs_max: 3,
        }
    }
}
