//! What the same branches would have cost without forks: arithmetic over the
//! record, no measured run.
use super::view::{RunView, chosen};
use crate::base::{StepId, Usage};
use crate::record::StepFinished;
use std::collections::HashSet;

/// Tokens that a run spent, or would have spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    pub decoded_tokens: u64,
    pub computed_tokens: u64,
}

impl Cost {
    /// What savings are stated on.
    pub fn spent_tokens(&self) -> u64 {
        self.decoded_tokens + self.computed_tokens
    }
}

/// A run beside what its branches would have cost on their own.
///
/// All three have the same branches, the same candidates at each step and the
/// same judge's and voters' questions, which cost what they did in this run.
/// Through an API each of these would pay its whole context besides: both
/// baselines are lower bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Comparison {
    /// What the record says.
    pub run: Cost,
    /// The prompt computed once; each branch then goes its way alone, from its
    /// first step on, in one session that computes nothing twice.
    pub shared_prompt: Cost,
    /// The same, each branch from an empty cache: its prompt computed too.
    pub naive: Cost,
}

/// Compares a run with its baselines. Cost: linear in the branches' paths.
pub fn comparison(view: &RunView) -> Comparison {
    let total = view.usage().total();
    let run = Cost::from(total);
    let inherited = inherited(view);
    let with_steps = |prompts: i64| Cost {
        decoded_tokens: run.decoded_tokens + inherited.decoded_tokens + kept_prefixes(view),
        computed_tokens: (run.computed_tokens + inherited.computed_tokens)
            .saturating_add_signed(prompts * view.start.prompt_tokens.len() as i64),
    };
    // A branch without a step has computed nothing that the record knows of.
    let begun = || {
        let branches = view.branches.iter();
        branches.filter(|branch| !branch.path().is_empty() || branch.ended.is_some())
    };
    let n_begun = begun().count() as i64;
    let n_roots = begun().filter(|b| b.forked_from.is_none()).count() as i64;
    // How often this run computed the prompt, by its strategy.
    let n_prompts = match view.start.strategy.share_prompt {
        true => n_begun.min(1),
        false => n_roots,
    };
    Comparison {
        run,
        shared_prompt: with_steps(n_begun.min(1) - n_prompts),
        naive: with_steps(n_begun - n_prompts),
    }
}

impl From<Usage> for Cost {
    fn from(usage: Usage) -> Self {
        Self {
            decoded_tokens: usage.decoded_tokens,
            computed_tokens: usage.computed_tokens,
        }
    }
}

/// The steps that branches share with the one they left: their actions would
/// be decoded again, their observations computed again.
fn inherited(view: &RunView) -> Cost {
    let shared = view.branches.iter().flat_map(|b| &b.shared_steps);
    shared.fold(Cost::default(), |mut sum, &at| {
        let step = &view.steps[at];
        let decoded = chosen(step).map_or(0, |candidate| candidate.tokens.len());
        sum.decoded_tokens += decoded as u64;
        sum.computed_tokens += step.observation_tokens.len() as u64;
        sum
    })
}

/// Tokens of siblings that left an action in its midst: what stands before
/// would be decoded again. A candidate that a later branch took up is the same
/// candidate, and counts once.
fn kept_prefixes(view: &RunView) -> u64 {
    let mut seen = HashSet::new();
    let mut sum = 0;
    for step in &view.steps {
        let point = point(view, step);
        for candidate in &step.candidates {
            if candidate.forked_at > 0 && seen.insert((point, candidate.canonical.as_str())) {
                sum += candidate.forked_at as u64;
            }
        }
    }
    sum
}

/// The first step that was taken from the same history: a branch's first step
/// stands where it left another.
fn point(view: &RunView, step: &StepFinished) -> StepId {
    let mut step = step;
    loop {
        let fork = view.branch(step.branch).and_then(|branch| {
            let first = *branch.own_steps.first()?;
            (view.steps[first].step == step.step).then_some(branch.forked_from?)
        });
        match fork.and_then(|fork| view.step(fork.step)) {
            Some(earlier) if earlier.step < step.step => step = earlier,
            _ => return step.step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::AgentProfile;
    use crate::base::{
        ActionEntropy, BranchDecision, BranchId, Budget, TokenEntropy, UsageByPurpose,
    };
    use crate::record::*;
    use crate::search::strategy_named;

    const PROMPT: u64 = 100;

    fn started(share_prompt: bool) -> Event {
        let mut strategy =
            strategy_named("egss", 4, 4, &AgentProfile::small()).expect("a known name");
        strategy.share_prompt = share_prompt;
        Event::RunStarted(RunStarted {
            record_version: RECORD_VERSION,
            egss_version: String::new(),
            model: String::new(),
            device: String::new(),
            strategy,
            seed: 0,
            ctx_tokens: 0,
            budget: Budget::default(),
            gate: None,
            repo: String::new(),
            checkout: Checkout::default(),
            python: None,
            issue: String::new(),
            profile: AgentProfile::small(),
            locations: Vec::new(),
            cuts: Vec::new(),
            test_cmd: None,
            junit: None,
            tools: Vec::new(),
            environment: None,
            base_tree: String::new(),
            prompt_text: String::new(),
            prompt_tokens: vec![0; PROMPT as usize],
            started_at_s: 0,
        })
    }

    fn branch(id: u32, from: Option<(u32, u32)>) -> Event {
        Event::BranchStarted(BranchStarted {
            branch: BranchId(id),
            forked_from: from.map(|(branch, step)| ForkPoint {
                branch: BranchId(branch),
                step: StepId(step),
            }),
            reason: String::new(),
        })
    }

    /// A candidate of `n` tokens, `forked_at` of them another's.
    fn candidate(name: &str, n: usize, forked_at: usize) -> Candidate {
        let token = TokenEntropy {
            token: 0,
            logprob: 0.0,
            entropy_nats: 0.0,
            varentropy: 0.0,
            top1_prob: 1.0,
            margin: 1.0,
            masked_entropy_nats: None,
            forced: false,
        };
        Candidate {
            text: String::new(),
            tokens: vec![token; n],
            pieces: Vec::new(),
            tool: None,
            canonical: name.into(),
            entropy: ActionEntropy::default(),
            judge: None,
            merged: 1,
            forked_at,
            temperature: 0.0,
            tried: None,
        }
    }

    /// A step that observed `n_observed` tokens and spent what `agent` says.
    fn step(
        id: u32,
        branch: u32,
        candidates: Vec<Candidate>,
        n_observed: usize,
        (decoded_tokens, computed_tokens): (u64, u64),
    ) -> Event {
        let agent = Usage {
            decoded_tokens,
            computed_tokens,
            ..Usage::default()
        };
        Event::StepFinished(StepFinished {
            step: StepId(id),
            branch: BranchId(branch),
            depth: 0,
            candidates,
            chosen: 0,
            decision: BranchDecision {
                branch: false,
                candidates: 1,
                signal_nats: None,
                threshold_nats: None,
                gate: None,
                reason: String::new(),
            },
            outcome: StepOutcome::Ok,
            cuts: Vec::new(),
            observation: String::new(),
            observation_tokens: vec![0; n_observed],
            tree: String::new(),
            usage: UsageByPurpose {
                agent,
                ..UsageByPurpose::default()
            },
        })
    }

    fn compare(events: Vec<Event>) -> Comparison {
        let line = |event| RecordLine {
            elapsed_ms: 0,
            event,
        };
        comparison(&RunView::new(events.into_iter().map(line).collect()))
    }

    fn cost(decoded_tokens: u64, computed_tokens: u64) -> Cost {
        Cost {
            decoded_tokens,
            computed_tokens,
        }
    }

    #[test]
    fn a_fork_saves_the_steps_that_it_inherits_and_its_prompt() {
        let found = compare(vec![
            started(true),
            branch(0, None),
            step(0, 0, vec![candidate("a", 10, 0)], 5, (10, PROMPT)),
            step(1, 0, vec![candidate("b", 20, 0)], 7, (20, 5)),
            branch(1, Some((0, 1))),
            step(2, 1, vec![candidate("c", 30, 0)], 0, (30, 0)),
        ]);
        assert_eq!(found.run, cost(60, PROMPT + 5));
        // Branch 1 would decode `a` and compute what it observed once more.
        assert_eq!(found.shared_prompt, cost(70, PROMPT + 10));
        assert_eq!(found.naive, cost(70, 2 * PROMPT + 10));
    }

    #[test]
    fn a_run_that_shares_nothing_is_its_own_naive_baseline() {
        let found = compare(vec![
            started(false),
            branch(0, None),
            branch(1, None),
            step(0, 0, vec![candidate("a", 10, 0)], 5, (10, PROMPT)),
            step(1, 1, vec![candidate("b", 20, 0)], 7, (20, PROMPT)),
        ]);
        assert_eq!(found.naive, found.run);
        assert_eq!(found.shared_prompt, cost(30, PROMPT));
    }

    #[test]
    fn the_tokens_before_a_fork_within_an_action_count_once_for_each_sibling() {
        let siblings = vec![candidate("a", 10, 0), candidate("b", 12, 8)];
        let found = compare(vec![
            started(true),
            branch(0, None),
            step(0, 0, siblings, 5, (14, PROMPT)),
            // The sibling is taken up: no other one.
            branch(1, Some((0, 0))),
            step(1, 1, vec![candidate("b", 12, 8)], 5, (0, 0)),
            branch(2, Some((1, 1))),
            step(
                2,
                2,
                vec![candidate("b", 12, 8), candidate("c", 9, 4)],
                5,
                (5, 0),
            ),
        ]);
        assert_eq!(found.run, cost(19, PROMPT));
        assert_eq!(found.shared_prompt, cost(19 + 8 + 4, PROMPT));
        assert_eq!(found.naive, cost(19 + 8 + 4, 3 * PROMPT));
    }

    #[test]
    fn a_run_that_has_not_begun_costs_nothing_anywhere() {
        let found = compare(vec![started(true), branch(0, None)]);
        assert_eq!(found.run, Cost::default());
        assert_eq!(found.naive, Cost::default());
        assert_eq!(found.shared_prompt, Cost::default());
    }
}
