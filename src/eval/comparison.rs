//! One strategy against another on the same tasks and seeds.
use super::row::EvalRow;
use super::statistics::{Estimate, bootstrap, mcnemar_p, paired_difference};
use super::summary::{SEED, by_task};
use serde::Serialize;

/// A strategy against another: figures of the tasks and seeds that both have run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub strategy: String,
    pub against: String,
    pub runs: u32,
    /// Share resolved by the first minus share resolved by the second.
    pub resolved_difference: Estimate,
    /// Runs that only the first resolved, and that only the second did.
    pub only_first: u32,
    pub only_second: u32,
    /// McNemar's exact test over runs. With several seeds a task the runs of a task are
    /// alike, and it is too sure: the interval above is over tasks.
    pub mcnemar_p: f64,
    /// Decoded + computed tokens of the first over those of the second, everything
    /// that they spend included.
    pub tokens_ratio: Estimate,
}

/// What two strategies did with one task and seed.
struct Pair<'a> {
    first: &'a EvalRow,
    second: &'a EvalRow,
}

/// Compares two strategies; `None` where they have no run in common.
pub fn compare<'a>(rows: &'a [EvalRow], strategy: &str, against: &str) -> Option<Comparison> {
    let others = by_task(rows, against);
    let tasks: Vec<Vec<Pair<'_>>> = by_task(rows, strategy)
        .into_iter()
        .map(|(task, runs)| {
            let others = others.get(task).map(Vec::as_slice).unwrap_or_default();
            let pair = |first: &'a EvalRow| {
                let second = *others.iter().find(|other| other.seed == first.seed)?;
                Some(Pair { first, second })
            };
            runs.into_iter().filter_map(pair).collect()
        })
        .filter(|pairs: &Vec<_>| !pairs.is_empty())
        .collect();
    let count = |is: fn(&Pair<'_>) -> bool| tasks.iter().flatten().filter(|p| is(p)).count() as u32;
    let only_first = count(|pair| pair.first.resolved && !pair.second.resolved);
    let only_second = count(|pair| pair.second.resolved && !pair.first.resolved);
    let resolved = |row: &EvalRow| f64::from(u8::from(row.resolved));
    let pairs = tasks.iter().flatten();
    let resolved: Vec<(f64, f64)> = pairs
        .map(|pair| (resolved(pair.first), resolved(pair.second)))
        .collect();
    Some(Comparison {
        strategy: strategy.to_owned(),
        against: against.to_owned(),
        runs: count(|_| true),
        resolved_difference: paired_difference(&resolved, tasks.len())?,
        only_first,
        only_second,
        mcnemar_p: mcnemar_p(only_first, only_second),
        tokens_ratio: bootstrap(&tasks, SEED, ratio)?,
    })
}

fn ratio(tasks: &[&Vec<Pair<'_>>]) -> Option<f64> {
    let spent = |row: &EvalRow| row.usage.total().spent_tokens();
    let pairs = || tasks.iter().flat_map(|pairs| pairs.iter());
    let first: u64 = pairs().map(|pair| spent(pair.first)).sum();
    let second: u64 = pairs().map(|pair| spent(pair.second)).sum();
    (second > 0).then(|| first as f64 / second as f64)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::row;
    use super::*;

    #[test]
    fn pairs_are_of_one_task_and_seed() {
        let rows = [
            row("a", "egss", 0, true, 10),
            row("a", "best-of-4", 0, false, 35),
            row("b", "egss", 0, true, 10),
            row("b", "best-of-4", 0, true, 35),
            // Nothing to hold these against.
            row("a", "egss", 1, false, 1_000),
            row("c", "best-of-4", 0, true, 1_000),
        ];
        let found = compare(&rows, "egss", "best-of-4").unwrap();
        assert_eq!((found.runs, found.only_first, found.only_second), (2, 1, 0));
        assert_eq!(found.resolved_difference.value, 0.5);
        assert_eq!(found.mcnemar_p, 1.0);
        // A row of these costs five computed tokens more.
        assert_eq!(found.tokens_ratio.value, 30.0 / 80.0);
        assert_eq!(
            found.tokens_ratio.low,
            30.0 / 80.0,
            "the same in both tasks"
        );
        assert_eq!(compare(&rows, "egss", "single"), None);
    }
}
