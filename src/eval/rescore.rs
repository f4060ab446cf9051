//! What other ways to pick a patch would have given, from the records of finished
//! runs: nothing is decoded again, and no test is run.
use super::EvalError;
use super::run::{EvalRow, run_name};
use super::statistics::{Estimate, bootstrap};
use super::summary::{SEED, by_task};
use crate::base::{RngKey, SelectBy};
use crate::record::{RECORD_FILE, SuiteRun, Voted, read_record};
use crate::search::{RunState, SearchError};
use crate::select::{CandidatePatch, normalise_patch, select};
use crate::verify::{is_of_suite, pass_rate};
use serde::Serialize;
use std::path::Path;

/// A strategy's runs under one way to pick.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rescored {
    pub strategy: String,
    /// What decides, in a clause.
    pub rule: String,
    /// Runs in which some usable patches are right and some are not: the others are
    /// the same by any rule.
    pub runs: u32,
    /// Of those, the share in which a right patch is picked, with its interval over
    /// tasks.
    pub right: Estimate,
    /// That share minus the one of the runs as they were.
    pub difference: Estimate,
}

/// A finished run with a choice that matters.
struct Choice<'a> {
    row: &'a EvalRow,
    state: RunState,
    candidates: Vec<CandidatePatch>,
}

/// The chance that a right patch is picked: 0 or 1, but for a draw.
type Rule = (String, Box<dyn Fn(&Choice<'_>) -> f64>);

/// Every rule over the strategies' runs that have a choice, in the strategies' order;
/// nothing for a strategy that has none. `out` holds the runs' folders.
///
/// Errors: a record that cannot be read. A run whose folder is gone is left out.
pub fn rescore(
    rows: &[EvalRow],
    strategies: &[&str],
    out: &Path,
) -> Result<Vec<Rescored>, EvalError> {
    let mut rescored = Vec::new();
    for &strategy in strategies {
        let mut tasks: Vec<Vec<Choice<'_>>> = Vec::new();
        for runs in by_task(rows, strategy).into_values() {
            let choices = runs.into_iter().map(|row| Choice::of(row, out));
            let choices = choices.collect::<Result<Vec<_>, _>>()?;
            let choices: Vec<Choice<'_>> = choices.into_iter().flatten().collect();
            if !choices.is_empty() {
                tasks.push(choices);
            }
        }
        for (name, rule) in rules(&tasks) {
            rescored.extend(under(strategy, &name, &tasks, &rule));
        }
    }
    Ok(rescored)
}

fn under(
    strategy: &str,
    name: &str,
    tasks: &[Vec<Choice<'_>>],
    rule: &dyn Fn(&Choice<'_>) -> f64,
) -> Option<Rescored> {
    // A rule looks at a run once, not in each resample.
    let picked: Vec<Vec<[f64; 2]>> = tasks
        .iter()
        .map(|runs| runs.iter().map(|run| [rule(run), as_run(run)]).collect())
        .collect();
    let mean = |of: fn(&[f64; 2]) -> f64| {
        bootstrap(&picked, SEED, |drawn| {
            let runs = || drawn.iter().flat_map(|runs| runs.iter());
            let n = runs().count();
            (n > 0).then(|| runs().map(of).sum::<f64>() / n as f64)
        })
    };
    Some(Rescored {
        strategy: strategy.to_owned(),
        rule: name.to_owned(),
        runs: tasks.iter().map(Vec::len).sum::<usize>() as u32,
        right: mean(|[picked, _]| *picked)?,
        difference: mean(|[picked, before]| picked - before)?,
    })
}

fn as_run(run: &Choice<'_>) -> f64 {
    f64::from(u8::from(run.row.resolved))
}

/// The rules, those of single voters for the voters that voted.
fn rules(tasks: &[Vec<Choice<'_>>]) -> Vec<Rule> {
    let by = |by: SelectBy, change: fn(&mut CandidatePatch)| -> Box<dyn Fn(&Choice<'_>) -> f64> {
        Box::new(move |run| run.picked(by, change, &run.state.votes))
    };
    let mut rules: Vec<Rule> = vec![
        ("as run".into(), Box::new(as_run)),
        ("the first".into(), by(SelectBy::First, |_| {})),
        ("one drawn".into(), Box::new(|run| run.drawn())),
        ("tests, then the judge".into(), by(SelectBy::Tests, |_| {})),
        (
            "tests alone".into(),
            by(SelectBy::Tests, |c| c.score = None),
        ),
        (
            "tests, without those that trajectories or the model wrote".into(),
            by(SelectBy::Tests, |c| c.written_rate = None),
        ),
        (
            "the repository's tests, then the judge".into(),
            Box::new(|run| run.by_repository_tests()),
        ),
        ("the judge alone".into(), by(SelectBy::Tests, untested)),
        (
            "the lowest entropy".into(),
            Box::new(|run| run.least(|c| c.entropy_mean_nats.map_or(f64::INFINITY, f64::from))),
        ),
        (
            "the smallest patch".into(),
            Box::new(|run| run.least(|c| normalise_patch(&c.patch).len() as f64)),
        ),
        (
            "voters without tests".into(),
            Box::new(|run| run.by_voters(|_| true, true)),
        ),
    ];
    let votes = tasks.iter().flatten().flat_map(|run| &run.state.votes);
    let mut voters: Vec<&str> = votes.map(|vote| vote.voter.as_str()).collect();
    voters.sort_unstable();
    voters.dedup();
    for voter in voters {
        let (name, voter) = (format!("tests, then {voter}"), voter.to_owned());
        rules.push((
            name,
            Box::new(move |run| run.by_voters(|vote| vote.voter == voter, false)),
        ));
    }
    rules
}

/// Takes what tests said off a candidate.
fn untested(candidate: &mut CandidatePatch) {
    candidate.pass_rate = None;
    candidate.written_rate = None;
}

impl<'a> Choice<'a> {
    /// `None` for a run in which every rule picks alike, or whose record is gone.
    fn of(row: &'a EvalRow, out: &Path) -> Result<Option<Self>, EvalError> {
        let record = out.join("runs").join(run_name(row)).join(RECORD_FILE);
        if row.right.is_empty() || !record.exists() {
            return Ok(None);
        }
        let (lines, _) = read_record(&record).map_err(SearchError::from)?;
        let state = RunState::of_record(&lines);
        let candidates: Vec<CandidatePatch> = state.candidate_patches();
        let usable = candidates.iter().filter(|c| c.is_usable());
        let wrong = usable.filter(|c| !row.right.contains(&c.branch));
        Ok((wrong.count() > 0).then_some(Self {
            row,
            state,
            candidates,
        }))
    }

    fn is_right(&self, candidate: &CandidatePatch) -> bool {
        self.row.right.contains(&candidate.branch)
    }

    fn picked(&self, by: SelectBy, change: fn(&mut CandidatePatch), votes: &[Voted]) -> f64 {
        let mut candidates = self.candidates.clone();
        candidates.iter_mut().for_each(change);
        self.selected(by, &candidates, votes)
    }

    fn selected(&self, by: SelectBy, candidates: &[CandidatePatch], votes: &[Voted]) -> f64 {
        // The seed is for draws, of which there are none here.
        let branch = select(by, candidates, votes, RngKey::from_seed(SEED)).branch;
        let right = branch.is_some_and(|branch| self.row.right.contains(&branch));
        f64::from(u8::from(right))
    }

    /// The chance that a draw among the usable ones is right.
    fn drawn(&self) -> f64 {
        let usable: Vec<&CandidatePatch> =
            self.candidates.iter().filter(|c| c.is_usable()).collect();
        let right = usable.iter().filter(|c| self.is_right(c)).count();
        right as f64 / usable.len() as f64
    }

    /// The usable one with the least of a figure; the earlier of equal ones.
    fn least(&self, figure: impl Fn(&CandidatePatch) -> f64) -> f64 {
        let usable = self.candidates.iter().filter(|c| c.is_usable());
        let least = usable.min_by(|a, b| figure(a).total_cmp(&figure(b)));
        f64::from(u8::from(least.is_some_and(|c| self.is_right(c))))
    }

    /// Tests without the consolidated file: no examples of the issue, nothing written.
    fn by_repository_tests(&self) -> f64 {
        let (Some(suite), Some(classes)) = (&self.state.suite, &self.state.classes) else {
            return self.selected(SelectBy::Tests, &self.candidates, &[]);
        };
        let mut candidates = self.candidates.clone();
        for candidate in &mut candidates {
            let mut runs = self.state.suite_runs.iter();
            let run = runs.find(|run| run.branch == Some(candidate.branch));
            let mut classes = classes.clone();
            classes.classes.retain(|(id, _)| !is_of_suite(suite, id));
            let own = |run: &SuiteRun| pass_rate(run, &classes);
            candidate.pass_rate = run.and_then(own);
            candidate.written_rate = None;
        }
        self.selected(SelectBy::Tests, &candidates, &[])
    }

    /// The vote of some voters; without tests it knows of no gate.
    fn by_voters(&self, of: impl Fn(&Voted) -> bool, without_tests: bool) -> f64 {
        let votes = self.state.votes.iter().filter(|vote| of(vote));
        let votes: Vec<Voted> = votes
            .map(|vote| match without_tests {
                true => ungated(vote),
                false => vote.clone(),
            })
            .collect();
        let mut candidates = self.candidates.clone();
        if without_tests {
            candidates.iter_mut().for_each(untested);
        }
        self.selected(SelectBy::Preference, &candidates, &votes)
    }
}

/// A vote without the dimension that tests decide.
fn ungated(vote: &Voted) -> Voted {
    let functionality = vote.dimensions.last().map_or(0.0, |(_, digit)| *digit);
    Voted {
        total: vote.total - functionality,
        gated: false,
        ..vote.clone()
    }
}

/// Rules by strategy, a line each.
pub fn rescored_table(rescored: &[Rescored]) -> String {
    let mut text = String::from(
        "| strategy | picked by | runs with a choice | right (95 %) | against as run, points (95 %) |\n\
         |---|---|---:|---:|---:|\n",
    );
    for r in rescored {
        let [value, low, high] = [r.right.value, r.right.low, r.right.high].map(|x| 100.0 * x);
        let d = r.difference;
        let [dv, dl, dh] = [d.value, d.low, d.high].map(|x| 100.0 * x);
        text += &format!(
            "| {} | {} | {} | {value:.0} % ({low:.0}-{high:.0}) | {dv:+.1} ({dl:+.1} to {dh:+.1}) |\n",
            r.strategy, r.rule, r.runs
        );
    }
    text
}
