//! Arguments that say how a run searches, and what they turn into.
use super::common::ModelArgs;
use super::solve::dialect;
use super::values;
use crate::agent::Dialect;
use crate::base::{
    AgentProfile, AugmentSettings, ForkAt, GATE_QUANTILE, Gate, GateSignal, JudgeMethod, JudgeWhen,
    RUNNING_STEPS_MIN, Recovery, SelectBy, Strategy, Voter, VoterPrompt,
};
use crate::checkpoint::find_manifest;
use crate::engine::Opened;
use crate::search::{BEAM_MAX, OtherModel, Others, STRATEGY_NAMES, strategy_named};
use anyhow::Context;
use clap::{Args, ValueEnum};

/// A strategy's settings; what is not given is as the strategy has it.
#[derive(Args, Clone, Debug)]
pub struct StrategyArgs {
    /// Trajectories at most.
    #[arg(long, short = 'n', default_value_t = 4, value_parser = values::positive::<u32>)]
    n: u32,
    /// Candidates at an uncertain step.
    #[arg(long, short = 'k', default_value_t = 4, value_parser = values::positive::<u32>)]
    k: u32,
    /// Branches that live at the same time, 1 to 4.
    #[arg(long, value_name = "B", value_parser = beam)]
    beam: Option<u32>,
    /// Where siblings leave the first action: at its start, or at its most
    /// uncertain token.
    #[arg(long, value_enum)]
    fork_at: Option<ForkAtArg>,
    /// After a failure: append the correction, or go back and fork.
    #[arg(long, value_enum)]
    recovery: Option<RecoveryArg>,
    #[arg(long, value_name = "SIGNAL:NATS", value_parser = parse_gate, help = gate_help())]
    gate: Option<Gate>,
    /// How candidates are scored. Default: not at all, unless another option here needs
    /// scores.
    #[arg(long, value_enum)]
    judge: Option<JudgeArg>,
    /// Judge candidates with what came of them, each carried out in a copy.
    #[arg(long)]
    judge_after: bool,
    /// Another model as the judge.
    #[arg(long, value_name = "MODEL")]
    judge_model: Option<String>,
    /// Sources of tests that the model adds to the suite.
    #[arg(long, value_name = "N", value_parser = values::whole::<u32>)]
    augment: Option<u32>,
    /// What decides between patches that pass as many tests.
    #[arg(long, value_enum)]
    select: Option<SelectArg>,
    /// A voter: maintainer or sceptic, then how it reads digits (`:0` the
    /// likeliest, `:1.0` drawn at that temperature, nothing the expectation),
    /// then `@MODEL` for another model. Several times for several voters. Without
    /// --select, they decide.
    #[arg(long = "voter", value_name = "PROMPT[:T][@MODEL]", value_parser = parse_voter)]
    voters: Vec<Voter>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ForkAtArg {
    Action,
    Token,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RecoveryArg {
    Append,
    Fork,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum JudgeArg {
    /// Expected digits, read from the logits.
    Digits,
    /// The same, behind a sentence that the judge writes.
    Rationale,
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SelectArg {
    First,
    Random,
    Agreement,
    Tests,
    Preference,
}

fn beam(text: &str) -> Result<u32, String> {
    values::within(text, 1..=BEAM_MAX)
}

impl StrategyArgs {
    /// The strategy of that name with these settings, or a sentence that lists
    /// the known ones.
    pub fn named(&self, name: &str, profile: &AgentProfile) -> anyhow::Result<Strategy> {
        let mut strategy = strategy_named(name, self.n, self.k, profile).with_context(|| {
            format!(
                "there is no strategy {name:?}; known: {}",
                STRATEGY_NAMES.join(", ")
            )
        })?;
        if let Some(beam) = self.beam {
            strategy.beam = beam;
        }
        // A gate that the user gives is the strategy's, whatever its signal.
        if let (Some(signal), Some(gate)) = (&mut strategy.gate_signal, &self.gate) {
            *signal = gate.signal;
        }
        if let Some(fork_at) = self.fork_at {
            strategy.fork_at = match fork_at {
                ForkAtArg::Action => ForkAt::Action,
                ForkAtArg::Token => ForkAt::Token,
            };
        }
        match self.recovery {
            Some(RecoveryArg::Append) => strategy.recovery = Recovery::Append,
            Some(RecoveryArg::Fork) => {
                let egss = strategy_named("egss", self.n, self.k, profile).expect("a listed name");
                strategy.recovery = egss.recovery;
            }
            None => {}
        }
        let judge = &mut strategy.judge;
        // Who says how to judge, or wants a beam of the best, wants a judge.
        let asks = strategy.beam > 1 || self.judge_after || self.judge_model.is_some();
        if asks && judge.method == JudgeMethod::None {
            judge.method = JudgeMethod::Digits;
        }
        match self.judge {
            Some(JudgeArg::Digits) => judge.method = JudgeMethod::Digits,
            Some(JudgeArg::Rationale) => judge.method = JudgeMethod::Rationale,
            Some(JudgeArg::None) => judge.method = JudgeMethod::None,
            None => {}
        }
        if self.judge_after {
            judge.when = JudgeWhen::After;
        }
        judge.model = self.judge_model.clone();
        if let Some(cases_max) = self.augment {
            strategy.augment = AugmentSettings::of(cases_max);
        }
        if let Some(select) = self.select {
            strategy.select = match select {
                SelectArg::First => SelectBy::First,
                SelectArg::Random => SelectBy::Random,
                SelectArg::Agreement => SelectBy::Agreement,
                SelectArg::Tests => SelectBy::Tests,
                SelectArg::Preference => SelectBy::Preference,
            };
        }
        if !self.voters.is_empty() {
            strategy.voters = self.voters.clone();
            if self.select.is_none() {
                strategy.select = SelectBy::Preference;
            }
        }
        Ok(strategy)
    }

    /// The gate that was asked for.
    pub fn asked_gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// The gate: the one asked for, else the model's own, if it has one.
    pub fn gate(&self, model: &str) -> Option<Gate> {
        let own = || find_manifest(model).ok()?.gate;
        self.gate.clone().or_else(own)
    }
}

/// Models that judge or vote beside the agent's.
pub struct OpenedOthers(Vec<(String, Opened, Box<dyn Dialect + Sync>)>);

impl OpenedOthers {
    /// Opens those that the strategies name, each once, with the settings of `model`
    /// and engines for `n_workers` at most.
    pub fn open(
        strategies: &[Strategy],
        model: &ModelArgs,
        n_workers: usize,
    ) -> anyhow::Result<Self> {
        let mut opened: Vec<(String, Opened, Box<dyn Dialect + Sync>)> = Vec::new();
        let judges = strategies.iter().filter_map(|s| s.judge.model.clone());
        let voters = strategies.iter().flat_map(|s| &s.voters);
        let voters = voters.filter_map(|voter| voter.model.clone());
        for name in judges.chain(voters) {
            if opened.iter().any(|(known, ..)| *known == name) {
                continue;
            }
            // The context that was asked for is the agent's model's; another takes of it
            // what it has.
            let other = ModelArgs {
                model: name.clone(),
                ctx: None,
                ..model.clone()
            }
            .open_for(n_workers, model.ctx.unwrap_or(0))?;
            let dialect = Box::new(dialect(&other, 0)?);
            opened.push((name, other, dialect));
        }
        Ok(Self(opened))
    }

    /// Engines of every one of them for each of `n_workers`, or for as many as there
    /// was memory for.
    pub fn for_each(&mut self, n_workers: usize) -> Vec<Others<'_>> {
        let mut all: Vec<Others<'_>> = (0..n_workers).map(|_| Others::default()).collect();
        for (name, opened, dialect) in &mut self.0 {
            let engines = std::iter::once(&mut opened.engine).chain(&mut opened.beside);
            let n_served = all.iter_mut().zip(engines).map(|(others, engine)| {
                others.0.push(OtherModel {
                    name: name.clone(),
                    engine,
                    dialect: &**dialect,
                });
            });
            let n_served = n_served.count();
            all.truncate(n_served);
        }
        all
    }

    pub fn others(&mut self) -> Others<'_> {
        self.for_each(1).pop().expect("every model has an engine")
    }
}

/// The signal of that name.
pub fn parse_signal(name: &str) -> Result<GateSignal, String> {
    GateSignal::named(name).ok_or_else(|| {
        let known = GateSignal::ALL.map(GateSignal::name).join(", ");
        format!("there is no signal {name:?}; known: {known}")
    })
}

/// Help of `--gate`: every signal with its clause.
fn gate_help() -> String {
    let signals: Vec<String> = (GateSignal::ALL.iter())
        .map(|signal| format!("{} ({})", signal.name(), signal.help()))
        .collect();
    format!(
        "The signal that gates, and from how many nats on, as in {}:1.2. Signals: {}. \
         Default: the model's own gate; a model that has none is gated by the {GATE_QUANTILE} \
         quantile of {} over the steps of the run, once {RUNNING_STEPS_MIN} are measured",
        GateSignal::DEFAULT.name(),
        signals.join("; "),
        GateSignal::DEFAULT.name(),
    )
}

fn parse_gate(text: &str) -> Result<Gate, String> {
    let (name, nats) = text
        .split_once(':')
        .ok_or("write a signal, a colon and a number of nats: args_max:1.2")?;
    let signal = parse_signal(name)?;
    let threshold_nats: f32 = nats
        .parse()
        .ok()
        .filter(|nats: &f32| nats.is_finite() && *nats >= 0.0)
        .ok_or_else(|| format!("{nats:?} is no number of nats"))?;
    Ok(Gate {
        signal,
        threshold_nats,
        quantile: None,
        provenance: "given on the command line".into(),
    })
}

fn parse_voter(text: &str) -> Result<Voter, String> {
    let (reader, model) = match text.split_once('@') {
        Some((reader, model)) => (reader, Some(model.to_owned())),
        None => (text, None),
    };
    let (name, temperature) = match reader.split_once(':') {
        Some((name, t)) => {
            let t: Option<f32> = t.parse().ok();
            let t = t.filter(|t| t.is_finite() && *t >= 0.0);
            (name, Some(t.ok_or("a temperature is a number from 0 on")?))
        }
        None => (reader, None),
    };
    let prompt = match name {
        "maintainer" => VoterPrompt::Maintainer,
        "sceptic" => VoterPrompt::Sceptic,
        _ => return Err(format!("no voter {name:?}; maintainer or sceptic")),
    };
    Ok(Voter {
        model,
        prompt,
        temperature,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voter_is_a_prompt_a_temperature_and_a_model() {
        let voter = parse_voter("sceptic:0.5@other-model").unwrap();
        assert_eq!(voter.prompt, VoterPrompt::Sceptic);
        assert_eq!(voter.temperature, Some(0.5));
        assert_eq!(voter.model.as_deref(), Some("other-model"));
        assert_eq!(parse_voter("maintainer").unwrap().temperature, None);
        for wrong in ["cynic", "sceptic:-1", "sceptic:warm"] {
            assert!(parse_voter(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_gate_is_a_signal_and_nats() {
        let gate = parse_gate("vote:0.5").unwrap();
        assert_eq!((gate.signal, gate.threshold_nats), (GateSignal::Vote, 0.5));
        for wrong in ["vote", "mean:1", "tool:-1", "tool:NaN"] {
            assert!(parse_gate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn help_and_refusal_name_every_signal() {
        let refusal = parse_signal("mean").unwrap_err();
        for signal in GateSignal::ALL {
            assert!(gate_help().contains(signal.name()) && gate_help().contains(signal.help()));
            assert!(refusal.contains(signal.name()), "{refusal}");
        }
    }
}
