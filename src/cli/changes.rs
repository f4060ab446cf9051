//! Changes to a strategy: the settings that flags and strategy files have in common.
use crate::base::{
    AugmentSettings, BranchPolicy, ForkAt, GateSignal, JudgeMethod, JudgeSettings, JudgeWhen,
    PointWeights, Recovery, SamplerSettings, SelectBy, SiblingSettings, StopRule, Strategy, Voter,
};
use serde::Deserialize;
use toml::{Table, Value};

/// Makes the changes to a struct from the list of its fields: a field that the list lacks, or has
/// too many, does not compile. `values` are replaced whole, `parts` field by field, and `kept`
/// cannot be changed.
macro_rules! changes {
    ($(#[$doc:meta])* $name:ident of $whole:ident {
        values { $($value:ident: $type:ty),* $(,)? }
        parts { $($part:ident: $changes:ty),* $(,)? }
        kept { $($kept:ident),* $(,)? }
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(pub $value: Option<$type>,)*
            $(pub $part: $changes,)*
        }

        impl $name {
            /// The fields that can be changed.
            #[allow(dead_code)]
            pub const KEYS: &[&str] = &[$(stringify!($value),)* $(stringify!($part),)*];

            /// These changes, and `below`'s to each field that these leave as it is.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self {
                    $($value: self.$value.or(below.$value),)*
                    $($part: self.$part.over(below.$part),)*
                }
            }

            fn apply(self, to: $whole) -> $whole {
                let $whole { $($value,)* $($part,)* $($kept,)* } = to;
                $whole {
                    $($value: self.$value.map_or($value, Into::into),)*
                    $($part: self.$part.apply($part),)*
                    $($kept,)*
                }
            }
        }
    };
}

changes! {
    /// Changes to a strategy.
    StrategyChanges of Strategy {
        values {
            n: u32,
            k: u32,
            beam: u32,
            policy: BranchPolicy,
            gate_signal: GateSignal,
            fork_at: ForkAt,
            recovery: RecoveryChange,
            evidence_first: bool,
            voters: Vec<Voter>,
            select: SelectBy,
        }
        parts {
            stop: StopChanges,
            sampler: SamplerChanges,
            siblings: SiblingChanges,
            judge: JudgeChanges,
            augment: AugmentChanges,
        }
        // The form of a strategy, not a setting of it: `base` chooses it.
        kept { name, one_turn, at_once, share_prompt }
    }
}

changes! {
    StopChanges of StopRule {
        values { on_pass: bool, on_agreement: u32 }
        parts {}
        kept {}
    }
}

changes! {
    SamplerChanges of SamplerSettings {
        values { temperature: f32, top_p: f32, top_k: usize, min_p: f32 }
        parts {}
        kept {}
    }
}

changes! {
    SiblingChanges of SiblingSettings {
        values { temperature_step: f32 }
        parts { sampler: SamplerChanges }
        kept {}
    }
}

changes! {
    JudgeChanges of JudgeSettings {
        values { method: JudgeMethod, when: JudgeWhen, model: String }
        parts {}
        kept {}
    }
}

changes! {
    AugmentChanges of AugmentSettings {
        values { cases_max: u32, repairs_max: u32 }
        parts {}
        kept {}
    }
}

changes! {
    WeightChanges of PointWeights {
        values { entropy: f32, judge: f32, failures: f32, distance: f32 }
        parts {}
        kept {}
    }
}

/// A recovery; `"fork"` has the usual weights, and `{ fork = { entropy = 2.0 } }` some of its own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub enum RecoveryChange {
    Append,
    Fork(WeightChanges),
}

impl RecoveryChange {
    pub const FORK: Self = Self::Fork(WeightChanges {
        entropy: None,
        judge: None,
        failures: None,
        distance: None,
    });
}

impl TryFrom<Value> for RecoveryChange {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let known = || "known: \"append\", \"fork\", { fork = { entropy = 1.0 } }".to_owned();
        match value {
            Value::String(name) if name == "append" => Ok(Self::Append),
            Value::String(name) if name == "fork" => Ok(Self::FORK),
            Value::Table(table) => weights(table).unwrap_or_else(|| Err(known())),
            _ => Err(known()),
        }
    }
}

/// The weights of `{ fork = { .. } }`; `None` for another table.
fn weights(mut table: Table) -> Option<Result<RecoveryChange, String>> {
    let weights = table.remove("fork").filter(|_| table.is_empty())?;
    let weights = weights.try_into::<WeightChanges>();
    Some(match weights {
        Ok(weights) => Ok(RecoveryChange::Fork(weights)),
        Err(error) => Err(format!("fork: {}", error.message())),
    })
}

impl From<RecoveryChange> for Recovery {
    fn from(change: RecoveryChange) -> Self {
        match change {
            RecoveryChange::Append => Self::Append,
            RecoveryChange::Fork(weights) => Self::Fork(weights.apply(PointWeights::default())),
        }
    }
}

impl StrategyChanges {
    /// The strategy with these changes and with their implications: a beam above 1, a judging
    /// model, and judging after the step need a judge; voters decide unless `select` is changed
    /// too.
    pub fn carry_out(self, base: Strategy) -> Strategy {
        let is_judge_given = self.judge.method.is_some();
        let judges = self.judge.when == Some(JudgeWhen::After) || self.judge.model.is_some();
        let votes = self.voters.is_some() && self.select.is_none();
        let mut strategy = self.apply(base);
        let judge = &mut strategy.judge.method;
        if (judges || strategy.beam > 1) && *judge == JudgeMethod::None && !is_judge_given {
            *judge = JudgeMethod::Digits;
        }
        if votes {
            strategy.select = SelectBy::Preference;
        }
        strategy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::AgentProfile;
    use crate::search::strategy_named;

    fn egss() -> Strategy {
        strategy_named("egss", 4, 4, &AgentProfile::small()).unwrap()
    }

    #[test]
    fn no_changes_leave_every_strategy_as_it_is() {
        for name in crate::search::STRATEGY_NAMES {
            let base = strategy_named(name, 4, 4, &AgentProfile::small()).unwrap();
            assert_eq!(StrategyChanges::default().carry_out(base.clone()), base);
        }
    }

    #[test]
    fn changes_above_win_field_by_field() {
        let above = StrategyChanges {
            beam: Some(2),
            stop: StopChanges {
                on_pass: Some(false),
                ..Default::default()
            },
            ..Default::default()
        };
        let below = StrategyChanges {
            n: Some(6),
            beam: Some(3),
            stop: StopChanges {
                on_pass: Some(true),
                on_agreement: Some(5),
            },
            ..Default::default()
        };
        let strategy = above.over(below).carry_out(egss());
        assert_eq!((strategy.n, strategy.beam), (6, 2));
        let stop = StopRule {
            on_pass: false,
            on_agreement: 5,
        };
        assert_eq!(strategy.stop, stop);
    }

    #[test]
    fn a_beam_needs_a_judge_unless_the_changes_say_otherwise() {
        let beam = StrategyChanges {
            beam: Some(2),
            ..Default::default()
        };
        let judged = beam.clone().carry_out(egss());
        assert_eq!(judged.judge.method, JudgeMethod::Digits);
        let none = StrategyChanges {
            judge: JudgeChanges {
                method: Some(JudgeMethod::None),
                ..Default::default()
            },
            ..beam
        };
        assert_eq!(none.carry_out(egss()).judge.method, JudgeMethod::None);
    }

    #[test]
    fn voters_decide_unless_a_selection_is_given() {
        let voters = StrategyChanges {
            voters: Some(egss().voters),
            ..Default::default()
        };
        let strategy = voters.clone().carry_out(egss());
        assert_eq!(strategy.select, SelectBy::Preference);
        let tests = StrategyChanges {
            select: Some(SelectBy::Tests),
            ..voters
        };
        assert_eq!(tests.carry_out(egss()).select, SelectBy::Tests);
    }
}
