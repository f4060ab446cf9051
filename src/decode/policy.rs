//! Whether a step is rolled out: the entropy gate, and the controls it is
//! measured against.
//!
//! A model without a gate is gated by its run ([`AskedGate::Running`]): the threshold is the
//! 0.8 quantile of the signal over the first candidates of the steps before, from the first
//! step on before which five were measured. All branches of a round count the steps that were
//! recorded before the round, so that a run that was killed within a round decides as one
//! that was not. A decision records the signal, the quantile and the number of steps.
use crate::base::{
    ActionEntropy, BranchDecision, BranchPolicy, GATE_QUANTILE, Gate, GateSignal,
    RUNNING_STEPS_MIN, RngKey, RunningGate, quantile,
};

/// One step to decide on.
#[derive(Clone, Copy, Debug)]
pub struct BranchAsk<'a> {
    pub gate: AskedGate<'a>,
    /// The action that was decoded.
    pub entropy: &'a ActionEntropy,
    /// Candidates wanted in all, the decoded one included.
    pub candidates: usize,
    /// Whether the action changes a file.
    pub is_edit: bool,
    /// Index of the step in its branch, from 0.
    pub step: u32,
    /// The step's own random stream.
    pub key: RngKey,
    pub room: BranchRoom,
}

/// What [`BranchPolicy::Gate`] compares a step with.
#[derive(Clone, Copy, Debug)]
pub enum AskedGate<'a> {
    /// A threshold that the user or the model's manifest gives.
    Given(&'a Gate),
    /// The run's own gate, where nobody gives one: [`GATE_QUANTILE`] of the signal over
    /// the steps of the run before this one, once [`RUNNING_STEPS_MIN`] were measured.
    Running {
        signal: GateSignal,
        /// The signal at those steps, nats, in any order, without NaN.
        before_nats: &'a [f32],
    },
}

/// What the budget leaves for siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchRoom {
    /// Branches that may still be opened.
    pub branches_left: usize,
    /// Tokens that may still be spent.
    pub tokens_left: u64,
    /// Tokens that one more candidate is expected to cost, its judging included.
    pub tokens_per_candidate: u64,
}

impl BranchRoom {
    /// Most candidates that fit, the decoded one included.
    fn candidates_max(&self) -> usize {
        let by_tokens = self.tokens_left / self.tokens_per_candidate.max(1);
        let siblings = usize::try_from(by_tokens).unwrap_or(usize::MAX);
        self.branches_left.min(siblings).saturating_add(1)
    }

    /// What ran out first, for the reason.
    fn limit(&self) -> String {
        let Self {
            branches_left,
            tokens_left,
            tokens_per_candidate,
        } = self;
        if (*branches_left as u64) <= tokens_left / tokens_per_candidate.max(&1) {
            format!("{branches_left} branches are left")
        } else {
            format!("{tokens_left} tokens are left at {tokens_per_candidate} a candidate")
        }
    }
}

impl BranchPolicy {
    /// Decides, with the figures it rested on. A signal that was not measured
    /// or is NaN never branches. Candidates beyond the room are cut; where not
    /// even one sibling fits, the step is not rolled out.
    pub fn decide(&self, ask: &BranchAsk) -> BranchDecision {
        let wish = self.wish(ask);
        let fitting = ask.candidates.min(ask.room.candidates_max());
        let mut reason = wish.reason;
        if wish.branch && ask.candidates < 2 {
            reason = format!("{reason}, but one candidate was asked for");
        } else if wish.branch && fitting < 2 {
            reason = format!("{reason}, but {}", ask.room.limit());
        } else if wish.branch && fitting < ask.candidates {
            let limit = ask.room.limit();
            reason = format!(
                "{reason}; {fitting} of {} candidates: {limit}",
                ask.candidates
            );
        }
        let branch = wish.branch && fitting >= 2;
        BranchDecision {
            branch,
            candidates: if branch { fitting } else { 1 },
            signal_nats: wish.signal_nats,
            threshold_nats: wish.threshold_nats,
            gate: wish.gate,
            reason,
        }
    }

    /// What the policy wants before the budget is asked.
    fn wish(&self, ask: &BranchAsk) -> Wish {
        match *self {
            Self::Gate => gate_wish(ask),
            Self::Always => Wish::control(true, "policy: always".to_owned()),
            Self::Never => Wish::control(false, "policy: never".to_owned()),
            Self::Random { rate } => {
                let u = ask.key.uniform();
                let sign = if u < rate { "<" } else { ">=" };
                Wish::control(u < rate, format!("policy: random, {u:.3} {sign} {rate}"))
            }
            Self::EveryKth { period } => {
                let nth = u64::from(ask.step) + 1;
                let branch = period > 0 && nth.is_multiple_of(period.into());
                Wish::control(branch, format!("policy: step {nth}, every {period}"))
            }
            Self::OnEdit => {
                let what = if ask.is_edit { "an edit" } else { "no edit" };
                Wish::control(ask.is_edit, format!("policy: {what}"))
            }
        }
    }
}

struct Wish {
    branch: bool,
    signal_nats: Option<f32>,
    threshold_nats: Option<f32>,
    gate: Option<RunningGate>,
    reason: String,
}

impl Wish {
    fn control(branch: bool, reason: String) -> Self {
        Self {
            branch,
            signal_nats: None,
            threshold_nats: None,
            gate: None,
            reason,
        }
    }
}

fn gate_wish(ask: &BranchAsk) -> Wish {
    match ask.gate {
        AskedGate::Given(gate) => compared(gate.signal, gate.threshold_nats, ask.entropy),
        AskedGate::Running {
            signal,
            before_nats,
        } => running_wish(signal, before_nats, ask.entropy),
    }
}

/// Compares an action's signal with a threshold.
fn compared(signal: GateSignal, threshold: f32, entropy: &ActionEntropy) -> Wish {
    let (name, signal_nats) = (signal.name(), signal.of(entropy));
    let (branch, reason) = match signal_nats {
        None => (false, format!("{name} was not measured")),
        Some(nats) if nats.is_nan() || threshold.is_nan() => (
            false,
            format!("{name} {nats:.2} and {threshold:.2} nats cannot be compared"),
        ),
        Some(nats) if nats >= threshold => {
            (true, format!("{name} {nats:.2} >= {threshold:.2} nats"))
        }
        Some(nats) => (false, format!("{name} {nats:.2} < {threshold:.2} nats")),
    };
    Wish {
        branch,
        // Not a number has no place in a record.
        signal_nats: signal_nats.filter(|nats| !nats.is_nan()),
        threshold_nats: Some(threshold).filter(|nats| !nats.is_nan()),
        gate: None,
        reason,
    }
}

/// Compares an action's signal with the run's own threshold, if there are steps enough
/// for one.
fn running_wish(signal: GateSignal, before_nats: &[f32], entropy: &ActionEntropy) -> Wish {
    let n_steps = before_nats.len();
    let gate = Some(RunningGate {
        signal,
        quantile: GATE_QUANTILE as f32,
        n_steps,
    });
    if n_steps < RUNNING_STEPS_MIN {
        let name = signal.name();
        let steps = steps(n_steps);
        return Wish {
            branch: false,
            signal_nats: signal.of(entropy).filter(|nats| !nats.is_nan()),
            threshold_nats: None,
            gate,
            reason: format!(
                "the gate is not open yet: the model has none on {name}, whose \
                 {GATE_QUANTILE:.2} quantile needs {RUNNING_STEPS_MIN} measured \
                 steps of this run, which has {steps}"
            ),
        };
    }
    let mut sorted = before_nats.to_vec();
    sorted.sort_by(f32::total_cmp);
    let wish = compared(signal, quantile(&sorted, GATE_QUANTILE), entropy);
    let steps = steps(n_steps);
    Wish {
        gate,
        reason: match wish.signal_nats {
            Some(_) => format!(
                "{}, the {GATE_QUANTILE:.2} quantile of {steps} of this run",
                wish.reason
            ),
            None => wish.reason,
        },
        ..wish
    }
}

fn steps(n: usize) -> String {
    match n {
        0 => "none".into(),
        1 => "1 step".into(),
        n => format!("{n} steps"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ChoiceEntropy;

    const ROOM: BranchRoom = BranchRoom {
        branches_left: 10,
        tokens_left: 10_000,
        tokens_per_candidate: 500,
    };

    fn gate(signal: GateSignal, threshold_nats: f32) -> Gate {
        Gate {
            signal,
            threshold_nats,
            quantile: Some(0.8),
            provenance: "test".to_owned(),
        }
    }

    fn entropy() -> ActionEntropy {
        ActionEntropy {
            tool: Some(ChoiceEntropy {
                entropy_nats: 0.4,
                probs: vec![],
                outside_mass: 0.0,
            }),
            args_mean_nats: Some(0.3),
            args_max_nats: Some(2.31),
            ..ActionEntropy::default()
        }
    }

    fn decide(
        policy: BranchPolicy,
        gate: AskedGate<'_>,
        entropy: &ActionEntropy,
        step: u32,
    ) -> BranchDecision {
        policy.decide(&BranchAsk {
            gate,
            entropy,
            candidates: 4,
            is_edit: false,
            step,
            key: RngKey::from_seed(3).split(step.into()),
            room: ROOM,
        })
    }

    #[test]
    fn the_gate_compares_its_own_signal_with_its_threshold() {
        let mut nan = entropy();
        (nan.args_max_nats, nan.args_mean_nats, nan.tool) = (Some(f32::NAN), None, None);
        let full = entropy();
        let table = [
            (
                &full,
                GateSignal::ArgsMax,
                1.9,
                true,
                "args_max 2.31 >= 1.90 nats",
            ),
            (
                &full,
                GateSignal::ArgsMax,
                2.31,
                true,
                "args_max 2.31 >= 2.31 nats",
            ),
            (
                &full,
                GateSignal::ArgsMax,
                2.4,
                false,
                "args_max 2.31 < 2.40 nats",
            ),
            (
                &full,
                GateSignal::ArgsMean,
                0.2,
                true,
                "args_mean 0.30 >= 0.20 nats",
            ),
            (&full, GateSignal::Tool, 0.5, false, "tool 0.40 < 0.50 nats"),
            (&nan, GateSignal::Tool, 0.0, false, "tool was not measured"),
            (
                &nan,
                GateSignal::ArgsMean,
                0.0,
                false,
                "args_mean was not measured",
            ),
            (
                &nan,
                GateSignal::ArgsMax,
                0.5,
                false,
                "args_max NaN and 0.50 nats cannot be compared",
            ),
            (
                &full,
                GateSignal::ArgsMax,
                f32::NAN,
                false,
                "args_max 2.31 and NaN nats cannot be compared",
            ),
        ];
        for (entropy, signal, threshold, branch, reason) in table {
            let decision = decide(
                BranchPolicy::Gate,
                AskedGate::Given(&gate(signal, threshold)),
                entropy,
                0,
            );
            assert_eq!(decision.reason, reason);
            assert_eq!(decision.branch, branch, "{reason}");
            assert_eq!(decision.candidates, if branch { 4 } else { 1 });
            assert!(decision.signal_nats.is_none_or(|nats| !nats.is_nan()));
        }
    }

    /// A run's own gate after steps of these nats.
    fn running(before_nats: &[f32]) -> AskedGate<'_> {
        AskedGate::Running {
            signal: GateSignal::ArgsMax,
            before_nats,
        }
    }

    #[test]
    fn a_run_without_a_gate_is_gated_by_its_own_steps_from_the_sixth_on() {
        let at = |nats: f32, before: &[f32]| {
            let entropy = ActionEntropy {
                args_max_nats: Some(nats),
                ..ActionEntropy::default()
            };
            decide(BranchPolicy::Gate, running(before), &entropy, 0)
        };
        let seven = [0.3, 1.9, 0.1, 2.4, 0.2, 0.5, 0.4];
        let opens = at(2.31, &seven);
        assert!(opens.branch && opens.candidates == 4);
        assert_eq!(opens.threshold_nats, Some(1.9));
        assert_eq!(
            opens.reason,
            "args_max 2.31 >= 1.90 nats, the 0.80 quantile of 7 steps of this run"
        );
        let gate = opens.gate.unwrap();
        assert_eq!((gate.signal, gate.n_steps), (GateSignal::ArgsMax, 7));
        assert!(!at(1.89, &seven).branch && at(1.9, &seven).branch);
        // The order of the steps does not matter.
        let mut turned = seven;
        turned.reverse();
        assert_eq!(at(2.31, &turned), opens);
        for n in 0..RUNNING_STEPS_MIN {
            let closed = at(9.0, &seven[..n]);
            assert!(!closed.branch, "{n} steps");
            assert_eq!(
                (closed.signal_nats, closed.threshold_nats),
                (Some(9.0), None)
            );
            assert_eq!(closed.gate.unwrap().n_steps, n);
            assert!(closed.reason.starts_with("the gate is not open yet: "));
        }
        assert!(at(9.0, &seven[..RUNNING_STEPS_MIN]).branch);
        assert!(at(9.0, &seven[..1]).reason.ends_with("which has 1 step"));
    }

    #[test]
    fn a_step_that_was_not_measured_passes_no_running_gate() {
        let before = [0.1; RUNNING_STEPS_MIN];
        let silent = ActionEntropy::default();
        let decision = decide(BranchPolicy::Gate, running(&before), &silent, 0);
        assert!(!decision.branch);
        assert_eq!(decision.reason, "args_max was not measured");
        assert_eq!(decision.threshold_nats, Some(0.1));
    }

    #[test]
    fn a_decision_of_an_older_record_has_no_gate_of_its_own() {
        let text = r#"{"branch":false,"candidates":1,"signal_nats":0.5,"threshold_nats":1.0,"reason":"args_max 0.50 < 1.00 nats"}"#;
        let decision: BranchDecision = serde_json::from_str(text).unwrap();
        assert_eq!(decision.gate, None);
        assert_eq!(serde_json::to_string(&decision).unwrap(), text);
    }

    #[test]
    fn candidates_are_cut_to_the_budget_and_the_reason_says_so() {
        let entropy = entropy();
        let table = [
            (10, 10_000, 4, 4, "policy: always"),
            (
                2,
                10_000,
                4,
                3,
                "policy: always; 3 of 4 candidates: 2 branches are left",
            ),
            (
                10,
                1_499,
                4,
                3,
                "policy: always; 3 of 4 candidates: 1499 tokens are left at 500 a candidate",
            ),
            (0, 10_000, 4, 1, "policy: always, but 0 branches are left"),
            (
                10,
                499,
                4,
                1,
                "policy: always, but 499 tokens are left at 500 a candidate",
            ),
            (
                10,
                10_000,
                1,
                1,
                "policy: always, but one candidate was asked for",
            ),
        ];
        for (branches_left, tokens_left, wanted, candidates, reason) in table {
            let decision = BranchPolicy::Always.decide(&BranchAsk {
                gate: running(&[]),
                entropy: &entropy,
                candidates: wanted,
                is_edit: false,
                step: 0,
                key: RngKey::from_seed(1),
                room: BranchRoom {
                    branches_left,
                    tokens_left,
                    ..ROOM
                },
            });
            assert_eq!(
                (decision.candidates, decision.reason.as_str()),
                (candidates, reason)
            );
            assert_eq!(decision.branch, candidates > 1);
        }
    }

    #[test]
    fn controls_branch_without_looking_at_entropy() {
        let silent = ActionEntropy::default();
        let branches = |policy| -> Vec<u32> {
            (0..1_000)
                .filter(|&step| decide(policy, running(&[]), &silent, step).branch)
                .collect()
        };
        assert_eq!(branches(BranchPolicy::Always).len(), 1_000);
        assert!(branches(BranchPolicy::Never).is_empty());
        assert_eq!(
            branches(BranchPolicy::EveryKth { period: 300 }),
            [299, 599, 899]
        );
        assert!(branches(BranchPolicy::EveryKth { period: 0 }).is_empty());
        let random = branches(BranchPolicy::Random { rate: 0.25 });
        assert!((200..300).contains(&random.len()), "{}", random.len());
        assert_eq!(
            random,
            branches(BranchPolicy::Random { rate: 0.25 }),
            "by key alone"
        );
        assert!(branches(BranchPolicy::Random { rate: f64::NAN }).is_empty());
    }

    #[test]
    fn a_policy_is_plain_data() {
        let json = |policy| serde_json::to_string(&policy).unwrap();
        assert_eq!(json(BranchPolicy::Gate), r#""gate""#);
        assert_eq!(
            json(BranchPolicy::Random { rate: 0.5 }),
            r#"{"random":{"rate":0.5}}"#
        );
        let read: BranchPolicy = serde_json::from_str(r#"{"every_kth":{"period":3}}"#).unwrap();
        assert_eq!(read, BranchPolicy::EveryKth { period: 3 });
    }
}
