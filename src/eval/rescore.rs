//! What other ways to pick a patch would have given, from the candidates of finished
//! runs: nothing is decoded again, and no test is run.
//!
//! A row of `results.jsonl` holds every candidate with everything that a selection can go by:
//! test results, the judge's score, votes, entropy, and whether the patch was right. Only
//! runs with both right and wrong patches count.
use super::candidate::JudgedCandidate;
use super::row::EvalRow;
use super::statistics::{Estimate, paired_difference, share};
use super::summary::{SEED, by_task};
use crate::base::{RngKey, SelectBy};
use crate::record::Voted;
use crate::select::{CandidatePatch, normalise_patch, select};
use serde::Serialize;

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

/// The chance that a right patch is picked: 0 or 1, but for a draw.
type Rule = (String, Box<dyn Fn(&EvalRow) -> f64>);

/// Every rule over the strategies' runs that have a choice, in the strategies' order;
/// nothing for a strategy that has none.
pub fn rescore(rows: &[EvalRow], strategies: &[&str]) -> Vec<Rescored> {
    let mut rescored = Vec::new();
    for &strategy in strategies {
        let mut tasks: Vec<Vec<&EvalRow>> = by_task(rows, strategy).into_values().collect();
        tasks
            .iter_mut()
            .for_each(|runs| runs.retain(|row| has_choice(row)));
        tasks.retain(|runs| !runs.is_empty());
        for (name, rule) in rules(&tasks) {
            rescored.extend(under(strategy, &name, &tasks, &rule));
        }
    }
    rescored
}

/// Some usable patch is right and some is not.
fn has_choice(row: &EvalRow) -> bool {
    let usable = || usable(row);
    usable().any(|c| c.right) && usable().any(|c| !c.right)
}

fn usable(row: &EvalRow) -> impl Iterator<Item = &JudgedCandidate> {
    row.candidates.iter().filter(|c| c.seen.is_usable())
}

fn under(
    strategy: &str,
    name: &str,
    tasks: &[Vec<&EvalRow>],
    rule: &dyn Fn(&EvalRow) -> f64,
) -> Option<Rescored> {
    let runs = || tasks.iter().flatten();
    let picked: Vec<(f64, f64)> = runs().map(|row| (rule(row), as_run(row))).collect();
    Some(Rescored {
        strategy: strategy.to_owned(),
        rule: name.to_owned(),
        runs: picked.len() as u32,
        right: share(picked.iter().map(|pair| pair.0), tasks.len())?,
        difference: paired_difference(&picked, tasks.len())?,
    })
}

fn as_run(row: &EvalRow) -> f64 {
    f64::from(u8::from(row.resolved))
}

/// The rules, those of single voters for the voters that voted.
fn rules(tasks: &[Vec<&EvalRow>]) -> Vec<Rule> {
    let named = |name: &str, rule: Box<dyn Fn(&EvalRow) -> f64>| (name.to_owned(), rule);
    let mut rules = vec![
        named("as run", Box::new(as_run)),
        named(
            "tests, then agreement",
            Box::new(|row| by(SelectBy::Agreement, row, |_| {})),
        ),
        named(
            "tests, then all voters",
            Box::new(|row| by(SelectBy::Preference, row, |_| {})),
        ),
        named(
            "the first",
            Box::new(|row| by(SelectBy::First, row, |_| {})),
        ),
        named("one drawn", Box::new(drawn)),
        named(
            "tests, then the judge",
            Box::new(|row| by(SelectBy::Tests, row, |_| {})),
        ),
        named(
            "tests alone",
            Box::new(|row| by(SelectBy::Tests, row, |c| c.seen.score = None)),
        ),
        named(
            "tests but those written in the run, then the judge",
            Box::new(|row| by(SelectBy::Tests, row, |c| c.seen.written_rate = None)),
        ),
        named(
            "the repository's tests, then the judge",
            Box::new(|row| by(SelectBy::Tests, row, by_repository)),
        ),
        named(
            "the judge alone",
            Box::new(|row| by(SelectBy::Tests, row, untested)),
        ),
        named(
            "the lowest entropy",
            Box::new(|row| {
                let nats = |c: &CandidatePatch| c.entropy_mean_nats;
                least(row, |c| nats(c).map_or(f64::INFINITY, f64::from))
            }),
        ),
        named(
            "the smallest patch",
            Box::new(|row| least(row, |c| normalise_patch(&c.patch).len() as f64)),
        ),
        named(
            "voters without tests",
            Box::new(|row| {
                by(SelectBy::Preference, row, |c| {
                    untested(c);
                    c.votes.iter_mut().for_each(ungate);
                })
            }),
        ),
    ];
    let candidates = tasks.iter().flatten().flat_map(|row| &row.candidates);
    let votes = candidates.flat_map(|candidate| &candidate.votes);
    let mut voters: Vec<&str> = votes.map(|vote| vote.voter.as_str()).collect();
    voters.sort_unstable();
    voters.dedup();
    for voter in voters {
        let (name, voter) = (format!("tests, then {voter}"), voter.to_owned());
        rules.push(named(
            &name,
            Box::new(move |row| {
                by(SelectBy::Preference, row, |c| {
                    c.votes.retain(|vote| vote.voter == voter);
                })
            }),
        ));
    }
    rules
}

/// What a selection picks of the candidates after a change to each.
fn by(by: SelectBy, row: &EvalRow, change: impl Fn(&mut JudgedCandidate)) -> f64 {
    let mut candidates = row.candidates.clone();
    candidates.iter_mut().for_each(change);
    let votes: Vec<Voted> = candidates.iter().flat_map(|c| c.votes.clone()).collect();
    let seen: Vec<CandidatePatch> = candidates.iter().map(|c| c.seen.clone()).collect();
    // The key is for draws, of which there are none here.
    let picked = select(by, &seen, &votes, RngKey::from_seed(SEED)).branch;
    let picked = candidates.iter().find(|c| Some(c.seen.branch) == picked);
    f64::from(u8::from(picked.is_some_and(|c| c.right)))
}

/// The chance that a draw among the usable ones is right.
fn drawn(row: &EvalRow) -> f64 {
    let right = usable(row).filter(|c| c.right).count();
    right as f64 / usable(row).count() as f64
}

/// The usable one with the least of a figure; the earlier of equal ones.
fn least(row: &EvalRow, figure: impl Fn(&CandidatePatch) -> f64) -> f64 {
    let least = usable(row).min_by(|a, b| figure(&a.seen).total_cmp(&figure(&b.seen)));
    f64::from(u8::from(least.is_some_and(|c| c.right)))
}

/// Takes what tests said off a candidate.
fn untested(candidate: &mut JudgedCandidate) {
    candidate.seen.pass_rate = None;
    candidate.seen.written_rate = None;
}

/// Leaves what the repository's own tests said: no examples of the issue, nothing
/// written.
fn by_repository(candidate: &mut JudgedCandidate) {
    candidate.seen.pass_rate = candidate.repository_pass_rate;
    candidate.seen.written_rate = None;
}

/// Takes the dimension that tests decide off a vote.
fn ungate(vote: &mut Voted) {
    vote.total -= vote.dimensions.last().map_or(0.0, |(_, digit)| *digit);
    vote.gated = false;
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
