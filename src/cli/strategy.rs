//! Arguments that say how a run searches, and what they turn into.
use super::changes::{AugmentChanges, JudgeChanges, RecoveryChange, StrategyChanges};
use super::common::ModelArgs;
use super::dialect::dialect;
use super::strategy_file::StrategyFile;
use super::{heading, values};
use crate::agent::Dialect;
use crate::base::{
    AgentProfile, ForkAt, GATE_QUANTILE, Gate, GateSignal, Gates, JudgeMethod, JudgeWhen,
    RUNNING_STEPS_MIN, SelectBy, Strategy, Voter, VoterPrompt,
};
use crate::checkpoint::find_manifest;
use crate::engine::Opened;
use crate::search::{BEAM_MAX, OtherModel, Others, STRATEGY_NAMES, strategy_named};
use anyhow::Context;
use clap::{Args, ValueEnum};
use std::path::Path;

/// Trajectories, and candidates at an uncertain step, where neither a flag nor a file says.
const N_DEFAULT: u32 = 4;
const K_DEFAULT: u32 = 4;

/// A strategy's settings; those that are not given are the strategy's own.
#[derive(Args, Clone, Debug)]
pub struct StrategyArgs {
    #[arg(
        long,
        short = 'n',
        help_heading = heading::SEARCH,
        value_parser = values::positive::<u32>,
        help = format!("Trajectories at most, of a strategy with several [default: {N_DEFAULT}]")
    )]
    n: Option<u32>,
    #[arg(
        long,
        short = 'k',
        help_heading = heading::SEARCH,
        value_parser = values::positive::<u32>,
        help = format!("Candidates at an uncertain step [default: {K_DEFAULT}]")
    )]
    k: Option<u32>,
    #[arg(
        long,
        value_name = "SIGNAL:NATS",
        help_heading = heading::SEARCH,
        value_parser = parse_gate,
        help = format!("{GATE_HELP} [default: the model's gate]"),
        long_help = gate_help()
    )]
    gate: Option<Gate>,
    /// Rule between patches that pass as many tests [default: the strategy's].
    #[arg(long, value_enum, value_name = "RULE", help_heading = heading::SELECTION)]
    select: Option<SelectArg>,
    /// Branches that live at the same time, 1 to 4; above 1 implies --judge digits
    /// [default: the strategy's].
    #[arg(long, value_name = "B", help_heading = heading::ADVANCED, value_parser = beam)]
    beam: Option<u32>,
    /// Token at which siblings leave the first candidate of a step [default: the strategy's].
    #[arg(long, value_enum, value_name = "PLACE", help_heading = heading::ADVANCED)]
    fork_at: Option<ForkAtArg>,
    /// Reaction to a failure [default: the strategy's].
    #[arg(long, value_enum, value_name = "WAY", help_heading = heading::ADVANCED)]
    recovery: Option<RecoveryArg>,
    /// Scoring of the candidates of a step [default: the strategy's].
    #[arg(long, value_enum, value_name = "METHOD", help_heading = heading::ADVANCED)]
    judge: Option<JudgeArg>,
    /// Carry each candidate out in a copy, and judge it with its observation. Implies --judge
    /// digits.
    #[arg(long, help_heading = heading::ADVANCED)]
    judge_after: bool,
    /// Model that judges, if it is not the agent's. Implies --judge digits.
    #[arg(long, value_name = "MODEL", help_heading = heading::ADVANCED)]
    judge_model: Option<String>,
    /// Sources of tests that the model adds to the suite at most; 0: none [default: the strategy's].
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::ADVANCED,
        value_parser = values::whole::<u32>
    )]
    augment: Option<u32>,
    /// Voter on patches: maintainer or sceptic, then `:0` to read the likeliest digit or `:1.0` to draw
    /// one at that temperature, then `@MODEL` for another model. Give the flag once for each voter; it
    /// implies --select preference [default: the strategy's].
    #[arg(
        long = "voter",
        value_name = "PROMPT[:T][@MODEL]",
        help_heading = heading::ADVANCED,
        value_parser = parse_voter
    )]
    voters: Vec<Voter>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ForkAtArg {
    /// At its start.
    Action,
    /// At its most uncertain token.
    Token,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RecoveryArg {
    /// Append the correction to the context.
    Append,
    /// Go back to an earlier step and fork there.
    Fork,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum JudgeArg {
    /// Expected digits, read from the logits.
    Digits,
    /// The same, behind a sentence that the judge writes.
    Rationale,
    /// The first candidate that can be carried out is taken.
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SelectArg {
    /// The patch of the first trajectory that ended.
    First,
    /// A patch drawn by the seed.
    Random,
    /// The patch that most trajectories came to.
    Agreement,
    /// The patch of the highest trajectory score.
    Tests,
    /// The patch that voters prefer.
    Preference,
}

fn beam(text: &str) -> Result<u32, String> {
    values::within(text, 1..=BEAM_MAX)
}

impl StrategyArgs {
    /// The strategy of that name or in that file, with these settings.
    ///
    /// Errors: a sentence that lists the known names, or says the fault of the file.
    pub fn named(&self, name: &str, profile: &AgentProfile) -> anyhow::Result<Strategy> {
        let mut file = match StrategyFile::is_meant(name) {
            true => StrategyFile::read(Path::new(name))?,
            false => StrategyFile {
                name: name.to_owned(),
                base: name.to_owned(),
                changes: StrategyChanges::default(),
            },
        };
        // These two shape the base, which may have them fixed: `single` is one trajectory.
        let StrategyChanges { n, k, .. } = &mut file.changes;
        *n = n.map(|n| self.n.unwrap_or(n));
        *k = k.map(|k| self.k.unwrap_or(k));
        let n = n.or(self.n).unwrap_or(N_DEFAULT);
        let k = k.or(self.k).unwrap_or(K_DEFAULT);
        let base = strategy_named(&file.base, n, k, profile).with_context(|| {
            format!(
                "there is no strategy {name:?}; known: {}, or a file that ends in .toml",
                STRATEGY_NAMES.join(", ")
            )
        })?;
        let mut strategy = self.changes().over(file.changes).carry_out(base);
        strategy.name = file.name;
        // A gate that the user gives is the strategy's, whatever its signal.
        if let (Some(signal), Some(gate)) = (&mut strategy.gate_signal, &self.gate) {
            *signal = gate.signal;
        }
        Ok(strategy)
    }

    /// The changes that the flags make to a strategy.
    fn changes(&self) -> StrategyChanges {
        StrategyChanges {
            beam: self.beam,
            fork_at: self.fork_at.map(|fork_at| match fork_at {
                ForkAtArg::Action => ForkAt::Action,
                ForkAtArg::Token => ForkAt::Token,
            }),
            recovery: self.recovery.map(|recovery| match recovery {
                RecoveryArg::Append => RecoveryChange::Append,
                RecoveryArg::Fork => RecoveryChange::FORK,
            }),
            judge: JudgeChanges {
                method: self.judge.map(|judge| match judge {
                    JudgeArg::Digits => JudgeMethod::Digits,
                    JudgeArg::Rationale => JudgeMethod::Rationale,
                    JudgeArg::None => JudgeMethod::None,
                }),
                when: self.judge_after.then_some(JudgeWhen::After),
                model: self.judge_model.clone(),
            },
            augment: AugmentChanges {
                cases_max: self.augment,
                repairs_max: None,
            },
            voters: match self.voters.is_empty() {
                true => None,
                false => Some(self.voters.clone()),
            },
            select: self.select.map(|select| match select {
                SelectArg::First => SelectBy::First,
                SelectArg::Random => SelectBy::Random,
                SelectArg::Agreement => SelectBy::Agreement,
                SelectArg::Tests => SelectBy::Tests,
                SelectArg::Preference => SelectBy::Preference,
            }),
            ..StrategyChanges::default()
        }
    }

    /// The gate that was asked for.
    pub fn asked_gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// The gates: the one asked for, else the model's own.
    pub fn gates(&self, model: &str) -> Gates {
        match &self.gate {
            Some(gate) => Gates::from_iter([gate.clone()]),
            None => find_manifest(model).map(|m| m.gates).unwrap_or_default(),
        }
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

/// Help of `--strategy`.
pub const STRATEGY_HELP: &str = "Name of a strategy, or FILE.toml with its settings";

/// The same with all names.
pub fn strategy_help() -> String {
    format!(
        "{STRATEGY_HELP}. Names: {}; `paper` is the published method, and n may be a number, as in \
         best-of-4",
        STRATEGY_NAMES.join(", ")
    )
}

const GATE_HELP: &str = "Entropy from which on a step is uncertain, such as args_max:1.2";

/// Help of `--gate`: every signal with its clause.
fn gate_help() -> String {
    let signals: Vec<String> = (GateSignal::ALL.iter())
        .map(|signal| format!("{} ({})", signal.name(), signal.help()))
        .collect();
    format!(
        "{GATE_HELP}. Signals: {} [default: the model's gate on the strategy's signal; without one, the \
         {GATE_QUANTILE} quantile of that signal over the steps of the run, once \
         {RUNNING_STEPS_MIN} are measured]",
        signals.join("; "),
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
    use clap::Parser;

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

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        search: StrategyArgs,
    }

    /// The strategy of the flags and of a file `own.toml` with that text.
    fn of_file(text: &str, flags: &[&str]) -> Strategy {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.toml");
        std::fs::write(&path, text).unwrap();
        named(&path.display().to_string(), flags)
    }

    fn named(name: &str, flags: &[&str]) -> Strategy {
        let line = Line::parse_from([&["egss"], flags].concat());
        line.search.named(name, &AgentProfile::small()).unwrap()
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_its_base() {
        let text = "base = \"egss\"\nn = 6\nk = 3\nfork_at = \"token\"\nselect = \"first\"";
        let own = of_file(text, &[]);
        assert_eq!((&*own.name, own.n, own.k), ("own", 6, 3));
        let flags = ["-n", "8", "--select", "tests", "--fork-at", "action"];
        let expected = Strategy {
            n: 8,
            select: SelectBy::Tests,
            fork_at: ForkAt::Action,
            ..own
        };
        assert_eq!(of_file(text, &flags), expected);
    }

    #[test]
    fn a_file_with_a_base_alone_is_its_base_with_every_flag() {
        let lines: [&[&str]; 4] = [
            &[],
            &["-n", "7"],
            &["-k", "2", "--beam", "3"],
            &["--judge-after"],
        ];
        for base in STRATEGY_NAMES {
            for flags in lines {
                let own = of_file(&format!("base = \"{base}\""), flags);
                let expected = Strategy {
                    name: "own".to_owned(),
                    ..named(base, flags)
                };
                assert_eq!(own, expected, "{base} {flags:?}");
            }
        }
    }

    #[test]
    fn a_base_is_shaped_by_the_numbers_of_the_file() {
        let paper = of_file("base = \"paper\"\nn = 2", &[]);
        assert_eq!((paper.n, paper.beam, paper.augment.cases_max), (2, 2, 2));
        let best = of_file("base = \"best-of-8\"\nn = 3", &[]);
        assert_eq!(best.n, 3);
    }

    #[test]
    fn an_unknown_strategy_is_refused_with_the_known_ones() {
        let line = Line::parse_from(["egss"]);
        let error = line.search.named("eggs", &AgentProfile::small());
        let error = error.unwrap_err().to_string();
        assert!(STRATEGY_NAMES.iter().all(|name| error.contains(name)) && error.contains(".toml"));
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
