//! The strategies by name: each a few settings of the same search.
use crate::base::{
    AgentProfile, AugmentSettings, BranchPolicy, ForkAt, GateSignal, JudgeMethod, JudgeSettings,
    PointWeights, Recovery, SelectBy, SiblingSettings, StopRule, Strategy, Voter, VoterPrompt,
};

/// The strategies that `--strategy` knows.
pub const STRATEGY_NAMES: [&str; 13] = [
    "one-turn",
    "one-turn-best-of-n",
    "single",
    "best-of-n-naive",
    "best-of-n",
    "best-of-n-stop",
    "egss",
    "paper",
    "branch-random",
    "branch-always",
    "branch-every-k",
    "branch-on-edit",
    "egss-judged",
];

/// The share of steps at which `branch-random` branches and the period of
/// `branch-every-k`: as often as the default model's gate did (20 of 60 steps of `egss`
/// on QuixBugs and mutated HumanEval).
const CONTROL_RATE: f64 = 1.0 / 3.0;
const CONTROL_PERIOD: u32 = 3;

/// Two readings of the maintainer's question and one of the sceptic's. None is drawn: a
/// digit drawn at T = 1 has the expectation for its mean, and only noise beside it.
pub fn default_voters() -> Vec<Voter> {
    let voter = |prompt, temperature| Voter {
        model: None,
        prompt,
        temperature,
    };
    vec![
        voter(VoterPrompt::Maintainer, Some(0.0)),
        voter(VoterPrompt::Maintainer, None),
        voter(VoterPrompt::Sceptic, None),
    ]
}

/// The paper's voters: one question, its answer taken at T = 0 and drawn at T = 1.
fn paper_voters() -> Vec<Voter> {
    [0.0, 1.0]
        .map(|temperature| Voter {
            model: None,
            prompt: VoterPrompt::Maintainer,
            temperature: Some(temperature),
        })
        .to_vec()
}

/// Branches that live at the same time at most.
pub const BEAM_MAX: u32 = 4;

/// The strategy of that name with `n` trajectories and `k` candidates, sampled as a
/// profile has it. `best-of-4` stands for `best-of-n` with n = 4. `None` for an unknown name.
pub fn strategy_named(name: &str, n: u32, k: u32, profile: &AgentProfile) -> Option<Strategy> {
    let single = Strategy {
        name: name.to_owned(),
        one_turn: false,
        n: 1,
        k: 1,
        beam: 1,
        at_once: false,
        share_prompt: true,
        policy: BranchPolicy::Never,
        gate_signal: None,
        fork_at: ForkAt::Action,
        recovery: Recovery::Append,
        stop: StopRule::NEVER,
        evidence_first: false,
        sampler: profile.sampler,
        siblings: SiblingSettings {
            sampler: profile.siblings,
            temperature_step: profile.sibling_temperature_step,
        },
        judge: JudgeSettings::default(),
        // Nothing, as long as no measurement says that its tests help to choose.
        augment: AugmentSettings::OFF,
        voters: default_voters(),
        select: SelectBy::default(),
    };
    let (family, n) = match split_number(name) {
        Some((family, number)) => (family, number),
        None => (name.to_owned(), n),
    };
    let best_of = Strategy {
        n,
        at_once: true,
        sampler: profile.sampling,
        ..single.clone()
    };
    let egss = Strategy {
        n,
        k,
        policy: BranchPolicy::Gate,
        recovery: Recovery::Fork(PointWeights::default()),
        stop: StopRule {
            on_pass: true,
            on_agreement: 2,
        },
        // The check costs no token; three siblings and the judge's questions cost
        // twice what the first action did, which often passes.
        evidence_first: true,
        // The order in which candidates are taken is the one they were decoded in: over
        // 33 tasks the judge's cost 10 % more tokens, for one task more.
        judge: JudgeSettings {
            method: JudgeMethod::None,
            ..single.judge.clone()
        },
        ..single.clone()
    };
    // The published method (arXiv 2602.05242, sections 2.1 to 2.3): branches are judged before
    // anything is carried out, and live side by side until N trajectories are complete.
    let paper = Strategy {
        n,
        k,
        beam: n.min(BEAM_MAX),
        policy: BranchPolicy::Gate,
        gate_signal: Some(GateSignal::Tool),
        augment: AugmentSettings::of(n),
        voters: paper_voters(),
        select: SelectBy::Preference,
        ..single.clone()
    };
    let control = |policy| Strategy {
        policy,
        ..egss.clone()
    };
    Some(match family.as_str() {
        "one-turn" => Strategy {
            one_turn: true,
            ..single
        },
        "one-turn-best-of-n" => Strategy {
            one_turn: true,
            ..best_of
        },
        "single" => single,
        "best-of-n" => best_of,
        "best-of-n-naive" => Strategy {
            share_prompt: false,
            ..best_of
        },
        "best-of-n-stop" => Strategy {
            at_once: false,
            stop: egss.stop,
            ..best_of
        },
        "egss" => egss,
        "paper" => paper,
        "branch-random" => control(BranchPolicy::Random { rate: CONTROL_RATE }),
        "branch-always" => control(BranchPolicy::Always),
        "branch-every-k" => control(BranchPolicy::EveryKth {
            period: CONTROL_PERIOD,
        }),
        "branch-on-edit" => control(BranchPolicy::OnEdit),
        "egss-judged" => Strategy {
            judge: single.judge,
            ..egss
        },
        _ => return None,
    })
}

/// `best-of-4-stop` as `("best-of-n-stop", 4)`.
fn split_number(name: &str) -> Option<(String, u32)> {
    let at = name.find("best-of-")? + "best-of-".len();
    let rest = &name[at..];
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let n = rest[..digits].parse().ok().filter(|&n| n > 0)?;
    Some((format!("{}n{}", &name[..at], &rest[digits..]), n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Gate, Gates};

    #[test]
    fn a_number_in_the_name_is_the_number_of_trajectories() {
        let stop = strategy_named("best-of-4-stop", 9, 3, &AgentProfile::small()).unwrap();
        assert!(stop.n == 4 && stop.stop.on_pass && !stop.at_once);
        assert_eq!(
            strategy_named("best-of-n", 3, 1, &AgentProfile::small())
                .unwrap()
                .n,
            3
        );
        let one_turn = strategy_named("one-turn-best-of-3", 9, 1, &AgentProfile::small()).unwrap();
        assert!(one_turn.n == 3 && one_turn.one_turn);
        assert_eq!(
            strategy_named("best-of-0", 3, 1, &AgentProfile::small()),
            None
        );
        assert_eq!(
            strategy_named("worst-of-2", 3, 1, &AgentProfile::small()),
            None
        );
    }

    #[test]
    fn every_listed_name_is_known() {
        for name in STRATEGY_NAMES {
            assert!(
                strategy_named(name, 4, 4, &AgentProfile::small()).is_some(),
                "{name}"
            );
        }
    }

    #[test]
    fn a_strategy_takes_the_gate_on_its_signal_or_else_the_first() {
        let gate = |signal| Gate {
            signal,
            threshold_nats: 1.0,
            quantile: None,
            provenance: "a test".into(),
        };
        let [first, tool] = [GateSignal::ArgsMax, GateSignal::Tool].map(gate);
        let gates: Gates = [first.clone(), tool.clone()].into_iter().collect();
        let only: Gates = [first.clone()].into_iter().collect();
        let taken = |name, gates: &Gates| {
            let strategy = strategy_named(name, 4, 4, &AgentProfile::small());
            strategy.unwrap().gate(gates)
        };
        assert_eq!(taken("egss", &gates), Some(first));
        assert_eq!(taken("paper", &gates), Some(tool));
        assert_eq!(taken("paper", &only), None);
    }

    #[test]
    fn controls_differ_from_egss_in_where_they_branch_only() {
        let egss = strategy_named("egss", 4, 4, &AgentProfile::small()).unwrap();
        let names = STRATEGY_NAMES.iter().filter(|n| n.starts_with("branch-"));
        for name in names {
            let control = strategy_named(name, 4, 4, &AgentProfile::small()).unwrap();
            assert_ne!(control.policy, egss.policy);
            let same = Strategy {
                name: egss.name.clone(),
                policy: egss.policy,
                ..control
            };
            assert_eq!(same, egss, "{name}");
        }
    }
}
