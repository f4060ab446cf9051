//! The comparison in Markdown.
use super::comparison::Comparison;
use super::statistics::Estimate;
use super::summary::StrategySummary;
use crate::base::Purpose;

/// Strategies, a line each; tokens by purpose are decoded + computed.
pub fn markdown_table(summaries: &[StrategySummary]) -> String {
    let mut text = String::from(
        "| strategy | resolved | 95 % | oracle | gap | trajectories | decoded | computed | reused | forks | agent | judge | augmentation | selection | seconds |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for s in summaries {
        let spent: Vec<String> = Purpose::ALL
            .iter()
            .map(|&purpose| s.by_purpose[purpose].spent_tokens().to_string())
            .collect();
        let [low, high] = s.resolved_ci95.map(|share| 100.0 * share);
        text += &format!(
            "| {} | {}/{} | {low:.0}-{high:.0} % | {}/{} | {} | {} | {} | {} | {} | {} | {} | {:.0} |\n",
            s.strategy,
            s.resolved,
            s.runs,
            s.oracle,
            s.runs,
            s.selected_gap,
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

/// Strategies against others, a line a pair. Differences are in points.
pub fn comparison_table(comparisons: &[Comparison]) -> String {
    let mut text = String::from(
        "| strategy | against | resolved, points (95 %) | only this | only that | McNemar's p | tokens (95 %) |\n\
         |---|---|---:|---:|---:|---:|---:|\n",
    );
    for c in comparisons {
        let Estimate { value, low, high } = c.resolved_difference;
        let [value, low, high] = [value, low, high].map(|share| 100.0 * share);
        let ratio = c.tokens_ratio;
        // Resamples of one task are that task.
        let ends = match ratio.low < ratio.high {
            true => format!("{:.2} to {:.2}", ratio.low, ratio.high),
            false => "too few tasks".to_owned(),
        };
        text += &format!(
            "| {} | {} | {value:+.1} ({low:+.1} to {high:+.1}) | {} | {} | {:.3} | {:.2} ({ends}) |\n",
            c.strategy, c.against, c.only_first, c.only_second, c.mcnemar_p, ratio.value,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::comparison::compare;
    use super::super::fixtures::row;
    use super::super::summary::{Compared, summarise};
    use super::*;
    use crate::base::AgentProfile;
    use crate::search::strategy_named;

    #[test]
    fn tables_have_a_line_a_strategy_and_a_line_a_pair() {
        let strategies: Vec<_> = ["egss", "single"]
            .into_iter()
            .filter_map(|name| strategy_named(name, 4, 4, &AgentProfile::small()))
            .collect();
        let rows = [
            row("a", "egss", 0, true, 15),
            row("a", "single", 0, false, 35),
        ];
        let compared: Vec<Compared<'_>> = strategies.iter().map(Compared::from).collect();
        let table = markdown_table(&summarise(&rows, &compared));
        let line = "| egss | 1/1 | 21-100 % | 1/1 | 0 | 2 | 15 | 5 | 0 | 0 | 15 | 5 | 0 | 0 | 2 |";
        assert!(table.contains(line), "{table}");
        let table = comparison_table(&[compare(&rows, "egss", "single").unwrap()]);
        let line =
            "| egss | single | +100.0 (-12.2 to +100.0) | 1 | 0 | 1.000 | 0.50 (too few tasks) |";
        assert!(table.contains(line), "{table}");
    }
}
