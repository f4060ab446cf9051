//! A calibration in Markdown.
use super::sentences::{sentences, shown, shown_difference};
use super::{Analysis, Calibration, Distribution, QUANTILES};

/// Quantiles of each signal, each score against the outcome, and what follows.
pub fn calibration_tables(calibration: &Calibration) -> String {
    let mut text = quantile_table(&calibration.distributions);
    text.push('\n');
    text += &outcome_table(&calibration.analyses);
    for sentence in sentences(calibration) {
        text += &format!("\n{sentence}\n");
    }
    text
}

/// Signals over steps, nats.
pub(super) fn quantile_table(distributions: &[Distribution]) -> String {
    let mut text = String::from("| signal, nats | steps | mean |");
    for q in QUANTILES {
        text += &format!(" {:.0} % |", 100.0 * q);
    }
    text += "\n|---|---:|---:|";
    text += &"---:|".repeat(QUANTILES.len());
    text.push('\n');
    for d in distributions {
        text += &format!("| {} | {} | {:.3} |", d.score.name(), d.n, d.mean);
        for (_, nats) in &d.quantiles {
            text += &format!(" {nats:.2} |");
        }
        text.push('\n');
    }
    text
}

/// Strata are thirds by length, shortest first.
fn outcome_table(analyses: &[Analysis]) -> String {
    let mut text = String::from(
        "| of | score | n | failing | AUROC (95 %) | within a task (95 %) | pairs (tasks) | short, middle, long | coefficient (95 %) | held out, length and syntax | and the score | gain (95 %) |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for a in analyses {
        let strata: Vec<String> = (a.by_length.iter())
            .map(|s| s.auroc.map_or("–".into(), |e| format!("{:.2}", e.value)))
            .collect();
        let held_out = a.held_out.as_ref();
        text += &format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            a.level.name(),
            a.score.name(),
            a.n,
            a.n_failing,
            shown(a.auroc),
            shown(a.within_task.map(|w| w.estimate)),
            pairs(a),
            strata.join(", "),
            shown_difference(a.coefficient),
            shown(held_out.and_then(|h| h.without_score)),
            shown(held_out.and_then(|h| h.with_score)),
            shown_difference(held_out.and_then(|h| h.gain)),
        );
    }
    text
}

/// Pairs of one task, and how many tasks they are of.
fn pairs(a: &Analysis) -> String {
    (a.within_task).map_or("0".into(), |w| format!("{} ({})", w.n_pairs, w.n_tasks))
}
