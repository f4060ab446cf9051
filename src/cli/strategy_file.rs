//! Strategies from files: a known strategy and the settings that differ from it, as TOML.
//!
//! ```toml
//! base = "egss"
//! n = 6
//! fork_at = "token"
//! stop = { on_agreement = 3 }
//! ```
use super::changes::StrategyChanges;
use crate::base::{
    AgentProfile, BranchPolicy, FixedPatch, PointWeights, Recovery, SiblingSettings, Strategy,
    Voter,
};
use crate::search::{BEAM_MAX, STRATEGY_NAMES, strategy_named};
use anyhow::{Context, anyhow};
use std::path::Path;
use toml::{Table, Value};

/// The end of a file's name, by which it is told from a strategy's.
const EXTENSION: &str = ".toml";

/// A strategy file, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategyFile {
    pub name: String,
    /// The name of the strategy that the file starts from.
    pub base: String,
    pub changes: StrategyChanges,
}

impl StrategyFile {
    /// True for the value of an option that means a file.
    pub fn is_meant(name: &str) -> bool {
        name.ends_with(EXTENSION)
    }

    /// Errors: a sentence that names the file, and the key at fault.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the strategy file {shown} cannot be read"))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let file = Self::parse(&text, &stem);
        file.map_err(|why| anyhow!("the strategy file {shown} is refused: {why}"))
    }

    /// The strategy in a file that is called `stem`. Errors: a clause that names the key.
    fn parse(text: &str, stem: &str) -> Result<Self, String> {
        let mut table: Table = toml::from_str(text).map_err(|error| no_toml(text, &error))?;
        let name = string(&mut table, "name")?.unwrap_or_else(|| stem.to_owned());
        let base = string(&mut table, "base")?.ok_or_else(|| {
            format!(
                "`base` is missing, the name of the strategy to start from; known: {}",
                STRATEGY_NAMES.join(", ")
            )
        })?;
        // Each key by itself, so that its fault can be told with its name.
        let mut changes = StrategyChanges::default();
        for (key, value) in table {
            changes = changes.over(one(&key, value)?);
        }
        let file = Self {
            name,
            base,
            changes,
        };
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !self.name.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !self.name.chars().all(is_plain)
        {
            return Err(format!(
                "name: {:?} has to consist of letters, digits, `-`, `_` and `.`, a letter or digit first",
                self.name
            ));
        }
        if FixedPatch::named(&self.name).is_some() {
            return Err(format!(
                "name: {:?} is a patch of `egss eval`, not a search",
                self.name
            ));
        }
        // Sampling is the only thing that profiles differ in here.
        let base = strategy_named(&self.base, 1, 1, &AgentProfile::standard());
        let base = base.ok_or_else(|| {
            format!(
                "base: there is no strategy {:?}; known: {}",
                self.base,
                STRATEGY_NAMES.join(", ")
            )
        })?;
        check(&self.changes.clone().carry_out(base))
    }
}

/// Takes a string out of the table.
fn string(table: &mut Table, key: &str) -> Result<Option<String>, String> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{key}: a string is needed, not {other}")),
    }
}

/// The changes that one key stands for.
fn one(key: &str, value: Value) -> Result<StrategyChanges, String> {
    if !StrategyChanges::KEYS.contains(&key) {
        return Err(format!(
            "there is no setting {key:?}; known: base, name, {}",
            StrategyChanges::KEYS.join(", ")
        ));
    }
    let table = Table::from_iter([(key.to_owned(), value)]);
    let read = table.try_into();
    read.map_err(|error: toml::de::Error| format!("{key}: {}", error.message().trim_end()))
}

/// A clause with the line of the fault.
fn no_toml(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.bytes().take(at);
    let line = 1 + before.filter(|byte| *byte == b'\n').count();
    format!("line {line} is no TOML: {}", error.message())
}

/// Refuses settings that no run can go by. Errors: a clause that names the key.
fn check(strategy: &Strategy) -> Result<(), String> {
    let Strategy {
        name: _,
        one_turn: _,
        n,
        k,
        beam,
        at_once: _,
        share_prompt: _,
        policy,
        gate_signal: _,
        fork_at: _,
        recovery,
        stop: _,
        evidence_first: _,
        sampler,
        siblings,
        judge,
        augment: _,
        voters,
        select: _,
    } = strategy;
    within("n", *n, 1, u32::MAX)?;
    within("k", *k, 1, u32::MAX)?;
    within("beam", *beam, 1, BEAM_MAX)?;
    match policy {
        BranchPolicy::Random { rate } if !(0.0..=1.0).contains(rate) => {
            return Err(format!("policy: rate {rate} does not lie between 0 and 1"));
        }
        BranchPolicy::EveryKth { period } => within("policy: period", *period, 1, u32::MAX)?,
        BranchPolicy::Random { .. }
        | BranchPolicy::Gate
        | BranchPolicy::Always
        | BranchPolicy::Never
        | BranchPolicy::OnEdit => {}
    }
    if let Recovery::Fork(weights) = recovery {
        let PointWeights {
            entropy,
            judge,
            failures,
            distance,
        } = weights;
        for weight in [entropy, judge, failures, distance] {
            finite("recovery: fork", *weight)?;
        }
    }
    sampler.check().map_err(|why| format!("sampler: {why}"))?;
    let SiblingSettings {
        sampler,
        temperature_step,
    } = siblings;
    sampler
        .check()
        .map_err(|why| format!("siblings: sampler: {why}"))?;
    finite("siblings: temperature_step", *temperature_step)?;
    if judge.model.as_deref() == Some("") {
        return Err("judge: model is empty".to_owned());
    }
    if voters.is_empty() {
        return Err("voters: one at least is needed".to_owned());
    }
    for Voter { temperature, .. } in voters {
        if temperature.is_some_and(|t| !(t.is_finite() && t >= 0.0)) {
            return Err("voters: a temperature is a number from 0 on".to_owned());
        }
    }
    Ok(())
}

fn within(key: &str, number: u32, min: u32, max: u32) -> Result<(), String> {
    match (min..=max).contains(&number) {
        true => Ok(()),
        false if max == u32::MAX => Err(format!("{key}: {number} is below {min}")),
        false => Err(format!(
            "{key}: {number} does not lie between {min} and {max}"
        )),
    }
}

fn finite(key: &str, number: f32) -> Result<(), String> {
    match number.is_finite() {
        true => Ok(()),
        false => Err(format!("{key}: {number} is no finite number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{
        AugmentSettings, ForkAt, GateSignal, JudgeMethod, JudgeSettings, JudgeWhen,
        SamplerSettings, SelectBy, StopRule, VoterPrompt,
    };

    fn egss() -> Strategy {
        strategy_named("egss", 4, 4, &AgentProfile::small()).unwrap()
    }

    /// `egss` with what the text changes.
    fn changed(text: &str) -> Strategy {
        let file = StrategyFile::parse(&format!("base = \"egss\"\n{text}"), "egss").unwrap();
        file.changes.carry_out(egss())
    }

    fn refused(text: &str) -> String {
        let error = StrategyFile::parse(text, "own").unwrap_err();
        assert!(!error.contains('\n') && !error.ends_with('.'), "{error}");
        error
    }

    #[test]
    fn a_file_with_a_base_alone_is_its_base() {
        let file = StrategyFile::parse("base = \"egss\"", "mine").unwrap();
        assert_eq!((&*file.name, &*file.base), ("mine", "egss"));
        assert_eq!(file.changes.carry_out(egss()), egss());
        let named = StrategyFile::parse("base = \"egss\"\nname = \"other\"", "mine").unwrap();
        assert_eq!(named.name, "other");
    }

    /// A change of each setting: the text, and the same in Rust.
    fn settings() -> Vec<(&'static str, Strategy)> {
        let base = egss;
        let policy = |policy| Strategy { policy, ..base() };
        let weights = PointWeights::default();
        let sampler = base().sampler;
        let voter = Voter {
            model: Some("other".to_owned()),
            prompt: VoterPrompt::Sceptic,
            temperature: Some(0.0),
        };
        vec![
            ("n = 7", Strategy { n: 7, ..base() }),
            ("k = 3", Strategy { k: 3, ..base() }),
            (
                "beam = 2",
                Strategy {
                    beam: 2,
                    judge: JudgeSettings::default(),
                    ..base()
                },
            ),
            ("policy = \"always\"", policy(BranchPolicy::Always)),
            (
                "policy = { random = { rate = 0.5 } }",
                policy(BranchPolicy::Random { rate: 0.5 }),
            ),
            (
                "[policy.every_kth]\nperiod = 2",
                policy(BranchPolicy::EveryKth { period: 2 }),
            ),
            (
                "gate_signal = \"args_max\"",
                Strategy {
                    gate_signal: GateSignal::named("args_max"),
                    ..base()
                },
            ),
            (
                "fork_at = \"token\"",
                Strategy {
                    fork_at: ForkAt::Token,
                    ..base()
                },
            ),
            (
                "recovery = \"append\"",
                Strategy {
                    recovery: Recovery::Append,
                    ..base()
                },
            ),
            ("recovery = \"fork\"", base()),
            (
                "recovery = { fork = { entropy = 2 } }",
                Strategy {
                    recovery: Recovery::Fork(PointWeights {
                        entropy: 2.0,
                        ..weights
                    }),
                    ..base()
                },
            ),
            (
                "stop = { on_agreement = 3 }",
                Strategy {
                    stop: StopRule {
                        on_agreement: 3,
                        ..base().stop
                    },
                    ..base()
                },
            ),
            (
                "evidence_first = false",
                Strategy {
                    evidence_first: false,
                    ..base()
                },
            ),
            (
                "[sampler]\ntemperature = 0.25\ntop_k = 9",
                Strategy {
                    sampler: SamplerSettings {
                        temperature: 0.25,
                        top_k: 9,
                        ..sampler
                    },
                    ..base()
                },
            ),
            (
                "[siblings]\ntemperature_step = 0.5\nsampler = { top_p = 0.5 }",
                Strategy {
                    siblings: SiblingSettings {
                        sampler: SamplerSettings {
                            top_p: 0.5,
                            ..base().siblings.sampler
                        },
                        temperature_step: 0.5,
                    },
                    ..base()
                },
            ),
            (
                "[judge]\nwhen = \"after\"\nmodel = \"other\"",
                Strategy {
                    judge: JudgeSettings {
                        method: JudgeMethod::Digits,
                        when: JudgeWhen::After,
                        model: Some("other".to_owned()),
                    },
                    ..base()
                },
            ),
            (
                "augment = { cases_max = 2 }",
                Strategy {
                    augment: AugmentSettings::of(2),
                    ..base()
                },
            ),
            (
                "[[voters]]\nprompt = \"sceptic\"\ntemperature = 0\nmodel = \"other\"",
                Strategy {
                    voters: vec![voter],
                    select: SelectBy::Preference,
                    ..base()
                },
            ),
            (
                "select = \"tests\"",
                Strategy {
                    select: SelectBy::Tests,
                    ..base()
                },
            ),
        ]
    }

    #[test]
    fn each_setting_is_read_and_changes_nothing_else() {
        let settings = settings();
        for (text, expected) in &settings {
            assert_eq!(&changed(text), expected, "{text}");
        }
        for key in StrategyChanges::KEYS {
            let is_tried = settings.iter().any(|(text, _)| text.contains(key));
            assert!(is_tried, "{key}");
        }
    }

    #[test]
    fn the_documented_example_is_read_and_holds_every_key() {
        let text = include_str!("../../docs/evaluating.md");
        let blocks = text.split("```toml\n").skip(1);
        let blocks = blocks.filter_map(|rest| rest.split("```").next());
        let examples: Vec<&str> = blocks.filter(|text| text.starts_with("base =")).collect();
        assert!(!examples.is_empty());
        for text in &examples {
            StrategyFile::parse(text, "example").unwrap();
        }
        for key in StrategyChanges::KEYS {
            let is_shown = |text: &&str| toml::from_str::<Table>(text).unwrap().contains_key(*key);
            assert!(examples.iter().any(is_shown), "{key}");
        }
    }

    #[test]
    fn a_fault_is_told_with_its_key_and_with_what_is_known() {
        for (text, words) in [
            ("n = 4", &["`base` is missing", "egss"][..]),
            ("base = 1", &["base: a string"]),
            ("base = \"eggs\"", &["base", "\"eggs\"", "best-of-n-stop"]),
            ("base = \"own.toml\"", &["base", "known: one-turn"]),
            (
                "base = \"egss\"\nbeem = 2",
                &["beem", "base, name, n, k, beam"],
            ),
            ("base = \"egss\"\none_turn = true", &["one_turn", "known"]),
            ("base = \"egss\"\nn = \"four\"", &["n: ", "four", "u32"]),
            ("base = \"egss\"\nn = -1", &["n: ", "-1"]),
            (
                "base = \"egss\"\nfork_at = \"word\"",
                &["fork_at", "action", "token"],
            ),
            (
                "base = \"egss\"\ngate_signal = \"mean\"",
                &["gate_signal", "args_max"],
            ),
            (
                "base = \"egss\"\nrecovery = \"retry\"",
                &["recovery", "append"],
            ),
            (
                "base = \"egss\"\nrecovery = { fork = { e = 1 } }",
                &["recovery", "`e`", "entropy"],
            ),
            (
                "base = \"egss\"\nstop = { on_fail = true }",
                &["stop", "on_fail", "on_pass"],
            ),
            (
                "base = \"egss\"\n[siblings.sampler]\nt = 1",
                &["siblings", "`t`", "top_p"],
            ),
            (
                "base = \"egss\"\npolicy = { every_kth = { k = 1 } }",
                &["policy", "period"],
            ),
            (
                "base = \"egss\"\n[[voters]]\nprompt = \"sceptic\"\nt = 1",
                &["voters", "`t`", "model"],
            ),
            ("base = \"egss\"\nn = ", &["line 2 is no TOML"]),
            ("base = \"egss\"\nk = 1\nk = 2", &["line 3 is no TOML"]),
        ] {
            let error = refused(text);
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
    }

    #[test]
    fn a_value_out_of_its_range_is_refused() {
        for (text, key) in [
            ("n = 0", "n: 0"),
            ("k = 0", "k: 0"),
            ("beam = 0", "beam: 0 does not lie between 1 and 4"),
            ("beam = 5", "beam: 5"),
            ("policy = { random = { rate = 1.5 } }", "policy"),
            ("policy = { every_kth = { period = 0 } }", "policy: period"),
            ("recovery = { fork = { judge = nan } }", "recovery"),
            ("sampler = { temperature = -1 }", "sampler: temperature"),
            (
                "siblings = { sampler = { min_p = 2 } }",
                "siblings: sampler: min_p",
            ),
            (
                "siblings = { temperature_step = inf }",
                "siblings: temperature_step",
            ),
            ("judge = { model = \"\" }", "judge: model"),
            ("voters = []", "voters"),
            (
                "voters = [{ prompt = \"sceptic\", temperature = -1 }]",
                "voters",
            ),
            ("name = \"a/b\"", "name"),
            ("name = \"\"", "name"),
            ("name = \"gold\"", "name"),
        ] {
            let error = refused(&format!("base = \"egss\"\n{text}"));
            assert!(error.contains(key), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_is_named_by_its_stem_and_in_its_faults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("careful.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            StrategyFile::read(&path)
        };
        assert_eq!(read("base = \"paper\"").unwrap().name, "careful");
        let error = read("base = \"egss\"\nm = 1").unwrap_err().to_string();
        assert!(
            error.contains("careful.toml") && error.contains("\"m\""),
            "{error}"
        );
        let error = StrategyFile::read(&dir.path().join("none.toml")).unwrap_err();
        assert!(
            error.to_string().contains("none.toml cannot be read"),
            "{error}"
        );
        assert!(StrategyFile::is_meant("own.toml") && !StrategyFile::is_meant("egss"));
    }
}
