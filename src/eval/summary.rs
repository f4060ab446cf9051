//! Rows summed up by strategy.
use super::row::EvalRow;
use super::statistics::{Estimate, share};
use crate::base::{Strategy, UsageByPurpose};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One strategy over all tasks and seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StrategySummary {
    pub strategy: String,
    /// Trajectories at most, N.
    pub n: u32,
    pub tasks: u32,
    pub seeds: u32,
    /// Tasks times seeds.
    pub runs: u32,
    /// Runs whose selected patch passes every hidden test: selected@N.
    pub resolved: u32,
    /// Ends of the 95 % interval of the share of runs that are resolved, tasks as trials.
    pub resolved_ci95: [f64; 2],
    /// Runs in which some trajectory's patch does: oracle@N.
    pub oracle: u32,
    /// Runs that had a right patch, and selected another or none.
    pub selected_gap: u32,
    pub decoded_tokens: u64,
    pub computed_tokens: u64,
    pub reused_tokens: u64,
    pub forks: u64,
    pub trajectories: u32,
    pub by_purpose: UsageByPurpose,
    pub wall_s: f64,
}

/// Of every bootstrap: the intervals of a table are the same each time it is made.
pub(super) const SEED: u64 = 0;

/// One task's runs with all seeds, by one strategy.
pub(super) type TaskRuns<'a> = Vec<&'a EvalRow>;

/// A strategy's rows by task, tasks in order of their names.
pub(super) fn by_task<'a>(rows: &'a [EvalRow], strategy: &str) -> BTreeMap<&'a str, TaskRuns<'a>> {
    let mut tasks: BTreeMap<&str, TaskRuns<'_>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.strategy == strategy) {
        tasks.entry(&row.instance_id).or_default().push(row);
    }
    tasks
}

/// One of the things that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared<'a> {
    /// The strategy's name.
    pub name: &'a str,
    /// Trajectories at most, N.
    pub n: u32,
}

impl<'a> From<&'a Strategy> for Compared<'a> {
    fn from(strategy: &'a Strategy) -> Self {
        Self {
            name: &strategy.name,
            n: strategy.n,
        }
    }
}

/// A summary of each of those that have a row, in the order given.
pub fn summarise(rows: &[EvalRow], compared: &[Compared<'_>]) -> Vec<StrategySummary> {
    let has_rows = |s: &&Compared<'_>| rows.iter().any(|row| row.strategy == s.name);
    let named = compared.iter().filter(has_rows);
    named.map(|s| summary(rows, s)).collect()
}

fn summary(rows: &[EvalRow], strategy: &Compared<'_>) -> StrategySummary {
    let tasks: Vec<TaskRuns<'_>> = by_task(rows, strategy.name).into_values().collect();
    let own: Vec<&EvalRow> = tasks.iter().flatten().copied().collect();
    let count = |is: fn(&EvalRow) -> bool| own.iter().filter(|row| is(row)).count() as u32;
    let seeds: BTreeSet<u64> = own.iter().map(|row| row.seed).collect();
    let mut by_purpose = UsageByPurpose::default();
    own.iter().for_each(|row| by_purpose += row.usage);
    let total = by_purpose.total();
    let resolved = own.iter().map(|row| f64::from(u8::from(row.resolved)));
    let Estimate { low, high, .. } = share(resolved, tasks.len()).expect("a strategy with a row");
    StrategySummary {
        strategy: strategy.name.to_owned(),
        n: strategy.n,
        tasks: tasks.len() as u32,
        seeds: seeds.len() as u32,
        runs: own.len() as u32,
        resolved: count(|row| row.resolved),
        resolved_ci95: [low, high],
        oracle: count(|row| row.oracle),
        selected_gap: count(|row| row.oracle && !row.resolved),
        decoded_tokens: total.decoded_tokens,
        computed_tokens: total.computed_tokens,
        reused_tokens: total.reused_tokens,
        forks: total.forks,
        trajectories: own.iter().map(|row| row.n_trajectories).sum(),
        by_purpose,
        wall_s: own.iter().map(|row| row.wall_ms as f64 / 1e3).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::row;
    use super::*;
    use crate::base::AgentProfile;
    use crate::search::strategy_named;

    #[test]
    fn a_summary_adds_up_its_rows() {
        let strategies = ["egss", "single", "best-of-4"]
            .map(|name| strategy_named(name, 4, 4, &AgentProfile::small()));
        let strategies: Vec<Strategy> = strategies.into_iter().flatten().collect();
        let rows = [
            row("a", "egss", 0, true, 10),
            row("a", "single", 0, false, 7),
            row("b", "egss", 0, false, 20),
            row("b", "egss", 1, true, 30),
        ];
        let compared: Vec<Compared<'_>> = strategies.iter().map(Compared::from).collect();
        let summaries = summarise(&rows, &compared);
        let names: Vec<&str> = summaries.iter().map(|s| s.strategy.as_str()).collect();
        assert_eq!(names, ["egss", "single"], "best-of-4 has no row");
        let egss = &summaries[0];
        assert_eq!((egss.n, egss.tasks, egss.seeds, egss.runs), (4, 2, 2, 3));
        assert_eq!((egss.resolved, egss.oracle, egss.selected_gap), (2, 3, 1));
        assert_eq!((egss.decoded_tokens, egss.computed_tokens), (60, 15));
        let of_two = share([1.0, 0.0, 1.0], 2).unwrap();
        assert_eq!(egss.resolved_ci95, [of_two.low, of_two.high]);
    }
}
