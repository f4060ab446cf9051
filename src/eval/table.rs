//! Rows summed up by strategy.
use super::run::EvalRow;
use crate::base::{Purpose, UsageByPurpose};
use serde::Serialize;

/// One strategy over all tasks and seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StrategySummary {
    pub strategy: String,
    pub runs: u32,
    pub resolved: u32,
    /// Runs in which some trajectory's patch is right.
    pub oracle: u32,
    pub decoded_tokens: u64,
    pub computed_tokens: u64,
    pub reused_tokens: u64,
    pub forks: u64,
    pub trajectories: u32,
    pub by_purpose: UsageByPurpose,
    pub wall_s: f64,
}

/// A summary for each strategy, in the order in which they first occur.
pub fn summarise(rows: &[EvalRow]) -> Vec<StrategySummary> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.strategy.as_str()) {
            names.push(&row.strategy);
        }
    }
    names
        .into_iter()
        .map(|name| summary(name, rows.iter().filter(|row| row.strategy == name)))
        .collect()
}

fn summary<'a>(name: &str, rows: impl Iterator<Item = &'a EvalRow>) -> StrategySummary {
    let mut sum = StrategySummary {
        strategy: name.to_owned(),
        runs: 0,
        resolved: 0,
        oracle: 0,
        decoded_tokens: 0,
        computed_tokens: 0,
        reused_tokens: 0,
        forks: 0,
        trajectories: 0,
        by_purpose: UsageByPurpose::default(),
        wall_s: 0.0,
    };
    for row in rows {
        sum.runs += 1;
        sum.resolved += u32::from(row.resolved);
        sum.oracle += u32::from(row.oracle);
        sum.trajectories += row.n_trajectories;
        sum.by_purpose += row.usage;
        sum.wall_s += row.wall_ms as f64 / 1e3;
    }
    let total = sum.by_purpose.total();
    sum.decoded_tokens = total.decoded_tokens;
    sum.computed_tokens = total.computed_tokens;
    sum.reused_tokens = total.reused_tokens;
    sum.forks = total.forks;
    sum
}

/// The comparison as a Markdown table: tokens by purpose are decoded + computed.
pub fn markdown_table(summaries: &[StrategySummary]) -> String {
    let mut text = String::from(
        "| strategy | resolved | oracle | trajectories | decoded | computed | reused | forks | agent | judge | augmentation | selection | seconds |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for s in summaries {
        let spent: Vec<String> = Purpose::ALL
            .iter()
            .map(|&purpose| s.by_purpose[purpose].spent_tokens().to_string())
            .collect();
        text += &format!(
            "| {} | {}/{} | {}/{} | {} | {} | {} | {} | {} | {} | {:.0} |\n",
            s.strategy,
            s.resolved,
            s.runs,
            s.oracle,
            s.runs,
            s.trajectories,
            s.decoded_tokens,
            s.computed_tokens,
            s.reused_tokens,
            s.forks,
            spent.join(" | "),
            s.wall_s
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(strategy: &str, resolved: bool, decoded: u64) -> EvalRow {
        let mut usage = UsageByPurpose::default();
        usage.agent.decoded_tokens = decoded;
        usage.judge.computed_tokens = 5;
        EvalRow {
            instance_id: "t".into(),
            strategy: strategy.into(),
            seed: 0,
            settings: String::new(),
            resolved,
            oracle: true,
            fault: None,
            n_trajectories: 2,
            n_branches: 2,
            n_steps: 3,
            usage,
            wall_ms: 1_500,
        }
    }

    #[test]
    fn a_summary_adds_up_its_rows() {
        let rows = [
            row("egss", true, 10),
            row("single", false, 7),
            row("egss", false, 20),
        ];
        let summaries = summarise(&rows);
        assert_eq!(
            summaries
                .iter()
                .map(|s| s.strategy.as_str())
                .collect::<Vec<_>>(),
            ["egss", "single"]
        );
        let egss = &summaries[0];
        assert_eq!(
            (
                egss.runs,
                egss.resolved,
                egss.oracle,
                egss.decoded_tokens,
                egss.computed_tokens
            ),
            (2, 1, 2, 30, 10)
        );
        assert!(
            markdown_table(&summaries)
                .contains("| egss | 1/2 | 2/2 | 4 | 30 | 10 | 0 | 0 | 30 | 10 | 0 | 0 | 3 |")
        );
    }
}
