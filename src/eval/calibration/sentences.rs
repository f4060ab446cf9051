//! A calibration in sentences.
use super::discrimination::TASKS_MIN;
use super::score::{Level, Score};
use super::{Analysis, Calibration, CurveBin};
use crate::base::{Gate, GateSignal};
use crate::eval::statistics::Estimate;

/// A figure with its interval, or a dash: `0.52 (0.43 to 0.61)`.
pub fn shown(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "–".into(),
        |e| format!("{:.2} ({:.2} to {:.2})", e.value, e.low, e.high),
    )
}

/// A difference with its interval: `+0.02 (-0.01 to +0.04)`.
pub fn shown_difference(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "–".into(),
        |e| format!("{:+.2} ({:+.2} to {:+.2})", e.value, e.low, e.high),
    )
}

/// `seed 0`, or `seeds 0 to 2` where they are all from the first on.
pub(super) fn seeds(seeds: &[u64]) -> String {
    match seeds {
        [seed] => format!("seed {seed}"),
        [first, .., last] if last - first + 1 == seeds.len() as u64 => {
            format!("seeds {first} to {last}")
        }
        _ => {
            let names: Vec<String> = seeds.iter().map(u64::to_string).collect();
            format!("seeds {}", names.join(", "))
        }
    }
}

/// What was measured and what it says, for a person, most important last.
pub fn sentences(calibration: &Calibration) -> Vec<String> {
    let c = calibration;
    let mut said = vec![
        format!(
            "{} of {}: {} tasks ({}), {}, last run {}; {} steps, {} trajectories, {} of which pass the hidden tests.",
            c.strategy,
            c.model,
            c.n_tasks(),
            c.sources,
            seeds(&c.seeds),
            c.date,
            c.n_steps,
            c.n_trajectories,
            c.n_resolved
        ),
        "AUROC: the chance that what fails has the higher figure of the two, so above 0.5 more entropy means failure; a step fails with all trajectories that it lies on. Intervals are of 95 %, by drawing tasks.".into(),
    ];
    let signal = Score::from(c.gate.signal);
    for (level, what) in [
        (Level::Step, "steps"),
        (Level::TrajectoryMean, "trajectories (mean)"),
    ] {
        said.extend(c.analysis(level, signal).map(|a| told(a, what)));
        said.extend(
            c.analysis(level, Score::Length)
                .map(|a| format!("Their length alone: {}.", shown(a.auroc))),
        );
        said.extend(c.analysis(level, signal).and_then(added));
    }
    said.push(c.choice.reason.clone());
    said.extend(not_measured(c));
    said.push(format!(
        "Gate: {} >= {:.2} nats, the {:.0} % quantile over steps. {}",
        c.gate.signal.name(),
        c.gate.threshold_nats,
        100.0 * c.gate.quantile.unwrap_or_default(),
        stability(c)
    ));
    said.extend(told_others(&c.other_gates));
    said
}

/// The gates on other signals than the first, in a sentence; `None` where there is none.
pub(super) fn told_others(gates: &[Gate]) -> Option<String> {
    let told: Vec<String> = (gates.iter())
        .map(|gate| format!("{} >= {:.2} nats", gate.signal.name(), gate.threshold_nats))
        .collect();
    (!told.is_empty()).then(|| {
        format!(
            "For strategies that name another signal, at the same quantile: {}.",
            told.join(", ")
        )
    })
}

/// How far a signal tells failing from passing.
fn told(a: &Analysis, what: &str) -> String {
    let (within, verdict) = match a.within_task {
        None => (
            "no task has both outcomes".to_owned(),
            "nothing is known within a task",
        ),
        Some(w) => {
            let e = w.estimate;
            let shown = format!(
                "{} over the {} pairs of one task, of {} tasks",
                shown(Some(e)),
                w.n_pairs,
                w.n_tasks
            );
            let verdict = match () {
                () if !w.is_reliable() => "too few tasks have both outcomes to rely on an interval",
                () if e.low > 0.5 => "within a task it tells them apart",
                () if e.high < 0.5 => "within a task it tells them apart the wrong way round",
                () => "nothing shows that within a task it tells them apart",
            };
            (shown, verdict)
        }
    };
    format!(
        "{} of {what}: AUROC {} over {} ({} failing); {within}: {verdict}.",
        a.score.name(),
        shown(a.auroc),
        a.n,
        a.n_failing,
    )
}

/// What it adds to length and syntax.
fn added(a: &Analysis) -> Option<String> {
    let held_out = a.held_out.as_ref()?;
    let gain = held_out.gain?;
    let fewest = held_out.directions.iter().map(|d| d.tried_tasks).min()?;
    let caution = match fewest < TASKS_MIN {
        true => ", over too few tasks to rely on the interval",
        false => "",
    };
    Some(format!(
        "On tasks that it was not fitted on, a logistic model of length and share of syntax has {}; {} adds {}{caution}.",
        shown(held_out.without_score),
        a.score.name(),
        shown_difference(Some(gain))
    ))
}

fn not_measured(c: &Calibration) -> Option<String> {
    let missing: Vec<&str> = Score::all()
        .filter(|score| !score.is_control() && c.distribution(*score).is_none())
        .map(|score| score.name())
        .collect();
    let why = match missing.contains(&GateSignal::Vote.name()) {
        true => "; votes are only taken where they gate",
        false => "",
    };
    (!missing.is_empty())
        .then(|| format!("Not measured in these runs: {}{why}.", missing.join(", ")))
}

/// How the thresholds of the halves do on each other.
fn stability(c: &Calibration) -> String {
    let [first, second] = [0, 1].map(|i: usize| c.stability[i]);
    format!(
        "Set on one half of the tasks ({:.2} and {:.2} nats), it rolls out {:.0} % and {:.0} % of the other's steps.",
        first.threshold_nats,
        second.threshold_nats,
        100.0 * first.rolled_out,
        100.0 * second.rolled_out
    )
}

/// A calibration curve in a sentence.
pub fn curve_sentence(curve: &[CurveBin]) -> String {
    let far = (curve.iter()).map(|bin| (bin.predicted - bin.passed).abs());
    format!(
        "Predicted and observed shares are at most {:.0} points apart.",
        100.0 * far.fold(0.0, f64::max)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_that_follow_each_other_are_a_range() {
        assert_eq!(seeds(&[3]), "seed 3");
        assert_eq!(seeds(&[0, 1, 2]), "seeds 0 to 2");
        assert_eq!(seeds(&[0, 4]), "seeds 0, 4");
    }

    #[test]
    fn a_figure_that_is_not_there_is_a_dash() {
        let estimate = Estimate {
            value: 0.5,
            low: -0.25,
            high: 1.0,
        };
        assert_eq!(shown(Some(estimate)), "0.50 (-0.25 to 1.00)");
        assert_eq!(shown_difference(Some(estimate)), "+0.50 (-0.25 to +1.00)");
        assert_eq!(shown(None), "–");
    }
}
