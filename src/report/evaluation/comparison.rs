//! The page of an evaluation: strategies by what they resolve and spend.
use super::super::ReportError;
use super::super::figures::thousands;
use super::super::html::markup::Markup;
use super::super::html::page;
use super::charts::resolved_by_tokens;
use super::{figure, table_end, table_head};
use crate::eval::StrategySummary;

/// The share resolved against tokens, as a chart and as a table.
///
/// Errors: a chart that cannot be drawn.
pub fn comparison_html(model: &str, summaries: &[StrategySummary]) -> Result<String, ReportError> {
    let mut out = Markup::default();
    out.raw("<header>\n<p class=\"eyebrow\">egss · evaluation · ")
        .text(model)
        .raw("</p>\n<h1>Resolved against tokens</h1>\n</header>\n<main>\n<section>\n");
    let caption = "Share of runs whose selected patch passes every hidden test against the tokens of a run, everything that a strategy spends included. Lines are intervals of 95 % (Wilson), with tasks as trials.";
    figure(&mut out, &resolved_by_tokens(summaries)?, caption);
    let names = [
        "Strategy",
        "Resolved",
        "95 %",
        "Some patch right",
        "Decoded",
        "Computed",
        "Reused",
    ];
    table_head(&mut out, &names, 1);
    for s in summaries {
        let [low, high] = s.resolved_ci95.map(|share| 100.0 * share);
        out.raw("<tr>")
            .cell(&s.strategy)
            .figure(format_args!("{}/{}", s.resolved, s.runs))
            .figure(format_args!("{low:.0}–{high:.0} %"))
            .figure(format_args!("{}/{}", s.oracle, s.runs))
            .figure(thousands(s.decoded_tokens))
            .figure(thousands(s.computed_tokens))
            .figure(thousands(s.reused_tokens))
            .raw("</tr>\n");
    }
    table_end(&mut out);
    out.raw("</section>\n</main>\n");
    Ok(page("Evaluation", out, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::UsageByPurpose;

    #[test]
    fn each_strategy_has_a_dot_a_name_and_a_line_of_the_table() {
        let summary = |name: &str, resolved, decoded_tokens| StrategySummary {
            strategy: name.into(),
            n: 4,
            tasks: 8,
            seeds: 1,
            runs: 8,
            resolved,
            resolved_ci95: [0.1, 0.9],
            oracle: 6,
            selected_gap: 1,
            decoded_tokens,
            computed_tokens: 1_000,
            reused_tokens: 12_345,
            forks: 3,
            trajectories: 9,
            by_purpose: UsageByPurpose::default(),
            wall_s: 1.0,
        };
        let rows = [summary("egss", 5, 8_000), summary("best-of-4", 4, 24_000)];
        let page = comparison_html("a <model>", &rows).unwrap();
        assert_eq!(page.matches("<circle").count(), 2);
        // In the chart and in the table.
        assert_eq!(page.matches("best-of-4").count(), 2);
        assert!(page.contains("<td class=\"n\">12,345</td>"));
        assert!(page.contains("a &lt;model&gt;") && !page.contains("a <model>"));
        assert!(!page.contains("<script"));
    }
}
