//! Strategies as data: one controller, a few switches.
use crate::base::SamplerSettings;
use crate::decode::BranchPolicy;
use serde::{Deserialize, Serialize};

/// How a run spends its budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Strategy {
    pub name: String,
    /// One answer is the patch: no steps, no observations.
    pub one_turn: bool,
    /// Trajectories at most, N.
    pub n: u32,
    /// Candidates at a branched step, k.
    pub k: u32,
    /// All trajectories from the prompt at once, in one batch; otherwise one
    /// after the other.
    pub at_once: bool,
    /// Later trajectories share the prompt's cache; otherwise each computes it
    /// anew, as through an API.
    pub share_prompt: bool,
    /// At which steps to roll out candidates.
    pub policy: BranchPolicy,
    /// When evidence turns against a branch, go back and fork there, instead of
    /// appending corrections.
    pub backtrack: bool,
    /// End the run with the first trajectory whose checks all pass.
    pub stop_early: bool,
    /// Of the first candidate of a step.
    pub sampler: SamplerSettings,
    /// Of its siblings.
    pub sibling_sampler: SamplerSettings,
}

/// The strategies that `--strategy` knows.
pub const STRATEGY_NAMES: [&str; 6] = [
    "one-turn",
    "single",
    "best-of-n-naive",
    "best-of-n",
    "best-of-n-stop",
    "egss",
];

/// Temperature of samples: what the first measurements of these models used.
const SAMPLE: SamplerSettings = SamplerSettings {
    temperature: 0.8,
    top_p: 0.95,
    top_k: 0,
    min_p: 0.0,
};

impl Strategy {
    /// The strategy of that name with `n` trajectories and `k` candidates.
    /// `best-of-4` stands for `best-of-n` with n = 4. `None` for an unknown name.
    pub fn named(name: &str, n: u32, k: u32) -> Option<Self> {
        let single = Self {
            name: name.to_owned(),
            one_turn: false,
            n: 1,
            k: 1,
            at_once: false,
            share_prompt: true,
            policy: BranchPolicy::Never,
            backtrack: false,
            stop_early: false,
            sampler: SamplerSettings::GREEDY,
            sibling_sampler: SAMPLE,
        };
        let (family, n) = match split_number(name) {
            Some((family, number)) => (family, number),
            None => (name.to_owned(), n),
        };
        let best_of = Self {
            n,
            at_once: true,
            sampler: SAMPLE,
            ..single.clone()
        };
        Some(match family.as_str() {
            "one-turn" => Self {
                one_turn: true,
                ..single
            },
            "single" => single,
            "best-of-n" => best_of,
            "best-of-n-naive" => Self {
                share_prompt: false,
                ..best_of
            },
            "best-of-n-stop" => Self {
                at_once: false,
                stop_early: true,
                ..best_of
            },
            "egss" => Self {
                n,
                k,
                policy: BranchPolicy::Gate,
                backtrack: true,
                stop_early: true,
                ..single
            },
            _ => return None,
        })
    }
}

/// `best-of-4-stop` as `("best-of-n-stop", 4)`.
fn split_number(name: &str) -> Option<(String, u32)> {
    let rest = name.strip_prefix("best-of-")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let n = rest[..digits].parse().ok().filter(|&n| n > 0)?;
    Some((format!("best-of-n{}", &rest[digits..]), n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_the_name_is_the_number_of_trajectories() {
        let stop = Strategy::named("best-of-4-stop", 9, 3).unwrap();
        assert!(stop.n == 4 && stop.stop_early && !stop.at_once);
        assert_eq!(Strategy::named("best-of-n", 3, 1).unwrap().n, 3);
        assert_eq!(Strategy::named("best-of-0", 3, 1), None);
        assert_eq!(Strategy::named("worst-of-2", 3, 1), None);
    }

    #[test]
    fn every_listed_name_is_known() {
        for name in STRATEGY_NAMES {
            assert!(Strategy::named(name, 4, 4).is_some(), "{name}");
        }
    }
}
