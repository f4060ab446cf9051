//! A strategy's switches as a person reads them.
use crate::base::{
    AugmentSettings, BranchPolicy, ForkAt, JudgeMethod, JudgeSettings, JudgeWhen, Recovery,
    SamplerSettings, Strategy,
};

/// Each switch by name, in the order in which a run comes upon it.
pub fn settings(strategy: &Strategy) -> Vec<(&'static str, String)> {
    let mut all = vec![("First action", sampler(&strategy.sampler))];
    if strategy.one_turn {
        all.push(("Steps", "one answer is the patch".into()));
    }
    if strategy.k > 1 {
        all.push(("Rolls out", policy(strategy.policy)));
        all.push(("Siblings", siblings(strategy)));
        all.push(("Forks at", fork_at(strategy.fork_at).into()));
        let evidence = match strategy.evidence_first {
            true => "edits are carried out first, where an example of the issue tells",
            false => "when a candidate is taken",
        };
        all.push(("Evidence", evidence.into()));
        all.push(("Judge", judge(&strategy.judge)));
        all.push(("Beam", strategy.beam.to_string()));
    }
    if !strategy.share_prompt {
        all.push(("Prompt", "computed anew by each trajectory".into()));
    }
    all.push(("After a failure", recovery(strategy)));
    all.push(("Stops", stop(strategy)));
    if strategy.augment.cases_max > 0 {
        all.push(("Tests", augment(&strategy.augment)));
    }
    let voters: Vec<String> = strategy.voters.iter().map(|voter| voter.name()).collect();
    if !voters.is_empty() {
        all.push(("Voters", voters.join("; ")));
    }
    all.push(("Selects by", strategy.select.name().into()));
    all
}

fn sampler(sampler: &SamplerSettings) -> String {
    let &SamplerSettings {
        temperature,
        top_p,
        top_k,
        min_p,
    } = sampler;
    let mut text = format!("T = {temperature}");
    if top_p < 1.0 {
        text += &format!(", top-p {top_p}");
    }
    if top_k > 0 {
        text += &format!(", top-k {top_k}");
    }
    if min_p > 0.0 {
        text += &format!(", min-p {min_p}");
    }
    text
}

fn policy(policy: BranchPolicy) -> String {
    match policy {
        BranchPolicy::Gate => "at the gate".into(),
        BranchPolicy::Always => "at every step".into(),
        BranchPolicy::Never => "at no step".into(),
        BranchPolicy::Random { rate } => format!("at {:.0}% of steps, at random", rate * 100.0),
        BranchPolicy::EveryKth { period } => format!("at one step in {period}"),
        BranchPolicy::OnEdit => "at every edit".into(),
    }
}

fn siblings(strategy: &Strategy) -> String {
    let settings = &strategy.siblings;
    let mut text = sampler(&settings.sampler);
    if settings.temperature_step > 0.0 {
        text += &format!(", each +{}", settings.temperature_step);
    }
    text + ", distinct first tokens"
}

fn fork_at(fork_at: ForkAt) -> &'static str {
    match fork_at {
        ForkAt::Action => "the action’s start",
        ForkAt::Token => "its most uncertain token",
    }
}

fn judge(judge: &JudgeSettings) -> String {
    let method = match judge.method {
        JudgeMethod::Digits => "digits from the logits",
        JudgeMethod::Rationale => "rationale, then digits",
        JudgeMethod::None => return "nobody".into(),
    };
    let when = match judge.when {
        JudgeWhen::Before => "before the action runs",
        JudgeWhen::After => "with its observation",
    };
    match &judge.model {
        Some(model) => format!("{method}, {when}, by {model}"),
        None => format!("{method}, on a fork, {when}"),
    }
}

fn recovery(strategy: &Strategy) -> String {
    let weights = match strategy.recovery {
        Recovery::Append => return "goes on with it in the context".into(),
        Recovery::Fork(weights) => weights,
    };
    format!(
        "forks where entropy × {} + judge × {} − failures × {} − distance × {} is largest",
        weights.entropy, weights.judge, weights.failures, weights.distance
    )
}

fn augment(augment: &AugmentSettings) -> String {
    format!(
        "the model adds {} at most, each repaired up to {} times",
        augment.cases_max, augment.repairs_max
    )
}

fn stop(strategy: &Strategy) -> String {
    match (strategy.stop.on_pass, strategy.stop.on_agreement) {
        (false, 0) => "at the budget or n".into(),
        (true, 0) => "with the first patch that passes".into(),
        (false, n) => format!("when {n} patches agree"),
        (true, n) => format!("with the first patch that passes, or when {n} agree"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::AgentProfile;
    use crate::search::{STRATEGY_NAMES, strategy_named};

    #[test]
    fn every_known_strategy_reads_without_a_gap() {
        for name in STRATEGY_NAMES {
            let strategy =
                strategy_named(name, 4, 4, &AgentProfile::small()).expect("a listed name");
            let all = settings(&strategy);
            assert!(all.iter().all(|(_, value)| !value.is_empty()), "{name}");
            assert!(all.iter().any(|(key, _)| *key == "Selects by"), "{name}");
        }
    }

    #[test]
    fn samplers_name_only_what_cuts_something_off() {
        assert_eq!(sampler(&SamplerSettings::GREEDY), "T = 0");
        let cut = SamplerSettings {
            temperature: 0.8,
            top_p: 0.95,
            top_k: 20,
            min_p: 0.0,
        };
        assert_eq!(sampler(&cut), "T = 0.8, top-p 0.95, top-k 20");
    }
}
